"""Runs of small plans, and whether all their frames are accounted for."""

import threading
from collections.abc import Iterator
from typing import Any

from composer import YUV, Context, Node
from composer.compiler.plan import Mode, Plan
from composer.engine.account import Report
from composer.engine.run import Run
from tests import stubs
from tests.stubs import finished, picture, plan_of, sink


def accounted_edges(report: Report) -> None:
    """Every frame that went over an edge was taken or dropped with a reason."""
    for name, edge in report.edges.items():
        assert edge.offered == edge.taken + edge.dropped.total(), name


def accounted(plan: Plan, report: Report) -> None:
    """Every frame that came in is out or dropped with a reason, at every edge and node."""
    accounted_edges(report)
    for name, step in plan.steps.items():
        node = report.nodes[name]
        many = step.settings is not None and type(step.settings).many
        if step.inputs and not many:
            assert node.taken == node.given + node.dropped.total(), name


def run_of(text: str, mode: Mode = Mode.FILE, /, **classes: type[Node]) -> Report:
    plan = plan_of(text, mode, **classes)
    run = Run(plan)
    run.start()
    report = finished(run)
    accounted(plan, report)
    return report


CHAIN = """\
nodes:
  source: {{type: count, count: 60}}
  step: {{type: step{options}}}
  out: {{type: collect, in: step}}
"""


def chain(step: type[Node], options: str = "", mode: Mode = Mode.FILE) -> tuple[Report, Any]:
    collect = sink()
    report = run_of(CHAIN.format(options=options), mode, step=step, collect=collect)
    return report, collect


def endless(begun: threading.Event, closed: threading.Event) -> type[Node]:
    class Endless(stubs.Count):
        def process(self) -> Iterator[stubs.Plain]:
            number = 0
            try:
                while True:
                    yield picture(number)
                    number += 1
                    if number == 20:
                        begun.set()
            finally:
                closed.set()

    return Endless


def life(steps: list[str], name: str, fail: str = "") -> type[Node]:
    """A node that writes down what is asked of it, and fails where it is told."""

    class Alive(Node):
        def _say(self, what: str) -> None:
            steps.append(f"{name} {what}")
            if what == fail:
                raise ValueError("no")

        def setup(self, ctx: Context) -> None:
            self._say("setup")

        def process(self, image: YUV) -> Iterator[YUV]:
            if fail == "process":
                self._say("process")
            yield image

        def flush(self) -> Iterator[Any]:
            self._say("flush")
            return iter(())

        def close(self) -> None:
            self._say("close")

    return Alive
