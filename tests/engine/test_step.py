from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from composer import Context, Frame, Node
from composer.compiler.plan import Plan, Step
from composer.device.lanes import PASSED, Lane
from composer.engine.inbox import WorkItem
from composer.engine.layers.hold import Last
from composer.engine.layers.layer import Memory
from composer.engine.run import Media, Run
from composer.engine.step import Environment, SourceRun, StepRun
from composer.errors import NodeFailed
from composer.node.formats import Carrier, Format, Kind
from composer.node.frames import OnDevice, Snapshot
from composer.pipeline.spec import Else
from tests import stubs
from tests.stubs import finished, picture, plan_of, ran, sink


def test_a_source_that_fails_says_when() -> None:
    class Broken(stubs.Count):
        def process(self) -> Iterator[stubs.Plain]:
            yield picture(0)
            yield picture(7)
            raise OSError("the disk is gone")

    with pytest.raises(NodeFailed) as caught:
        ran("nodes: {source: {type: count}, out: {type: collect}}", count=Broken)
    assert (caught.value.node, caught.value.seconds) == ("source", 0.07)
    assert isinstance(caught.value.__cause__, OSError)


def test_a_source_has_given_what_is_not_behind_the_end_that_was_asked_for() -> None:
    collect = sink()
    run = Run(
        plan_of("nodes: {source: {type: count}, out: {type: collect}}", collect=collect),
        Media(seconds=0.05),
    )
    run.start()
    report = finished(run)
    assert len(collect.seen) == report.nodes["source"].given == report.nodes["out"].taken == 5


ONE = "nodes: {source: {type: count}, one: {type: one}, out: {type: collect}}"


def asked(step: Step, *, fallback: Else | None = None, **options: Any) -> Step:
    """The step with other options, and with another fallback where the plan decides so."""
    others = step.options.model_copy(update=options)
    return replace(step, options=others, fallback=fallback or step.fallback)


def step_run(
    node: type[Node], memory: Memory | None = None, lane: Lane | None = None, **options: Any
) -> StepRun:
    """The step of a node, set up. options: of the step, as the plan has them."""
    step = asked(plan_of(ONE, one=node).steps["one"], **options)
    run = StepRun(step, context_of(step), memory, lane=lane)
    assert run.instance is not None
    run.instance.open()
    return run


def context_of(step: Step) -> Context:
    return Context(step.name, step.folder, step.inputs, step.outputs)


def taken(number: int, **options: Any) -> WorkItem:
    return WorkItem("image", replace(stubs.frame(number, picture(number)), **options))


def values(out: Any) -> list[tuple[int, Any]]:
    return [(item.pts, item.value) for _, item in out if isinstance(item, Frame)]


# what a node held


def test_what_a_node_held_comes_out_at_its_own_time() -> None:
    run = step_run(stubs.Hold)
    frames = [taken(number) for number in range(3)]
    assert [run.run(frame) for frame in frames] == [[], [], []]
    assert values(run.flush(frames[-1].frame)) == [
        (number, frames[number].frame.value) for number in range(3)
    ]
    assert run.count.given == 3


def test_what_a_node_held_has_a_mark_where_it_is_on_a_device() -> None:
    tensor = Format(Kind.PICTURE, "rgb", Carrier.TENSOR, device="cuda:0")
    run = step_run(stubs.Hold, lane=Lane("cpu"))
    run.run(taken(0))
    run.step = replace(run.step, outputs={"image": tensor})
    ((_, value),) = values(run.flush(taken(0).frame))
    assert (type(value), value.mark) == (OnDevice, PASSED)


def test_nothing_is_held_where_no_frame_came() -> None:
    assert step_run(stubs.Hold).flush(None) == []


def test_a_node_that_fails_with_what_it_held_is_told() -> None:
    class Failing(stubs.Hold):
        def flush(self) -> Iterator[Any]:
            yield picture(0)
            raise OSError("no room")

    run = step_run(Failing)
    with pytest.raises(NodeFailed, match=r"'one' failed in flush\(\): OSError: no room"):
        run.flush(taken(0).frame)


def test_a_converter_holds_nothing() -> None:
    plan = plan_of("nodes: {source: {type: count}, out: {type: show}}")
    (step,) = [step for step in plan.steps.values() if step.settings is None]
    assert StepRun(step, None).flush(taken(0).frame) == []


# another plan


