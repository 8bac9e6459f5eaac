import threading
from queue import SimpleQueue
from typing import Any, ClassVar

import av
import pytest

from composer import YUV, Node
from composer.compiler.plan import InboxSpec, Mode
from composer.engine.account import EdgeCount
from composer.engine.inbox import Inbox, Slot, Traffic, Waiting, WorkItem
from composer.engine.join import Join, Joined
from composer.engine.run import Run
from composer.node.formats import Kind
from composer.node.frames import Bound
from composer.node.values import Detections
from composer.pictures import pixels
from composer.pipeline.spec import Missing
from tests import stubs
from tests.engine.runs import accounted, run_of
from tests.engine.sessions import Fed
from tests.engine.test_inbox import Clock
from tests.stubs import WAIT, calling, finished, frame, luma, plan_of, reach, sink


class Bench:
    """A join of base with top (and side), fed by hand."""

    def __init__(
        self,
        *others: Joined,
        missing: Missing = "last",
        within: float | None = None,
        age: float | None = None,
    ) -> None:
        others = others or (Joined("top", Kind.PICTURE, optional=False),)
        names = ["base", *(each.name for each in others)]
        self.slots = {name: Slot(name, InboxSpec(100, "wait", age), EdgeCount()) for name in names}
        self.join = Join("base", others, missing, within)
        self.now = 0.0

    def put(self, **items: int | str) -> "Bench":
        """A frame at so many ticks, or "b3" for a bound at 3 ticks."""
        for name, item in items.items():
            slot = self.slots[name]
            if isinstance(item, str):
                slot.push(Bound(int(item[1:]) * 10_000))
            else:
                slot.count.offered += 1
                slot.push(frame(item))
        return self

    def end(self, *names: str) -> "Bench":
        for name in names:
            self.slots[name].ended = True
        return self

    def take(self, *, give_way: bool = False) -> Any:
        """(base, others), "wait", a bound's ticks as "b3", or None at the end."""
        found = self.join(self.slots, self.now, give_way=give_way)
        if isinstance(found, Waiting):
            return "wait"
        if isinstance(found, Bound):
            return f"b{found.micros // 10_000}"
        if isinstance(found, WorkItem):
            return found.frame.pts, dict(found.others)
        return None

    def dropped(self, name: str) -> dict[str, int]:
        return dict(self.slots[name].count.dropped)


def test_the_same_time_is_joined() -> None:
    bench = Bench().put(base=3, top=3)
    assert bench.take() == (3, {"top": 3})
    assert bench.take() == "wait"


def test_times_in_other_time_bases_are_the_same_within_a_microsecond() -> None:
    bench = Bench(missing="drop").put(base=3)
    late = frame(3)
    bench.slots["top"].push(type(late)(3, 30_001, late.time_base / 10_000))
    assert bench.take() == (3, {"top": 3})


def test_the_fast_branch_waits_for_the_slow_one() -> None:
    bench = Bench().put(base=3, top=2)
    assert bench.take() == "wait"
    assert bench.put(top=3).take() == (3, {"top": 3})


def test_a_later_frame_says_that_none_comes_for_this_time() -> None:
    bench = Bench().put(base=1, top=1).put(base=2, top=3)
    assert [bench.take(), bench.take()] == [(1, {"top": 1}), (2, {"top": 1})]


def test_a_bound_says_so_too() -> None:
    bench = Bench().put(base=1, top=1).put(base=2, top="b2")
    assert [bench.take(), bench.take()] == [(1, {"top": 1}), (2, {"top": 1})]


def test_a_bound_before_the_time_is_not_enough() -> None:
    bench = Bench().put(base=2, top="b1")
    assert bench.take() == "wait"


def test_a_branch_that_has_ended_is_not_waited_for() -> None:
    bench = Bench().put(base=1, top=1).put(base=2).end("top")
    assert [bench.take(), bench.take()] == [(1, {"top": 1}), (2, {"top": 1})]


def test_bounds_of_the_first_port_go_on() -> None:
    bench = Bench().put(base="b1").put(base=2, top=2)
    assert [bench.take(), bench.take()] == ["b1", (2, {"top": 2})]


