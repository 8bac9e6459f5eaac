import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any, ClassVar

import av
import pytest
from pydantic import PrivateAttr

from composer import RGB, YUV, Context, Frame, Live, Moment, Node, OwnYUV
from composer.compiler.plan import Mode, Plan
from composer.engine.account import Report
from composer.engine.inbox import Taken
from composer.engine.notices import Happened, Notice
from composer.engine.run import Run
from composer.engine.step import StepRun
from composer.errors import NodeFailed, Stalled
from composer.node.frames import OnDevice
from composer.pictures import pixels
from tests import stubs
from tests.stubs import TICK, calling, finished, luma, picture, plan_of, ran, reach, sink


@pytest.fixture(autouse=True)
def _no_thread_left_behind() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    left = [thread.name for thread in threading.enumerate() if thread not in before]
    assert left == []


def accounted(plan: Plan, report: Report) -> None:
    """Every frame that came in is out or dropped with a reason, at every edge and node."""
    for name, edge in report.edges.items():
        assert edge.offered == edge.taken + edge.dropped.total(), name
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


# the account


def test_all_frames_come_out_in_order() -> None:
    collect = sink()
    report = run_of(
        "nodes: {a: {type: count, count: 50}, b: {type: pass}, c: {type: paint},"
        " out: {type: collect}}",
        collect=collect,
    )
    assert collect.seen == [(number, number + 1) for number in range(50)]
    assert report.nodes["out"].given == 50
    assert report.edges["a.image -> b.image"].taken == 50
    assert report.media_seconds == pytest.approx(0.49)


def test_a_node_that_drops_is_counted() -> None:
    report, collect = chain(stubs.OnlyOdd)
    assert [pts for pts, _ in collect.seen] == list(range(1, 60, 2))
    assert report.nodes["step"].dropped == {"node": 30}


def test_a_live_run_drops_the_oldest_and_counts_the_rest() -> None:
    busy, go = threading.Event(), threading.Event()

    def slow(image: av.VideoFrame) -> av.VideoFrame:
        if luma(image) == 1:
            busy.set()
            reach(go)
        return image

    class Source(stubs.Count):
        def process(self) -> Iterator[stubs.Plain]:
            yield picture(0)
            yield picture(1)
            reach(busy)
            for number in range(2, 20):
                yield picture(number)
            go.set()

    collect = sink()
    report = run_of(
        CHAIN.format(options=""), Mode.LIVE, count=Source, step=calling(slow), collect=collect
    )
    assert [pts for pts, _ in collect.seen] == [0, 1, 18, 19]
    assert report.edges["source.image -> step.image"].dropped == {"full": 16}


def test_a_live_run_loses_nothing_while_a_stage_is_busy_with_its_first_frame() -> None:
    busy, go = threading.Event(), threading.Event()

    def opens(image: av.VideoFrame) -> av.VideoFrame:
        busy.set()
        reach(go)
        return image

    class Source(stubs.Count):
        def process(self) -> Iterator[stubs.Plain]:
            yield picture(0)
            reach(busy)
            for number in range(1, 20):
                yield picture(number)
            go.set()

    collect = sink()
    run_of(CHAIN.format(options=""), Mode.LIVE, count=Source, step=calling(opens), collect=collect)
    assert [pts for pts, _ in collect.seen] == list(range(20))


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


def test_gates_count_frames_in_order_with_concurrency() -> None:
    report, collect = chain(stubs.Fresh, ", concurrency: 4, every: 3, else: drop")
    assert [pts for pts, _ in collect.seen] == list(range(0, 60, 3))
    assert report.nodes["step"].dropped == {"every": 40}


def test_hold_last_holds_the_frame_before_with_concurrency() -> None:
    _, collect = chain(stubs.Fresh, ", concurrency: 4, every: 2, else: hold_last")
    assert collect.seen == [(number, number - number % 2) for number in range(60)]


