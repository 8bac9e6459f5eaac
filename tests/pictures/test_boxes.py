import av
import numpy as np
import pytest

from composer.node.formats import YUV_LAYOUTS
from composer.node.values import Detection, Detections
from composer.pictures import boxes, pixels
from composer.pictures.boxes import PixelBox
from composer.testing import gradient, picture


def noise(width: int, height: int, layout: str = "yuv420p") -> av.VideoFrame:
    image = picture(gradient(width, height), layout, seconds=1)
    random = np.random.default_rng(4)
    for plane in pixels.planes(image):
        plane[...] = random.integers(0, 256, plane.shape, np.uint8)
    return image


@pytest.mark.parametrize(
    ("layout", "wanted"),
    [
        pytest.param("yuv420p", PixelBox(24, 24, 50, 36), id="yuv420p"),
        pytest.param("yuv422p", PixelBox(24, 25, 50, 35), id="yuv422p"),
        pytest.param("yuv444p", PixelBox(25, 25, 49, 35), id="yuv444p"),
    ],
)
def test_boxes_grow_to_whole_chroma_samples(layout: str, wanted: PixelBox) -> None:
    found = Detections((Detection(0.25, 0.25, 0.24, 0.1),))
    assert boxes.found(noise(100, 100, layout), found) == [wanted]


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        pytest.param(
            Detection(-1, -1, 3, 3), [PixelBox(0, 0, 101, 51)], id="larger than the picture"
        ),
        pytest.param(
            Detection(0.9, 0.9, 0.5, 0.5), [PixelBox(90, 46, 101, 51)], id="over the corner"
        ),
        pytest.param(Detection(1.1, 0, 0.2, 0.2), [], id="outside"),
        pytest.param(Detection(0.5, 0.5, 0, 0.5), [], id="empty"),
        pytest.param(Detection(0, 0, 0.5, 0.5, score=0.4), [], id="low score"),
        pytest.param(
            Detection(0, 0, 1, 1, score=float("nan")),
            [PixelBox(0, 0, 101, 51)],
            id="no score at all",
        ),
    ],
)
def test_boxes_are_cut_and_left_out(found: Detection, wanted: list[PixelBox]) -> None:
    assert boxes.found(noise(101, 51), Detections((found,)), min_score=0.5) == wanted


def test_margin_is_a_part_of_the_box_on_each_side() -> None:
    found = Detections((Detection(0.4, 0.4, 0.2, 0.1),))
    assert boxes.found(noise(100, 100), found, margin=0.5) == [PixelBox(30, 34, 70, 56)]


@pytest.mark.parametrize("layout", YUV_LAYOUTS)
@pytest.mark.parametrize(
    "box", [PixelBox(0, 0, 33, 17), PixelBox(32, 16, 33, 17), PixelBox(2, 4, 20, 10)]
)
def test_what_is_cut_out_and_put_back_is_the_same(box: PixelBox, layout: str) -> None:
    image, other = noise(33, 17, layout), noise(33, 17, layout)
    part = boxes.cut(image, box)
    assert (part.width, part.height, part.pts) == (box.width, box.height, image.pts)
    for plane in boxes.parts(image, box):
        plane[...] = 0
    boxes.paste(image, box, part)
    for plane, wanted in zip(pixels.planes(image), pixels.planes(other), strict=True):
        assert np.array_equal(plane, wanted)


def test_an_ellipse_fills_its_box_and_leaves_the_corners() -> None:
    inside = boxes.ellipse(200, 100)
    assert inside[50, [0, 199]].all()
    assert inside[[0, 99], 100].all()
    assert not inside[[0, 0, 99, 99], [0, 199, 0, 199]].any()
    assert inside.mean() == pytest.approx(np.pi / 4, abs=0.01)


def test_pasting_an_ellipse_leaves_the_rest_of_the_box() -> None:
    image, old = noise(64, 64), noise(64, 64)
    box = PixelBox(8, 8, 56, 56)
    part = boxes.cut(image, box)
    for plane in pixels.planes(part):
        plane[...] = 1
    boxes.paste(image, box, part, "ellipse")
    inside = boxes.ellipse(48, 48)
    luma, before = pixels.planes(image)[0][8:56, 8:56], pixels.planes(old)[0][8:56, 8:56]
    assert (luma[inside] == 1).all()
    assert np.array_equal(luma[~inside], before[~inside])


@pytest.mark.parametrize("layout", YUV_LAYOUTS)
def test_padding_repeats_the_last_column_and_row(layout: str) -> None:
    image = noise(5, 3, layout)
    given = boxes.padded(image, 16, 8)
    assert (given.width, given.height) == (16, 8)
    for plane, old in zip(pixels.planes(given), pixels.planes(image), strict=True):
        more = [(0, large - small) for large, small in zip(plane.shape, old.shape, strict=True)]
        assert np.array_equal(plane, np.pad(old, more, "edge"))
