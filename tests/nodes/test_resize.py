from fractions import Fraction

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from composer.node.formats import LAYOUTS, YUV_LAYOUTS
from composer.node.frames import ColorTags, Moment
from composer.pictures import pixels
from composer.testing import bars, bench, gradient, picture
from nodes.resize import Resize

GREEN_709 = (173, 42, 26)


def resized(node: Resize, image: av.VideoFrame, layout: str = "") -> av.VideoFrame:
    with bench(node, layout=layout or image.format.name) as step:
        given = step(image=image)
    assert isinstance(given, av.VideoFrame)
    return given


def rgb(image: av.VideoFrame) -> NDArray[np.int64]:
    return pixels.to_rgb(image).astype(np.int64)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("fit", ["pad", "crop", "stretch"])
@pytest.mark.parametrize("size", [(64, 64), (33, 47), (16, 2), (640, 8), (1, 1), (100, 75)])
def test_any_picture_becomes_any_size(layout: str, fit: str, size: tuple[int, int]) -> None:
    width, height = size
    for image in (picture(bars(64, 48)), picture(bars(33, 21)), picture(bars(2, 2))):
        given = resized(Resize(width=width, height=height, fit=fit), image, layout)
        assert (given.width, given.height, given.format.name) == (width, height, layout)
        assert given.pts == image.pts
        assert given.time_base == image.time_base


@pytest.mark.parametrize(
    ("width", "height", "size"),
    [
        pytest.param(0, 0, (1280, 720), id="the size stays"),
        pytest.param(640, 0, (640, 360), id="height follows"),
        pytest.param(0, 480, (854, 480), id="width follows in even numbers"),
        pytest.param(300, 0, (300, 168), id="rounded to even"),
        pytest.param(1, 0, (1, 2), id="never nothing"),
        pytest.param(301, 77, (301, 77), id="both as asked"),
    ],
)
def test_a_size_of_0_follows_the_shape(width: int, height: int, size: tuple[int, int]) -> None:
    node = Resize(width=width, height=height)
    assert node.picture_size(1280, 720) == size
    given = resized(node, picture(gradient(1280, 720)))
    assert (given.width, given.height) == size


def test_the_plan_knows_the_size_when_the_input_is_unknown() -> None:
    assert Resize(width=640, height=360).picture_size(0, 0) == (640, 360)
    assert Resize(width=640).picture_size(0, 0) == (0, 0)
    assert Resize().picture_size(0, 0) == (0, 0)


def test_nothing_to_do_gives_the_input_itself() -> None:
    image = picture(bars(64, 48))
    assert resized(Resize(), image) is image
    assert resized(Resize(width=64, height=48, fit="crop"), image) is image
    assert not Resize.outputs[0].own


@pytest.mark.parametrize("quality", ["fast", "bilinear", "bicubic", "lanczos", "area"])
@pytest.mark.parametrize("layout", YUV_LAYOUTS)
def test_every_quality_keeps_the_colours(quality: str, layout: str) -> None:
    image = picture(bars(320, 96), layout)
    given = resized(Resize(width=160, height=48, quality=quality), image)
    wanted = bars(160, 48)
    middles = np.arange(10, 160, 20)
    assert np.abs(rgb(given)[24, middles] - wanted[24, middles]).max() <= 3


def test_qualities_differ() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (96, 128, 3), np.uint8)
    image = picture(noise)
    given = [
        pixels.planes(resized(Resize(width=50, height=40, quality=quality), image))[0].tobytes()
        for quality in ("fast", "bilinear", "bicubic", "lanczos", "area")
    ]
    assert len(set(given)) >= 4


@pytest.mark.parametrize("layout", ["yuv420p", "yuv422p", "yuv444p", "rgb24", "rgba"])
def test_pad_shows_everything_between_bars(layout: str) -> None:
    given = resized(Resize(width=64, height=64, color="#ff0000"), picture(bars(64, 32)), layout)
    shown = rgb(given)
    assert np.abs(shown[:14] - (255, 0, 0)).max() <= 3
    assert np.abs(shown[50:] - (255, 0, 0)).max() <= 3
    middles = np.arange(4, 64, 8)
    assert np.abs(shown[32, middles] - bars(64, 32)[16, middles]).max() <= 3