@pytest.mark.parametrize(
    ("missing", "other", "expected", "dropped"),
    [
        pytest.param(
            "last", Joined("top", Kind.PICTURE, optional=False), (2, {"top": 1}), {}, id="last"
        ),
        pytest.param(
            "drop",
            Joined("top", Kind.PICTURE, optional=True),
            "b2",
            {"missing": 1},
            id="drop",
        ),
        pytest.param(
            "empty", Joined("top", Kind.PICTURE, optional=True), (2, {"top": None}), {}, id="empty"
        ),
        pytest.param(
            "empty",
            Joined("top", Kind.DETECTIONS, optional=False),
            (2, {"top": Detections()}),
            {},
            id="empty detections",
        ),
        pytest.param(
            "empty",
            Joined("top", Kind.PICTURE, optional=False),
            "b2",
            {"missing": 1},
            id="empty, where the node needs one",
        ),
    ],
)
def test_missing(missing: Missing, other: Joined, expected: Any, dropped: dict[str, int]) -> None:
    bench = Bench(other, missing=missing).put(base=1, top=1).put(base=2, top="b2")
    assert bench.take() == (1, {"top": 1})
    assert bench.take() == expected
    assert bench.dropped("base") == dropped


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        pytest.param(Kind.PICTURE, "b1", id="a picture that never came"),
        pytest.param(Kind.DETECTIONS, (1, {"top": Detections()}), id="detections"),
    ],
)
def test_last_before_there_was_any(kind: Kind, expected: Any) -> None:
    bench = Bench(Joined("top", kind, optional=False)).put(base=1, top=2)
    assert bench.take() == expected


def test_within_is_the_longest_wait() -> None:
    bench = Bench(within=0.04).put(base=1, top=1)
    assert bench.take() == (1, {"top": 1})
    bench.put(base=2)
    bench.now = 1.0
    assert bench.take() == "wait"
    assert bench.join.patience(1.01) == pytest.approx(0.03)
    bench.now = 1.039
    assert bench.take() == "wait"
    bench.now = 1.041
    assert bench.take() == (2, {"top": 1})
    assert bench.join.patience(bench.now) is None


@pytest.mark.fault("F-55")
def test_each_frame_has_its_own_patience() -> None:
    bench = Bench(within=0.04).put(base=1, top=0).put(base=2)
    assert bench.take() == "wait"
    bench.now = 0.05
    assert bench.take() == (1, {"top": 0})
    assert bench.take() == "wait"
    bench.now = 0.095
    assert bench.take() == (2, {"top": 0})


def test_giving_way_goes_on_with_what_is_there() -> None:
    bench = Bench().put(base=1, top=0)
    assert bench.take() == "wait"
    assert bench.take(give_way=True) == (1, {"top": 0})


def test_three_inputs_wait_for_the_slowest() -> None:
    bench = Bench(
        Joined("top", Kind.PICTURE, optional=False), Joined("side", Kind.PICTURE, optional=False)
    )
    bench.put(base=1, top=1)
    assert bench.take() == "wait"
    assert bench.put(side=1).take() == (1, {"top": 1, "side": 1})


def test_too_old_a_frame_is_counted_and_leaves_its_time() -> None:
    bench = Bench(age=100).put(base=1)
    bench.now = 0.2
    assert bench.take() == "b1"
    assert bench.dropped("base") == {"age": 1}


def test_what_was_skipped_is_counted_as_unused() -> None:
    bench = Bench().put(top=1).put(top=2).put(top=3).put(base=3)
    assert bench.take() == (3, {"top": 3})
    assert bench.dropped("top") == {"unused": 2}
    assert bench.slots["top"].count.taken == 1


def test_a_value_that_is_used_again_counts_once() -> None:
    bench = Bench().put(top=1).put(base=1).put(base=2).put(base=3).end("top")
    assert [bench.take()[0] for _ in range(3)] == [1, 2, 3]
    assert bench.slots["top"].count.taken == 1


def test_at_the_end_the_rest_is_unused() -> None:
    bench = Bench().put(base=1, top=1).put(top=2).put(top=3).end("base")
    assert bench.take() == (1, {"top": 1})
    assert bench.take() == "wait"
    assert bench.dropped("top") == {"unused": 2}
    assert bench.end("top").take() is None


def test_a_value_that_nobody_could_use_is_counted_at_the_end() -> None:
    bench = Bench(missing="drop").put(base=2, top=1).put(top="b2").end("base")
    assert bench.take() == "b2"
    assert bench.take() == "wait"
    assert bench.dropped("top") == {"unused": 1}


def test_whoever_waits_to_put_goes_on_when_the_first_port_has_ended() -> None:
    traffic = Traffic(lambda: None)
    traffic.enter(100)
    slots = [
        Slot("base", InboxSpec(1, "wait"), EdgeCount()),
        Slot("top", InboxSpec(1, "wait"), EdgeCount()),
    ]
    join = Join("base", [Joined("top", Kind.PICTURE, optional=False)], "last", None)
    inbox = Inbox(slots, join, traffic, Clock())
    inbox.put("top", frame(0))

    def put() -> None:
        for number in range(1, 5):
            inbox.put("top", frame(number))
        inbox.end("top")

    threads = [threading.Thread(target=put, daemon=True)]
    found: list[Any] = []
    threads.append(threading.Thread(target=lambda: found.append(inbox.take()), daemon=True))
    inbox.end("base")
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
        assert not thread.is_alive()
    assert found == [None]
    assert slots[1].count.dropped == {"unused": 5}


# in a run


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


@pytest.mark.fault("F-55")
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
