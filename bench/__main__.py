"""python -m bench: the worker beside pytrickle, FFmpeg and GStreamer, interleaved, with spreads.

python -m bench              the table: what there is to promise, and what others need for it
python -m bench growth       how cost grows with size, nodes, branches, sessions and params
python -m bench path         where each microsecond of a picture goes
python -m bench sessions     many sessions at once, with what drives them on the same cores
python -m bench guard        a short run that fails where the worker is far from the codecs alone
python -m bench charts       draw what was measured anew
python -m bench markdown     what was measured as the tables of docs/performance.md

Before and after a change: `--save NAME`, then `--compare NAME`, with the same works.
"""

import argparse
import sys
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from bench import chart, compare, contenders, growth, guard, markdown, path, results, sessions
from bench.promises import PROMISES, Found
from bench.results import Numbers, Spread
from bench.works import WORKS, Work, crowd, measure


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="?", default="table", choices=_WHAT)
    parser.add_argument("--runs", type=int, default=5, help="of each work, interleaved")
    parser.add_argument("--seconds", type=float, default=6.0, help="of each clip")
    parser.add_argument("--only", default="", help="works whose name begins so")
    parser.add_argument("--no-peers", action="store_true", help="without pytrickle")
    parser.add_argument(
        "--sessions", type=_counts, default=sessions.COUNTS, help="how many at once: 8,10"
    )
    parser.add_argument(
        "--save", default="", metavar="NAME", help="keep the result to compare with"
    )
    parser.add_argument("--compare", default="", metavar="NAME", help="show that result beside it")
    asked = parser.parse_args()
    try:
        asked.before = _before(asked.what, asked.compare)
    except OSError as exc:
        parser.error(f"there is nothing to compare with: {exc}")
    return _WHAT[asked.what](asked)


def _counts(written: str) -> tuple[int, ...]:
    counts = tuple(int(count) for count in written.split(","))
    if min(counts) < 1:
        raise argparse.ArgumentTypeError("there is at least one session")
    return counts


def _before(what: str, name: str) -> Mapping[str, Any]:
    """The result that was saved under this name, {} for none. Raises OSError where it is missing:
    before minutes of measuring, not after them.
    """
    return results.load(f"{what}-{name}", results.KEPT) if name else {}


def table(asked: argparse.Namespace) -> int:
    """Measure every work; 1 where a promise is not kept."""
    works = {name: work for name, work in WORKS.items() if name.startswith(asked.only)}
    if not asked.no_peers:
        contenders.install()
    found = interleaved(works, asked.runs, asked.seconds, peers=not asked.no_peers)
    broken = show(found)
    if keep("table", found, asked, whole=not asked.only and not asked.no_peers):
        print(f"drawn in {chart.table()}")
    return int(broken)


def interleaved(
    works: Mapping[str, Work], runs: int, seconds: float, *, peers: bool
) -> dict[str, dict[str, Spread]]:
    """Every work so many times, one after another."""
    seen: dict[str, list[Numbers]] = {name: [] for name in works}
    for number in range(runs):
        for name, work in works.items():
            print(f"run {number + 1} of {runs}: {name}", flush=True)
            seen[name].append(measure(work, seconds, peers=peers))
    return {name: results.spreads(each) for name, each in seen.items()}


def keep(what: str, found: Found, asked: argparse.Namespace, *, whole: bool) -> bool:
    """Compare a result and save it as asked for; whether it took the place of the published one,
    as one does that has no name of its own and is of all works.
    """
    if asked.before:
        print("\n" + "\n".join(compare.lines(asked.before, found)))
    if not asked.save and not whole:
        return False
    name, folder = (f"{what}-{asked.save}", results.KEPT) if asked.save else (what, None)
    saved = results.save(name, found, folder, runs=asked.runs, seconds=asked.seconds)
    print(f"\nsaved to {saved}")
    return not asked.save


def show(found: Found) -> bool:
    """Print all numbers, then the promises; whether one of them is broken."""
    for work, numbers in found.items():
        print(f"\n{work}")
        for name, value in numbers.items():
            print(f"  {name:28} {value}")
    print(f"\n{'':68} {'limit':>8} {'measured':>22} {'pytrickle':>22}")
    measured = [each for each in PROMISES if each.work in found]
    for each in measured:
        numbers = found[each.work]
        peer = str(numbers.get(f"pytrickle {each.number}", ""))
        sign, mark = "<=" if each.at_most else ">=", "" if each.kept(found) else "  !"
        limit = f"{sign} {each.limit:g}"
        ours = numbers.get(f"byoc {each.number}", "not measured")
        print(f"{each.said:68} {limit:>8} {ours!s:>22} {peer:>22}{mark}")
    return not all(each.kept(found) for each in measured)


def guarded(asked: argparse.Namespace) -> int:
    """Two short works beside the codecs alone and FFmpeg in the same run: ratios, so a slow machine
    passes as well; 1 where one is over its limit.
    """
    found = interleaved(guard.WORKS, guard.TURNS, guard.SECONDS, peers=False)
    print("\n".join(guard.lines(found)))
    failures = list(guard.failures(found))
    print("\n".join(failures))
    return int(bool(failures))


def grown(asked: argparse.Namespace) -> int:
    found = growth.measured(asked.seconds, asked.runs, asked.only)
    if keep("growth", found, asked, whole=not asked.only):
        print(f"drawn in {chart.growth()}")
    return 0


def crowded(asked: argparse.Namespace) -> int:
    """So many sessions at once as are asked for, in turns."""
    works = {f"{count} sessions, 360p": partial(crowd, count, "360p") for count in asked.sessions}
    found = interleaved(works, asked.runs, asked.seconds, peers=False)
    print("\n" + "\n".join(sessions.table(found)))
    keep("sessions", found, asked, whole=asked.sessions == sessions.COUNTS)
    return 0


def along(asked: argparse.Namespace) -> int:
    """Print and save the parts of the path of one picture, in microseconds of CPU."""
    works = {name: work for name, work in path.WORKS.items() if name.startswith(asked.only)}
    seen: dict[str, list[Numbers]] = {name: [] for name in works}
    for number in range(asked.runs):
        for name, (size, text) in works.items():
            print(f"run {number + 1} of {asked.runs}: {name}", flush=True)
            seen[name].append(path.measured(size, text, asked.seconds))
    found = {name: results.spreads(runs) for name, runs in seen.items()}
    for name, numbers in found.items():
        print(f"\n{name}: us of CPU per picture")
        for part, value in numbers.items():
            print(f"  {part:13} {value}")
    keep("path", found, asked, whole=not asked.only)
    return 0


def charts(asked: argparse.Namespace) -> int:
    print(chart.table(), chart.growth())
    return 0


def tables(asked: argparse.Namespace) -> int:
    print("\n".join(markdown.saved()))
    return 0


_WHAT: Final = {
    "table": table,
    "growth": grown,
    "path": along,
    "sessions": crowded,
    "guard": guarded,
    "charts": charts,
    "markdown": tables,
}


if __name__ == "__main__":
    sys.exit(main())
