import av
import numpy as np
import pytest
from numpy.typing import NDArray

from composer.node.formats import YUV_LAYOUTS
from composer.node.values import Detection, Detections
from composer.pictures import boxes, pixels
from composer.pictures.boxes import PixelBox
from composer.testing import bench, gradient, picture, run_node
from nodes.blur_regions import BlurRegions

FACE = Detections((Detection(0.25, 0.25, 0.5, 0.5),))


def detailed(width: int, height: int, layout: str = "yuv420p") -> av.VideoFrame:
    """A picture with detail of every size."""
    image = picture(gradient(width, height), layout)
    random = np.random.default_rng(6)
    for plane in pixels.planes(image):
        tall, wide = plane.shape
        coarse = random.integers(40, 120, (-(-tall // 16), -(-wide // 16)))
        plane[...] = coarse.repeat(16, 0).repeat(16, 1)[:tall, :wide]
        plane[...] += random.integers(0, 100, plane.shape, np.uint8)
    return image


def detail(plane: NDArray[np.uint8]) -> float:
    """Energy of everything finer than a quarter of the plane."""
    spectrum = np.abs(np.fft.fft2(plane - plane.mean())) ** 2
    down, across = (np.abs(np.fft.fftfreq(size) * size) for size in plane.shape)
    fine = (down[:, None] > 4) | (across[None, :] > 4)
    return float(spectrum[fine].sum())


def outside(image: av.VideoFrame, box: PixelBox) -> list[NDArray[np.uint8]]:
    """The planes with nothing left inside a box."""
    rest = pixels.copy(image)
    for plane in boxes.parts(rest, box):
        plane[...] = 0
    return pixels.planes(rest)


@pytest.mark.parametrize("layout", YUV_LAYOUTS)
@pytest.mark.parametrize("size", [(48, 48), (97, 131), (640, 360), (1280, 720)])
def test_detail_is_gone_inside_and_nothing_changes_outside(
    size: tuple[int, int], layout: str
) -> None:
    image, old = detailed(*size, layout), detailed(*size, layout)
    given = run_node(BlurRegions(strength=0.8, margin=0), image=image, regions=FACE)
    assert given is image
    (box,) = boxes.found(old, FACE)
    for plane, before in zip(boxes.parts(given, box), boxes.parts(old, box), strict=True):
        assert detail(plane) < 0.05 * detail(before)
    for plane, before in zip(outside(given, box), outside(old, box), strict=True):
        assert np.array_equal(plane, before)


def test_nothing_outside_the_region_goes_into_it() -> None:
    first, second = detailed(320, 180), detailed(320, 180)
    (box,) = boxes.found(first, FACE)
    kept = boxes.cut(second, box)
    for plane in pixels.planes(second):
        plane[...] = 16
    boxes.paste(second, box, kept)
    node = BlurRegions(margin=0)
    one, other = (run_node(node, image=image, regions=FACE) for image in (first, second))
    for plane, same in zip(boxes.parts(one, box), boxes.parts(other, box), strict=True):
        assert np.array_equal(plane, same)


@pytest.mark.parametrize("layout", YUV_LAYOUTS)
def test_an_ellipse_leaves_the_corners_of_its_box(layout: str) -> None:
    image, old = detailed(321, 181, layout), detailed(321, 181, layout)
    run_node(BlurRegions(shape="ellipse", margin=0), image=image, regions=FACE)
    (box,) = boxes.found(old, FACE)
    for plane, before in zip(boxes.parts(image, box), boxes.parts(old, box), strict=True):
        inside = boxes.ellipse(plane.shape[1], plane.shape[0])
        assert np.array_equal(plane[~inside], before[~inside])
        assert np.mean(plane[inside] != before[inside]) > 0.9


@pytest.mark.parametrize("layout", YUV_LAYOUTS)
@pytest.mark.parametrize("shape", ["box", "ellipse"])
def test_invert_blurs_all_but_the_regions(shape: str, layout: str) -> None:
    image, old = detailed(321, 181, layout), detailed(321, 181, layout)
    node = BlurRegions.model_validate({"invert": True, "margin": 0, "shape": shape})
    given = run_node(node, image=image, regions=FACE)
    (box,) = boxes.found(old, FACE)
    for plane, before in zip(boxes.parts(given, box), boxes.parts(old, box), strict=True):
        inside = np.s_[:, :] if shape == "box" else boxes.ellipse(*plane.shape[::-1])
        assert np.array_equal(plane[inside], before[inside])
    shown, before = pixels.planes(given)[0][: box.top], pixels.planes(old)[0][: box.top]
    assert detail(shown) < 0.05 * detail(before)


def test_invert_without_regions_blurs_everything() -> None:
    image, old = detailed(320, 180), detailed(320, 180)
    given = run_node(BlurRegions(invert=True), image=image, regions=Detections())
    assert detail(pixels.planes(given)[0]) < 0.05 * detail(pixels.planes(old)[0])


def test_settings_change_between_two_frames() -> None:
    found = Detections((Detection(0.4, 0.4, 0.2, 0.2, score=0.5),))
    node = BlurRegions(strength=0)
    changed = []
    with bench(node) as run:
        for settings in (
            {"strength": 0},
            {"strength": 1},
            {"margin": 0},
            {"min_score": 0.6},
        ):
            for name, value in settings.items():
                setattr(node, name, value)
            given = run(image=detailed(320, 180), regions=found)
            same = pixels.planes(given)[0] == pixels.planes(detailed(320, 180))[0]
            changed.append(float(np.mean(~same)))
    assert changed[0] == 0
    assert changed[1] == pytest.approx(0.24**2, rel=0.1)
    assert changed[2] == pytest.approx(0.2**2, rel=0.1)
    assert changed[3] == 0


@pytest.mark.parametrize("layout", YUV_LAYOUTS)
@pytest.mark.parametrize("size", [(1, 1), (2, 2), (16, 16), (17, 9)])
def test_tiny_pictures_and_regions_over_the_border(size: tuple[int, int], layout: str) -> None:
    found = Detections((Detection(-1, -1, 9, 9), Detection(0.9, 0.9, 1, 1), Detection(3, 3, 1, 1)))
    given = run_node(BlurRegions(strength=1), image=detailed(*size, layout), regions=found)
    assert (given.width, given.height) == size