def test_a_step_of_another_plan_goes_on_with_node_account_and_memory() -> None:
    old = step_run(stubs.Fresh, every=3, fallback="hold_last")
    before = [values(old.run(taken(number)))[0][1] for number in range(2)]
    assert before[0] is before[1]
    instance = old.instance
    step = asked(old.step, every=2)
    new = StepRun(step, context_of(step))
    new.take_over(old)
    assert (new.instance, old.instance) == (instance, None)
    after = [values(new.run(taken(number)))[0][1] for number in range(2, 4)]
    assert after[0] is not before[0], "the third frame is the first of two"
    assert after[1] is after[0], "and is held"
    assert new.count is old.count
    assert (new.count.taken, new.count.given) == (4, 4)


def test_a_step_becomes_that_of_another_plan_with_its_own_layers() -> None:
    run = step_run(stubs.Pass, every=2, fallback="drop")
    run.become(asked(run.step, every=1), context_of(run.step))
    assert [len(values(run.run(taken(number)))) for number in range(4)] == [1, 1, 1, 1]


def test_threads_of_a_step_share_what_one_frame_leaves_to_the_next() -> None:
    memory = Memory()
    one, other = (step_run(stubs.Fresh, memory, every=2, fallback="hold_last") for _ in range(2))
    ((_, made),) = values(one.run(taken(0)))
    assert values(other.run(taken(1))) == [(1, made)]
    assert list(memory.of(Last)) == ["image"]


# sources


def source_run(node: type[Node], environment: Environment | None = None) -> SourceRun:
    step = source_plan(node).steps["source"]
    run = SourceRun(step, context_of(step), environment=environment or Environment())
    assert run.instance is not None
    run.instance.open()
    return run


def source_plan(node: type[Node]) -> Plan:
    return plan_of("nodes: {source: {type: source}, out: {type: collect}}", source=node)


def test_a_source_says_when_a_frame_came_where_the_frame_does_not() -> None:
    class Born(stubs.Count):
        def process(self) -> Iterator[stubs.Plain]:
            given: Any = Frame(picture(0), 0, stubs.TICK, born=2.0)
            yield given
            yield picture(1)

    run = source_run(Born, Environment(now=lambda: 7.0))
    assert [frame.born for _, frame in run.produce()] == [2.0, 7.0]


def test_a_source_that_is_stopped_is_closed_behind_its_last_frame() -> None:
    closed: list[bool] = []

    class Endless(stubs.Count):
        def process(self) -> Iterator[stubs.Plain]:
            try:
                while True:
                    yield picture(0)
            finally:
                closed.append(True)

    asked = iter([False, False, True])
    run = source_run(Endless, Environment(stopping=lambda: next(asked)))
    assert len(list(run.produce())) == 2
    assert closed == [True]


def test_a_frame_of_a_source_is_looked_at_and_meets_the_params() -> None:
    run = source_run(stubs.Count)
    (port, frame), *_ = run.produce()
    snapshot = Snapshot(1, {"source": {"level": 4.0}})
    stamped = run.stamped(port, frame, snapshot)
    assert (stamped.settings, stamped.value, run.count.given) == (snapshot, frame.value, 1)
    assert run.instance is not None
    assert run.instance.node.__dict__["level"] == 4.0
    with pytest.raises(NodeFailed, match=r"gave a gray picture where the plan has yuv420p"):
        run.stamped(port, frame.carry(picture(0, "gray")), snapshot)


@pytest.mark.parametrize(
    ("wanted", "comes"),
    [
        pytest.param("yuv420p", "as it is", id="the same"),
        pytest.param("rgb24", "converted", id="another layout"),
        pytest.param(None, None, id="no such port any more"),
    ],
)
def test_a_frame_of_before_the_change_comes_as_it_is_wanted_now(
    wanted: str | None, comes: str | None
) -> None:
    run = source_run(stubs.Count)
    made_as = run.step.outputs["image"]
    ports = {} if wanted is None else {"image": replace(made_as, layout=wanted)}
    run.step = replace(run.step, outputs=ports)
    frame = stubs.frame(3, picture(3))
    refitted = run.refitted("image", frame, made_as)
    if comes is None:
        assert refitted is None
    elif comes == "as it is":
        assert refitted is frame
    else:
        assert refitted is not None
        assert (refitted.pts, refitted.value.format.name) == (3, "rgb24")
