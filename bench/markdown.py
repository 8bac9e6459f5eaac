"""What was measured as Markdown: the tables of docs/performance.md."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from bench import path, results, sessions
from bench.growth import CURVES, name_of
from bench.promises import PROMISES
from bench.results import Spread


def table() -> Iterator[str]:
    """The promises, what was measured, and what the peer needs."""
    body = results.load("table")
    yield "| | limit | measured | pytrickle |"
    yield "|---|---|---|---|"
    for each in PROMISES:
        if not each.measured(body["found"]):
            continue
        numbers = body["found"][each.work]
        peer = numbers.get(f"pytrickle {each.number}", "")
        sign = "<=" if each.at_most else ">="
        ours = numbers[f"byoc {each.number}"]
        yield f"| {each.said} | {sign} {each.limit:g} | {ours} | {peer} |"
    yield ""
    yield where("make bench", body)


def along() -> Iterator[str]:
    """Microseconds of CPU of each part of the path."""
    body = results.load("path")
    found: Mapping[str, Mapping[str, Spread]] = body["found"]
    yield "| | " + " | ".join(found) + " |"
    yield "|---|" + "---|" * len(found)
    for part in (*path.PARTS, "together", "beside codecs"):
        if not all(part in numbers for numbers in found.values()):
            continue  # saved before there was such a sum
        cells = (f"{numbers[part].median:.0f}" for numbers in found.values())
        yield f"| {part} | " + " | ".join(cells) + " |"
    yield ""
    yield where("make bench-path", body)


def many() -> Iterator[str]:
    """Many sessions at once."""
    body = results.load("sessions")
    yield from sessions.table(body["found"])
    yield ""
    yield where("make bench-sessions", body)


def growth() -> Iterator[str]:
    """CPU and delay along each curve."""
    body = results.load("growth")
    for curve in CURVES:
        yield f"| {curve.unit} | CPU per picture, ms | delay p50, ms | p95, ms | lost |"
        yield "|---|---|---|---|---|"
        for point in curve.points:
            numbers = body["found"][name_of(curve, point)]
            names = ("cpu ms", "p50 ms", "p95 ms", "lost")
            yield f"| {point.x:g} | " + " | ".join(f"{numbers[n].median:.3g}" for n in names) + " |"
        yield ""
    yield where("make bench-growth", body)


def where(command: str, body: Mapping[str, Any]) -> str:
    """Which command gave the figures, and where."""
    machine = body["machine"]
    return (
        f"`{command}` (here with --runs {body['runs']} --seconds {body['seconds']:g}),"
        f" {machine['cpu']}, {machine['cores']} cores, Python {machine['python']},"
        f" commit {body['commit']}; medians, in brackets the least and the most."
    )


ALL: Final[Mapping[str, Callable[[], Iterator[str]]]] = {
    "table": table,
    "path": along,
    "growth": growth,
    "sessions": many,
}
"""By the name that results are saved under."""


def saved() -> Iterator[str]:
    """The tables of all that was measured so far."""
    for name, lines in ALL.items():
        if (results.FOLDER / f"{name}.json").exists():
            yield from lines()
            yield ""
