from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest
from pydantic import ValidationError

from composer import Context
from composer.node.formats import LAYOUTS, YUV_LAYOUTS
from composer.pictures import barcode, pixels
from composer.testing import bench, run_node
from nodes.test_source import SourceItem, TestSource, clock, strip_height

PATTERNS = ["bars", "ramp", "noise", "counter", "testsrc", "solid"]


def pictures(node: TestSource, layout: str = "yuv420p", most: int = 1000) -> list[av.VideoFrame]:
    with bench(node, layout=layout) as step:
        made = (tracks.image for tracks in step.node.process())
        return list(islice((image for image in made if image is not None), most))


def sounds(node: TestSource) -> list[av.AudioFrame]:
    return [tracks.audio for tracks in run_node(node) if tracks.audio is not None]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("size", [(64, 48), (33, 21), (16, 16), (160, 16), (16, 90)])
def test_every_pattern_in_every_layout_and_size(
    pattern: str, layout: str, size: tuple[int, int]
) -> None:
    width, height = size
    node = TestSource(width=width, height=height, pattern=pattern, duration=0.1)
    images = pictures(node, layout)
    assert len(images) == 3
    for image in images:
        assert (image.width, image.height, image.format.name) == (width, height, layout)
        assert pixels.tags(image).matrix == (6 if layout in YUV_LAYOUTS else 2)
        assert image.color_range == (1 if layout in YUV_LAYOUTS else 2)


@pytest.mark.parametrize("pattern", ["bars", "ramp", "counter", "solid"])
def test_a_pattern_shows_the_same_in_every_layout(pattern: str) -> None:
    node = TestSource(width=128, height=96, pattern=pattern, color="#3060c0")
    wanted = pixels.to_rgb(pictures(node, "rgb24", 2)[1]).astype(int)
    for layout in YUV_LAYOUTS:
        given = pixels.to_rgb(pictures(node, layout, 2)[1]).astype(int)
        close = np.abs(given - wanted).max(axis=2) <= 4
        assert close.mean() > 0.85  # what is left are edges, where chroma is shared or mixed


@pytest.mark.parametrize(
    ("rate", "steps"),
    [
        (30, [0, 3000, 6000, 9000]),
        (25, [0, 3600, 7200, 10_800]),
        (29.97, [0, 3003, 6006, 9009]),
        ("30000/1001", [0, 3003, 6006, 9009]),
        ("24000/1001", [0, 3754, 7508, 11_261]),
    ],
)
def test_times_are_exact(rate: float | str, steps: list[int]) -> None:
    images = pictures(TestSource(width=16, height=16, fps=rate), most=4)
    assert [image.pts for image in images] == steps
    assert {image.time_base for image in images} == {Fraction(1, 90_000)}


@pytest.mark.parametrize(
    ("duration", "rate", "count"), [(1, 30, 30), (0.1, 30, 3), (5, 29.97, 150), (0.01, 25, 1)]
)
def test_the_duration_says_how_many(duration: float, rate: float, count: int) -> None:
    node = TestSource(width=16, height=16, duration=duration, fps=rate)
    assert len(pictures(node)) == count


def test_a_duration_of_0_never_ends() -> None:
    assert len(pictures(TestSource(width=16, height=16, duration=0), most=400)) == 400


