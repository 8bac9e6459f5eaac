import pytest

from composer import YUV, Context, Node
from composer.engine.run import Run
from composer.errors import NodeFailed
from tests import stubs
from tests.engine.sessions import Session, open_slow, slow
from tests.stubs import finished, plan_of, reach


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

    run = Run(
        plan_of(
            "params: {size: step.size_px}\n"
            "nodes: {source: {type: count, count: 4}, step: {type: sized}, out: {type: collect}}",
            sized=Sized,
        )
    )
    run.params.patch({"size": 9}, at=0.02)
    run.start()
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

    run = Run(
        plan_of(
            "params: {size: step.size_px}\n"
            "nodes: {source: {type: count, count: 4}, step: {type: sized}, out: {type: collect}}",
            sized=Sized,
        )
    )
    run.params.patch({"size": 9}, at=0.02)
    run.start()
    with pytest.raises(NodeFailed, match=r"'step' failed in close\(\)"):
        finished(run)
    assert steps == ["close 1"]


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
