"""What the input of one session may take of a machine, by a clock of the test."""

import pytest

from composer.session.budget import (
    CPU_RESERVE,
    CPU_SHARE,
    LONGEST_REST,
    PACE,
    RESERVE_SECONDS,
    InputBudget,
)


class Machine:
    """Time that passes, and CPU that is spent, as the test says."""

    def __init__(self, *, alone: bool = True) -> None:
        self.time = self.spent = 0.0
        self.alone = alone
        self.budget = InputBudget(lambda: self.time, lambda: self.alone, lambda: self.spent)

    def reads(self, cpu: float, ticks: int | None = None) -> float:
        """Seconds that it has to rest afterwards."""
        self.budget.begin()
        self.spent += cpu
        self.time += cpu
        self.budget.end(ticks)
        return self.budget.rest()

    def streams(self, seconds: float, cpu: float, fps: int = 30) -> float:
        """A stream in real time, at so much CPU for each picture; how long it rested."""
        rested, due = 0.0, 0.0
        for _ in range(round(seconds * fps)):
            if self.time < due:
                self.budget.idle()
                self.time = due
            rest = self.reads(cpu)
            rested += rest
            self.time += rest
            due += 1 / fps
        return rested


def test_a_stream_is_never_slowed_down() -> None:
    machine = Machine()
    assert machine.streams(60, cpu=0.9 * CPU_SHARE / 30) == 0.0
    assert not machine.budget.overdrawn


def test_a_backlog_is_taken_at_once() -> None:
    machine = Machine()
    assert machine.reads(CPU_RESERVE * 0.9) == 0.0
    assert machine.reads(CPU_RESERVE * 0.9) > 0.0


def test_one_that_costs_too_much_now_and_then_is_slowed_down_and_goes_on() -> None:
    machine = Machine()
    for _ in range(5):
        assert machine.streams(4, cpu=2 * CPU_SHARE / 30) > 0.0
        machine.time += 5
        machine.budget.idle()
        assert not machine.budget.overdrawn


@pytest.mark.fault("F-13")
def test_one_that_costs_far_too_much_is_over_within_seconds() -> None:
    machine = Machine()
    while not machine.budget.overdrawn:
        machine.time += machine.reads(0.05)
        assert machine.time < 15
    assert machine.spent < CPU_RESERVE + machine.time * CPU_SHARE + 0.1


def test_no_rest_is_long() -> None:
    machine = Machine()
    assert machine.reads(100.0) == LONGEST_REST
    machine.time += LONGEST_REST
    assert machine.budget.rest() == 0.0


@pytest.mark.fault("F-28")
def test_media_may_come_faster_than_it_lasts_only_while_nobody_else_is_there() -> None:
    step = 90_000 // 30
    for alone in (True, False):
        machine, rested = Machine(alone=alone), 0.0
        for number in range(30 * 60):
            rest = machine.reads(0.0001, number * step)
            rested += rest
            machine.time += rest
        assert (rested > 0.0) is not alone
        if not alone:
            assert machine.time >= (60 - RESERVE_SECONDS - 1) / PACE
        assert not machine.budget.overdrawn


def test_a_jump_of_the_clock_is_no_media() -> None:
    machine = Machine(alone=False)
    assert [machine.reads(0.0, ticks) for ticks in (0, 1 << 32, 5, None, 90_000 * 60)] == [0.0] * 5
