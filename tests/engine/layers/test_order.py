from collections import Counter
from dataclasses import dataclass
from typing import Any

import pytest

from composer import Frame
from composer.engine.inbox import WorkItem
from composer.engine.layers import guard, loading, measure, order, params
from composer.engine.layers.layer import Call, Layer, Memory, Missed, Out, Site
from composer.engine.run import Run
from composer.engine.step import StepRun
from composer.node.frames import Snapshot
from tests.engine.layers.sites import converter, site_of, step_of, taken
from tests.engine.runs import accounted
from tests.engine.test_step import context_of
from tests.stubs import finished, plan_of, sink

GRAPH = """\
params: {level: levels.level}
nodes:
  source: {type: count, count: 40}
  painted: {type: paint}
  levels: {type: pass, queue: 3}
  fresh: {type: fresh, concurrency: 3, in: levels}
  tint: {type: tint, in: levels}
  held: {type: hold, in: tint}
  mix: {type: mix, in: {base: fresh, top: held}}
  out: {type: collect}
"""


def names(site: Site) -> list[str]:
    """The modules of the layers that a step has."""
    return [make.__module__.rpartition(".")[2] for make in order.LAYERS if make(site) is not None]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param({}, ["params", "measure", "guard"], id="none"),
        pytest.param({"when": "on"}, ["when", "params", "measure", "guard"], id="when"),
        pytest.param({"every": 2}, ["every", "params", "measure", "guard"], id="every"),
        pytest.param({"rate": 2}, ["rate", "params", "measure", "guard"], id="rate"),
        pytest.param({"on_error": "drop"}, ["params", "measure", "guard"], id="on_error"),
        pytest.param(
            {"on_error": "hold_last"}, ["hold", "params", "measure", "guard"], id="hold_last"
        ),
        pytest.param({"queue": 3, "concurrency": 2}, ["params", "measure", "guard"], id="inbox"),
    ],
)
def test_a_step_has_the_layers_that_its_options_ask_for(
    options: dict[str, Any], expected: list[str]
) -> None:
    assert names(site_of(step_of(**options))) == expected


def test_a_converter_has_none_and_a_node_of_a_session_one_more() -> None:
    assert names(converter()) == []
    site = site_of(step_of(), live=True)
    assert names(site) == ["loading", "params", "measure", "guard"]


def test_a_frame_that_is_let_by_is_not_counted_by_the_layers_behind() -> None:
    step = step_of(when="on", every=2, else_="drop")
    run = StepRun(step, context_of(step))
    on = [False, True, True, False, True]
    frames = [
        taken(number, settings=Snapshot(number, params={"on": value}))
        for number, value in enumerate(on)
    ]
    missed = [run.admit(frame) for frame in frames]
    reasons = [None if each is None else each.reason for each in missed]
    assert reasons == ["when", None, "every", "when", None]


def test_what_is_measured_is_the_node_with_what_guards_it() -> None:
    table = list(order.LAYERS)
    places = [table.index(make) for make in (loading.layer, params.layer, measure.layer)]
    assert places == sorted(places)
    assert table.index(measure.layer) < table.index(guard.layer)


# a new option of every node


@dataclass
class Seen:
    """How many frames a step has seen."""

    count: int = 0


def test_a_row_of_the_table_is_all_that_a_new_layer_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    admitted, called, settled = Counter[str](), Counter[str](), Counter[str]()

    def counting(site: Site) -> Layer:
        name = site.step.name

        def admit(frame: Frame[Any]) -> Missed | None:
            admitted[name] += 1
            return None

        def around(call: Call) -> Call:
            def counted(taken: WorkItem) -> Out | Missed:
                called[name] += 1
                return call(taken)

            return counted

        def settle(out: Out) -> None:
            settled[name] += 1

        return Layer(admit=admit, around=around, settle=settle)

    monkeypatch.setattr(order, "LAYERS", (*order.LAYERS, counting))
    plan = plan_of(GRAPH, collect=sink())
    run = Run(plan)
    run.start()
    report = finished(run)
    accounted(plan, report)
    took = {name: node.taken for name, node in report.nodes.items() if plan.steps[name].inputs}
    assert admitted == called == settled == took
    assert {40} == set(took.values())
    assert len(took) > len(plan.graph.nodes) - 1, "converters have it, too"


def test_what_it_remembers_goes_over_to_another_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    def second(site: Site) -> Layer:
        """Lets every other frame by, as the frames come, whichever plan runs."""
        seen, missed = site.memory.of(Seen), Missed("drop", "second")

        def admit(frame: Frame[Any]) -> Missed | None:
            seen.count += 1
            return None if seen.count % 2 else missed

        return Layer(admit=admit)

    monkeypatch.setattr(order, "LAYERS", (second, *order.LAYERS))
    step = step_of()
    old = StepRun(step, context_of(step), Memory())
    assert old.instance is not None
    old.instance.open()
    for number in range(3):
        old.run(taken(number))
    new = StepRun(step, context_of(step))
    new.take_over(old)
    for number in range(3, 5):
        new.run(taken(number))
    assert (new.count.taken, new.count.given, new.count.dropped) == (5, 3, {"second": 2})