def test_a_failure_with_concurrency_ends_the_run() -> None:
    def fails(image: av.VideoFrame) -> av.VideoFrame:
        if luma(image) == 30:
            raise ValueError("no")
        return image

    step = calling(fails)
    step.stateless = True
    with pytest.raises(NodeFailed, match=r"'step' failed in process\(\) at 0.300s: ValueError: no"):
        chain(step, ", concurrency: 3")


# gates


def test_when_passes_the_frames_by_while_it_is_false() -> None:
    collect = sink()
    text = """\
params: {on: {type: bool, default: false}}
nodes:
  source: {type: count, count: 6}
  step: {type: paint, when: on}
  out: {type: collect}
"""
    run = Run(plan_of(text, collect=collect))
    run.params.patch({"on": True}, at=0.03)
    run.start()
    finished(run)
    assert collect.seen == [(0, 0), (1, 1), (2, 2), (3, 4), (4, 5), (5, 6)]


@pytest.mark.parametrize(
    ("options", "seen"),
    [
        pytest.param("every: 3", [1, 1, 2, 4, 4, 5, 7], id="pass is the default"),
        pytest.param("every: 3, else: pass", [1, 1, 2, 4, 4, 5, 7], id="pass"),
        pytest.param("every: 3, else: hold_last", [1, 1, 1, 4, 4, 4, 7], id="hold_last"),
        pytest.param("every: 3, else: drop", [1, 4, 7], id="drop"),
        pytest.param("rate: 50, else: drop", [1, 3, 5, 7], id="rate"),
        pytest.param("rate: 33.4, else: drop", [1, 4, 7], id="rate that does not divide"),
        pytest.param("rate: 1000, else: drop", [1, 2, 3, 4, 5, 6, 7], id="rate above the source"),
        pytest.param("when: false, else: drop", [], id="never"),
        pytest.param("when: false, else: hold_last", [], id="nothing to hold"),
    ],
)
def test_gate(options: str, seen: list[int]) -> None:
    collect = sink()
    report = run_of(
        f"nodes: {{source: {{type: count, count: 7}}, step: {{type: paint, {options}}},"
        " out: {type: collect}}",
        collect=collect,
    )
    assert [value for _, value in collect.seen] == seen
    step = report.nodes["step"]
    assert step.given + step.dropped.total() == 7


def test_a_frame_that_passes_by_is_converted_where_the_node_would_have() -> None:
    class Developed(Node):
        def process(self, image: RGB) -> OwnYUV:
            return pixels.from_rgb(image, "yuv420p")

    _, collect = chain(Developed, ", every: 2, else: pass")
    assert [pts for pts, _ in collect.seen] == list(range(60))


class Held(Node):
    """Remembers what it works on and what goes by it."""

    remembers = True
    _seen: list[Any] = PrivateAttr(default_factory=list)

    def see(self, **given: Any) -> None:
        self._seen.append(given["image"])

    def process(self, image: YUV) -> YUV:
        self._seen.append(image)
        return image


def test_a_node_on_a_lane_meets_no_mark_whatever_it_is_called_for() -> None:
    lanes = pytest.importorskip("composer.device.lanes")
    pytest.importorskip("torch")
    plan = plan_of(
        "nodes: {s: {type: count, count: 4}, m: {type: held, every: 2}, o: {type: collect}}",
        held=Held,
        collect=sink(),
    )
    lane, step = lanes.Lane("cpu"), plan.steps["m"]
    context = Context("m", step.folder, step.inputs, step.outputs)
    worker = StepRun(step, context, lane=lane)
    assert worker.instance is not None
    worker.instance.open()
    pictures = [picture(number) for number in range(4)]
    for number, each in enumerate(pictures):
        worker.run(Taken("image", stubs.frame(number, OnDevice(each, lane.mark()))))
    assert isinstance(worker.instance.node, Held)
    assert worker.instance.node._seen == pictures
    worker.instance.close()


# on_error


def fails_on(number: int) -> type[Node]:
    def call(image: av.VideoFrame) -> av.VideoFrame:
        if luma(image) == number:
            raise ValueError("no")
        new = pixels.copy(image)
        pixels.planes(new)[0][...] = 200
        return new

    return calling(call)


