import threading
from functools import partial

import pytest

from composer.engine.inbox import Traffic
from composer.engine.turns import Gate, Rotation
from tests.engine.test_inbox import in_thread, joined, nobody
from tests.stubs import reach


def through(gate: Gate, inside: threading.Event, leave: threading.Event) -> None:
    with gate:
        inside.set()
        reach(leave)


def test_any_number_are_inside_an_open_gate() -> None:
    gate, leave = Gate(), threading.Event()
    inside = [threading.Event() for _ in range(3)]
    threads = [in_thread(partial(through, gate, event, leave)) for event in inside]
    for event in inside:
        reach(event)
    leave.set()
    for thread in threads:
        joined(thread)


def test_a_gate_is_closed_when_nobody_is_inside() -> None:
    gate = Gate()
    first, second, leave, closed = (threading.Event() for _ in range(4))
    order: list[str] = []
    early = in_thread(lambda: through(gate, first, leave))
    reach(first)

    def close() -> None:
        with gate.closed():
            order.append("closed")
            closed.set()
            late = in_thread(lambda: through(gate, second, leave))
            assert not second.wait(0.02)
            order.append("open")
        joined(late)

    closing = in_thread(close)
    assert not closed.wait(0.02)
    order.append("left")
    leave.set()
    joined(closing)
    joined(early)
    reach(second)
    assert order == ["left", "closed", "open"]


def test_who_stays_inside_is_not_waited_for_for_ever_and_the_gate_opens_again() -> None:
    gate = Gate()
    inside, leave, again = (threading.Event() for _ in range(3))
    staying = in_thread(lambda: through(gate, inside, leave))
    reach(inside)
    with pytest.raises(TimeoutError), gate.closed(0.01):
        raise AssertionError("it is not closed")
    other = in_thread(lambda: through(gate, again, leave))
    reach(again)
    leave.set()
    joined(staying)
    joined(other)


def test_two_do_not_close_a_gate_at_once() -> None:
    gate = Gate()
    with gate.closed(), pytest.raises(TimeoutError), gate.closed(0.01):
        raise AssertionError("it is closed already")
    with gate.closed(0.01):
        pass


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_take_turns_in_a_ring(threads: int) -> None:
    traffic = Traffic(nobody)
    traffic.enter(threads)
    turns, order = Rotation(threads, traffic), list[int]()

    def work(number: int) -> None:
        for _ in range(4):
            with turns.turn(number):
                order.append(number)

    working = [in_thread(partial(work, number)) for number in reversed(range(threads))]
    for thread in working:
        joined(thread)
    assert order == list(range(threads)) * 4


def test_who_waits_for_its_turn_does_not_work_and_whoever_fails_hands_it_on() -> None:
    stalled: list[str] = []
    traffic = Traffic(lambda: stalled.append("stalled"))
    traffic.enter(2)
    turns, come = Rotation(2, traffic), threading.Event()

    def second() -> None:
        with turns.turn(1):
            come.set()

    waiting = in_thread(second)
    with pytest.raises(ValueError, match="no"), turns.turn(0):
        raise ValueError("no")
    reach(come)
    joined(waiting)
    assert traffic.leave(2)  # both count as working again
    assert stalled == []
