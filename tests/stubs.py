"""Tiny nodes and builders that the engine's tests share.

Pictures are 2x2, luma = frame number modulo 256, chroma 128; a source counts in 1/100 seconds.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, NamedTuple

import av
from pydantic import PrivateAttr, field_validator

from composer import (
    RGB,
    YUV,
    Audio,
    Chosen,
    Context,
    Detection,
    Detections,
    Fixed,
    Frame,
    Layouts,
    Live,
    Mask,
    Moment,
    Node,
    OwnYUV,
    Picture,
    Record,
    Role,
    Sound,
)
from composer.compiler.build import build
from composer.compiler.graph import Graph
from composer.compiler.lowering import lower
from composer.compiler.plan import Mode, Plan
from composer.engine.account import Report
from composer.engine.run import Run
from composer.errors import Problem
from composer.node.registry import Registry
from composer.pictures import pixels
from composer.pipeline import source, spec
from composer.pipeline.document import Document

TICK: Final = Fraction(1, 100)

Plain = Annotated[Picture, Layouts("yuv420p")]
"""What a source of these tests gives, whatever is behind it."""

WAIT: Final = 10.0
"""Seconds after which a wait is a deadlock."""


def picture(number: int, layout: str = "yuv420p", width: int = 2, height: int = 2) -> av.VideoFrame:
    """A picture whose luma (or every channel) is `number` modulo 256, at `number` ticks."""
    image = av.VideoFrame(width, height, layout)
    for place, plane in enumerate(pixels.planes(image)):
        plane[...] = number % 256 if place == 0 else 128
    image.pts, image.time_base = number, TICK
    return image


def luma(image: av.VideoFrame) -> int:
    return int(pixels.planes(image)[0].flat[0])


def frame(number: int, value: Any = None, born: float = 0.0) -> Frame[Any]:
    return Frame(number if value is None else value, number, TICK, born=born)


def registry(**classes: type[Node]) -> Registry:
    """A registry of the stub nodes below and of `classes`, by type name."""
    found = {**STUBS, **classes}
    _held.update({f"n{id(cls)}": cls for cls in found.values()})
    return Registry(
        {
            name: EntryPoint(name, f"{__name__}:_held.n{id(cls)}", "byoc.nodes")
            for name, cls in found.items()
        }
    )


class _Held(dict[str, type[Node]]):
    """Classes by name, as attributes: entry points look them up that way."""

    def __getattr__(self, name: str) -> type[Node]:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


_held: Final = _Held()


def graph_of(
    text: str, folder: Path = Path("/nowhere"), /, **classes: type[Node]
) -> tuple[Graph | None, list[Problem]]:
    """The graph of the nodes (and params) written in `text`, or its problems."""
    whole = text if text.lstrip().startswith("version:") else f"version: 1\n{text}"

    def load(path: Path, shown: str) -> Document:
        return source.load(path, {}, shown)

    pipeline, problems = spec.read(source.parse(whole, "p.yaml", {}))
    graph, more = build(pipeline, folder, registry(**classes), load)
    found = [*problems, *more]
    return (None if found else graph), found


def good_graph(text: str, folder: Path = Path("/nowhere"), /, **classes: type[Node]) -> Graph:
    graph, problems = graph_of(text, folder, **classes)
    assert graph is not None, [problem.message for problem in problems]
    return graph


def plan_of(
    text: str, mode: Mode = Mode.FILE, folder: Path = Path("/nowhere"), /, **classes: type[Node]
) -> Plan:
    plan, problems = lower(good_graph(text, folder, **classes), mode)
    assert plan is not None, [problem.message for problem in problems]
    return plan


def finished(run: Run) -> Report:
    """The report of a run that was started. Fails, and gives the run up, when it stands still."""
    if not run.done.wait(WAIT):
        run.abort()
        raise AssertionError("the run did not end")
    return run.wait()


def ran(text: str, mode: Mode = Mode.FILE, /, **classes: type[Node]) -> Report:
    run = Run(plan_of(text, mode, **classes))
    run.start()
    return finished(run)


def sink() -> type["Collect"]:
    """A sink class of its own, so that tests do not see each other's pictures."""

    class Own(Collect):
        seen: ClassVar[list[tuple[int, int]]] = []
        others: ClassVar[list[Any]] = []

    return Own