@pytest.mark.parametrize(
    ("option", "mode", "seen"),
    [
        pytest.param(", on_error: pass", Mode.FILE, (2, 2), id="pass"),
        pytest.param(", on_error: hold_last", Mode.FILE, (2, 200), id="hold_last"),
        pytest.param(", on_error: drop", Mode.FILE, None, id="drop"),
    ],
)
def test_on_error(option: str, mode: Mode, seen: tuple[int, int] | None) -> None:
    report, collect = chain(fails_on(2), option, mode)
    assert [each for each in collect.seen if each[0] == 2] == ([seen] if seen else [])
    assert len(collect.seen) == (60 if seen else 59)
    assert report.nodes["step"].errors == 1
    assert report.nodes["step"].dropped == ({} if seen else {"error": 1})


def test_on_error_fail_says_node_time_and_cause() -> None:
    with pytest.raises(NodeFailed) as caught:
        chain(fails_on(2))
    assert caught.value.node == "step"
    assert caught.value.seconds == 0.02
    assert isinstance(caught.value.__cause__, ValueError)
    assert str(caught.value) == "node 'step' failed in process() at 0.020s: ValueError: no"


def test_in_a_session_a_failing_node_passes_pictures_in_the_format_of_the_plan() -> None:
    class Developed(Node):
        def process(self, image: RGB) -> OwnYUV:
            if image[0, 0, 0] > 50:
                raise ValueError("no")
            return pixels.from_rgb(image, "yuv420p")

    class Source(stubs.Count):
        """One picture at a time, so that none is dropped."""

        def process(self) -> Iterator[stubs.Plain]:
            for number, value in enumerate((20, 200)):
                image = picture(value)
                image.pts = number
                yield image

    collect = sink()
    report = run_of(
        CHAIN.format(options=", on_full: wait"),
        Mode.LIVE,
        step=Developed,
        collect=collect,
        count=Source,
    )
    assert report.nodes["step"].errors == 1
    assert [pts for pts, _ in collect.seen] == [0, 1]


def test_a_node_that_gives_another_layout_fails_with_the_way_out() -> None:
    with pytest.raises(NodeFailed, match=r"gave a gray picture where the plan has yuv420p"):
        chain(calling(lambda image: pixels.convert(image, "gray")))


# joins


JOIN = """\
nodes:
  source: {{type: count, count: {count}}}
  side: {{type: {side}, in: source}}
  mix: {{type: {mix}, in: {{base: {base}, top: {top}}}}}
  out: {{type: collect}}
"""


def joined(side: str, mix: str = "mix", base: str = "source", count: int = 40) -> tuple[Any, Any]:
    collect = sink()
    top = "side" if base == "source" else "source"
    report = run_of(
        JOIN.format(side=side, mix=mix, base=base, top=top, count=count), collect=collect
    )
    pairs = [(pts, top) for (pts, _), top in zip(collect.seen, collect.others, strict=True)]
    return report, pairs


def test_a_join_is_exact() -> None:
    _, pairs = joined("fresh")
    assert pairs == [(number, number) for number in range(40)]


def test_a_join_takes_the_last_value_of_a_branch_that_drops() -> None:
    report, pairs = joined("only_odd")
    assert pairs == [(number, number - (1 - number % 2)) for number in range(1, 40)]
    assert report.edges["source.image -> mix.base"].dropped == {"missing": 1}


@pytest.mark.parametrize(
    ("missing", "pairs"),
    [
        pytest.param("drop", [(1, 1), (3, 3), (5, 5)], id="drop"),
        pytest.param("empty", [(0, 255), (1, 1), (2, 255), (3, 3), (4, 255), (5, 5)], id="empty"),
        pytest.param("last", [(0, 255), (1, 1), (2, 1), (3, 3), (4, 3), (5, 5)], id="last"),
    ],
)
def test_a_join_without_a_partner(missing: str, pairs: list[tuple[int, int]]) -> None:
    _, found = joined("only_odd", f"mix_maybe, missing: {missing}", count=6)
    assert found == pairs


