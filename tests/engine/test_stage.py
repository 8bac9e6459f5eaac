import math
import threading
from queue import SimpleQueue
from typing import Any, ClassVar

import av
import pytest

from composer import YUV, Node
from composer.compiler.plan import Mode
from composer.engine import handover
from composer.engine.inbox import InOrder
from composer.engine.join import Join
from composer.engine.run import Run
from composer.engine.stage import LIVE_WITHIN_MS, leading_ports, policy_of
from composer.errors import NodeFailed
from composer.pictures import pixels
from tests import stubs
from tests.engine.runs import accounted, chain, endless, life, run_of
from tests.engine.sessions import Fed
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
    policy = policy_of(plan, "mix")
    assert isinstance(policy, Join)
    assert policy._within == within
    assert isinstance(policy_of(plan, "one"), InOrder)


# a source that goes on with its frames itself


@pytest.fixture
def direct(monkeypatch: pytest.MonkeyPatch) -> None:
    """All sources of sessions go on themselves, wherever they may."""
    monkeypatch.setattr(handover, "WINDOW_SECONDS", 0.0)
    monkeypatch.setattr(handover, "SPARE_BELOW", math.inf)
    monkeypatch.setattr(handover, "BUSY_ABOVE", math.inf)


@pytest.mark.usefixtures("direct")
def test_a_source_works_for_a_stage_that_is_idle() -> None:
    threads: SimpleQueue[str] = SimpleQueue()

    class Where(Node):
        def process(self, image: YUV) -> None:
            threads.put(threading.current_thread().name)

    class Here(Fed):
        feed: ClassVar["SimpleQueue[int | None]"] = SimpleQueue()

    plan = plan_of(
        "nodes: {fed: {type: fed}, one: {type: fresh, queue: 2}, out: {type: where}}",
        Mode.LIVE,
        fed=Here,
        where=Where,
    )
    run = Run(plan)
    run.start()
    for number in range(100_000):
        Here.feed.put(number)
        if threads.get(timeout=stubs.WAIT) == "stage fed":
            break
    else:
        raise AssertionError("never in the thread of the source")
    Here.feed.put(None)
    accounted(plan, finished(run))


@pytest.mark.usefixtures("direct")
@pytest.mark.parametrize(
    "graph",
    [
        pytest.param("one: {type: fresh, queue: 2, on_full: wait}", id="in a row"),
        pytest.param(
            "one: {type: fresh, concurrency: 3, on_full: wait}", id="several threads behind it"
        ),
        pytest.param(
            "near: {type: fresh, in: source, on_full: wait},"
            " far: {type: hold, depth: 3, in: source, on_full: wait},"
            " mix: {type: mix, in: {base: near, top: far}, on_full: wait, within_ms: 600000}",
            id="a fork with a branch that looks ahead",
        ),
        pytest.param(
            "first: {type: fresh, in: source, on_full: wait},"
            " near: {type: fresh, in: first, on_full: wait},"
            " far: {type: hold, depth: 3, in: first, on_full: wait},"
            " mix: {type: mix, in: {base: near, top: far}, on_full: wait, within_ms: 600000}",
            id="a fork further on",
        ),
    ],
)
def test_all_comes_out_in_order_whoever_works(graph: str) -> None:
    collect = sink()
    run_of(
        f"nodes: {{source: {{type: count, count: 200}}, {graph},"
        " out: {type: collect, on_full: wait}}",
        Mode.LIVE,
        collect=collect,
    )
    assert [pts for pts, _ in collect.seen] == list(range(200))


@pytest.mark.parametrize(
    ("graph", "forking"),
    [
        pytest.param("one: {type: fresh}, out: {type: collect}", [], id="in a row"),
        pytest.param(
            "one: {type: fresh, in: source}, two: {type: collect, in: source},"
            " out: {type: collect, in: one}",
            [],
            id="a fork without a join",
        ),
        pytest.param(
            "one: {type: fresh, in: source}, two: {type: hold, in: source},"
            " mix: {type: mix, in: {base: one, top: two}}, out: {type: collect}",
            ["source"],
            id="a fork with a join",
        ),
        pytest.param(
            "first: {type: fresh, queue: 2}, one: {type: fresh, in: first},"
            " two: {type: hold, in: first}, mix: {type: mix, in: {base: one, top: two}},"
            " last: {type: pass, queue: 3}, out: {type: collect}",
            ["first"],
            id="a fork further on",
        ),
        pytest.param(
            "split: {type: split, queue: 2}, one: {type: hold, in: split.other},"
            " mix: {type: mix, in: {base: split.image, top: one}}, out: {type: collect}",
            ["split"],
            id="a fork of two outputs",
        ),
    ],
)
def test_a_branch_that_looks_ahead_needs_the_room_of_the_other(
    graph: str, forking: list[str]
) -> None:
    """A source that works for one branch would stand in it, while the other waits for frames."""
    run = Run(plan_of(f"nodes: {{source: {{type: count}}, {graph}}}", Mode.LIVE, collect=sink()))
    run.start()
    assert [stage.stage.name for stage in run.assembly.stages if stage.forks] == forking
    finished(run)


@pytest.mark.usefixtures("direct")
def test_what_fails_in_the_thread_of_the_source_is_a_failure_of_the_node() -> None:
    def call(image: av.VideoFrame) -> av.VideoFrame:
        if luma(image) == 100:
            raise ValueError("no")
        return image

    with pytest.raises(NodeFailed, match=r"'step' failed in process\(\) at 1.000s: ValueError: no"):
        run_of(
            "nodes: {source: {type: count, count: 200},"
            " step: {type: step, on_full: wait, on_error: fail}, out: {type: collect}}",
            Mode.LIVE,
            step=calling(call),
            collect=sink(),
        )