def calling(call: Callable[[av.VideoFrame], Any]) -> type[Node]:
    """A node that takes and gives planar YUV through a function of the test."""

    class Call(Node):
        amount: float = Live(0.0)

        def process(self, image: YUV) -> YUV:
            given: av.VideoFrame = call(image)
            return given

    return Call


# sources


class Count(Node):
    """Give pictures 0, 1, 2 ... in planar YUV."""

    count: int = Live(10, ge=0)
    step: int = 1
    start: int = 0
    level: float = Live(0.0)

    def process(self) -> Iterator[Annotated[Picture, Layouts("yuv420p")]]:
        for number in range(self.start, self.count * self.step, self.step):
            yield picture(number)


class Flexible(Node):
    """Give pictures in the layout that the plan chose."""

    count: int = 4
    width: int = 2
    height: int = 2
    _layout: str = ""

    def picture_size(self, width: int, height: int) -> tuple[int, int]:
        return self.width, self.height

    def setup(self, ctx: Context) -> None:
        self._layout = ctx.outputs["image"].layout

    def process(self) -> Iterator[Chosen]:
        for number in range(self.count):
            yield picture(number, self._layout, self.width, self.height)


class Tracks(NamedTuple):
    image: Annotated[Picture, Layouts("yuv420p")] | None = None
    audio: Sound | None = None


class Decode(Node):
    """Stands for the real one: pictures, and packets of sound that are plain frames here."""

    role = Role.INPUT

    path: str = ""
    count: int = 6
    _carrier: str = ""

    def plays_role(self) -> bool:
        return not self.path

    def process(self) -> Iterator[Tracks]:
        for number in range(self.count):
            yield Tracks(image=picture(number))


# in the middle


class Pass(Node):
    """Hand the picture on as it is."""

    stateless = True

    level: float = Live(0.0, ge=0, le=100)
    size_px: int = 1

    def process(self, image: YUV) -> YUV:
        return image


class Paint(Node):
    """Write into the picture."""

    def process(self, image: OwnYUV) -> OwnYUV:
        pixels.planes(image)[0][...] += 1
        return image


class Fresh(Node):
    """Make a new picture for each one."""

    stateless = True

    def process(self, image: YUV) -> OwnYUV:
        return pixels.copy(image)


class Shrink(Node):
    """A resize that can give whichever layout suits."""

    width: int = 2
    height: int = 2
    _layout: str = ""

    def picture_size(self, width: int, height: int) -> tuple[int, int]:
        return self.width, self.height

    def setup(self, ctx: Context) -> None:
        self._layout = ctx.outputs["image"].layout

    def process(self, image: Picture) -> Chosen:
        return pixels.convert(image, self._layout, self.width, self.height)


class Tint(Node):
    """Needs RGB arrays."""

    stateless = True

    strength: float = Live(0.5, ge=0, le=1, description="how much")

    def process(self, image: RGB) -> RGB:
        return image


class Threshold(Node):
    """A mask of a picture."""

    def process(self, image: RGB) -> Mask:
        return image[:, :, 0]


class Model(Node):
    """Slow enough for a stage of its own."""

    blocking = True

    def process(self, image: RGB) -> Detections:
        return Detections((Detection(0, 0, 1, 1, label=str(int(image[0, 0, 0]))),))


class Hold(Node):
    """Keep `depth` pictures back before the first comes out."""

    depth: int = 10
    _held: list[av.VideoFrame] = PrivateAttr(default_factory=list)

    def process(self, image: YUV) -> Iterator[YUV]:
        self._held.append(image)
        if len(self._held) > self.depth:
            yield self._held.pop(0)

    def flush(self) -> Iterator[Any]:
        yield from self._held


class OnlyOdd(Node):
    """Drop pictures of even luma."""

    def process(self, image: YUV) -> YUV | None:
        return image if luma(image) % 2 else None


