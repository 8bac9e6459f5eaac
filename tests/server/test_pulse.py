"""Whether a loop goes on, how late it is, and what is told of what holds it up."""

import asyncio
import json
import logging
import threading
from collections.abc import Iterator

import pytest

from composer import lines, logs
from composer.server import pulse
from composer.server.pulse import STANDS_SECONDS, WINDOW_SECONDS, Pulse
from tests import stubs
from tests.server.streams import ran


class Told:
    """The records of a pulse, and when there are some."""

    def __init__(self) -> None:
        self.records: list[logging.LogRecord] = []
        self._came = threading.Condition()

    def __call__(self, record: logging.LogRecord) -> bool:
        with self._came:
            self.records.append(record)
            self._came.notify_all()
        return True

    def until(self, count: int) -> list[str]:
        with self._came:
            assert self._came.wait_for(lambda: len(self.records) >= count, stubs.WAIT)
        return [record.getMessage() for record in self.records]


@pytest.fixture
def told() -> Iterator[Told]:
    told = Told()
    pulse.log.addFilter(told)
    yield told
    pulse.log.removeFilter(told)


def blocks(until: threading.Event) -> None:
    stubs.reach(until)


def test_what_holds_the_loop_up_is_told_while_it_does(told: Told) -> None:
    """With its stack the first time, from a thread that the loop does not hold up."""
    seen = threading.Event()

    def look() -> None:
        told.until(1)
        seen.set()

    async def test() -> None:
        here = Pulse()
        here.begin()
        await asyncio.sleep(0)
        looking = threading.Thread(target=look)
        looking.start()
        blocks(seen)
        looking.join()
        await asyncio.sleep(2 * pulse.BEAT_SECONDS)
        here.end()
        assert here.lag.total >= STANDS_SECONDS
        assert here.late > 0

    ran(test)
    first, last = told.records[0], told.records[-1]
    assert "the loop stands at " in first.getMessage()
    stack: str = first.__dict__["stack"]
    assert "in blocks" in stack
    assert "stubs.reach(until)" in stack
    assert "the loop stood for " in last.getMessage()


def test_a_place_is_told_with_its_stack_once(told: Told) -> None:
    here = Pulse()
    here._loop_thread = threading.get_ident()
    for due in (1.0, 1.0, 2.0):
        here.stands(due)
    assert [bool(record.__dict__.get("stack")) for record in told.records] == [True, False]


def test_a_loop_that_waits_for_its_turn_is_not_what_is_told(told: Told) -> None:
    """Something else keeps the interpreter then: the stacks of all threads are told."""
    entered, done = threading.Event(), threading.Event()
    idle = asyncio.new_event_loop()

    def run() -> None:
        idle.call_soon(entered.set)
        idle.run_forever()
        done.set()

    looping = threading.Thread(target=run, name="looping")
    looping.start()
    stubs.reach(entered)
    here = Pulse()
    here._loop_thread = looping.ident or 0
    while "for its turn" not in (said := _told_of(here, told)):
        assert "stands at" in said  # it has not come to its wait yet
    idle.call_soon_threadsafe(idle.stop)
    stubs.reach(done)
    idle.close()
    assert "MainThread:" in told.records[-1].__dict__["stack"]
    assert "looping:" in told.records[-1].__dict__["stack"]


def _told_of(here: Pulse, told: Told) -> str:
    here._told.clear()
    here.stands(float(len(told.records) + 1))
    return told.records[-1].getMessage()


def test_how_late_it_was_is_of_the_last_seconds() -> None:
    clock = [100.0]
    here = Pulse(now=lambda: clock[0])
    for delay in (0.001, 0.05, 1.0, 2.0):
        clock[0] += 1
        here.came(delay, clock[0])
    assert here.late == 3.0 / WINDOW_SECONDS
    clock[0] += WINDOW_SECONDS - 0.5
    assert here.late == 2.0 / WINDOW_SECONDS
    clock[0] += WINDOW_SECONDS
    assert here.late == 0
    assert sum(here.lag.counts) == 4
    assert here.lag.total == pytest.approx(3.051)


def test_it_ends_with_its_worker() -> None:
    async def test() -> None:
        here = Pulse()
        here.begin()
        here.end()
        await asyncio.to_thread(here._thread.join)

    ran(test)


def test_a_stack_is_a_part_of_its_record(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    try:
        logs.configure("json")
        here = Pulse()
        here._loop_thread = threading.get_ident()
        here.stands(1.0)
        assert lines.flush(stubs.WAIT)
        said = json.loads(capsys.readouterr().err)
        assert "test_a_stack_is_a_part_of_its_record" in said["stack"]
    finally:
        root.handlers, level = before[0], before[1]
        root.setLevel(level)
        logging.captureWarnings(capture=False)
    assert STANDS_SECONDS > pulse.LATE_SECONDS > pulse.BEAT_SECONDS
