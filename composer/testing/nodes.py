"""Try a node without a pipeline: what its tests and its author need.

assert run_node(Sepia(strength=1), image=gradient(64, 48)).shape == (48, 64, 3)
"""

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import av
import numpy as np
from numpy.typing import NDArray

from composer.device import tensors
from composer.engine.checks import check_of
from composer.engine.instance import fresh
from composer.node.formats import Carrier, Format, Kind
from composer.node.frames import Frame, Moment
from composer.node.node import ALONE, Context, Node, Port, change_of
from composer.node.values import Detections
from composer.pictures import pixels

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

MOST: Final = 1000
"""Values that are taken of a node that gives many, where nobody says how many."""

RGB24: Final = Format(Kind.PICTURE, "rgb24", Carrier.ARRAY)

_END: Final = object()


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
    """A Picture in `layout` of (height, width, 3) uint8 RGB, or 4 with alpha, untagged (so BT.601
    when YUV).
    """
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
    """A node that has been set up. Call it with values by port name, once for each frame.

    inputs, outputs: the Format of each port, as setup() was told.
    """

    def __init__(
        self,
        node: Node,
        inputs: Mapping[str, Format] = MappingProxyType({}),
        outputs: Mapping[str, Format] = MappingProxyType({}),
    ) -> None:
        self.node = node
        self._inputs = {port.name: port.formats[0] for port in type(node).inputs} | {**inputs}
        # Which layout a picture has is the plan's business, and there is no plan.
        self._checks = {
            name: check_of(wanted)
            for name, wanted in outputs.items()
            if wanted.carrier is not Carrier.FRAME
        }

    def __call__(self, *, at: float = 0.0, most: int | None = None, **values: Any) -> Any:
        """What process() gives for these values at `at` seconds; a list where it gives many.

        most: where it gives many, only so many of them. Raises TypeError for a value that no port
        takes, for a port without a value, and for an output that a run would refuse.
        """
        cls = type(self.node)
        made = {name: _as_value(self._inputs, name, value) for name, value in values.items()}
        for port in () if cls.merges else cls.inputs:
            if port.name not in made and not port.optional:
                raise TypeError(f"the node needs a value for its port {port.name!r} ({port.kind})")
        if timed := cls.timed:
            made[timed] = Moment(round(at * 90_000), Fraction(1, 90_000))
        given = self.node.process(**made)
        return self._listed(given, most) if cls.many else self._checked(given)

    def set(self, **fields: Any) -> None:
        """Change live fields before the next call, as a caller's change of params would.

        Raises TypeError for a field that is not live, ValueError for a value that does not fit.
        """
        cls = type(self.node)
        for name in fields:
            if name not in cls.model_fields:
                known = ", ".join(cls.model_fields) or "none"
                raise TypeError(f"the node has no field {name!r}; it has {known}")
            if change_of(cls, name) != "live":
                raise TypeError(f"{name!r} is not a Live(...) field: try a new node with it")
        made = fresh(self.node, fields)
        self.node.__dict__.update({name: made.__dict__[name] for name in fields})

    def flush(self) -> list[Any]:
        """What the node still held when the input has ended."""
        return [self._checked(each) for each in self.node.flush()]

    def _listed(self, given: Iterator[Any], most: int | None) -> list[Any]:
        limit = MOST if most is None else most
        taken = [self._checked(each) for each in islice(given, limit)]
        if most is None and next(given, _END) is not _END:
            raise ValueError(f"the node gave more than {MOST} values; take some with `most=`")
        if isinstance(given, Generator):
            given.close()
        return taken

    def _checked(self, given: Any) -> Any:
        """The same value. Raises TypeError where a run would."""
        several = isinstance(given, tuple) and hasattr(given, "_fields")
        for port, value in zip(
            type(self.node).outputs, given if several else (given,), strict=False
        ):
            inner = value.value if isinstance(value, Frame) else value
            if inner is None or port.name not in self._checks:
                continue
            try:
                self._checks[port.name](inner)
            except TypeError as exc:
                raise TypeError(f"process() {exc} (output {port.name!r})") from None
        return given


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
    """A node between setup() and close(), its picture outputs in `layout` where it may choose.

    source, sink: the media that the run reads and writes. live: as in a session.
    """
    node = _with_ports(node, Path(folder))
    cls = type(node)
    ctx = Context(
        node=cls.__name__.lower(),
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
        yield Bench(node, ctx.inputs, ctx.outputs)
    finally:
        node.close()


def _with_ports(node: Node, folder: Path) -> Node:
    """The node with its ports, where its settings say which they are."""
    cls = type(node)
    if cls.by_settings and not cls.inputs and not cls.outputs:
        return node.shaped(folder, ALONE)
    return node


def _pick(port: Port, layout: str, width: int, height: int) -> Format:
    wanted = [item for item in port.formats if item.layout == layout]
    return (wanted or list(port.formats))[0].sized(width, height)


def run_node(
    node: Node,
    *,
    at: float = 0.0,
    most: int | None = None,
    folder: Path | str = ".",
    **values: Any,
) -> Any:
    """What a node gives for one set of values: setup(), one process(), close().

    values: by port name. An RGB array serves for a Picture and for a Tensor, a float32 array for
    sound, a list of Detection for detections. folder: where the node's files are.

    Returns what process() returns. Where that gives many, as sources do, it is a list: all of them
    and what flush() gives, or the first `most`. What the node raises comes out as it is, and
    close() is called all the same.
    """
    node = _with_ports(node, Path(folder))
    inputs = {port.name: port.formats[0] for port in type(node).inputs}
    made = {name: _as_value(inputs, name, value) for name, value in values.items()}
    first = next((value for value in made.values() if isinstance(value, av.VideoFrame)), None)
    layout = first.format.name if first is not None else ""
    width, height = (first.width, first.height) if first is not None else (0, 0)
    with bench(node, layout=layout, width=width, height=height, folder=folder) as run:
        given = run(at=at, most=most, **made)
        return given + run.flush() if isinstance(given, list) and most is None else given


def _as_value(inputs: Mapping[str, Format], name: str, value: Any) -> Any:
    if name not in inputs:
        known = ", ".join(inputs) or "no inputs"
        raise TypeError(f"the node has no port {name!r}; it has {known}")
    wanted = inputs[name]
    array = isinstance(value, np.ndarray)
    if value is None:
        return None
    if wanted.kind is Kind.AUDIO:
        return sound(np.atleast_2d(value)) if array else value
    if wanted.carrier is Carrier.FRAME:
        return picture(_fits(RGB24, name, value), wanted.layout) if array else value
    if wanted.carrier is Carrier.TENSOR and array:
        return tensors.hosted(_fits(RGB24, name, value))
    if wanted.kind is Kind.DETECTIONS and isinstance(value, list | tuple):
        return Detections(tuple(value))
    return _fits(wanted, name, value)


def _fits(wanted: Format, name: str, value: Any) -> Any:
    """The same value. Raises TypeError where a port cannot take it."""
    try:
        check_of(wanted)(value)
    except TypeError as exc:
        raise TypeError(f"input {name!r} got {str(exc).removeprefix('gave ')}") from None
    return value
