"""Make the pictures of start.md, parameters.md and pipeline.md: frames of a real clip, and a graph.

Big Buck Bunny is CC-BY (Blender Foundation).
"""

import os
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
from PIL import Image

from composer.compiler.compile import compile_file, plan_of
from composer.engine.run import Media, Run
from composer.node.registry import Registry
from composer.plot import plan_text, svg

ROOT: Final = Path(__file__).parent.parent
PIPELINE: Final = ROOT / "pipelines" / "lower_third.yaml"
TARGET: Final = ROOT / "docs" / "pictures"
BUNNY: Final = ROOT / ".clips" / "bigbuckbunny.mp4"
GAP: Final = 6
COLOURS: Final = 128

BEFORE: Final = 3.0
"""Seconds of the clip that docs/start.md shows."""

CHANGE: Final = 3.0
RAMP: Final = (3.0, 3.12, 3.2, 3.4)
"""When opacity is changed, and the moments of its 300 ms that docs/parameters.md shows."""


def pictures(path: Path, seconds: Sequence[float]) -> list[Image.Image]:
    """The pictures that are shown at these times."""
    opened: Any  # PyAV leaves its decoders without types
    with av.open(str(path)) as opened:
        frames = [(each.time, each) for each in opened.decode(video=0)]
    return [
        Image.fromarray([f for at, f in frames if at <= wanted][-1].to_ndarray(format="rgb24"))
        for wanted in seconds
    ]


def made(folder: Path, params: Mapping[str, Any], later: Mapping[str, Any]) -> Path:
    """The clip through the pipeline. later: what is set at CHANGE."""
    plan = plan_of(compile_file(PIPELINE, Registry.installed()))
    run = Run(plan, Media({"": str(BUNNY)}, {"": str(folder / "out.mp4")}))
    run.params.patch(params)
    if later:
        run.params.patch(later, at=CHANGE)
    run.start()
    run.wait()
    return folder / "out.mp4"


def beside(shown: Sequence[Image.Image], width: int) -> Image.Image:
    """Pictures side by side, each of this width."""
    small = [each.resize((width, round(each.height * width / each.width))) for each in shown]
    whole = Image.new("RGB", ((width + GAP) * len(small) - GAP, small[0].height), "white")
    for place, each in enumerate(small):
        whole.paste(each, (place * (width + GAP), 0))
    return whole


def lower_part(image: Image.Image) -> Image.Image:
    """Where the caption is."""
    return image.crop((0, image.height * 3 // 4, image.width * 2 // 5, image.height))


def save(image: Image.Image, name: str) -> None:
    """As a PNG with a palette: a third of the bytes, and nobody sees it."""
    path = TARGET / name
    flat = image.quantize(COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.FLOYDSTEINBERG)
    flat.save(path, optimize=True)
    print(f"{name}: {os.path.getsize(path)} bytes, {np.prod(image.size)} pixels")


def graph(folder: Path) -> None:
    """The pipeline `branches.yaml` of docs/pipeline.md, drawn."""
    page = (ROOT / "docs" / "pipeline.md").read_text(encoding="utf-8")
    shown = re.search(r"^```yaml\n(# branches\.yaml\n.*?)^```$", page, re.M | re.S)
    assert shown, "docs/pipeline.md shows no branches.yaml"
    (folder / "branches.yaml").write_text(shown[1], encoding="utf-8")
    plan = plan_of(compile_file(folder / "branches.yaml", Registry.installed()))
    drawn = svg.document(plan_text.boxes(plan), plan_text.arrows(plan), plan.graph.capability)
    (TARGET / "branches.svg").write_text(drawn, encoding="utf-8")
    print(f"branches.svg: {len(drawn)} bytes")


def main() -> None:
    if not BUNNY.is_file():
        sys.exit("run scripts/fetch_clips.py first")
    TARGET.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        graph(Path(folder))
        caption = {"caption": "Big Buck Bunny"}
        (before,) = pictures(BUNNY, [BEFORE])
        (after,) = pictures(made(Path(folder), caption, {}), [BEFORE])
        save(beside([before, after], 420), "lower_third.png")
        changed = made(Path(folder), caption, {"opacity": 0.1})
        save(beside([*map(lower_part, pictures(changed, RAMP))], 210), "ramp.png")


if __name__ == "__main__":
    main()