@pytest.mark.parametrize("depth", [1, 10, 100])
@pytest.mark.parametrize("base", ["source", "side"])
def test_a_branch_that_looks_ahead_loses_nothing(depth: int, base: str) -> None:
    report, pairs = joined(f"hold, depth: {depth}", base=base, count=250)
    assert pairs == [(number, number % 256) for number in range(250)]
    assert all(not edge.dropped for edge in report.edges.values())


def test_a_branch_that_looks_ahead_beside_one_that_works_side_by_side() -> None:
    collect = sink()
    run_of(
        "nodes: {source: {type: count, count: 120},"
        " fast: {type: fresh, in: source, concurrency: 3},"
        " slow: {type: hold, depth: 50, in: source},"
        " mix: {type: mix, in: {base: fast, top: slow}}, out: {type: collect}}",
        collect=collect,
    )
    assert collect.others == list(range(120))


def test_a_branch_that_looks_ahead_further_than_there_is_room_still_ends() -> None:
    report, pairs = joined("hold, depth: 400", count=600)
    assert len(pairs) + report.edges["source.image -> mix.base"].dropped.total() == 600


def test_detections_of_every_other_frame_are_held() -> None:
    collect = sink()
    run_of(
        "nodes: {source: {type: count, count: 10},"
        " faces: {type: model, in: source, every: 2},"
        " blur: {type: blur, in: {image: source, regions: faces}}, out: {type: collect}}",
        collect=collect,
    )
    assert collect.others == [1] * 10


def test_a_run_that_is_given_up_while_it_is_set_up_does_not_begin() -> None:
    closed: list[str] = []

    class Slow(Node):
        def setup(self, ctx: Context) -> None:
            run.abort()

        def process(self, image: YUV) -> YUV:
            raise NotImplementedError

        def close(self) -> None:
            closed.append("slow")

    plan = plan_of("nodes: {s: {type: count}, a: {type: slow}, o: {type: collect}}", slow=Slow)
    run = Run(plan)
    with pytest.raises(Stalled, match="given up"):
        run.start()
    assert closed == ["slow"]
    assert run.done.is_set()
    assert not [each for each in threading.enumerate() if each.name.startswith("stage")]


def test_two_sources_join_by_time() -> None:
    collect = sink()
    run_of(
        "nodes: {one: {type: count, count: 12}, two: {type: count, count: 4, step: 3},"
        " mix: {type: mix, in: {base: one, top: two}}, out: {type: collect}}",
        collect=collect,
    )
    assert collect.others == [0, 0, 0, 3, 3, 3, 6, 6, 6, 9, 9, 9]


@pytest.mark.parametrize(("base", "top"), [(4, 60), (60, 4)])
def test_one_source_of_a_join_may_end_long_before_the_other(base: int, top: int) -> None:
    collect = sink()
    report = run_of(
        f"nodes: {{one: {{type: count, count: {base}}}, two: {{type: count, count: {top}}},"
        " mix: {type: mix, in: {base: one, top: two}}, out: {type: collect}}",
        collect=collect,
    )
    assert collect.others == [min(number, top - 1) for number in range(base)]
    assert report.edges["two.image -> mix.top"].dropped.total() == max(0, top - base)


def test_a_join_of_three_is_exact_whoever_is_slow() -> None:
    class Three(Node):
        def process(self, base: YUV, top: YUV, side: YUV) -> YUV:
            assert luma(base) == luma(top) == luma(side)
            return base

    collect = sink()
    run_of(
        "nodes: {source: {type: count, count: 90}, slow: {type: hold, depth: 30, in: source},"
        " slower: {type: hold, depth: 60, in: source},"
        " mix: {type: three, in: {base: slow, top: source, side: slower}},"
        " out: {type: collect}}",
        three=Three,
        collect=collect,
    )
    assert len(collect.seen) == 90


def test_both_outputs_of_a_node_arrive() -> None:
    collect = sink()
    run_of(
        "nodes: {source: {type: count, count: 5}, split: {type: split},"
        " mix: {type: mix, in: {base: split.image, top: split.other}}, out: {type: collect}}",
        collect=collect,
    )
    assert collect.others == [255, 254, 253, 252, 251]


