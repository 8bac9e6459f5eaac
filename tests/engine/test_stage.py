import threading
from typing import Any

import av
import pytest

from composer.engine.run import Run
from composer.errors import NodeFailed
from composer.pictures import pixels
from tests.engine.runs import chain, life, run_of
from tests.stubs import calling, luma, plan_of, ran, reach


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
