"""What a picture says of itself survives every node: shape of pixels, fields, duration, colours."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

import av
import numpy as np
import PIL.Image
import pytest

from composer import RGB, Mask, Node, Picture
from composer.compiler.plan import Mode
from composer.engine.run import Run
from composer.node.frames import ColorTags
from composer.node.registry import Registry
from composer.pictures import pixels
from composer.pictures.chain import Chain
from tests import stubs
from tests.stubs import TICK, finished, plan_of

SHAPE = Fraction(64, 45)
SIZE = (90, 72)


class Said(stubs.Count):
    """Pictures that say something of everything."""

    count: int = 3

    def process(self) -> Iterator[stubs.Plain]:
        for number in range(self.count):
            image = stubs.picture(number, "yuv420p", *SIZE)
            image = pixels.with_tags(image, ColorTags(1, 1, 1), pixels.LIMITED)
            image = Chain().run(pixels.shaped(image, SHAPE), ("setfield", {"mode": "tff"}))
            image.pts, image.time_base, image.duration = number, TICK, 1
            yield image


class ByArray(Node):
    """A user's node: it knows nothing but RGB."""

    def process(self, image: RGB) -> RGB:
        return np.ascontiguousarray(255 - image)


class Smaller(Node):
    """The same, with a result of another size."""

    def process(self, image: RGB) -> RGB:
        return image[::2, ::2].copy()


class FromNothing(Node):
    """A user's node that makes its pictures itself."""

    def process(self, image: stubs.Plain) -> stubs.Plain:
        return av.VideoFrame(image.width, image.height, "yuv420p")


class ToArray(Node):
    """A picture in, an array out."""

    def process(self, image: stubs.Plain) -> RGB:
        return pixels.to_rgb(image)


class Cut(Node):
    """A mask, which a picture can be made of again."""

    def process(self, image: RGB) -> Mask:
        return image[:, :, 0]


class Keep(Node):
    """The end."""

    seen: ClassVar[list[av.VideoFrame]] = []

    def process(self, image: Picture) -> None:
        self.seen.append(image)


MINE: dict[str, type[Node]] = {
    "said": Said,
    "by_array": ByArray,
    "smaller": Smaller,
    "from_nothing": FromNothing,
    "to_array": ToArray,
    "cut": Cut,
}
IDENTITY = "LUT_3D_SIZE 2\n" + "\n".join(
    f"{red} {green} {blue}" for blue in (0, 1) for green in (0, 1) for red in (0, 1)
)
BUILT_IN = (
    *("blend", "blur", "blur_regions", "color", "crop", "filter", "flip", "lut3d"),
    *("overlay_boxes", "overlay_image", "overlay_text", "pixelate_regions", "regions"),
    *("resize", "rotate"),
)


def kept(nodes: str, folder: Path) -> list[av.VideoFrame]:
    """What comes out behind these nodes."""
    (folder / "a.cube").write_text(IDENTITY)
    PIL.Image.new("RGBA", (8, 8), "red").save(folder / "a.png")
    installed = Registry.installed()
    found: dict[str, Any] = {name: installed.find(name, folder) for name in BUILT_IN}
    own = type("Own", (Keep,), {"seen": [], "__module__": __name__})
    text = f"nodes: {{s: {{type: said}}, {nodes}, out: {{type: keep}}}}"
    run = Run(plan_of(text, Mode.FILE, folder, **MINE, **found, keep=own))
    run.start()
    finished(run)
    return own.seen  # type: ignore[attr-defined, no-any-return]


