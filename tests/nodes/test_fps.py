from fractions import Fraction

import av
import numpy as np
import pytest
from pydantic import ValidationError

from composer import Frame
from composer.pictures import pixels
from composer.testing import bench, gradient, picture
from nodes.fps import Fps

MILLISECOND = 0.001


def same(one: av.VideoFrame, other: av.VideoFrame) -> bool:
    """Whether two pictures are of the same pixels."""
    return np.shares_memory(pixels.planes(one)[0], pixels.planes(other)[0])


def run(rate: float | str, times: list[float]) -> list[tuple[int, int]]:
    """(place in the output, number of the picture shown there) for pictures at these seconds."""
    images = [picture(gradient(16, 16), seconds=second) for second in times]
    node = Fps(fps=rate)
    with bench(node) as step:
        given: list[Frame[av.VideoFrame]] = []
        for image, second in zip(images, times, strict=True):
            given += step(image=image, at=second)
        given += step.flush()
    assert all(frame.time_base == Fraction(1, 90_000) for frame in given)
    numbers = [next(n for n, image in enumerate(images) if same(image, f.value)) for f in given]
    period = 90_000 / node._rate
    places = [round(frame.pts / period) for frame in given]
    assert [frame.pts for frame in given] == [round(place * period) for place in places]
    return list(zip(places, numbers, strict=True))


def every(step: float, count: int) -> list[float]:
    return [number * step for number in range(count)]


def test_the_same_rate_changes_nothing() -> None:
    assert run(30, every(1 / 30, 5)) == [(n, n) for n in range(5)]


def test_a_higher_rate_repeats_pictures_to_the_end() -> None:
    assert run(50, every(1 / 25, 3)) == [(0, 0), (1, 0), (2, 1), (3, 1), (4, 2), (5, 2)]


def test_a_lower_rate_shows_the_nearest_pictures() -> None:
    assert run(30, every(1 / 60, 7)) == [(0, 0), (1, 2), (2, 4), (3, 6)]


@pytest.mark.parametrize("rate", [7, 24, "24000/1001", 29.97, 48, 240])
@pytest.mark.parametrize("source", [15, 25, 50])
def test_each_place_shows_the_nearest_picture_or_the_one_before(
    rate: float | str, source: int
) -> None:
    times = every(1 / source, 40)
    shown = run(rate, times)
    assert [place for place, _ in shown] == list(range(len(shown)))
    exact = Fps(fps=rate)
    with bench(exact):
        period = float(1 / exact._rate)
    for place, number in shown:
        due = place * period
        inside = [n for n, second in enumerate(times) if abs(second - due) < period / 2 - 1e-6]
        if inside:
            off = min(abs(times[n] - due) for n in inside)
            assert abs(times[number] - due) <= off + period / 16
        else:
            assert times[number] <= due + period / 2 + 1e-6
    assert abs(len(shown) * period - 40 / source) <= period


def test_a_picture_on_time_comes_out_at_once_and_an_early_one_waits() -> None:
    with bench(Fps(fps=30)) as step:
        assert len(step(image=picture(gradient(16, 16)), at=0)) == 1
        assert len(step(image=picture(gradient(16, 16)), at=0.033)) == 1  # a clock of 1 ms
        assert len(step(image=picture(gradient(16, 16)), at=0.055)) == 0
        assert len(step(image=picture(gradient(16, 16)), at=0.100)) == 2
        assert step.flush() == []


def test_a_gap_is_filled_with_the_picture_before() -> None:
    assert run(10, [0, 0.1, 0.5]) == [(0, 0), (1, 1), (2, 1), (3, 1), (4, 1)] + [
        (place, 2) for place in range(5, 9)
    ]


def test_a_jump_of_the_clock_is_not_filled() -> None:
    assert run(30, [0, 3600, 3600 + 1 / 30]) == [(0, 0), (108_000, 1), (108_001, 2)]


def test_pictures_that_go_back_are_left_out() -> None:
    assert run(10, [0.5, 0.1, 0.2, 0.6]) == [(5, 0), (6, 3), (7, 3), (8, 3), (9, 3)]


def test_times_of_ntsc_are_exact() -> None:
    with bench(Fps(fps="30000/1001")) as step:
        given = [f for n in range(4) for f in step(image=picture(gradient(16, 16)), at=n / 29.97)]
        given += step.flush()
    assert [frame.pts for frame in given] == [0, 3003, 6006, 9009]


def test_nothing_in_gives_nothing_and_one_in_gives_one() -> None:
    assert run(30, []) == []
    assert run(30, [0.02]) == [(1, 0)]


@pytest.mark.parametrize("rate", [0, 241, "x", "30/0"])
def test_a_rate_that_cannot_be_is_refused(rate: float | str) -> None:
    with pytest.raises(ValidationError, match=r"frame rate|frames per second"):
        Fps(fps=rate)


def test_a_picture_is_shown_for_one_step() -> None:
    image = picture(gradient(16, 16))
    image.duration = 3600
    with bench(Fps(fps="60000/1001")) as step:
        given = [frame for n in range(3) for frame in step(image=image, at=n / 25)] + step.flush()
    assert {frame.value.duration for frame in given} == {1501, 1502}
    assert {frame.rate for frame in given} == {Fraction(60_000, 1001)}
    assert [frame.value.pts for frame in given] == [frame.pts for frame in given]
    assert image.duration == 3600