def test_pad_at_the_sides() -> None:
    shown = rgb(resized(Resize(width=96, height=32), picture(gradient(32, 32) // 2 + 64)))
    assert shown[:, :31].max() <= 2
    assert shown[:, 65:].max() <= 2
    assert shown[:, 34:62].min() >= 60


def test_bars_are_limited_range_black_and_follow_the_matrix() -> None:
    image = pixels.from_rgb(bars(64, 32), "yuv420p", ColorTags(1, 1, 1))
    node = Resize(width=64, height=64)
    assert [plane[0, 0] for plane in pixels.planes(resized(node, image))] == [16, 128, 128]
    node = Resize(width=64, height=64, color="lime")
    given = resized(node, image)
    assert tuple(int(plane[0, 0]) for plane in pixels.planes(given)) == GREEN_709
    assert given.colorspace == 1


def test_bars_of_rgba_can_be_transparent() -> None:
    given = resized(Resize(width=64, height=64, color="#00000000"), picture(bars(64, 32), "rgba"))
    (plane,) = pixels.planes(given)
    assert plane[0, 0, 3] == 0
    assert plane[32, 32, 3] == 255


def test_the_colour_of_the_bars_changes_between_two_pictures() -> None:
    node = Resize(width=64, height=64)
    with bench(node, layout="yuv420p") as step:
        assert rgb(step(image=picture(bars(64, 32))))[0, 0].max() <= 2
        node.color = "white"
        assert rgb(step(image=picture(bars(64, 32))))[0, 0].min() >= 253


@pytest.mark.parametrize("layout", ["yuv420p", "yuv422p", "yuv444p", "rgb24", "gray"])
def test_crop_keeps_the_middle(layout: str) -> None:
    image = picture(gradient(128, 32), layout)
    given = resized(Resize(width=32, height=32, fit="crop"), image)
    middle = gradient(128, 32)[:, 48:80]
    assert np.abs(rgb(given) - middle).max() <= 3


def test_crop_of_a_high_picture_cuts_above_and_below() -> None:
    high = np.ascontiguousarray(gradient(128, 32).transpose(1, 0, 2))
    given = resized(Resize(width=32, height=32, fit="crop"), picture(high))
    assert np.abs(rgb(given) - high[48:80]).max() <= 3


@pytest.mark.parametrize("layout", LAYOUTS)
def test_crop_alone_copies_samples_even_of_odd_pictures(layout: str) -> None:
    high = np.ascontiguousarray(gradient(64, 33).transpose(1, 0, 2))
    image = picture(high, layout)
    given = resized(Resize(width=33, height=33, fit="crop"), image)
    one, whole = pixels.planes(given)[0], pixels.planes(image)[0]
    assert (one == whole[14:47]).all()


@pytest.mark.parametrize("upright", [True, False])
def test_pad_stays_on_the_chroma_grid(*, upright: bool) -> None:
    red = np.full((32, 64, 3) if upright else (64, 32, 3), (255, 0, 0), np.uint8)
    image = picture(red)
    size = {"width": 64, "height": 66} if upright else {"width": 66, "height": 64}
    given = resized(Resize.model_validate(size), image)
    lines = [plane[:, 0] if upright else plane[0] for plane in pixels.planes(given)]
    y, cb, cr = (int(plane[0, 0]) for plane in pixels.planes(image))
    assert lines[0].tolist() == [16] * 16 + [y] * 32 + [16] * 18
    assert lines[1].tolist() == [128] * 8 + [cb] * 16 + [128] * 9
    assert lines[2].tolist() == [128] * 8 + [cr] * 16 + [128] * 9


def test_crop_scales_what_it_keeps() -> None:
    given = resized(Resize(width=16, height=16, fit="crop"), picture(gradient(128, 32)))
    assert rgb(given)[8, 0, 0] == pytest.approx(48 * 2 + 1, abs=4)
    assert rgb(given)[8, 15, 0] == pytest.approx(79 * 2, abs=4)


def test_stretch_distorts() -> None:
    given = resized(Resize(width=32, height=64, fit="stretch"), picture(gradient(64, 32)))
    assert rgb(given)[:, 0].max() <= 8
    assert rgb(given)[:, -1].min() >= 247


def test_size_changes_from_picture_to_picture() -> None:
    for fit in ("pad", "crop", "stretch"):
        with bench(Resize(width=48, height=48, fit=fit), layout="yuv420p") as step:
            for width, height in ((64, 32), (33, 77), (48, 48), (64, 32), (2, 200)):
                given = step(image=picture(bars(width, height)))
                assert (given.width, given.height) == (48, 48)


def test_rgb_becomes_yuv_by_the_tags_of_the_source() -> None:
    node = Resize(width=32, height=32)
    with bench(node, layout="yuv444p"):
        green = picture(np.full((64, 64, 3), (0, 255, 0), np.uint8), "rgb24")
        given = node.process(green, Moment(0, Fraction(1, 90_000), ColorTags(1, 1, 1)))
    assert tuple(int(plane[9, 9]) for plane in pixels.planes(given)) == pytest.approx(
        GREEN_709, abs=1
    )
    assert given.colorspace == 1


@pytest.mark.parametrize("fit", ["pad", "crop", "stretch"])
def test_the_input_is_not_changed(fit: str) -> None:
    image = picture(bars(64, 48))
    before = [plane.copy() for plane in pixels.planes(image)]
    resized(Resize(width=20, height=40, fit=fit), image)
    assert all((a == b).all() for a, b in zip(before, pixels.planes(image), strict=True))
    assert image.pts == 0
