import threading
from typing import Any

import av
import pytest

from composer.compiler.plan import Mode
from composer.engine.inbox import InOrder
from composer.engine.join import Join
from composer.engine.run import Run
from composer.engine.stage import LIVE_WITHIN_MS, choice_of, leading_ports
from composer.errors import NodeFailed
from composer.pictures import pixels
from tests import stubs
from tests.engine.runs import chain, endless, life, run_of
from tests.stubs import calling, finished, luma, plan_of, ran, reach, sink


@pytest.mark.parametrize("workers", [2, 3, 8])
def test_order_is_kept_with_concurrency(workers: int) -> None:
    second = threading.Event()

    def turned(image: av.VideoFrame) -> av.VideoFrame:
        if luma(image) == 0:
            reach(second)
        if luma(image) == 1:
            second.set()
        return pixels.copy(image)

    step = calling(turned)
    step.stateless = True
    report, collect = chain(step, f", concurrency: {workers}")
    assert [pts for pts, _ in collect.seen] == list(range(60))
    assert report.nodes["step"].taken == report.nodes["step"].given == 60


def test_a_failure_with_concurrency_ends_the_run() -> None:
    def fails(image: av.VideoFrame) -> av.VideoFrame:
        if luma(image) == 30:
            raise ValueError("no")
        return image

    step = calling(fails)
    step.stateless = True
    with pytest.raises(NodeFailed, match=r"'step' failed in process\(\) at 0.300s: ValueError: no"):
        chain(step, ", concurrency: 3")


LIFE = "nodes: {source: {type: count}, a: {type: a}, b: {type: b}, out: {type: collect}}"


def test_setup_flush_and_close_are_called_once_and_in_order() -> None:
    steps: list[str] = []
    run_of(LIFE, a=life(steps, "a"), b=life(steps, "b"))
    assert steps == ["a setup", "b setup", "a flush", "b flush", "a close", "b close"]


@pytest.mark.parametrize(
    ("fail", "said", "steps"),
    [
        pytest.param("setup", "setup()", ["a setup", "b setup", "a close", "b close"], id="setup"),
        pytest.param(
            "process",
            "process()",
            ["a setup", "b setup", "b process", "a close", "b close"],
            id="process",
        ),
        pytest.param(
            "flush",
            "flush()",
            ["a setup", "b setup", "a flush", "b flush", "a close", "b close"],
            id="flush",
        ),
        pytest.param(
            "close",
            "close()",
            ["a setup", "b setup", "a flush", "b flush", "a close", "b close"],
            id="close",
        ),
    ],
)
def test_a_failure_closes_what_was_opened(fail: str, said: str, steps: list[str]) -> None:
    found: list[str] = []
    with pytest.raises(NodeFailed) as caught:
        run_of(LIFE, a=life(found, "a"), b=life(found, "b", fail))
    assert (caught.value.node, caught.value.doing) == ("b", said)
    assert found == steps


def test_a_node_that_was_never_set_up_is_not_closed() -> None:
    found: list[str] = []
    run = Run(plan_of(LIFE, a=life(found, "a", "setup"), b=life(found, "b")))
    with pytest.raises(NodeFailed):
        run.start()
    assert found == ["a setup", "a close"]
    with pytest.raises(NodeFailed, match="setup"):
        run.wait()


def test_a_bug_of_the_engine_is_told_and_not_taken_for_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(self: Any, taken: Any) -> Any:
        raise RuntimeError("a bug")

    monkeypatch.setattr("composer.engine.step.StepRun.run", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        ran("nodes: {source: {type: count}, out: {type: collect}}")


def test_a_node_that_was_flushed_is_followed_by_those_behind_it() -> None:
    """What it held goes through the others before they are flushed themselves."""
    collect = sink()
    run_of(
        "nodes: {source: {type: count, count: 9}, first: {type: hold, depth: 5},"
        " second: {type: hold, depth: 2}, third: {type: paint}, out: {type: collect}}",
        collect=collect,
    )
    assert collect.seen == [(number, number + 1) for number in range(9)]


def test_nothing_is_flushed_when_the_run_was_given_up() -> None:
    begun, closed = threading.Event(), threading.Event()
    steps: list[str] = []
    plan = plan_of(LIFE, count=endless(begun, closed), a=life(steps, "a"), b=life(steps, "b"))
    run = Run(plan)
    run.start()
    reach(begun)
    run.abort()
    finished(run)
    assert steps == ["a setup", "b setup", "a close", "b close"]


# what it takes next


@pytest.mark.parametrize(
    ("name", "ports"),
    [
        pytest.param("one", ["image"], id="one input"),
        pytest.param("mix", ["base"], id="a join"),
        pytest.param("out", ["image", "audio"], id="one that merges"),
    ],
)
def test_which_frames_are_work(name: str, ports: list[str]) -> None:
    plan = plan_of(
        "nodes: {source: {type: count}, sound: {type: tracks}, one: {type: fresh, in: source},"
        " mix: {type: mix, in: {base: source, top: one}},"
        " out: {type: encode, in: {image: mix, audio: sound.audio}}}",
        tracks=stubs.Decode,
    )
    assert leading_ports(plan.steps[name]) == ports


@pytest.mark.parametrize(
    ("options", "mode", "within"),
    [
        pytest.param("", Mode.FILE, None, id="a file waits"),
        pytest.param("", Mode.LIVE, LIVE_WITHIN_MS / 1000, id="a session does not"),
        pytest.param(", within_ms: 5", Mode.FILE, 0.005, id="as the file says"),
        pytest.param(", within_ms: 0", Mode.LIVE, 0.0, id="not at all"),
    ],
)
def test_how_long_a_join_waits(options: str, mode: Mode, within: float | None) -> None:
    plan = plan_of(
        "nodes: {source: {type: count}, one: {type: fresh, in: source},"
        f" mix: {{type: mix, in: {{base: source, top: one}}{options}}}, out: {{type: collect}}}}",
        mode,
    )
    choice = choice_of(plan, "mix")
    assert isinstance(choice, Join)
    assert choice._within == within
    assert isinstance(choice_of(plan, "one"), InOrder)
