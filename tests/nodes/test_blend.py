import av
import numpy as np
import pytest
from numpy.typing import NDArray

from composer.node.formats import YUV_LAYOUTS
from composer.pictures import pixels
from composer.testing import bars, bench, gradient, picture, run_node
from nodes.blend import Blend

BASE = np.array([(200, 40, 90), (30, 220, 10), (128, 128, 128), (250, 250, 5)], np.uint8)
TOP = np.array([(20, 230, 120), (255, 255, 255), (200, 10, 60), (0, 0, 0)], np.uint8)


def patches(colours: NDArray[np.uint8], layout: str = "yuv444p") -> av.VideoFrame:
    """Four stripes, each 16 wide."""
    row = colours.repeat(16, 0)
    return picture(np.ascontiguousarray(np.broadcast_to(row[None], (16, 64, 3))), layout)


def colours(image: av.VideoFrame) -> NDArray[np.float64]:
    """The colours of the four stripes."""
    return pixels.to_rgb(image)[8, 8::16].astype(float)


def modes(name: str, b: NDArray[np.float64], t: NDArray[np.float64]) -> NDArray[np.float64]:
    found = {
        "normal": t,
        "add": np.minimum(b + t, 1),
        "multiply": b * t,
        "screen": 1 - (1 - b) * (1 - t),
        "overlay": np.where(b < 0.5, 2 * b * t, 1 - 2 * (1 - b) * (1 - t)),
        "darken": np.minimum(b, t),
        "lighten": np.maximum(b, t),
        "difference": np.abs(b - t),
    }
    return found[name]


@pytest.mark.parametrize("opacity", [0.25, 0.6, 1])
@pytest.mark.parametrize("layout", YUV_LAYOUTS)
@pytest.mark.parametrize(
    "mode",
    ["normal", "add", "multiply", "screen", "overlay", "darken", "lighten", "difference"],
)
def test_modes_are_what_they_are_in_rgb(mode: str, layout: str, opacity: float) -> None:
    base, top = patches(BASE, layout), patches(TOP, layout)
    below, above = colours(base), colours(top)
    mixed = 255 * modes(mode, below / 255, above / 255)
    wanted = below + (mixed - below) * opacity
    node = Blend.model_validate({"mode": mode, "opacity": opacity})
    given = run_node(node, base=base, top=top)
    assert given is base
    assert np.abs(colours(given) - wanted).max() <= 3


def test_normal_is_exact_in_every_plane() -> None:
    base, top = picture(gradient(64, 32)), picture(bars(64, 32))
    old = [plane.astype(float) for plane in pixels.planes(base)]
    given = run_node(Blend(opacity=0.3), base=base, top=top)
    for plane, below, above in zip(pixels.planes(given), old, pixels.planes(top), strict=True):
        assert np.abs(plane - (below + (above - below) * 0.3)).max() <= 1


@pytest.mark.parametrize("opacity", [0, 1])
def test_the_ends_of_opacity_are_base_and_top_to_the_byte(opacity: float) -> None:
    base, top = picture(gradient(65, 33)), picture(bars(65, 33))
    wanted = [plane.copy() for plane in pixels.planes(top if opacity else base)]
    given = run_node(Blend(opacity=opacity), base=base, top=top)
    for plane, same in zip(pixels.planes(given), wanted, strict=True):
        assert np.array_equal(plane, same)


@pytest.mark.parametrize("layout", YUV_LAYOUTS)
@pytest.mark.parametrize("mode", ["normal", "screen"])
def test_a_mask_says_where(mode: str, layout: str) -> None:
    base, top = patches(BASE, layout), patches(TOP, layout)
    below, above = colours(base), colours(top)
    old = [plane.copy() for plane in pixels.planes(base)]
    mask = np.zeros((16, 64), np.uint8)
    mask[:, 32:48], mask[:, 48:] = 128, 255
    given = run_node(Blend.model_validate({"mode": mode}), base=base, top=top, mask=mask)
    wanted = 255 * modes(mode, below / 255, above / 255)
    assert np.abs(colours(given)[2] - (below[2] + wanted[2]) / 2).max() <= 3
    assert np.abs(colours(given)[3] - wanted[3]).max() <= 3
    for plane, before in zip(pixels.planes(given), old, strict=True):
        half = plane.shape[1] // 2
        assert np.array_equal(plane[:, :half], before[:, :half])


def test_mask_and_opacity_multiply() -> None:
    base, top = patches(BASE), patches(TOP)
    wanted = colours(base) + (colours(top) - colours(base)) * 0.3
    mask = np.full((16, 64), 153, np.uint8)
    assert (
        np.abs(colours(run_node(Blend(opacity=0.5), base=base, top=top, mask=mask)) - wanted).max()
        <= 3
    )


@pytest.mark.parametrize("layout", YUV_LAYOUTS)
@pytest.mark.parametrize("size", [(2, 2), (31, 17), (160, 90), (640, 360)])
def test_top_and_mask_of_another_size_are_scaled(size: tuple[int, int], layout: str) -> None:
    base = picture(np.zeros((90, 161, 3), np.uint8), layout)
    top = picture(bars(*size) // 2, "yuv422p")
    mask = np.full((7, 5), 255, np.uint8)
    given = run_node(Blend(), base=base, top=top, mask=mask)
    assert (given.width, given.height, given.format.name) == (161, 90, layout)
    if size[0] >= 160:
        shown = pixels.to_rgb(given)[45, 10::20].astype(int)
        assert np.abs(shown - bars(160, 8)[4, 10::20] // 2).max() <= 4


def test_settings_change_between_two_frames_and_top_stays_whole() -> None:
    top = patches(TOP)
    before = [plane.copy() for plane in pixels.planes(top)]
    node = Blend(opacity=0)
    with bench(node, layout="yuv444p") as run:
        assert np.abs(colours(run(base=patches(BASE), top=top)) - BASE).max() <= 3
        node.opacity = 1
        assert np.abs(colours(run(base=patches(BASE), top=top)) - TOP).max() <= 3
        node.mode = "darken"
        dark = colours(run(base=patches(BASE), top=top))
    assert np.abs(dark - np.minimum(BASE, TOP)).max() <= 3
    for plane, old in zip(pixels.planes(top), before, strict=True):
        assert np.array_equal(plane, old)


def test_base_keeps_its_time() -> None:
    base, top = picture(bars(16, 16), seconds=3), picture(bars(16, 16), seconds=1)
    for mode in ("normal", "screen"):
        given = run_node(Blend.model_validate({"mode": mode}), base=base, top=top)
        assert given.pts == 3 * 90_000