class Mix(Node):
    """Join two pictures: gives a picture of the base's luma, remembers the pair."""

    def process(self, base: YUV, top: YUV) -> YUV:
        new = pixels.copy(base)
        pixels.planes(new)[1][...] = luma(top)
        return new


class MixMaybe(Node):
    """Join a picture with one that may be missing; chroma says which, 255 for none."""

    def process(self, base: YUV, top: YUV | None = None) -> YUV:
        new = pixels.copy(base)
        pixels.planes(new)[1][...] = 255 if top is None else luma(top)
        return new


class Blur(Node):
    """Join a picture with detections; chroma is the number of detections."""

    def process(self, image: YUV, regions: Detections) -> YUV:
        new = pixels.copy(image)
        pixels.planes(new)[1][...] = len(regions)
        return new


class Both(NamedTuple):
    image: YUV
    other: YUV


class Split(Node):
    """Two pictures out of one: itself and its opposite."""

    def process(self, image: YUV) -> Both:
        new = pixels.copy(image)
        pixels.planes(new)[0][...] = 255 - luma(image)
        return Both(image, new)


class Even(Node):
    """Its settings are checked together and one by one."""

    low: int = Live(0)
    high: int = Live(10)

    @field_validator("low")
    @classmethod
    def _even(cls, value: int) -> int:
        if value % 2:
            raise ValueError("should be even")
        return value

    def process(self, image: YUV) -> YUV:
        return image


class Sealed(Node):
    """Has a field that no param may reach."""

    path: str = Fixed("")

    def process(self, image: YUV) -> YUV:
        return image


# sinks


class Collect(Node):
    """Remember (pts, luma) of each picture, and the first sample of its second plane."""

    seen: ClassVar[list[tuple[int, int]]] = []
    others: ClassVar[list[Any]] = []

    def process(self, image: YUV, *, at: Moment) -> None:
        self.seen.append((at.pts, luma(image)))
        self.others.append(int(pixels.planes(image)[1].flat[0]))


class Encode(Node):
    """Stands for the real one: takes pictures and sound as they come."""

    role = Role.OUTPUT
    merges = True

    audio: bool = True

    def wants_track(self, port: str) -> bool:
        return port != "audio" or self.audio

    def process(
        self,
        image: Annotated[Picture, Layouts("yuv420p", "rgb24")] | None = None,
        audio: Sound | None = None,
    ) -> None:
        pass


class Show(Node):
    """A sink for RGB."""

    def process(self, image: RGB) -> None:
        pass


class Listen(Node):
    """A sink for decoded sound."""

    def process(self, audio: Audio) -> None:
        pass


class Volume(Node):
    """Sound in, sound out."""

    def process(self, audio: Audio) -> Audio:
        return audio


STUBS: Final[Mapping[str, type[Node]]] = {
    "count": Count,
    "flexible": Flexible,
    "decode": Decode,
    "pass": Pass,
    "paint": Paint,
    "fresh": Fresh,
    "shrink": Shrink,
    "tint": Tint,
    "threshold": Threshold,
    "model": Model,
    "hold": Hold,
    "only_odd": OnlyOdd,
    "mix": Mix,
    "mix_maybe": MixMaybe,
    "blur": Blur,
    "split": Split,
    "even": Even,
    "sealed": Sealed,
    "collect": Collect,
    "encode": Encode,
    "show": Show,
    "listen": Listen,
    "volume": Volume,
}


class Held:
    """A place in a node where the test lets it go on."""

    def __init__(self) -> None:
        self.reached, self.allowed = threading.Event(), threading.Event()

    def __call__(self) -> None:
        self.reached.set()
        reach(self.allowed)


def reach(event: threading.Event) -> None:
    """Wait for an event; a deadlock fails instead."""
    assert event.wait(WAIT), "the event did not come"


def looking(held: Held) -> type[Node]:
    """A node that looks at each picture when the test lets it."""

    class Look(Node):
        def process(self, image: YUV) -> Record:
            held()
            return {}

    return Look