@pytest.mark.parametrize("pattern", ["bars", "counter"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_bar_code_counts_pictures(pattern: str, layout: str) -> None:
    node = TestSource(width=320, height=96, pattern=pattern, duration=1)
    shown = [
        barcode.read(pixels.to_mask(image)[: strip_height(96)]) for image in pictures(node, layout)
    ]
    assert shown == list(range(30))


def test_testsrc_has_the_colours_of_its_layout() -> None:
    node = TestSource(width=320, height=240, pattern="testsrc")
    wanted = pixels.to_rgb(pictures(node, "rgb24", 1)[0]).astype(int)
    for layout in LAYOUTS[:-1]:
        given = pixels.to_rgb(pictures(node, layout, 1)[0]).astype(int)
        assert np.abs(given - wanted).mean() < 6
    grey = pixels.to_mask(pictures(node, "gray", 1)[0])
    assert np.abs(grey - wanted @ (0.299, 0.587, 0.114)).mean() < 3


def test_bars_are_at_75_percent() -> None:
    image = pictures(TestSource(width=280, height=160), "yuv444p", 1)[0]
    row = [tuple(int(plane[60, 20 + 40 * bar]) for plane in pixels.planes(image)) for bar in (0, 5)]
    assert row == [(180, 128, 128), (65, 100, 212)]  # SMPTE EG 1: white and red at 75 %


def test_the_marker_of_bars_crosses_the_picture_in_4_seconds() -> None:
    images = pictures(TestSource(width=400, height=160, fps=10, duration=5), "gray")
    places = [int(np.argmax(pixels.planes(image)[0][-4] > 128)) for image in images]
    assert places[:4] == [0, 10, 20, 30]
    assert places[40:44] == [0, 10, 20, 30]


def test_ramp_goes_from_black_to_white_and_stands_still() -> None:
    images = pictures(TestSource(width=220, height=16, pattern="ramp"), most=2)
    luma = pixels.planes(images[0])[0]
    assert luma[3].tolist() == list(range(16, 236))
    assert (pixels.planes(images[1])[0] == luma).all()


def test_noise_is_the_same_for_the_same_seed() -> None:
    def levels(seed: int) -> list[bytes]:
        node = TestSource(width=64, height=48, pattern="noise", seed=seed)
        return [pixels.planes(image)[0].tobytes() for image in pictures(node, most=3)]

    assert levels(1) == levels(1)
    assert levels(1) != levels(2)
    assert len(set(levels(1))) == 3
    assert min(levels(1)[0]) >= 0


def test_the_counter_moves() -> None:
    images = pictures(TestSource(width=320, height=160, pattern="counter"), most=3)
    below = [pixels.planes(image)[0][20:].tobytes() for image in images]
    assert len(set(below)) == 3


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (Fraction(0), "00:00:00.000"),
        (Fraction(1, 30), "00:00:00.033"),
        (Fraction(3723), "01:02:03.000"),
        (Fraction(360_001), "00:00:01.000"),
    ],
)
def test_the_clock_of_the_counter(seconds: Fraction, shown: str) -> None:
    assert clock(seconds) == shown


def test_the_colour_of_solid_changes_between_two_pictures() -> None:
    node = TestSource(width=32, height=32, pattern="solid", color="red")
    with bench(node, layout="yuv420p") as step:
        made = step.node.process()
        first = pixels.to_rgb(next(made).image)
        node.color = "blue"
        second = pixels.to_rgb(next(made).image)
    assert first[9, 9].tolist() == pytest.approx([255, 0, 0], abs=3)
    assert second[9, 9].tolist() == pytest.approx([0, 0, 255], abs=3)


def test_each_picture_is_its_own() -> None:
    assert TestSource.outputs[0].own
    for pattern in PATTERNS:
        one, other = pictures(TestSource(width=32, height=32, pattern=pattern), most=2)
        for plane, another in zip(pixels.planes(one), pixels.planes(other), strict=True):
            assert not np.shares_memory(plane, another)


# sound


def test_the_tone_has_its_pitch_and_loudness() -> None:
    blocks = sounds(TestSource(width=16, height=16, tone=1000, duration=1))
    wave = np.concatenate([block.to_ndarray()[0] for block in blocks])
    assert wave.shape == (48_000,)
    assert int(np.argmax(np.abs(np.fft.rfft(wave)))) == 1000
    assert np.abs(wave).max() == pytest.approx(0.125, abs=1e-4)
    starts = [block.pts for block in blocks]
    assert starts == list(range(0, 48_000, 1024))
    assert {block.time_base for block in blocks} == {Fraction(1, 48_000)}


