import json
import threading
from dataclasses import replace
from typing import Any, ClassVar

import pytest

from composer import YUV, Context, Live, Node
from composer.compiler.plan import Step
from composer.device import cuda
from composer.engine.account import NodeCount
from composer.engine.instance import Instance, NodeState
from composer.engine.notices import unheard
from composer.engine.run import Run
from composer.errors import NodeFailed
from composer.node.frames import Snapshot
from tests import stubs
from tests.engine.sessions import Session, open_slow, slow
from tests.stubs import finished, plan_of, reach


def resized(sized: type[Node]) -> Run:
    """A run whose node is built anew at its third frame of four."""
    run = Run(
        plan_of(
            "params: {size: step.size_px}\n"
            "nodes: {source: {type: count, count: 4}, step: {type: sized}, out: {type: collect}}",
            sized=sized,
        )
    )
    run.params.patch({"size": 9}, at=0.02)
    run.start()
    return run


def test_a_rebuild_builds_the_node_anew_between_two_frames() -> None:
    steps: list[str] = []

    class Sized(Node):
        size_px: int = 1

        def setup(self, ctx: Context) -> None:
            steps.append(f"setup {self.size_px}")

        def process(self, image: YUV) -> YUV:
            steps.append(f"{self.size_px}")
            return image

        def close(self) -> None:
            steps.append(f"close {self.size_px}")

    run = resized(Sized)
    finished(run)
    assert steps == ["setup 1", "1", "1", "close 1", "setup 9", "9", "9", "close 9"]


def test_a_rebuild_that_fails_closes_each_node_once() -> None:
    steps: list[str] = []

    class Sized(Node):
        size_px: int = 1

        def setup(self, ctx: Context) -> None:
            if self.size_px == 9:
                raise ValueError("no")

        def process(self, image: YUV) -> YUV:
            return image

        def close(self) -> None:
            steps.append(f"close {self.size_px}")
            if self.size_px == 1:
                raise OSError("not this either")

    run = resized(Sized)
    with pytest.raises(NodeFailed, match=r"'step' failed in close\(\)"):
        finished(run)
    assert steps == ["close 1"]


@pytest.mark.fault("F-54")
def test_a_session_goes_on_with_the_old_instance_while_a_new_one_is_built() -> None:
    node = slow()
    node.allowed.set()
    session = Session(node)
    session.run.start()
    session.until(20)
    node.allowed.clear()
    node.begun.clear()
    session.run.params.patch({"by": 3})
    assert session.frame(10) == 20
    reach(node.begun)
    assert session.frame(10) == 20
    node.allowed.set()
    session.until(30)
    assert node.closed == [2]
    session.end()
    assert node.closed == [2, 3]


@pytest.mark.fault("F-54")
def test_a_session_keeps_the_old_instance_when_the_new_one_cannot_be_built() -> None:
    node = slow()
    node.allowed.set()
    node.fails.add(3)
    session = Session(node)
    session.run.start()
    session.until(20)
    while not session.notices.empty():
        session.notices.get()
    session.run.params.patch({"by": 3})
    for _ in range(100_000):
        assert session.frame(10) == 20
        if not session.notices.empty():
            break
    kind, name, said = session.notices.get(timeout=stubs.WAIT)
    assert (kind, name) == ("kept", "slow")
    assert "no memory left" in said
    session.run.params.patch({"by": 4})
    session.until(40)
    session.end()
    assert node.closed == [3, 2, 4]  # the one that failed, too


def test_many_changes_are_one_setup_at_a_time_and_then_the_newest() -> None:
    node = open_slow()
    session = Session(node)
    session.run.start()
    session.until(20)
    node.allowed.clear()
    node.begun.clear()
    for factor in range(3, 23):
        patch = session.run.params.patch({"by": factor})
        assert session.frame(10) == 20
        assert patch.seconds is not None
    reach(node.begun)
    assert node.tried == [2, 3]
    node.allowed.set()
    session.until(220)
    session.end()
    assert (node.tried, node.at_once) == ([2, 3, 22], {"now": 0, "most": 1})
    assert sorted(node.closed) == [2, 3, 22]
    assert session.told() == ["ready", "ended"]  # for the newest alone


