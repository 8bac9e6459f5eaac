"""How long a session takes for its end."""

import pytest

from composer.session.timing import REMOVE_SECONDS, Timing


def test_an_end_is_done_before_a_gateway_stops_to_wait() -> None:
    timing = Timing()
    assert timing.drain + timing.flush + timing.give_up < 10
    assert timing.end < timing.stuck


@pytest.mark.parametrize("seconds", [0.0, 2.0, 6.0])
def test_an_end_that_has_less_time_takes_no_more(seconds: float) -> None:
    shorter = Timing(linger=0.0).ending_within(seconds)
    assert shorter.end - REMOVE_SECONDS <= seconds
    assert shorter.stall == Timing().stall


def test_an_end_that_has_more_time_takes_no_longer() -> None:
    assert Timing().ending_within(100) == Timing()
