from fractions import Fraction

import pytest

from composer.node.frames import ColorTags, Frame, Moment, Snapshot

NTSC = Fraction(1001, 30_000)


@pytest.mark.parametrize(
    ("pts", "time_base", "micros"),
    [
        pytest.param(90_000, Fraction(1, 90_000), 1_000_000, id="a second"),
        pytest.param(1, NTSC, 33_366, id="cut, not rounded"),
        pytest.param(-1, NTSC, -33_367, id="before zero"),
        pytest.param(2**40, Fraction(1, 90_000), 12_216_795_864_177, id="years"),
    ],
)
def test_time_in_microseconds(pts: int, time_base: Fraction, micros: int) -> None:
    assert Frame(None, pts, time_base).micros == micros


def test_seconds() -> None:
    assert Frame(None, 30, NTSC).seconds == Moment(30, NTSC).seconds == 1.001


def test_carry_keeps_the_moment() -> None:
    first = Frame("a", 5, NTSC, ColorTags(1, 1, 1), 2.5, Snapshot(3), Fraction(30), "of")
    for made in (first.carry("b"), first.derived("b", "other")):
        assert made == Frame("b", 5, NTSC, ColorTags(1, 1, 1), 2.5, Snapshot(3), Fraction(30))
    assert (first.carry("b").origin, first.derived("b", "other").origin) == ("of", "other")


def test_a_held_frame_is_the_same_frame() -> None:
    first = Frame("a", 5, NTSC, ColorTags(1, 1, 1), rate=Fraction(30), origin="of")
    held = first.held(2.5, Snapshot(3))
    assert held == Frame("a", 5, NTSC, ColorTags(1, 1, 1), 2.5, Snapshot(3), Fraction(30))
    assert held.origin == "of"
