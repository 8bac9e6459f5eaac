"""What a byte of a hostile stream costs, beside one of a real stream: a ratio, on any machine."""

import time

import pytest

from composer.media.mpegts.demuxer import Demuxer
from tests.faults.bombs import BOMBS
from tests.media.transport import stream

SIZE = 400_000
MOST_TIMES = 40
"""A byte of a bomb may cost so many times what one of a stream costs: that has long packets."""


def seconds_of(data: bytes) -> float:
    """CPU to take it apart, in pieces as a socket gives them; the least of three."""
    least = float("inf")
    for _ in range(3):
        demuxer, began = Demuxer(), time.thread_time()
        for at in range(0, len(data), 1 << 16):
            demuxer.feed(data[at : at + (1 << 16)])
        demuxer.flush()
        least = min(least, time.thread_time() - began)
    return least / len(data)


@pytest.mark.fault("F-83", "F-84")
@pytest.mark.parametrize("bomb", sorted(BOMBS))
def test_what_a_byte_costs_is_bounded(bomb: str) -> None:
    usual = seconds_of(stream(audio="aac", preset="ultrafast"))
    once, twice = seconds_of(BOMBS[bomb](SIZE)), seconds_of(BOMBS[bomb](2 * SIZE))
    assert once < MOST_TIMES * usual
    assert twice < 2 * max(once, usual), "it does not grow with the size"


@pytest.mark.parametrize("bomb", sorted(BOMBS))
def test_a_bomb_has_the_size_that_was_asked_for(bomb: str) -> None:
    assert 0.5 * SIZE < len(BOMBS[bomb](SIZE)) < 2.5 * SIZE
