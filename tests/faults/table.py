"""docs/reliability.md: every fault with its promise, the tests about it, and how they went.

    python -m tests.faults.table > docs/reliability.md

Results are those of the last `make faults`, which writes them to results.json beside this file.
"""

import ast
import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.clips import ROOT
from tests.faults.catalogue import CATALOGUE, Fault

SIDE_BY_SIDE: Final = Path(__file__).parent / "side_by_side.json"

RESULTS: Final = Path(__file__).parent / "results.json"

INTRODUCTION: Final = """\
# What can go wrong, and what happens then

Made by `make docs` from the tests: every fault that the program is held against, what it promises,
the tests that hold it to that, and how they went when `make faults` ran last. What is **open**
is not handled, or not tested; the line says what is missing.

Tests of `tests/faults` put the fault beside a quiet session whose pictures are numbered: that one
gets back all it sent, in order, and slots, threads and descriptors are as before.
[testing.md](testing.md) has the peers that lie and the proxy, for your own tests; `make fuzz` and
`make soak` look for what is not in this table ([CONTRIBUTING.md](../CONTRIBUTING.md)).
"""


@dataclass(frozen=True)
class Marked:
    """A test that says which faults it is about."""

    file: str
    name: str
    faults: tuple[str, ...]

    @property
    def key(self) -> str:
        """As results call it: all its parameters are one test."""
        return f"{self.file}::{self.name}"


def marked() -> list[Marked]:
    """All of them, read without being imported."""
    return [
        test
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        for test in marked_in(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))
    ]


def marked_in(file: str, text: str) -> Iterator[Marked]:
    """Those of one file."""
    if "mark.fault(" not in text:
        return
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            faults = tuple(fault for each in node.decorator_list for fault in _faults(each))
            if faults:
                yield Marked(file, node.name, faults)


def _faults(decorator: ast.expr) -> Iterator[str]:
    if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.fault":
        yield from (ast.literal_eval(argument) for argument in decorator.args)


def results() -> Mapping[str, Any]:
    """What `make faults` wrote: `version`, `on`, and `tests`, by their keys."""
    told: Mapping[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8"))
    return told


def page(tests: list[Marked], told: Mapping[str, Any]) -> str:
    """The page, as text."""
    of: dict[str, list[Marked]] = defaultdict(list)
    for test in tests:
        for number in test.faults:
            of[number].append(test)
    lines = [INTRODUCTION, _summary(of, told)]
    for part, faults in CATALOGUE.items():
        lines += [f"## {part}\n", "| | fault | promise | tests | result |", "|---|---|---|---|---|"]
        lines += [_row(number, fault, of[number], told) for number, fault in faults.items()]
        lines.append("")
    if SIDE_BY_SIDE.exists():
        lines += beside(json.loads(SIDE_BY_SIDE.read_text(encoding="utf-8")))
    return "\n".join(lines)


def beside(told: Mapping[str, Any]) -> Iterator[str]:
    """The same faults for pytrickle, as `python -m tests.faults.side_by_side` wrote them."""
    yield "## Beside pytrickle\n"
    yield (
        f"`python -m tests.faults.side_by_side` of {told['on']} on {told['cores']} cores, with"
        f" {told['peer']}: the fault for {told['seconds']:g} s, how long a caller waited for"
        " `/health` at the most meanwhile, what the worker took in memory, and how many pictures"
        f" came back of the {told['frames']} that an honest stream sent next.\n"
    )
    yield "| fault | byoc | | | pytrickle | | |"
    yield "|---|---|---|---|---|---|---|"
    yield "| | waited | took | came back | waited | took | came back |"
    for fault, workers in told["faults"].items():
        cells = " | ".join(_outcome(workers[name]) for name in ("byoc", "pytrickle"))
        yield f"| {fault} | {cells} |"
    yield ""


def _outcome(said: Mapping[str, Any]) -> str:
    back = "it did not begin" if said["back"] is None else said["back"]
    return f"{said['wait_ms']:.0f} ms | {said['memory_mib']:.0f} MiB | {back}"


def _summary(of: Mapping[str, list[Marked]], told: Mapping[str, Any]) -> str:
    faults = [(number, each) for part in CATALOGUE.values() for number, each in part.items()]
    tested = sum(1 for number, _ in faults if of.get(number))
    still = sum(1 for _, fault in faults if fault.open)
    return (
        f"{len(faults)} faults: {tested} with a test, {still} open."
        f" Results of {told['on']}, version {told['version']}.\n"
    )


def _row(number: str, fault: Fault, tests: list[Marked], told: Mapping[str, Any]) -> str:
    promise = f"{fault.promise}; **open**: {fault.open}" if fault.open else fault.promise
    links = "; ".join(_link(test) for test in tests)
    return f"| {number} | {fault.what} | {promise} | {links} | {_result(tests, told)} |"


def _link(test: Marked) -> str:
    words = test.name.removeprefix("test_").replace("_", " ")
    return f"[{words}](../{test.file})"


def _result(tests: list[Marked], told: Mapping[str, Any]) -> str:
    if not tests:
        return ""
    each = [told["tests"].get(test.key, "not run") for test in tests]
    kinds = {kind: each.count(kind) for kind in ("failed", "passed", "skipped", "not run")}
    return ", ".join(f"{count} {kind}" for kind, count in kinds.items() if count)


if __name__ == "__main__":
    sys.stdout.write(page(marked(), results()))
