"""Two results side by side: what was measured before a change, and after it."""

from collections.abc import Iterator, Mapping
from typing import Any

from bench.promises import Found
from bench.results import Spread


def lines(before: Mapping[str, Any], found: Found) -> Iterator[str]:
    """As Markdown, a table for each work that both have. before: what results.load() gives."""
    yield f"before: commit {before['commit']}, {before['when']}"
    for work, numbers in found.items():
        if work not in before["found"]:
            continue
        yield ""
        yield f"| {work} | before | after | change |"
        yield "|---|---|---|---|"
        for name, after in numbers.items():
            earlier = before["found"][work].get(name)
            cell = "" if earlier is None else str(earlier)
            yield f"| {name} | {cell} | {after} | {change(earlier, after)} |"


def change(before: Spread | None, after: Spread) -> str:
    """Of the medians: in percent, or as a difference where it was 0; empty where nothing was."""
    if before is None:
        return ""
    if not before.median:
        return f"{after.median:+.3g}" if after.median else "0"
    return f"{(after.median / before.median - 1) * 100:+.1f} %"
