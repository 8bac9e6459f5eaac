"""Every node that works in YUV carries alpha, and what it lays over a clear picture is seen."""

from pathlib import Path
from typing import Any

import av
import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

from composer import Detection, Detections, Node
from composer.node.formats import ALPHA_YUV
from composer.node.registry import Registry
from composer.pictures import alpha, pixels
from composer.testing import bench, picture
from nodes.blend import Blend
from nodes.blur import Blur
from nodes.blur_regions import BlurRegions
from nodes.color import Color
from nodes.crop import Crop
from nodes.filter import Filter
from nodes.flip import Flip
from nodes.lut3d import Lut3d
from nodes.overlay_boxes import OverlayBoxes
from nodes.overlay_image import OverlayImage
from nodes.overlay_text import OverlayText
from nodes.pixelate_regions import PixelateRegions
from nodes.resize import Resize
from nodes.rotate import Rotate
from nodes.veil import Veil

BLUE = (40, 60, 200)
RED = (220, 30, 40)


def clear(width: int = 96, height: int = 64) -> av.VideoFrame:
    """Blue; alpha is a ramp from top to bottom, and a ramp from left to right in its left half."""
    rgba = np.full((height, width, 4), (*BLUE, 255), np.uint8)
    rgba[..., 3] = np.linspace(0, 255, height).round()[:, None]
    rgba[:, : width // 2, 3] = np.linspace(255, 0, width // 2).round()
    return picture(rgba, ALPHA_YUV)


def even(color: tuple[int, int, int], opaque: int = 255, layout: str = ALPHA_YUV) -> av.VideoFrame:
    return picture(np.full((64, 96, 4), (*color, opaque), np.uint8), layout)


def made(node: Node, folder: Path = Path(), **values: Any) -> NDArray[np.int64]:
    """(height, width, 4): what the node gives, as RGBA."""
    with bench(node, layout=ALPHA_YUV, folder=folder) as step:
        given = step(**values)
    given = given[0] if isinstance(given, list) else given
    assert given.format.name == ALPHA_YUV
    return rgba(given)


def rgba(image: av.VideoFrame) -> NDArray[np.int64]:
    return pixels.planes(pixels.convert(image, "rgba"))[0].astype(np.int64)


def test_all_nodes_that_take_yuv_take_alpha() -> None:
    registry = Registry.installed()
    for name in registry.names():
        for port in registry.find(name, Path()).inputs:
            layouts = {each.layout for each in port.formats}
            if {"yuv420p", "yuv444p"} <= layouts and "rgba" not in layouts:
                assert ALPHA_YUV in layouts, f"{name}.{port.name}"


@pytest.mark.parametrize(
    ("node", "wanted"),
    [
        pytest.param(Flip(direction="both"), lambda a: a[::-1, ::-1], id="flip"),
        pytest.param(Crop(x=9, y=5, width=40, height=30), lambda a: a[5:35, 9:49], id="crop"),
        pytest.param(Rotate(angle=90), lambda a: np.rot90(a, -1), id="quarter"),
        pytest.param(Rotate(angle=180), lambda a: a[::-1, ::-1], id="half"),
        pytest.param(Color(brightness=0.2, saturation=0.5), lambda a: a, id="color"),
        pytest.param(Color(red=1.4), lambda a: a, id="gains"),
        pytest.param(Resize(), lambda a: a, id="resize to the same"),
        pytest.param(Filter(graph="hflip"), lambda a: a[:, ::-1], id="filter"),
        pytest.param(Filter(graph="hue=s=0"), lambda a: a, id="filter of YUV"),
        pytest.param(OverlayText(text="hi", opacity=0), lambda a: a, id="text that is gone"),
    ],
)
def test_alpha_goes_where_the_picture_goes(node: Node, wanted: Any) -> None:
    image = clear()
    before = alpha.plane(image).astype(int).copy()
    assert np.abs(made(node, image=image)[..., 3] - wanted(before)).max() <= 1


@pytest.mark.parametrize("strength", [0.5, 1])
def test_a_table_of_colours_leaves_alpha(tmp_path: Path, strength: float) -> None:
    cube = "LUT_3D_SIZE 2\n" + "".join(
        f"{1 - r} {g} {b}\n" for b in (0, 1) for g in (0, 1) for r in (0, 1)
    )
    (tmp_path / "a.cube").write_text(cube)
    image = clear()
    before = alpha.plane(image).astype(int).copy()
    given = made(Lut3d(path="a.cube", strength=strength), tmp_path, image=image)
    assert np.array_equal(given[..., 3], before)


@pytest.mark.parametrize(
    ("fit", "inside"),
    [("stretch", np.s_[:, :]), ("pad", np.s_[:, 8:-8]), ("crop", np.s_[:, :])],
)
def test_it_is_scaled_with_the_picture(fit: Any, inside: Any) -> None:
    image = even(BLUE, 90)
    given = made(Resize(width=64, height=32, fit=fit, color="#00000000"), image=image)
    assert np.abs(given[inside] - (*BLUE, 90)).max() <= 2
    if fit == "pad":
        assert (given[:, :4, 3] == 0).all()


def test_bars_are_opaque_unless_their_colour_is_not() -> None:
    given = made(Resize(width=64, height=32), image=even(BLUE, 90))
    assert np.abs(given[:, :4] - (0, 0, 0, 255)).max() <= 1


@pytest.mark.parametrize(
    "node", [BlurRegions(margin=0), PixelateRegions(margin=0)], ids=["blur", "pixelate"]
)
def test_regions_lose_their_edges_in_alpha_too(node: Node) -> None:
    image = clear()
    before = alpha.plane(image).astype(int).copy()
    regions = Detections((Detection(0.5, 0, 0.5, 1, "face"),))
    given = made(node, image=image, regions=regions)[..., 3]
    assert np.array_equal(given[:, :48], before[:, :48])
    assert np.abs(given[:, 60:80] - before[:, 60:80]).max() > 3


def test_a_blur_makes_alpha_soft() -> None:
    image = even(BLUE, 0)
    alpha.plane(image)[:, 48:] = 255
    given = made(Blur(radius=8), image=image)[32, :, 3]
    assert given[10] == 0
    assert given[90] == 255
    assert 100 < given[48] < 155


def test_what_is_hidden_in_black_is_opaque() -> None:
    given = made(Veil(key="nsfw", how="black"), image=clear(), facts={"nsfw": 1.0})
    assert np.abs(given - (0, 0, 0, 255)).max() <= 1


# what is laid over


def over(
    below: tuple[int, ...], opaque: float, above: tuple[int, ...], part: float
) -> NDArray[np.float64]:
    """RGBA of `above`, `part` of it, over `below`: straight alpha, all in 0..255 but the parts."""
    total = part + opaque * (1 - part)
    mixed = np.array(above) * part + np.array(below) * opaque * (1 - part)
    return np.array([*(mixed / total if total else below), 255 * total])


CASES = [(255, 255), (255, 100), (0, 255), (0, 100), (120, 60), (120, 255), (120, 0)]


@pytest.mark.parametrize(("below", "above"), CASES)
def test_a_picture_with_alpha_lies_over_another(below: int, above: int) -> None:
    given = made(Blend(), base=even(BLUE, below), top=even(RED, above))
    wanted = over(BLUE, below / 255, RED, above / 255)
    assert np.abs(given[30, 40] - wanted).max() <= 3


@pytest.mark.parametrize("layout", ["yuv420p", "yuv422p", "yuv444p"])
@pytest.mark.parametrize("above", [0, 100, 255])
def test_base_is_seen_through_what_is_clear(layout: str, above: int) -> None:
    with bench(Blend(), layout=layout) as step:
        given = step(base=even(BLUE, layout=layout), top=even(RED, above))
    assert given.format.name == layout
    wanted = over(BLUE, 1, RED, above / 255)[:3]
    assert np.abs(rgba(given)[30, 40, :3] - wanted).max() <= 3


def test_an_opaque_picture_covers_one_with_alpha() -> None:
    given = made(Blend(), base=even(BLUE, 40), top=even(RED, layout="yuv420p"))
    assert np.abs(given[30, 40] - (*RED, 255)).max() <= 3


def test_a_mask_the_alpha_and_the_opacity_are_multiplied() -> None:
    mask = np.zeros((64, 96), np.uint8)
    mask[:, 48:] = 128
    with bench(Blend(opacity=0.5), layout="yuv444p") as step:
        given = rgba(step(base=even(BLUE, layout="yuv444p"), top=even(RED, 200), mask=mask))
    assert np.abs(given[30, 20, :3] - BLUE).max() <= 2
    wanted = over(BLUE, 1, RED, 0.5 * 200 / 255 * 128 / 255)[:3]
    assert np.abs(given[30, 70, :3] - wanted).max() <= 3


def test_a_picture_of_another_size_is_as_clear() -> None:
    top = picture(np.full((16, 24, 4), (*RED, 0), np.uint8), ALPHA_YUV)
    alpha.plane(top)[:, 12:] = 255
    with bench(Blend(), layout="yuv420p") as step:
        given = rgba(step(base=even(BLUE, layout="yuv420p"), top=top))
    assert np.abs(given[30, 20, :3] - BLUE).max() <= 3
    assert np.abs(given[30, 75, :3] - RED).max() <= 3


@pytest.mark.parametrize("below", [0, 120, 255])
def test_modes_meet_only_what_is_there(below: int) -> None:
    """W3C Compositing and Blending: Cs = (1 - ab) Cs + ab B(Cb, Cs), and then over."""
    given = made(Blend(mode="screen"), base=even(BLUE, below), top=even(RED, 150))
    b, t = np.array(BLUE) / 255, np.array(RED) / 255
    part = below / 255
    source = (1 - part) * t + part * (1 - (1 - b) * (1 - t))
    wanted = over(BLUE, part, tuple(255 * source), 150 / 255)
    assert np.abs(given[30, 40] - wanted).max() <= 4


@pytest.mark.parametrize(("below", "above"), CASES)
def test_a_still_lies_over_it(tmp_path: Path, below: int, above: int) -> None:
    still = np.full((16, 24, 4), (*RED, above), np.uint8)
    PIL.Image.fromarray(still).save(tmp_path / "logo.png")
    given = made(OverlayImage(path="logo.png", x=8, y=8), tmp_path, image=even(BLUE, below))
    wanted = over(BLUE, below / 255, RED, above / 255)
    assert np.abs(given[16, 16] - wanted).max() <= 3
    assert np.abs(given[40, 60] - (*BLUE, below)).max() <= 2


def test_text_is_seen_on_nothing() -> None:
    given = made(OverlayText(text="HHHH", size=40, x=4, y=4), image=even(BLUE, 0))
    written = given[..., 3] > 250
    assert 0.03 < written.mean() < 0.5
    assert np.abs(given[written][:, :3] - 255).max() <= 3
    assert (given[50:, :, 3] == 0).all()


@pytest.mark.parametrize("opacity", [1, 0.5])
def test_boxes_are_seen_on_nothing(opacity: float) -> None:
    node = OverlayBoxes(color="#dc1e28", labels=False, scores=False, opacity=opacity)
    found = Detections((Detection(0.25, 0.25, 0.5, 0.5, "cat"),))
    given = made(node, image=even(BLUE, 0), boxes=found)
    assert np.abs(given[16, 40] - (*RED, round(255 * opacity))).max() <= 3
    assert (given[32, 48] - (*BLUE, 0)).max() <= 1
