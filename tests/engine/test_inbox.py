import threading
from collections.abc import Callable

import pytest

from composer.compiler.plan import InboxSpec
from composer.engine.account import EdgeCount
from composer.engine.inbox import (
    HURRIED_SECONDS,
    Aborted,
    Inbox,
    InOrder,
    Slot,
    Traffic,
    WorkItem,
)
from composer.node.frames import Bound
from composer.pipeline.spec import OnFull
from tests.stubs import WAIT, frame, reach


class Clock:
    """Seconds that the test moves."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def nobody() -> None:
    raise AssertionError("stalled")


def slot(
    name: str = "image", size: int = 2, on_full: OnFull = "wait", age: float | None = None
) -> Slot:
    return Slot(name, InboxSpec(size, on_full, age), EdgeCount())


def inbox_of(
    *slots: Slot, now: Callable[[], float] | None = None, stalled: Callable[[], None] = nobody
) -> Inbox:
    traffic = Traffic(stalled)
    traffic.enter(100)  # everybody in these tests has something else to do
    return Inbox(slots, InOrder([each.name for each in slots]), traffic, now or Clock())


def taken(inbox: Inbox) -> int | str | None:
    """The number of the next frame, what else came, None at the end."""
    found = inbox.take()
    if isinstance(found, WorkItem):
        return found.frame.pts
    return None if found is None else f"bound {found.micros}"


def rest(inbox: Inbox, *ports: str) -> list[int | str]:
    for port in ports:
        inbox.end(port)
    found = []
    while (each := taken(inbox)) is not None:
        found.append(each)
    return found


def in_thread(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def joined(thread: threading.Thread) -> None:
    thread.join(WAIT)
    assert not thread.is_alive()


# rules


def test_frames_come_out_as_they_went_in() -> None:
    here = slot(size=5)
    inbox = inbox_of(here)
    for number in range(5):
        inbox.put("image", frame(number))
    assert rest(inbox, "image") == [0, 1, 2, 3, 4]
    assert here.count == EdgeCount(offered=5, taken=5)


def test_drop_oldest_keeps_the_newest_and_counts_the_rest() -> None:
    here = slot(on_full="drop_oldest")
    inbox = inbox_of(here)
    for number in range(7):
        inbox.put("image", frame(number))
    assert rest(inbox, "image") == [5, 6]
    assert (here.count.offered, here.count.taken, here.count.dropped) == (7, 2, {"full": 5})


class Watched(Clock):
    """A clock that tells how often it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = threading.Semaphore(0)

    def __call__(self) -> float:
        self.asked.release()
        return super().__call__()

    def wait(self, times: int) -> None:
        """Until it was asked so often since the last wait, by whoever holds the inbox now."""
        for _ in range(times):
            assert self.asked.acquire(timeout=WAIT)


class Late:
    """An inbox of two pictures that is patient for half a second."""

    def __init__(self) -> None:
        self.clock = Watched()
        self.slot = Slot("image", InboxSpec(2, "drop_oldest", patience_s=0.5), EdgeCount())
        self.inbox = inbox_of(self.slot, now=self.clock)

    def put(self, number: int) -> None:
        self.inbox.put("image", frame(number, born=number / 10))


def test_a_stage_that_was_held_up_for_a_moment_loses_nothing() -> None:
    late = Late()
    late.put(0)
    late.put(1)
    late.clock.wait(2)
    waits = in_thread(lambda: late.put(2))
    late.clock.wait(2)
    late.clock.seconds = 0.7
    assert taken(late.inbox) == 0
    joined(waits)
    assert rest(late.inbox, "image") == [1, 2]
    assert not late.slot.count.dropped


@pytest.mark.fault("F-68")
def test_a_stage_that_is_too_slow_gets_the_newest_until_it_has_kept_up() -> None:
    late = Late()
    late.clock.seconds = 0.15
    late.put(0)
    late.put(0)
    assert late.slot.late_since == 0.15
    late.clock.seconds = 0.65
    late.put(1)
    assert late.slot.count.dropped == {"full": 1}
    late.put(2)  # late, and it was so before: nothing older is worth keeping
    assert late.slot.count.dropped == {"full": 3}
    late.put(7)
    late.put(7)  # in time, but the stage was too slow a moment ago
    assert late.slot.count.dropped == {"full": 4}
    assert (taken(late.inbox), taken(late.inbox)) == (7, 7)
    assert late.slot.late_since is None
    assert late.slot.hurried_until == pytest.approx(0.65 + HURRIED_SECONDS)


def test_one_frame_in_time_begins_the_patience_anew() -> None:
    late = Late()
    late.clock.seconds = 0.3
    late.put(0)
    late.put(3)
    assert late.slot.late_since is None


def test_drop_newest_keeps_the_oldest_and_counts_the_rest() -> None:
    here = slot(on_full="drop_newest")
    inbox = inbox_of(here)
    for number in range(7):
        inbox.put("image", frame(number))
    assert rest(inbox, "image") == [0, 1]
    assert here.count.dropped == {"full": 5}


