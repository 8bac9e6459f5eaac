"""Times always go on, whatever is written."""

from collections.abc import Sequence
from fractions import Fraction

import av
import pytest

from composer.media.timeline import BestEffort, Pace, Samples, Timeline


def test_max_fps_holds_in_the_long_run() -> None:
    pace = Pace(25)
    assert abs(sum(pace.takes(index / 30) for index in range(30_000)) - 25_000) <= 1
    pace = Pace(29.97)
    assert abs(sum(pace.takes(index / 30) for index in range(30_000)) - 29_970) <= 1


def test_a_guess_is_pts_until_they_go_back_more_often() -> None:
    guessed = BestEffort()
    given = [(0, 0), (80, 40), (40, 80), (60, 120), (160, 160), (None, 200), (260, None)]

    assert [guessed.time(*each) for each in given] == [0, 80, 80, 120, 160, 200, 260]


def test_rounded_times_of_sound_follow_the_samples() -> None:
    """TrueHD in Matroska: 40 samples a block, times in 1/1000 s."""
    samples, block = Samples(), av.AudioFrame("s16", "mono", 40)
    block.time_base = Fraction(1, 1000)
    times = []
    for pts in (0, 0, 1, 2, 3, 100, None, 102):
        block.pts = pts
        times.append(samples.time(block, 1 / 48_000, 40))

    assert times == [0, 40, 80, 120, 160, 4800, None, 4896]


def test_packets_of_sound_may_be_shorter_than_a_tick() -> None:
    track = Timeline(Fraction(0), wraps=False).track(Fraction(1, 1000), 1)
    track.may_repeat = True

    assert [track.place(pts, None, 1) for pts in (0, 0, 1, 2, 1)] == [0, 0, 1, 2, None]


def test_tracks_share_a_jump_to_the_tick() -> None:
    timeline = Timeline(Fraction(5), wraps=True)
    image = timeline.track(Fraction(1, 90_000), 3600)
    sound = timeline.track(Fraction(1, 48_000), 1)

    assert image.place(5 * 90_000, None, 3600) == 0
    assert sound.place(5 * 48_000, None, 1024) == 0
    assert image.place(100 * 90_000, None, 3600) == 3600
    late = sound.place(100 * 48_000 + 480, None, 1024)
    assert late == 48_000 * 3600 // 90_000 + 480


def test_a_track_that_begins_after_a_jump_is_placed_beside_the_other() -> None:
    timeline = Timeline(Fraction(0), wraps=True)
    image, sound = (timeline.track(Fraction(1, 1000), 40) for _ in range(2))
    image.place(0, None, 40)
    image.place(900_000, None, 40)

    assert sound.place(900_100, None, 20) == 140


@pytest.mark.parametrize(
    ("wraps", "written", "placed"),
    [
        pytest.param(False, [0, 40, 20_000], [0, 40, 20_000], id="a long pause is believed"),
        pytest.param(True, [0, 40, 20_000], [0, 40, 80], id="but not where clocks jump"),
        pytest.param(False, [0, 40, 40, 80], [0, 40, None, 80], id="a repeated time"),
        pytest.param(False, [0, 80, 40, 120], [0, 80, None, 120], id="a step back"),
        pytest.param(False, [50_000, 50_040, 7], [50_000, 50_040, 50_080], id="a jump back"),
        pytest.param(False, [0, None, 80, None], [0, 40, 80, 120], id="no time"),
        pytest.param(False, [None, None, 0, 40], [0, 40, 80, 120], id="no time at first"),
    ],
)
def test_times_always_go_on(
    wraps: bool,  # noqa: FBT001
    written: list[int | None],
    placed: list[int | None],
) -> None:
    track = Timeline(Fraction(0), wraps=wraps).track(Fraction(1, 1000), 40)
    assert [track.place(pts, None, 40) for pts in written] == placed


@pytest.mark.parametrize(
    ("written", "placed"),
    [
        pytest.param((0, None, 80, None, 160), [0, 90, 91, 131, 160], id="a wrong step is learnt"),
        pytest.param((0, None, None, 30, None), [0, 90, 180, 181, 191], id="and a shorter one"),
        pytest.param((None, None, 50, 60), [0, 90, 180, 190], id="none before the first"),
        pytest.param((0, None, 180), [0, 90, 180], id="a right one stays"),
    ],
)
def test_items_without_a_time_are_counted_on(
    written: Sequence[int | None], placed: list[int]
) -> None:
    """The container says 90 ticks from one to the next."""
    track = Timeline(Fraction(0), wraps=True).track(Fraction(1, 1000), 90)
    assert [track.place(each, None, None) for each in written] == placed


def test_dts_stands_in_where_it_goes_on() -> None:
    track = Timeline(Fraction(0), wraps=True).track(Fraction(1, 1000), 40)
    times = [track.place(pts, dts, 40) for pts, dts in ((0, 0), (None, 40), (None, 30), (120, 80))]
    assert times == [0, 40, 80, 120]
