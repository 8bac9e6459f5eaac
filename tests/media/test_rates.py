from fractions import Fraction

import pytest

from composer.media import rates


@pytest.mark.parametrize(
    ("written", "rate"),
    [
        (30, Fraction(30)),
        (1, Fraction(1)),
        (240, Fraction(240)),
        (25.0, Fraction(25)),
        (12.5, Fraction(25, 2)),
        (29.97, Fraction(30_000, 1001)),
        (23.976, Fraction(24_000, 1001)),
        (59.94, Fraction(60_000, 1001)),
        ("29.97", Fraction(30_000, 1001)),
        ("30000/1001", Fraction(30_000, 1001)),
        (" 60 / 2 ", Fraction(30)),
    ],
)
def test_a_frame_rate_is_exact(written: float | str, rate: Fraction) -> None:
    assert rates.frame_rate(written) == rate


@pytest.mark.parametrize(
    "written", ["", "fast", "30/0", "1/2/3", "-30", "nan", "1e3", float("inf"), "9" * 5000]
)
def test_what_is_no_rate_says_how_to_write_one(written: float | str) -> None:
    with pytest.raises(ValueError, match=r"^is not a frame rate; write 30, 29\.97 or 30000/1001$"):
        rates.frame_rate(written)


@pytest.mark.parametrize("written", [0, 0.5, 241, "1000/3", "1/2"])
def test_a_rate_out_of_range_is_refused(written: float | str) -> None:
    with pytest.raises(ValueError, match=r"^should be between 1 and 240 frames per second$"):
        rates.frame_rate(written)


def test_times_do_not_drift() -> None:
    ntsc, film = rates.frame_rate(29.97), rates.frame_rate(23.976)
    assert [rates.ticks(number, ntsc) for number in range(4)] == [0, 3003, 6006, 9009]
    assert [rates.ticks(number, film) for number in (0, 1, 2, 4, 4000)] == [
        0, 3754, 7508, 15_015, 15_015_000,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("step", "time_base", "rate"),
    [
        pytest.param(3003, Fraction(1, 90_000), Fraction(30_000, 1001), id="NTSC on the wire"),
        pytest.param(3754, Fraction(1, 90_000), Fraction(24_000, 1001), id="film on the wire"),
        pytest.param(3600, Fraction(1, 90_000), Fraction(25), id="PAL on the wire"),
        pytest.param(33, Fraction(1, 1000), Fraction(30), id="30 in milliseconds"),
        pytest.param(40, Fraction(1, 1000), Fraction(25), id="25 in milliseconds"),
        pytest.param(17, Fraction(1, 1000), Fraction(60_000, 1001), id="60 in milliseconds"),
        pytest.param(7000, Fraction(1, 90_000), Fraction(90, 7), id="no usual one"),
        pytest.param(1, Fraction(1, 7), Fraction(7), id="a coarse clock"),
    ],
)
def test_the_distance_of_two_pictures_says_the_rate(
    step: int, time_base: Fraction, rate: Fraction
) -> None:
    assert rates.of_step(step, time_base) == rate