def test_wait_waits_until_there_is_room() -> None:
    here = slot(size=1)
    inbox = inbox_of(here)
    inbox.put("image", frame(0))
    done = threading.Event()

    def put() -> None:
        inbox.put("image", frame(1))
        done.set()

    thread = in_thread(put)
    assert not done.is_set()
    assert taken(inbox) == 0
    reach(done)
    joined(thread)
    assert rest(inbox, "image") == [1]
    assert here.count == EdgeCount(offered=2, taken=2)


def test_take_waits_until_something_comes() -> None:
    inbox = inbox_of(slot())
    found: list[int | str | None] = []
    thread = in_thread(lambda: found.append(taken(inbox)))
    inbox.put("image", frame(4))
    joined(thread)
    assert found == [4]


def test_several_ports_take_turns() -> None:
    inbox = inbox_of(slot("image", 5), slot("audio", 5))
    for number in range(3):
        inbox.put("image", frame(number))
        inbox.put("audio", frame(10 + number))
    assert rest(inbox, "image", "audio") == [0, 10, 1, 11, 2, 12]


def test_the_end_is_when_all_ports_have_ended() -> None:
    inbox = inbox_of(slot("image"), slot("audio"))
    inbox.end("image")
    found: list[int | str | None] = []
    thread = in_thread(lambda: found.append(taken(inbox)))
    inbox.end("audio")
    joined(thread)
    assert found == [None]


# time


def test_bounds_between_frames_are_kept_and_the_last_of_a_row_wins() -> None:
    inbox = inbox_of(slot(size=5))
    for item in (frame(1), Bound(20), Bound(30), frame(4), Bound(50)):
        inbox.put("image", item)
    assert rest(inbox, "image") == [1, "bound 30", 4, "bound 50"]


def test_bounds_need_no_room() -> None:
    here = slot(size=1)
    inbox = inbox_of(here)
    inbox.put("image", frame(0))
    inbox.put("image", Bound(5))
    assert here.full
    assert rest(inbox, "image") == [0, "bound 5"]


def test_dropping_the_oldest_leaves_what_is_known_of_time() -> None:
    inbox = inbox_of(slot(size=1, on_full="drop_oldest"))
    for item in (Bound(1), frame(1), Bound(20_000), frame(3)):
        inbox.put("image", item)
    assert rest(inbox, "image") == ["bound 1", "bound 20000", 3]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        pytest.param(1.125, [0], id="just young enough"),
        pytest.param(1.126, ["bound 0"], id="too old"),
    ],
)
def test_a_frame_that_is_too_old_becomes_a_bound(seconds: float, expected: list[int | str]) -> None:
    clock, here = Clock(), slot(age=125)
    inbox = inbox_of(here, now=clock)
    inbox.put("image", frame(0, born=1.0))
    clock.seconds = seconds
    assert rest(inbox, "image") == expected
    assert here.count.taken + here.count.dropped["age"] == 1


# the end of all things


def test_abort_wakes_who_takes_and_who_puts() -> None:
    full, empty = inbox_of(slot(size=1)), inbox_of(slot())
    full.put("image", frame(0))
    gone: list[str] = []

    def put() -> None:
        with pytest.raises(Aborted):
            full.put("image", frame(1))
        gone.append("put")

    def take() -> None:
        with pytest.raises(Aborted):
            empty.take()
        gone.append("take")

    threads = [in_thread(put), in_thread(take)]
    full.abort()
    empty.abort()
    for thread in threads:
        joined(thread)
    assert sorted(gone) == ["put", "take"]


def test_abort_counts_what_waited() -> None:
    here = slot(size=3)
    inbox = inbox_of(here)
    for number in range(3):
        inbox.put("image", frame(number))
    inbox.take()
    inbox.abort()
    with pytest.raises(Aborted):
        inbox.put("image", frame(9))
    assert (here.count.offered, here.count.taken, here.count.dropped) == (4, 1, {"stopped": 3})


# standstill


def test_the_last_who_goes_to_sleep_is_a_standstill() -> None:
    told = threading.Event()
    traffic = Traffic(told.set)
    traffic.enter()
    inbox = Inbox([slot()], InOrder(["image"]), traffic, Clock())
    thread = in_thread(inbox.take)
    reach(told)
    inbox.end("image")
    joined(thread)


def test_nobody_is_told_while_somebody_works() -> None:
    traffic = Traffic(nobody)
    traffic.enter(2)
    inbox = Inbox([slot()], InOrder(["image"]), traffic, Clock())
    found: list[int | str | None] = []
    thread = in_thread(lambda: found.append(taken(inbox)))
    inbox.put("image", frame(1))
    joined(thread)
    assert found == [1]
    assert not traffic.leave()
    assert traffic.leave()


def test_a_slot_grows_only_where_its_rule_is_to_wait() -> None:
    waits, drops = slot(size=1), slot(size=1, on_full="drop_oldest")
    for each in (waits, drops):
        each.push(frame(0))
    assert (waits.grow(), drops.grow()) == (True, False)
    assert not waits.full
    assert not waits.grow()  # there is room already