def test_who_asks_for_the_old_value_again_keeps_the_old_instance() -> None:
    node = open_slow()
    session = Session(node)
    session.run.start()
    session.until(20)
    node.allowed.clear()
    node.begun.clear()
    for factor in (3, 4, 2):
        session.run.params.patch({"by": factor})
        assert session.frame(10) == 20
    reach(node.begun)
    node.allowed.set()
    while node.closed != [3]:
        assert session.frame(10) == 20
    session.end()
    assert (node.tried, session.told()) == ([2, 3], ["ended"])


def test_a_setup_that_fails_makes_way_for_what_was_asked_since() -> None:
    node = open_slow()
    node.fails.add(3)
    session = Session(node)
    session.run.start()
    session.until(20)
    node.allowed.clear()
    node.begun.clear()
    for factor in (3, 4):
        session.run.params.patch({"by": factor})
        assert session.frame(10) == 20
    reach(node.begun)
    node.allowed.set()
    session.until(40)
    session.end()
    assert (node.tried, session.told()) == ([2, 3, 4], ["kept", "ready", "ended"])


def test_what_was_refused_is_not_tried_again_with_each_live_change() -> None:
    node = open_slow()
    node.fails.add(3)
    session = Session(node)
    session.run.start()
    session.until(20)
    session.run.params.patch({"by": 3})
    while session.notices.empty():
        assert session.frame(10) == 20
    for shade in range(5):
        session.run.params.patch({"shade": shade})
        assert session.frame(10) == 20 + shade
    session.end()
    assert (node.tried, session.told()) == ([2, 3], ["kept", "ended"])


def test_what_is_set_before_the_start_counts_for_setup() -> None:
    node = slow()
    node.allowed.set()
    session = Session(node)
    session.run.params.patch({"by": 3})
    session.run.start()
    assert session.frame(10) == 30
    session.end()
    assert node.closed == [3]


def test_a_new_node_is_closed_too_where_the_old_one_cannot_be() -> None:
    class Stubborn(open_slow()):  # type: ignore[misc]  # a class of its own for each test
        def close(self) -> None:
            super().close()
            if self.factor == 2:
                raise OSError("busy")

    session = Session(Stubborn)
    session.run.start()
    session.until(20)
    session.run.params.patch({"by": 3})
    while not session.run.done.wait(0.001):
        session.feed.put(10)
    with pytest.raises(NodeFailed, match=r"'slow' failed in close\(\): OSError: busy"):
        session.run.wait()
    assert Stubborn.closed == [2, 3]


# what may be asked of it when


@pytest.mark.parametrize("after", NodeState)
@pytest.mark.parametrize("before", NodeState)
def test_which_state_follows_which(before: NodeState, after: NodeState) -> None:
    new, loading, open_, gone = NodeState
    follows = {new: {loading, open_, gone}, loading: {open_, gone}, open_: {new, gone}, gone: set()}
    instance = instance_of(stubs.Pass)
    instance._state = before
    if after in follows[before]:
        instance._move(after)
        assert instance._state is after
    else:
        with pytest.raises(AssertionError, match=f"{before} -> {after}"):
            instance._move(after)
        assert instance._state is before


def instance_of(node: type[Node], *, live: bool = False, **settings: Any) -> Instance:
    """The instance of one node between a source and a sink, that nobody has opened."""
    step = step_of(node, **settings)
    context = Context("one", step.folder, step.inputs, step.outputs, live=live)
    return Instance(step, context, NodeCount(), unheard)


def step_of(node: type[Node], **settings: Any) -> Step:
    plan = plan_of(
        f"nodes: {{source: {{type: count}}, one: {json.dumps({'type': 'one', **settings})},"
        " out: {type: collect}}",
        one=node,
    )
    return plan.steps["one"]


class Logged(Node):
    """Writes down what is asked of it."""

    adapts = True

    size_px: int = 1
    level: float = Live(0.0)
    log: ClassVar[list[str]] = []

    def setup(self, ctx: Context) -> None:
        self.log.append("setup")

    def adapt(self, ctx: Context) -> None:
        self.log.append("adapt")

    def process(self, image: YUV) -> YUV:
        return image

    def about(self) -> dict[str, Any]:
        return {"size": self.size_px}

    def close(self) -> None:
        self.log.append("close")


def logged() -> type[Logged]:
    class Own(Logged):
        log: ClassVar[list[str]] = []

    return Own


def test_what_was_never_set_up_is_not_closed() -> None:
    node = logged()
    instance = instance_of(node)
    instance.close()
    instance.close()
    assert node.log == []
    with pytest.raises(AssertionError, match=r"GONE -> NodeState\.OPEN"):
        instance.open()