def test_sound_comes_with_the_pictures_it_belongs_to() -> None:
    heard = 0.0
    for tracks in run_node(TestSource(width=16, height=16, tone=440, duration=2)):
        if tracks.audio is not None:
            heard = (tracks.audio.pts + tracks.audio.samples) / 48_000
        else:
            assert 0 < heard - tracks.image.pts / 90_000 <= 1024 / 48_000 + 1e-9


def test_no_tone_is_no_sound() -> None:
    assert sounds(TestSource(width=16, height=16)) == []


def test_sound_is_made_only_where_it_goes() -> None:
    node = TestSource(width=16, height=16, tone=440, duration=1)
    ports = {port.name: port.formats[0] for port in TestSource.outputs}
    for name in ("image", "audio"):
        node.setup(Context("source", Path(), inputs={}, outputs={name: ports[name]}))
        other = "audio" if name == "image" else "image"
        made = list(node.process())
        node = TestSource(width=16, height=16, tone=440, duration=1)
        assert made
        assert all(getattr(tracks, other) is None for tracks in made)


def test_the_pitch_changes_without_a_click() -> None:
    node = TestSource(width=16, height=16, tone=440, duration=1)
    blocks = []
    with bench(node) as step:
        for tracks in step.node.process():
            if tracks.audio is not None:
                blocks.append(tracks.audio.to_ndarray()[0])
                node.tone = 880 if len(blocks) % 2 else 440
    jumps = np.abs(np.diff(np.concatenate(blocks)))
    assert jumps.max() <= 0.125 * 2 * np.pi * 880 / 48_000 * 1.01


# settings


def test_the_plan_knows_size_and_length() -> None:
    node = TestSource(width=320, height=180, duration=2.5)
    assert node.picture_size(0, 0) == (320, 180)
    assert node.media_seconds("", Path()) == 2.5
    assert TestSource(duration=0).media_seconds("", Path()) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"width": 15},
        {"height": 8193},
        {"fps": 0},
        {"fps": "a/b"},
        {"color": "nonsense"},
        {"tone": -1},
    ],
)
def test_settings_out_of_range_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        TestSource.model_validate(fields)


class Clock:
    """Time that passes only while somebody waits, or when it is told to."""

    def __init__(self) -> None:
        self.seconds, self.waits, self.stopped = 100.0, 0, False

    def now(self) -> float:
        return self.seconds

    def wait(self, seconds: float) -> bool:
        self.waits += 1
        self.seconds += seconds
        return self.stopped


def session(node: TestSource, clock: Clock) -> Iterator[SourceItem]:
    with bench(node) as step:
        outputs = {port.name: port.formats[0] for port in node.outputs}
        ctx = Context("in", Path(), {}, outputs, live=True, now=clock.now, wait=clock.wait)
        step.node.setup(ctx)
        yield from step.node.process()


def test_a_session_gets_pictures_at_the_pace_of_the_clock() -> None:
    clock = Clock()
    for number, _ in enumerate(session(TestSource(width=16, height=16, duration=2), clock)):
        assert clock.seconds == pytest.approx(100 + number / 30)
    assert clock.waits == 59


def test_after_a_stall_there_is_no_burst() -> None:
    clock, seen, heard = Clock(), [], 0
    for tracks in session(TestSource(width=16, height=16, duration=4, tone=440), clock):
        if tracks.audio is not None:
            heard += 1
            continue
        assert tracks.image is not None
        seen.append(round((tracks.image.pts or 0) / 3000))
        if seen[-1] == 30:
            clock.seconds += 2.01
    assert seen == [*range(31), *range(90, 120)]
    assert heard < 150


def test_a_session_that_stops_waits_for_no_picture() -> None:
    clock = Clock()
    made = session(TestSource(width=16, height=16, duration=0), clock)
    next(made)
    clock.stopped = True
    assert list(made) == []
