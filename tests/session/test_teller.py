"""Nodes are asked how they are, and nobody waits for their answer."""

import threading

import pytest

from composer.session.teller import EVERY_SECONDS, Teller
from composer.threads import LEFT_BEHIND
from tests import stubs


class Asked:
    """Nodes that answer when the test lets them."""

    def __init__(self) -> None:
        self.times = 0
        self.answer = stubs.Held()

    def __call__(self) -> None:
        self.times += 1
        self.answer()


def test_they_are_asked_now_and_then_and_not_again_before_they_answered() -> None:
    asked, clock, before = Asked(), [0.0], len(LEFT_BEHIND)
    teller = Teller("s", asked, lambda: clock[0])
    teller.ask()
    assert asked.times == 0
    clock[0] += EVERY_SECONDS
    teller.ask()
    stubs.reach(asked.answer.reached)
    clock[0] += EVERY_SECONDS
    teller.ask()
    teller.leave_behind()
    assert (asked.times, len(LEFT_BEHIND) - before) == (1, 1)
    asked.answer.allowed.set()
    for thread in threading.enumerate():
        if thread.name == "account s":
            thread.join(stubs.WAIT)
    assert len(LEFT_BEHIND) == before
    teller.ask()
    stubs.reach(asked.answer.reached)
    assert asked.times == 2


def test_where_there_is_no_thread_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    asked, clock = Asked(), [0.0]
    teller = Teller("s", asked, lambda: clock[0])
    monkeypatch.setattr(threading.Thread, "start", refused)
    clock[0] += EVERY_SECONDS
    teller.ask()
    monkeypatch.undo()
    assert asked.times == 0
    asked.answer.allowed.set()
    clock[0] += EVERY_SECONDS
    teller.ask()
    stubs.reach(asked.answer.reached)
