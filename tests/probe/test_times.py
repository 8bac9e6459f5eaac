"""What the times of a track say."""

from collections.abc import Iterable
from fractions import Fraction

import pytest

from composer.probe.times import Jump, Times, Verdict

MS = Fraction(1, 1000)


def judged(pts: Iterable[int | None], *, time_base: Fraction = MS) -> Verdict:
    times = Times(time_base, reorders=False)
    for each in pts:
        times.add(each, each)
    return times.verdict()


def test_steady_times() -> None:
    said = judged(range(1000, 2000, 40))
    assert (said.start, said.end, said.rate, said.steady, said.holes) == (1.0, 1.96, 25, True, 0)
    assert (said.missing, said.repeated, said.back, said.jumps) == (0, 0, 0, ())


def test_times_that_a_coarse_clock_has_rounded_are_steady() -> None:
    said = judged([round(each * 1001 / 24) for each in range(48)])
    assert said.steady
    assert said.rate == pytest.approx(24000 / 1001, rel=1e-3)


@pytest.mark.parametrize("pts", [[0, 10, 50, 70, 120, 125], [0, 40, 80, 220, 420, 460]])
def test_times_that_are_not_steady(pts: list[int]) -> None:
    said = judged(pts)
    assert (said.steady, said.holes) == (False, 0)


def test_steady_times_with_a_hole() -> None:
    said = judged([each for each in range(0, 4000, 40) if not 2000 < each < 2200])
    assert (said.steady, said.holes, said.longest, said.longest_at) == (True, 1, 0.2, 2.0)


def test_pictures_in_the_order_of_decoding_are_judged_as_they_are_shown() -> None:
    times = Times(MS, reorders=True)
    for dts, pts in enumerate([0, 4, 2, 1, 3, 8, 6, 5, 7]):
        times.add(pts * 40, dts * 40 - 80)
    said = times.verdict()
    assert (said.steady, said.rate, said.back, said.repeated) == (True, 25, 0, 0)


@pytest.mark.parametrize(("cut", "holes"), [(True, 0), (False, 1)])
def test_what_is_not_read_any_more_is_no_hole(cut: bool, holes: int) -> None:  # noqa: FBT001
    times = Times(MS, reorders=True)
    for dts, pts in enumerate([0, 4, 2, 1, 3, 8, 6, 5, 7, 12, 10, 9]):
        times.add(pts * 40, dts * 40)
    said = times.verdict(cut=cut)
    assert (said.holes, said.steady) == (holes, True)


def test_times_that_repeat_and_go_back() -> None:
    said = judged([0, 40, 40, 80, 60, 120])
    assert (said.repeated, said.back) == (1, 1)


def test_times_that_are_missing_count_for_the_rate() -> None:
    said = judged([0, None, 80, None, 160, None])
    assert (said.missing, said.steady, said.rate) == (3, None, 25)


def test_times_of_decoding_alone() -> None:
    times = Times(MS, reorders=True)
    for dts in range(0, 1000, 40):
        times.add(None, dts)
    said = times.verdict()
    assert (said.start, said.end, said.rate, said.missing) == (0, 0.96, 25, 25)
    assert said.steady is None


@pytest.mark.parametrize("by", [-5.0, 3600.0])
def test_a_clock_that_jumps_is_no_hole(by: float) -> None:
    after = 10_000 + 40 * 24 + round(by * 1000)
    said = judged([*range(10_000, 11_000, 40), *range(after, after + 1000, 40)])
    assert said.jumps == (Jump(10.96, by),)
    assert (said.steady, said.rate, said.back) == (True, 25, 0)


def test_one_picture_has_no_rate() -> None:
    said = judged([5])
    assert (said.start, said.end, said.rate, said.steady) == (0.005, 0.005, 0, None)


def test_nothing_has_no_times() -> None:
    assert judged([]).start is None