# beginning and end


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


def test_a_source_must_say_the_time_of_what_it_gives() -> None:
    class Timeless(stubs.Count):
        def process(self) -> Iterator[stubs.Plain]:
            yield av.VideoFrame(2, 2, "yuv420p")

    with pytest.raises(NodeFailed, match="without pts; give Frame"):
        ran("nodes: {source: {type: count}, out: {type: collect}}", count=Timeless)


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


def test_stop_lets_what_is_under_way_come_out() -> None:
    begun, closed = threading.Event(), threading.Event()
    collect = sink()
    plan = plan_of(
        "nodes: {source: {type: count}, a: {type: hold, depth: 5}, b: {type: fresh,"
        " concurrency: 2}, out: {type: collect}}",
        count=endless(begun, closed),
        collect=collect,
    )
    run = Run(plan)
    run.start()
    reach(begun)
    run.stop()
    report = finished(run)
    accounted(plan, report)
    assert closed.is_set()
    assert [pts for pts, _ in collect.seen] == list(range(report.nodes["source"].given))
    assert report.edges["source.image -> a.image"].dropped == {}


def test_abort_counts_what_was_given_up() -> None:
    begun, closed = threading.Event(), threading.Event()
    plan = plan_of(
        "nodes: {source: {type: count}, side: {type: hold, depth: 300, in: source},"
        " mix: {type: mix, in: {base: source, top: side}}, out: {type: collect}}",
        count=endless(begun, closed),
    )
    run = Run(plan)
    run.start()
    reach(begun)
    run.abort()
    report = finished(run)
    assert closed.is_set()
    assert all(edge.offered == edge.taken + edge.dropped.total() for edge in report.edges.values())


def test_abort_in_a_join_counts_the_value_that_waits_for_use() -> None:
    arrived = threading.Event()

    class Two(stubs.Count):
        """The second picture is asked for when the first has gone all the way it can."""

        def process(self) -> Iterator[stubs.Plain]:
            yield picture(0)
            arrived.set()
            reach(given_up)

    given_up = threading.Event()
    plan = plan_of(
        "nodes: {source: {type: count}, side: {type: hold, depth: 3, in: source},"
        " other: {type: fresh, in: source},"
        " mix: {type: mix, in: {base: side, top: other}}, out: {type: collect}}",
        count=Two,
    )
    run = Run(plan)
    run.start()
    reach(arrived)
    run.abort()
    given_up.set()
    report = finished(run)
    assert all(edge.offered == edge.taken + edge.dropped.total() for edge in report.edges.values())


