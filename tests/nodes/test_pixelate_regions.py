import av
import numpy as np
import pytest

from composer.node.formats import YUV_LAYOUTS
from composer.node.values import Detection, Detections
from composer.pictures import boxes, pixels
from composer.testing import bench, gradient, picture, run_node
from nodes.pixelate_regions import PixelateRegions

FACE = Detections((Detection(0.25, 0.25, 0.5, 0.5),))


def noise(width: int, height: int, layout: str = "yuv420p") -> av.VideoFrame:
    image = picture(gradient(width, height), layout)
    random = np.random.default_rng(7)
    for plane in pixels.planes(image):
        plane[...] = random.integers(16, 236, plane.shape, np.uint8)
    return image


@pytest.mark.parametrize("layout", YUV_LAYOUTS)
@pytest.mark.parametrize("size", [(320, 160), (161, 97)])
def test_blocks_inside_and_nothing_changed_outside(size: tuple[int, int], layout: str) -> None:
    image, old = noise(*size, layout), noise(*size, layout)
    given = run_node(PixelateRegions(block=8, margin=0), image=image, regions=FACE)
    assert given is image
    (box,) = boxes.found(old, FACE)
    inside = boxes.parts(given, box)
    first = inside[0][:8, :8]
    assert len(np.unique(first)) == 1
    assert abs(first[0, 0] - boxes.parts(old, box)[0][:8, :8].mean()) <= 0.5
    boxes.paste(given, box, boxes.cut(old, box))
    for plane, before in zip(pixels.planes(given), pixels.planes(old), strict=True):
        assert np.array_equal(plane, before)


@pytest.mark.parametrize(
    ("block", "count"),
    [
        pytest.param(0.125, 8 * 16, id="an eighth of the shorter side"),
        pytest.param(0.5, 2 * 4, id="half of the shorter side"),
        pytest.param(20, 4 * 8, id="pixels"),
        pytest.param(1000, 1, id="larger than the region"),
        pytest.param(1, 80 * 160, id="one pixel changes nothing"),
    ],
)
def test_block_is_pixels_or_a_part_of_the_region(block: float, count: int) -> None:
    image = noise(320, 160, "yuv444p")
    run_node(PixelateRegions(block=block, margin=0), image=image, regions=FACE)
    luma = pixels.planes(image)[0][40:120, 80:240]
    edges = [np.any(np.diff(luma.astype(int), axis=axis), axis=1 - axis) for axis in (0, 1)]
    assert (edges[0].sum() + 1) * (edges[1].sum() + 1) == count


@pytest.mark.parametrize("layout", YUV_LAYOUTS)
def test_an_ellipse_leaves_the_corners_of_its_box(layout: str) -> None:
    image, old = noise(161, 97, layout), noise(161, 97, layout)
    run_node(PixelateRegions(shape="ellipse"), image=image, regions=FACE)
    (box,) = boxes.found(old, FACE, margin=0.1)
    for plane, before in zip(boxes.parts(image, box), boxes.parts(old, box), strict=True):
        inside = boxes.ellipse(plane.shape[1], plane.shape[0])
        assert np.array_equal(plane[~inside], before[~inside])
        assert np.mean(plane[inside] != before[inside]) > 0.9


@pytest.mark.parametrize("layout", YUV_LAYOUTS)
def test_invert_changes_all_but_the_regions(layout: str) -> None:
    image, old = noise(161, 97, layout), noise(161, 97, layout)
    run_node(PixelateRegions(invert=True, block=16, margin=0), image=image, regions=FACE)
    (box,) = boxes.found(old, FACE)
    for plane, before in zip(boxes.parts(image, box), boxes.parts(old, box), strict=True):
        assert np.array_equal(plane, before)
    assert len(np.unique(pixels.planes(image)[0][:16, :16])) == 1


def test_settings_change_between_two_frames() -> None:
    found = Detections((Detection(0.4, 0.4, 0.2, 0.2, score=0.5),))
    node = PixelateRegions(margin=0)
    changed = []
    with bench(node) as run:
        for settings in ({"margin": 0}, {"margin": 1}, {"min_score": 0.6}):
            for name, value in settings.items():
                setattr(node, name, value)
            given = run(image=noise(320, 160), regions=found)
            same = pixels.planes(given)[0] == pixels.planes(noise(320, 160))[0]
            changed.append(float(np.mean(~same)))
    assert changed == [pytest.approx(0.04, rel=0.1), pytest.approx(0.36, rel=0.1), 0]


@pytest.mark.parametrize("layout", YUV_LAYOUTS)
@pytest.mark.parametrize("size", [(1, 1), (2, 2), (17, 9)])
def test_tiny_pictures_and_regions_over_the_border(size: tuple[int, int], layout: str) -> None:
    found = Detections((Detection(-1, -1, 9, 9), Detection(0.9, 0.9, 1, 1), Detection(3, 3, 1, 1)))
    given = run_node(PixelateRegions(block=0.01), image=noise(*size, layout), regions=found)
    assert (given.width, given.height) == size