@pytest.mark.parametrize(
    ("nodes", "size"),
    [
        pytest.param("a: {type: overlay_text, text: hi, size: 10}", SIZE, id="text"),
        pytest.param("a: {type: overlay_image, path: a.png}", SIZE, id="image"),
        pytest.param("a: {type: color, contrast: 1.2}", SIZE, id="tables"),
        pytest.param("a: {type: color, green: 1.2}", SIZE, id="gains"),
        pytest.param("a: {type: blur, radius: 3}", SIZE, id="blur"),
        pytest.param("a: {type: blur, radius: 40}", SIZE, id="wide blur"),
        pytest.param("a: {type: flip}", SIZE, id="flip"),
        pytest.param("a: {type: flip, direction: vertical}", SIZE, id="flip down"),
        pytest.param("a: {type: flip, direction: both}", SIZE, id="flip both"),
        pytest.param("a: {type: rotate, angle: 180}", SIZE, id="half a turn"),
        pytest.param("a: {type: crop, x: 10, y: 20, width: 40, height: 30}", (40, 30), id="crop"),
        pytest.param("a: {type: lut3d, path: a.cube}", SIZE, id="lut3d"),
        pytest.param("a: {type: filter, graph: hue=s=0}", SIZE, id="filter"),
        pytest.param("a: {type: resize, width: 180}", (180, 144), id="resize"),
        pytest.param("a: {type: resize, width: 60, height: 60}", (60, 60), id="bars"),
        pytest.param(
            "a: {type: resize, width: 61, height: 33, fit: crop}", (61, 33), id="overhang"
        ),
        pytest.param(
            "t: {type: flip, in: s}, a: {type: blend, in: {base: s, top: t}, opacity: 0.5}",
            SIZE,
            id="blend",
        ),
        pytest.param(
            "t: {type: flip, in: s}, a: {type: blend, in: {base: s, top: t}, mode: screen}",
            SIZE,
            id="blend in RGB",
        ),
        *(
            pytest.param(
                f"d: {{type: model, in: s}}, a: {{type: {name}, in: {{image: s, {port}: d}}}}",
                SIZE,
                id=name,
            )
            for name, port in (
                ("overlay_boxes", "boxes"),
                ("blur_regions", "regions"),
                ("pixelate_regions", "regions"),
            )
        ),
        pytest.param("a: {type: by_array}", SIZE, id="a user's, RGB"),
        pytest.param("a: {type: by_array}, b: {type: by_array}", SIZE, id="two of them"),
        pytest.param("a: {type: smaller}", (45, 36), id="of another size"),
        pytest.param("a: {type: from_nothing}", SIZE, id="from nothing"),
        pytest.param("a: {type: to_array}", SIZE, id="picture to array"),
        pytest.param("a: {type: cut}, b: {type: flip}", SIZE, id="mask and back"),
        pytest.param("a: {type: hold, depth: 2}", SIZE, id="held"),
    ],
)
def test_what_a_picture_says_survives(tmp_path: Path, nodes: str, size: tuple[int, int]) -> None:
    images = kept(nodes, tmp_path)
    assert len(images) == 3
    for number, image in enumerate(images):
        assert (image.width, image.height) == size
        assert pixels.aspect(image) == SHAPE
        assert (image.interlaced_frame, pixels.is_top_first(image)) == (True, True)
        assert (image.pts, image.time_base, image.duration) == (number, TICK, 1)
        if image.format.name.startswith("yuv"):
            assert pixels.tags(image) == ColorTags(1, 1, 1)


@pytest.mark.parametrize("angle", [90, 270])
def test_a_quarter_turn_turns_the_shape(tmp_path: Path, angle: int) -> None:
    for image in kept(f"a: {{type: rotate, angle: {angle}}}", tmp_path):
        assert (image.width, image.height, pixels.aspect(image)) == (72, 90, 1 / SHAPE)


@pytest.mark.parametrize(
    ("width", "height", "shape"), [(128, 72, Fraction(1)), (90, 36, SHAPE / 2), (45, 36, SHAPE)]
)
def test_stretching_shows_the_same_shape_where_pixels_are_not_square(
    tmp_path: Path, width: int, height: int, shape: Fraction
) -> None:
    for image in kept(
        f"a: {{type: resize, width: {width}, height: {height}, fit: stretch}}", tmp_path
    ):
        assert pixels.aspect(image) == shape
