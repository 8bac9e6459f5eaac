"""Make the pictures of docs/models.md: what goes into each pipeline with a model, what comes out.

Weights and the picture of the astronaut are fetched if need be. The astronaut is in the public
domain (NASA), Big Buck Bunny is CC-BY (Blender Foundation).
"""

import io
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from composer.compiler.compile import compile_file, plan_of
from composer.engine.run import Media, Run
from composer.models import weights
from composer.models.fetch import fetch
from composer.node.registry import Registry

ROOT: Final = Path(__file__).parent.parent
PIPELINES: Final = ROOT / "pipelines"
TARGET: Final = ROOT / "docs" / "pictures"
BUNNY: Final = ROOT / ".clips" / "bigbuckbunny.mp4"
ASTRONAUT: Final = weights.parse(
    "pypi://scikit-image==0.26.0/skimage/data/astronaut.png",
    "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
)
HEIGHT: Final = 270
MOST_BYTES: Final = 60_000
SHOWN: Final = 16
"""Times that a still is shown, at 25 a second: a param may take half a second to get there."""


@dataclass(frozen=True)
class Example:
    """One pipeline. source: what it is shown; between: a file of assets/ to be shown as well.

    part: left, top, right and bottom of what is seen of each picture, in parts of it.
    """

    name: str
    source: str = "astronaut"
    between: str = ""
    part: tuple[float, float, float, float] = (0, 0, 1, 1)
    params: dict[str, Any] = field(default_factory=dict)


EXAMPLES: Final = (
    Example("face_blur"),
    Example("style_live", params={"style_0": 0.0, "style_5": 1.0}),
    Example("style_any", between="brush.png"),
    Example("background"),
    Example("read_text", source="board"),
    Example("moderate", params={"above": 0.0}),
    Example("upscale", source="small", part=(0.1, 0.3, 0.6, 0.8)),
)


def astronaut() -> Image.Image:
    """Her upper part, in the shape of a film."""
    with Image.open(fetch(ASTRONAUT)) as whole:
        return flat(whole).crop((0, 0, 512, 288))


def flat(image: Image.Image) -> Image.Image:
    """The pixels alone: a colour profile in a file that is read crashes PyAV 18."""
    return Image.fromarray(np.asarray(image.convert("RGB")))


def film() -> Image.Image:
    """Picture 60 or so of Big Buck Bunny."""
    opened: Any  # PyAV leaves its decoders without types
    with av.open(str(BUNNY)) as opened:
        opened.seek(2_400_000)
        return Image.fromarray(next(opened.decode(video=0)).to_ndarray(format="rgb24"))


def board() -> Image.Image:
    """The film with words on it, as a broadcaster would lay them there."""
    image = film()
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 570, 1280, 690), fill="#101820")
    draw.text((60, 585), "Big Buck Bunny", "white", ImageFont.load_default(80))
    draw.rectangle((860, 90, 1240, 180), fill="#c01020")
    draw.text((890, 97), "LIVE 14:25", "white", ImageFont.load_default(64))
    return image


SOURCES: Final = {
    "astronaut": astronaut,
    "board": board,
    "small": lambda: film().resize((320, 180)),
}


def made(example: Example, picture: Image.Image, folder: Path) -> Image.Image:
    """What the pipeline makes of the picture."""
    file = PIPELINES / f"{example.name}.yaml"
    graph = compile_file(file, Registry.installed()).graph
    for each in graph.weights if graph is not None else ():
        fetch(each)
    plan = plan_of(compile_file(file, Registry.installed()))
    picture.save(folder / "in-0.png")
    for number in range(1, SHOWN):
        shutil.copy(folder / "in-0.png", folder / f"in-{number}.png")
    run = Run(plan, Media({"": str(folder / "in-%d.png")}, {"": str(folder / "out.mp4")}))
    if example.params:
        run.params.patch(example.params)
    run.start()
    run.wait()
    given: Any
    with av.open(str(folder / "out.mp4")) as given:
        *_, last = given.decode(video=0)
        return Image.fromarray(last.to_ndarray(format="rgb24"))


def cut(image: Image.Image, part: tuple[float, float, float, float]) -> Image.Image:
    sides = (image.width, image.height) * 2
    left, top, right, bottom = (round(at * side) for at, side in zip(part, sides, strict=True))
    return image.crop((left, top, right, bottom))


def beside(pictures: list[Image.Image]) -> Image.Image:
    """Pictures side by side, all as high as HEIGHT."""
    scaled = [each.resize((round(each.width * HEIGHT / each.height), HEIGHT)) for each in pictures]
    gap = 8
    whole = Image.new("RGB", (sum(each.width + gap for each in scaled) - gap, HEIGHT), "white")
    left = 0
    for each in scaled:
        whole.paste(each, (left, 0))
        left += each.width + gap
    return whole


def small(image: Image.Image) -> bytes:
    """As JPEG of the best quality that fits MOST_BYTES."""
    for quality in range(90, 30, -5):
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality, optimize=True)
        if buffer.tell() <= MOST_BYTES:
            return buffer.getvalue()
    raise ValueError("it does not get small enough")


def main() -> None:
    if not BUNNY.is_file():
        sys.exit("run scripts/fetch_clips.py first")
    TARGET.mkdir(exist_ok=True)
    for example in EXAMPLES:
        picture = SOURCES[example.source]()
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)  # records are written where one is
            shown = [picture, made(example, picture, Path(folder))]
            os.chdir(ROOT)
        if example.between:
            shown.insert(1, flat(Image.open(PIPELINES / "assets" / example.between)))
        data = small(beside([cut(each, example.part) for each in shown]))
        (TARGET / f"{example.name}.jpg").write_bytes(data)
        print(f"{example.name}.jpg: {len(data)} bytes")


if __name__ == "__main__":
    main()
