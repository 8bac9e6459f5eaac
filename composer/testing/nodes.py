"""Try a node without a pipeline: what its tests and its author need.

assert run_node(Sepia(strength=1), image=gradient(64, 48)).shape == (48, 64, 3)
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
from numpy.typing import NDArray

from composer.formats import Carrier, Format, Kind
from composer.frames import Moment
from composer.media import pixels
from composer.node import Context, Node, Port
from composer.values import Detections

BARS: Final = (
    (255, 255, 255),
    (255, 255, 0),
    (0, 255, 255),
    (0, 255, 0),
    (255, 0, 255),
    (255, 0, 0),
    (0, 0, 255),
    (0, 0, 0),
)
"""The colours of bars(), left to right."""


def gradient(width: int, height: int) -> NDArray[np.uint8]:
    """(height, width, 3) uint8 RGB: a grey ramp, black at the left and white at the right."""
    ramp = np.linspace(0, 255, width).round().astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(ramp[None, :, None], (height, width, 3)))


def bars(width: int, height: int) -> NDArray[np.uint8]:
    """(height, width, 3) uint8 RGB: eight colour bars at full strength."""
    place = np.arange(width) * len(BARS) // width
    row = np.array(BARS, np.uint8)[place]
    return np.ascontiguousarray(np.broadcast_to(row[None], (height, width, 3)))


def picture(
    rgb: NDArray[np.uint8], layout: str = "yuv420p", *, seconds: float = 0
) -> av.VideoFrame:
    """A Picture in `layout` of (height, width, 3) uint8 RGB, untagged (so BT.601 when YUV)."""
    image = pixels.from_rgb(rgb, layout)
    image.time_base = Fraction(1, 90_000)
    image.pts = round(seconds * 90_000)
    return image


def sound(samples: NDArray[np.float32], rate: int = 48_000, *, seconds: float = 0) -> av.AudioFrame:
    """An Audio block of (channels, samples) float32 in -1..1; one or two channels."""
    layout = "mono" if samples.shape[0] == 1 else "stereo"
    block = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), "fltp", layout)
    block.sample_rate = rate
    block.time_base = Fraction(1, rate)
    block.pts = round(seconds * rate)
    return block


class Bench:
    """A node that has been set up. Call it with values by port name."""

    def __init__(self, node: Node) -> None:
        self.node = node

    def __call__(self, *, at: float = 0.0, **values: Any) -> Any:
        """What process() gives for these values at `at` seconds; a list where it gives many."""
        if timed := type(self.node).timed:
            values[timed] = Moment(round(at * 90_000), Fraction(1, 90_000))
        given = self.node.process(**values)
        return list(given) if type(self.node).many else given

    def flush(self) -> list[Any]:
        return list(self.node.flush())


@contextmanager
def bench(
    node: Node,
    *,
    layout: str = "",
    width: int = 0,
    height: int = 0,
    folder: Path | str = ".",
    source: str = "",
    sink: str = "",
    live: bool = False,
) -> Iterator[Bench]:
    """A node between setup() and close(), its picture outputs in `layout` where it may choose."""
    cls = type(node)
    ctx = Context(
        node=type(node).__name__.lower(),
        folder=Path(folder),
        inputs={port.name: _pick(port, layout, width, height) for port in cls.inputs},
        outputs={
            port.name: _pick(port, layout, *node.picture_size(width, height))
            for port in cls.outputs
        },
        source=source,
        sink=sink,
        live=live,
    )
    try:
        node.setup(ctx)
        yield Bench(node)
    finally:
        node.close()


def _pick(port: Port, layout: str, width: int, height: int) -> Format:
    wanted = [item for item in port.formats if item.layout == layout]
    return (wanted or list(port.formats))[0].sized(width, height)


def run_node(node: Node, *, at: float = 0.0, folder: Path | str = ".", **values: Any) -> Any:
    """What a node gives for one set of values: setup(), one process(), close().

    A value for a Picture port may be an RGB array; it is turned into a picture of the first layout
    that the port takes. Returns what process() returns; a list where it gives many.
    """
    made = {name: _as_value(type(node).inputs, name, value) for name, value in values.items()}
    first = next((value for value in made.values() if isinstance(value, av.VideoFrame)), None)
    layout = first.format.name if first is not None else ""
    width, height = (first.width, first.height) if first is not None else (0, 0)
    with bench(node, layout=layout, width=width, height=height, folder=folder) as run:
        given = run(at=at, **made)
        return given + run.flush() if isinstance(given, list) else given


def _as_value(ports: Sequence[Port], name: str, value: Any) -> Any:
    port = next((port for port in ports if port.name == name), None)
    if port is None:
        known = ", ".join(port.name for port in ports)
        raise TypeError(f"the node has no port {name!r}; it has {known}")
    wanted = port.formats[0]
    if wanted.kind == Kind.PICTURE and wanted.carrier == Carrier.FRAME:
        return picture(value, wanted.layout) if isinstance(value, np.ndarray) else value
    if wanted.kind == Kind.DETECTIONS and isinstance(value, list | tuple):
        return Detections(tuple(value))
    return value
