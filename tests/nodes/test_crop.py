import av
import numpy as np
import pytest

from composer.node.formats import YUV_LAYOUTS
from composer.pictures import pixels
from composer.testing import bench, gradient, picture, run_node
from nodes.crop import Crop


def noise(width: int, height: int, layout: str = "yuv420p") -> av.VideoFrame:
    image = picture(gradient(width, height), layout, seconds=1)
    random = np.random.default_rng(8)
    for plane in pixels.planes(image):
        plane[...] = random.integers(0, 256, plane.shape, np.uint8)
    return image


def crop(**settings: object) -> Crop:
    return Crop.model_validate(settings)


def assert_window(given: av.VideoFrame, image: av.VideoFrame, left: int, top: int) -> None:
    """Whether every plane is that of the image from (left, top) on."""
    shifts = [(0, 0), *[pixels.CHROMA_SHIFT[image.format.name]] * 2]
    for plane, source, (across, down) in zip(
        pixels.planes(given), pixels.planes(image), shifts, strict=True
    ):
        rows, columns = plane.shape
        y, x = top >> down, left >> across
        assert np.array_equal(plane, source[y : y + rows, x : x + columns])


@pytest.mark.parametrize("layout", YUV_LAYOUTS)
@pytest.mark.parametrize(
    ("settings", "window"),
    [
        pytest.param({}, (0, 0, 101, 67), id="nothing"),
        pytest.param({"x": 10, "y": 20}, (10, 20, 91, 47), id="the rest"),
        pytest.param({"x": 10, "width": 31, "height": 9}, (10, 0, 31, 9), id="odd size"),
        pytest.param(
            {"x": "center", "y": "center", "width": 41, "height": 27},
            (30, 20, 41, 27),
            id="center",
        ),
        pytest.param(
            {"x": "right-1", "y": "bottom-1", "width": 20, "height": 10},
            (80, 56, 20, 10),
            id="far corner",
        ),
        pytest.param({"x": 80, "width": 50}, (80, 0, 21, 67), id="cut at the right"),
        pytest.param({"x": -10, "width": 50}, (0, 0, 40, 67), id="cut at the left"),
        pytest.param({"width": 9999, "height": 9999}, (0, 0, 101, 67), id="larger"),
        pytest.param({"x": 500, "width": 50}, (100, 0, 1, 67), id="outside"),
        pytest.param({"x": "right-24"}, (0, 0, 77, 67), id="the rest, from the right"),
        pytest.param({"y": "bottom-20"}, (0, 0, 101, 47), id="the rest, from the bottom"),
    ],
)
def test_the_window_is_where_it_was_asked_for(
    settings: dict[str, object], window: tuple[int, int, int, int], layout: str
) -> None:
    image = noise(101, 67, layout)
    node = crop(**settings)
    given = run_node(node, image=image)
    assert (given.width, given.height) == window[2:] == node.picture_size(101, 67)
    assert (given.format.name, given.pts, given.time_base) == (layout, image.pts, image.time_base)
    assert_window(given, image, *window[:2])


@pytest.mark.parametrize(
    ("layout", "left", "top"),
    [("yuv420p", 10, 6), ("yuv422p", 10, 7), ("yuv444p", 11, 7)],
)
def test_x_and_y_are_rounded_down_to_the_chroma_grid(layout: str, left: int, top: int) -> None:
    image = noise(64, 48, layout)
    given = run_node(crop(x=11, y=7, width=16, height=16), image=image)
    assert_window(given, image, left, top)


@pytest.mark.parametrize("known", [True, False], ids=["size planned", "size unknown"])
@pytest.mark.parametrize("width", [0, 40])
def test_a_moving_window_keeps_its_size_and_stops_at_the_border(width: int, *, known: bool) -> None:
    image = noise(100, 60)
    node = crop(x=20, width=width, height=30)
    extent = width or 80
    room = (100, 60) if known else (0, 0)
    with bench(node, layout="yuv420p", width=room[0], height=room[1]) as run:
        for x, left in ((20, 20), (0, 0), (14, 14), (99, 100 - extent), ("right-0", 100 - extent)):
            node.x = x
            given = run(image=image)
            assert (given.width, given.height) == (extent, 30)
            assert_window(given, image, min(left, 100 - extent), 0)


def test_a_picture_of_another_size_is_measured_anew() -> None:
    with bench(crop(x=10, height=30), layout="yuv420p", width=100, height=60) as run:
        assert run(image=noise(100, 60)).width == 90
        assert run(image=noise(50, 20)).width == 40
        assert run(image=noise(50, 20)).height == 20


@pytest.mark.parametrize("layout", YUV_LAYOUTS)
def test_the_smallest_picture(layout: str) -> None:
    given = run_node(crop(x=5, y=5, width=3, height=3), image=noise(1, 1, layout))
    assert (given.width, given.height) == (1, 1)


def test_an_unknown_size_stays_unknown() -> None:
    assert crop(x="center", width=40).picture_size(0, 0) == (0, 0)


def test_the_input_may_be_freed_and_stays_whole() -> None:
    image = noise(32, 32)
    given = run_node(crop(width=16, height=16), image=image)
    for plane in pixels.planes(given):
        plane[...] = 0
    for plane, old in zip(pixels.planes(image), pixels.planes(noise(32, 32)), strict=True):
        assert np.array_equal(plane, old)
