"""How a run looks on a terminal: a bar while it goes, an account when it is done."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

from composer.compiler.plan import Plan
from composer.engine.account import Report
from composer.engine.run import Media, Run


def terminal() -> Console:
    """Where progress goes: standard error, so that output can be piped."""
    return Console(stderr=True)


def watch(run: Run, total: float | None, console: Console) -> None:
    """Show frames, speed and time left until the run is done. total: seconds of media, if known."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[frames]} frames  {task.fields[speed]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=total, frames=0, speed="")
        while not run.done.wait(0.1):
            now = run.report()
            speed = f"{now.media_seconds / now.seconds:.1f}x" if now.seconds else ""
            progress.update(
                task, completed=now.media_seconds, frames=frames_in(run.plan, now), speed=speed
            )


@contextmanager
def transfer(name: str, console: Console) -> Iterator[Callable[[int, int], None]]:
    """A bar for a file on its way. Gives what to call with the bytes so far, and in all or 0."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    unseen = not console.is_terminal  # it would leave an empty line in a log
    with Progress(*columns, console=console, transient=True, disable=unseen) as progress:
        task = progress.add_task(name, total=None)
        yield lambda done, size: progress.update(task, completed=done, total=size or None)


def frames_in(plan: Plan, report: Report) -> int:
    """Frames that the sources gave."""
    return sum(report.nodes[name].given for name, step in plan.steps.items() if not step.inputs)


def frames_out(plan: Plan, report: Report) -> int:
    """Frames that the sinks took, and did not lose."""
    sinks = [report.nodes[name] for name, step in plan.steps.items() if not step.outputs]
    return sum(count.given - sum(count.lost.values()) for count in sinks)


def dropped(report: Report) -> Counter[str]:
    """Frames that were dropped or lost, by reason, over all nodes and edges."""
    total: Counter[str] = Counter()
    for node in report.nodes.values():
        total.update(node.left_out)
    for edge in report.edges.values():
        total.update(edge.dropped)
    return Counter({reason: count for reason, count in total.items() if count})


def lost_tracks(report: Report) -> list[str]:
    """Tracks of which nothing came through, each with its node, in words."""
    return [f"{name}: {each}" for name, node in report.nodes.items() for each in node.lost_tracks]


def as_data(plan: Plan, report: Report) -> dict[str, Any]:
    """The account as plain data, for `--json`."""
    return {
        "frames_in": frames_in(plan, report),
        "frames_out": frames_out(plan, report),
        "dropped": dict(dropped(report)),
        "lost_tracks": lost_tracks(report),
        "seconds": round(report.seconds, 3),
        "media_seconds": round(report.media_seconds, 3),
        "nodes": {
            name: {
                "in": count.taken,
                "out": count.given,
                "dropped": dict(count.left_out),
                "errors": count.errors,
                "seconds": round(count.seconds, 4),
                **({"about": dict(count.about)} if count.about else {}),
            }
            for name, count in report.nodes.items()
        },
        "edges": {
            name: {
                "in": count.offered,
                "out": count.taken,
                "dropped": {key: value for key, value in count.dropped.items() if value},
            }
            for name, count in report.edges.items()
        },
    }


def summary(plan: Plan, report: Report, console: Console) -> None:
    """Frames in, out and dropped by reason, and the time each node took."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("node", "in", "out", "dropped", "ms/frame", "seconds"):
        table.add_column(title, justify="left" if title == "node" else "right")
    for name, count in report.nodes.items():
        frames = count.taken or count.given
        each = f"{count.seconds * 1000 / frames:.2f}" if frames else "-"
        lost = _reasons(count.left_out)
        taken = str(count.taken) if plan.steps[name].inputs else ""
        table.add_row(name, taken, str(count.given), lost, each, f"{count.seconds:.2f}")
    console.print(table)
    for name, count in report.nodes.items():
        if count.about:
            console.print(f"{name}: {', '.join(f'{k} {v}' for k, v in count.about.items())}")
    lost = _reasons(dropped(report)) or "none dropped"
    speed = f", {report.media_seconds / report.seconds:.1f}x" if report.seconds else ""
    console.print(
        f"{frames_in(plan, report)} frames in, {frames_out(plan, report)} out, {lost}"
        f" - {report.media_seconds:.2f} s of media in {report.seconds:.2f} s{speed}"
    )
    for each in lost_tracks(report):
        console.print(f"nothing came through of {each}", markup=False)


def _reasons(found: Counter[str]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in sorted(found.items()) if count)


def length(plan: Plan, media: Media) -> float | None:
    """Seconds of media that the longest source will give, None where nobody knows."""
    known = [
        seconds
        for name, step in plan.steps.items()
        if step.settings is not None and not step.inputs
        for seconds in [step.settings.media_seconds(media.source(name), step.folder)]
        if seconds
    ]
    return max(known, default=None)