def test_a_bug_of_the_engine_is_told_and_not_taken_for_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(self: Any, taken: Any) -> Any:
        raise RuntimeError("a bug")

    monkeypatch.setattr("composer.engine.step.StepRun.run", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        ran("nodes: {source: {type: count}, out: {type: collect}}")


# params

LEVELS = """\
params:
  level: {{to: [one.level, two.level, three.level]{ramp}}}
nodes:
  source: {{type: count, count: 100}}
  one: {{type: level, name: one}}
  two: {{type: level, name: two, queue: 7}}
  three: {{type: level, name: three, concurrency: 3}}
  out: {{type: collect}}
"""


def levels() -> tuple[type[Node], dict[str, dict[int, float]]]:
    found: dict[str, dict[int, float]] = {"one": {}, "two": {}, "three": {}}

    class Level(Node):
        stateless = True

        name: str = ""
        level: float = Live(0.0)

        def process(self, image: YUV) -> YUV:
            assert image.pts is not None
            found[self.name][image.pts] = self.level
            return image

    return Level, found


def test_a_patch_meets_all_nodes_at_the_same_frame() -> None:
    level, found = levels()
    run = Run(plan_of(LEVELS.format(ramp=""), level=level))
    patches = [run.params.patch({"level": float(at)}, at=at / 100) for at in (20, 50, 51)]
    run.start()
    finished(run)
    expected = {pts: max(at for at in (0, 20, 50, 51) if at <= pts) for pts in range(100)}
    assert found["one"] == found["two"] == found["three"] == expected
    assert [patch.seconds for patch in patches] == [0.2, 0.5, 0.51]


def test_a_ramp_moves_all_nodes_alike() -> None:
    level, found = levels()
    run = Run(plan_of(LEVELS.format(ramp=", ramp_ms: 100"), level=level))
    run.params.patch({"level": 10.0}, at=0.2)
    run.start()
    finished(run)
    assert found["one"] == found["two"] == found["three"]
    assert [round(found["one"][pts], 6) for pts in (19, 20, 25, 30, 31)] == [0, 0, 5, 10, 10]


def test_a_patch_while_it_runs_is_answered_with_its_time() -> None:
    begun, closed = threading.Event(), threading.Event()
    level, found = levels()
    run = Run(plan_of(LEVELS.format(ramp=""), level=level, count=endless(begun, closed)))
    run.start()
    reach(begun)
    patch = run.params.patch({"level": 3.0})
    reach(patch.applied)
    run.stop()
    finished(run)
    assert patch.seconds is not None
    first = min(pts for pts, value in found["two"].items() if value == 3.0)
    assert first == round(patch.seconds * 100)


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


def test_a_live_field_of_a_source_changes_under_it() -> None:
    class Levelled(stubs.Count):
        def process(self) -> Iterator[stubs.Plain]:
            for number in range(6):
                image = picture(int(self.level))
                image.pts = number
                yield image

    collect = sink()
    run = Run(
        plan_of(
            "params: {level: source.level}\nnodes: {source: {type: count}, out: {type: collect}}",
            count=Levelled,
            collect=collect,
        )
    )
    run.params.patch({"level": 80.0}, at=0.02)
    run.start()
    finished(run)
    assert [value for _, value in collect.seen] == [0, 0, 0, 80, 80, 80]


# pictures


def test_two_branches_do_not_see_each_others_writing() -> None:
    collect = sink()
    run_of(
        "nodes: {source: {type: count, count: 30}, one: {type: paint, in: source},"
        " two: {type: paint, in: source}, mix: {type: mix, in: {base: one, top: two}},"
        " out: {type: collect}}",
        collect=collect,
    )
    assert [value for _, value in collect.seen] == list(range(1, 31))
    assert collect.others == list(range(1, 31))


def test_a_held_picture_is_not_written_into() -> None:
    collect = sink()
    run_of(
        "nodes: {source: {type: count, count: 4}, a: {type: fresh, every: 4, else: hold_last},"
        " b: {type: paint}, out: {type: collect}}",
        collect=collect,
    )
    assert collect.seen == [(0, 1), (1, 1), (2, 1), (3, 1)]


def test_a_held_picture_has_the_time_of_its_frame() -> None:
    collect = sink()
    run_of(
        "nodes: {source: {type: count, count: 4}, a: {type: fresh, every: 4, else: hold_last},"
        " b: {type: hold, depth: 1}, out: {type: collect}}",
        collect=collect,
    )
    assert collect.seen == [(0, 0), (1, 0), (2, 0), (3, 0)]


def test_a_source_may_give_frames_with_an_envelope() -> None:
    class Enveloped(stubs.Count):
        def process(self) -> Iterator[stubs.Plain]:
            image: Any = Frame(picture(3), 40, TICK)
            yield image

    collect = sink()
    run_of("nodes: {source: {type: count}, out: {type: collect}}", count=Enveloped, collect=collect)
    assert collect.seen == [(40, 3)]


# together


def test_many_sessions_of_one_plan_do_not_meet() -> None:
    class Here(stubs.Collect):
        """Each instance keeps its own list: one node per session."""

        all: ClassVar[list[list[int]]] = []
        _mine: list[int] = PrivateAttr(default_factory=list)

        def setup(self, ctx: Context) -> None:
            self.all.append(self._mine)

        def process(self, image: YUV, *, at: Moment) -> None:
            self._mine.append(luma(image))

    plan = plan_of(
        "params: {level: a.level}\n"
        "nodes: {source: {type: count, count: 40}, a: {type: fresh, concurrency: 2},"
        " b: {type: hold}, out: {type: collect}}".replace("{level: a.level}", "{d: b.depth}"),
        collect=Here,
    )
    runs = [Run(plan) for _ in range(8)]
    for run in runs:
        run.start()
    with ThreadPoolExecutor(8) as pool:
        reports = list(pool.map(finished, runs))
    assert Here.all == [list(range(40))] * 8
    assert all(report.nodes["out"].taken == 40 for report in reports)


def test_a_run_ends_whoever_asks_and_how_often() -> None:
    run = Run(plan_of("nodes: {source: {type: count}, out: {type: collect}}"))
    run.start()
    first = finished(run)
    run.stop()
    run.abort()
    assert finished(run).nodes == first.nodes


def test_stages_that_wait_for_each_other_are_noticed() -> None:
    calls: list[Callable[[], None]] = []
    plan = plan_of("nodes: {source: {type: count}, out: {type: collect}}")
    run = Run(plan)
    calls.append(run._stalled)
    run.start()
    finished(run)
    calls[0]()
    with pytest.raises(Stalled, match="every stage waits for another one"):
        run.wait()


# sessions: nodes that are set up while frames go by


class Slow(Node):
    """Doubles the luma, once its setup() was allowed to end."""

    factor: int = 2
    shade: int = Live(0)
    tried: ClassVar[list[int]] = []
    at_once: ClassVar[Counter[str]] = Counter()
    allowed: ClassVar[threading.Event] = threading.Event()
    begun: ClassVar[threading.Event] = threading.Event()
    closed: ClassVar[list[int]] = []
    fails: ClassVar[set[int]] = set()

    def setup(self, ctx: Context) -> None:
        self.tried.append(self.factor)
        self.at_once["now"] += 1
        self.at_once["most"] = max(self.at_once["most"], self.at_once["now"])
        self.begun.set()
        reach(self.allowed)
        self.at_once["now"] -= 1
        if self.factor in self.fails:
            raise RuntimeError("no memory left")

    def process(self, image: YUV) -> OwnYUV:
        new = pixels.copy(image)
        for plane in pixels.planes(new)[:1]:
            plane *= self.factor
            plane += self.shade
        return new

    def close(self) -> None:
        self.closed.append(self.factor)


def slow() -> type[Slow]:
    class Here(Slow):
        allowed: ClassVar[threading.Event] = threading.Event()
        begun: ClassVar[threading.Event] = threading.Event()
        closed: ClassVar[list[int]] = []
        fails: ClassVar[set[int]] = set()
        tried: ClassVar[list[int]] = []
        at_once: ClassVar[Counter[str]] = Counter()

    return Here


def open_slow() -> type[Slow]:
    """One that does not wait, as long as it is not told to."""
    node = slow()
    node.allowed.set()
    return node


class Fed(Node):
    """Gives the pictures that a test hands to it."""

    feed: ClassVar["SimpleQueue[int | None]"] = SimpleQueue()

    def process(self) -> Iterator[YUV]:
        while (number := self.feed.get(timeout=stubs.WAIT)) is not None:
            yield picture(number)


class Session:
    """A live run of fed -> slow -> out, frame by frame."""

    def __init__(self, node: type[Slow], text: str = "") -> None:
        class Here(Fed):
            feed: ClassVar["SimpleQueue[int | None]"] = SimpleQueue()

        self.feed = Here.feed
        self.seen: SimpleQueue[int] = SimpleQueue()
        self.notices: SimpleQueue[tuple[str, str, str]] = SimpleQueue()

        def see(image: av.VideoFrame) -> av.VideoFrame:
            self.seen.put(luma(image))
            return image

        plan = plan_of(
            "params: {by: slow.factor, shade: slow.shade}\n"
            "nodes: {fed: {type: fed}, slow: {type: slow}, see: {type: see}, out: {type: collect}}",
            Mode.LIVE,
            fed=Here,
            slow=node,
            see=calling(see),
            collect=sink(),
        )
        self.run = Run(plan, notify=self.heard)

    def heard(self, notice: Notice) -> None:
        if notice.kind is not Happened.APPLIED:
            self.notices.put((notice.kind.value, notice.node, notice.said))

    def told(self) -> list[str]:
        """What was told of it and not looked at yet."""
        return [self.notices.get()[0] for _ in range(self.notices.qsize())]

    def frame(self, number: int) -> int:
        self.feed.put(number)
        return self.seen.get(timeout=stubs.WAIT)

    def until(self, value: int) -> None:
        """Give the same picture again until it comes out like this."""
        for _ in range(100_000):
            if self.frame(10) == value:
                return
        raise AssertionError(f"never {value}")

    def end(self) -> Report:
        self.feed.put(None)
        report = finished(self.run)
        accounted(self.run.plan, report)
        return report


def test_frames_go_by_a_node_of_a_session_until_it_is_ready() -> None:
    node = slow()
    session = Session(node)
    session.run.start()
    assert session.frame(10) == 10
    assert session.notices.get(timeout=stubs.WAIT) == ("loading", "slow", "")
    node.allowed.set()
    session.until(20)
    assert session.notices.get(timeout=stubs.WAIT) == ("ready", "slow", "")
    report = session.end()
    assert report.nodes["slow"].dropped.total() == 0
    assert node.closed == [2]


def test_a_node_that_was_loading_when_the_session_ended_is_closed_when_it_can_be() -> None:
    node = slow()
    session = Session(node)
    session.run.start()
    assert session.frame(10) == 10
    session.end()
    assert node.closed == []
    setup = next(each for each in threading.enumerate() if each.name == "setup slow")
    node.allowed.set()
    setup.join(stubs.WAIT)
    assert node.closed == [2]


def test_a_setup_that_fails_late_ends_the_session() -> None:
    node = slow()
    node.fails.add(2)
    session = Session(node)
    session.run.start()
    assert session.frame(10) == 10
    node.allowed.set()
    while not session.run.done.wait(0.001):
        session.feed.put(10)
    with pytest.raises(NodeFailed, match="no memory left"):
        session.run.wait()


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


def test_what_a_join_keeps_for_the_next_picture_is_no_work_that_waits() -> None:
    """The input may be silent for long then, and nothing hangs."""

    class Here(Fed):
        feed: ClassVar["SimpleQueue[int | None]"] = SimpleQueue()

    allowed, seen = threading.Event(), SimpleQueue[int]()

    def late(image: av.VideoFrame) -> av.VideoFrame:
        reach(allowed)
        return pixels.copy(image)

    def see(image: av.VideoFrame) -> av.VideoFrame:
        seen.put(luma(image))
        return image

    plan = plan_of(
        "nodes: {fed: {type: fed}, late: {type: late},"
        " mix: {type: mix_maybe, in: {base: fed, top: late}},"
        " see: {type: see}, out: {type: collect}}",
        Mode.LIVE,
        fed=Here,
        late=calling(late),
        see=calling(see),
        collect=sink(),
    )
    run = Run(plan)
    run.start()
    Here.feed.put(10)
    assert seen.get(timeout=stubs.WAIT) == 10  # without the late one
    allowed.set()
    (edge,) = [each for name, each in run.report().edges.items() if name.endswith("mix.top")]
    while not edge.offered:
        run.done.wait(0.001)
    assert run.work() == {}
    Here.feed.put(None)
    accounted(plan, finished(run))


def test_what_is_set_before_the_start_counts_for_setup() -> None:
    node = slow()
    node.allowed.set()
    session = Session(node)
    session.run.params.patch({"by": 3})
    session.run.start()
    assert session.frame(10) == 30
    session.end()
    assert node.closed == [3]


def test_the_end_of_a_run_is_told_once() -> None:
    ends: list[tuple[Happened, bool]] = []
    plan = plan_of("nodes: {source: {type: count}, out: {type: collect}}")
    run = Run(plan, notify=lambda each: ends.append((each.kind, run.done.is_set())))
    run.start()
    finished(run)
    run.stop()
    assert ends == [(Happened.ENDED, True)]
    assert run.failure is None
