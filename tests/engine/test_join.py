import threading
from typing import Any

import pytest

from composer.compiler.plan import InboxSpec
from composer.engine.account import EdgeCount
from composer.engine.inbox import Inbox, Slot, Taken, Traffic, Waiting
from composer.engine.join import Join, Joined
from composer.node.formats import Kind
from composer.node.frames import Bound
from composer.node.values import Detections
from composer.pipeline.spec import Missing
from tests.engine.test_inbox import Clock
from tests.stubs import WAIT, frame


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
        if isinstance(found, Taken):
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