def test_what_was_set_up_is_closed_once() -> None:
    node = logged()
    instance = instance_of(node)
    instance.open()
    instance.close()
    instance.close()
    assert node.log == ["setup", "close"]


def test_what_cannot_be_set_up_is_closed_once() -> None:
    class Failing(Logged):
        log: ClassVar[list[str]] = []

        def setup(self, ctx: Context) -> None:
            raise RuntimeError("no weights")

    instance = instance_of(Failing)
    with pytest.raises(NodeFailed, match=r"'one' failed in setup\(\): RuntimeError: no weights"):
        instance.open()
    instance.close()
    assert Failing.log == ["close"]


def test_what_is_loading_is_closed_when_it_can_be() -> None:
    node = slow()
    instance = instance_of(node, live=True)
    instance.open_aside(0)
    assert (instance.loading, instance.settled) == (True, False)
    instance.close()
    instance.close()
    assert (instance.loading, node.closed) == (False, [])
    setup = next(thread for thread in threading.enumerate() if thread.name == "setup one")
    node.allowed.set()
    setup.join(stubs.WAIT)
    assert node.closed == [2]


def test_a_node_that_is_there_in_time_is_open_at_once() -> None:
    node = open_slow()
    instance = instance_of(node, live=True)
    instance.open_aside(stubs.WAIT)
    assert (instance.loading, instance.settled) == (False, True)
    instance.close()
    assert node.closed == [2]


def test_it_says_of_itself_what_the_node_says_while_it_is_open() -> None:
    instance = instance_of(logged(), size_px=5)
    instance.tell()
    assert instance.count.about == {}
    instance.open()
    instance.tell()
    assert instance.count.about == {"size": 5}
    instance.close()


# another plan


def test_it_goes_on_for_another_step_with_what_it_has_loaded() -> None:
    node = logged()
    instance = instance_of(node, level=1)
    instance.open()
    before = instance.node
    instance.meet(Snapshot(1, {"one": {"level": 0.5}}))
    step = step_of(node, level=2)
    instance.become(step, instance.context, unheard, None)
    assert instance.node is before
    assert (before.__dict__["level"], before.__dict__["size_px"], node.log) == (2.0, 1, ["setup"])
    assert instance.seen == Snapshot()
    instance.close()


@pytest.mark.parametrize(
    ("adapting", "log"),
    [
        pytest.param(["Own"], ["setup", "adapt", "close"], id="adapts"),
        pytest.param([], ["setup", "close"], id="does not"),
    ],
)
def test_it_is_told_of_other_formats_around_it(adapting: list[str], log: list[str]) -> None:
    node = logged()
    node.adapts = node.__name__ in adapting
    instance = instance_of(node)
    instance.open()
    step = step_of(node)
    other = replace(step, outputs={"image": replace(step.outputs["image"], layout="yuv444p")})
    instance.become(other, instance.context, unheard, None)
    instance.close()
    assert node.log == log


# params


def test_a_live_field_changes_in_place_and_another_builds_it_anew() -> None:
    node = logged()
    instance = instance_of(node)
    instance.open()
    before = instance.node
    instance.meet(Snapshot(1, {"one": {"level": 0.5}, "other": {"level": 9.0}}))
    assert instance.node is before
    assert before.__dict__["level"] == 0.5
    instance.meet(Snapshot(2, {"one": {"level": 0.5, "size_px": 1}}))
    assert instance.node is before
    instance.meet(Snapshot(3, {"one": {"level": 0.5, "size_px": 4}}))
    assert instance.node is not before
    assert (instance.node.__dict__["level"], instance.node.__dict__["size_px"]) == (0.5, 4)
    assert node.log == ["setup", "close", "setup"]
    instance.close()


def test_a_device_that_is_lost_while_a_node_is_built_anew_ends_the_session() -> None:
    class Lost(open_slow()):  # type: ignore[misc]  # a class of its own for each test
        def setup(self, ctx: Context) -> None:
            if self.factor == 3:
                raise RuntimeError("CUDA error: unspecified launch failure")

    session = Session(Lost)
    session.run.start()
    session.until(20)
    session.run.params.patch({"by": 3})
    while not session.run.done.wait(0.001):
        session.feed.put(10)
    with pytest.raises(NodeFailed) as caught:
        session.run.wait()
    assert cuda.lost(caught.value)
    assert Lost.closed == [3, 2]
