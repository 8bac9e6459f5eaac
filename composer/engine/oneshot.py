"""One-shot jobs: a compiled graph run once, from bytes to bytes.

The codecs' libraries want files with names, so both ends lie in a private folder in memory
(/dev/shm) where there is one, and on disk otherwise; it goes away with the job.
"""

import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from composer import lazy, strictjson
from composer.compiler.compile import Compiled, plan_of
from composer.compiler.graph import Graph
from composer.engine.run import Media, Run
from composer.errors import (
    ComposerError,
    MediaError,
    NodeFailed,
    ParamRejected,
    Problem,
    words_of,
)
from composer.node.roles import Role, having, playing
from composer.pipeline.hints import did_you_mean
from composer.threads import Threads

with lazy.deferred():  # a worker of streams needs no Pillow
    from composer.media import extent, stills

PICTURES: Final = ("png", "jpeg", "webp")
CLIPS: Final = ("mp4", "mov", "mkv", "ts", "webm")
FORMATS: Final = (*PICTURES, "rgb", *CLIPS, "json")
"""What a job can give: pictures, packed RGB24, clips, and the records of a pipeline."""

_STILL: Final = (*PICTURES, "rgb")


class TooLarge(ComposerError):
    """More than the limits allow: bytes, pixels, seconds."""


class UnknownKind(ComposerError):
    """Bytes that are no picture and no clip of a known kind."""


class GivenUp(ComposerError):
    """The job was aborted."""


GRACE_SECONDS: Final = 2.0
"""What a job may take to end when it has been given up; one that takes longer hangs."""


@dataclass(frozen=True, slots=True)
class JobLimits:
    """What one job may cost.

    input_bytes, output_bytes: of the body and of the answer. pixels: of one picture. media_seconds:
    length of a clip. pictures: in a clip. seconds: the work may take.
    """

    input_bytes: int = 64 << 20
    output_bytes: int = 256 << 20
    pixels: int = 4096 * 4096
    media_seconds: float = 60.0
    pictures: int = 7200
    seconds: float = 120.0


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked for.

    data: a picture, a clip, or packed RGB24 of `size`; b"" for a pipeline that makes its pictures.
    format: one of FORMATS, "" for that of the input. seconds: how much is made without an input.
    """

    data: bytes = b""
    params: Mapping[str, Any] = field(default_factory=dict)
    size: tuple[int, int] | None = None
    format: str = ""
    seconds: float = 5.0


@dataclass(frozen=True, slots=True)
class Result:
    """The answer. metadata: width, height, frames, format, params and seconds; plain data."""

    body: bytes
    format: str
    metadata: Mapping[str, Any]


def kind_of(order: Order) -> str:
    """What the bytes are: one of FORMATS, "" for none. Raises UnknownKind or ParamRejected."""
    if not order.data:
        return ""
    if order.size is not None and len(order.data) == 3 * order.size[0] * order.size[1]:
        return "rgb"
    kind = stills.kind_of(order.data) or extent.kind_of(order.data)
    if kind:
        return kind
    if order.size is None:
        raise UnknownKind(
            "the body is no PNG, JPEG, WebP, MP4, MOV, MKV, WebM or MPEG-TS;"
            " for packed RGB24 say its width and height"
        )
    width, height = order.size
    message = f"{width}x{height} RGB24 is {3 * width * height} bytes, got {len(order.data)}"
    raise ParamRejected([Problem("bad-size", message, "width")])


class Job:
    """One order on its way. run() or work() block and are called once; the rest may be called
    meanwhile.

    The constructor raises what is wrong with the order: ParamRejected, TooLarge, UnknownKind,
    MediaError, PipelineInvalid.
    """

    def __init__(self, compiled: Compiled, order: Order, limits: JobLimits = JobLimits()) -> None:
        self._order, self._limits = order, limits
        self._kind = kind_of(order)
        _check_size(order, self._kind, limits)
        graph = plan_of(compiled).graph
        self._readers = list(playing(graph.nodes, Role.INPUT))
        # A job gives what sinks would write elsewhere, too: it has no other place for it.
        self._writers = list(having(graph.nodes, Role.OUTPUT))
        self._records = list(having(graph.nodes, Role.DATA))
        self.format = self._chosen()
        self._compiled = replace(compiled, graph=self._still(graph))
        self._check(order.params)
        self._lock = threading.Lock()
        self._run: Run | None = None
        self._aborted = False

    def abort(self) -> None:
        """Give the work up; run() raises GivenUp soon. From any thread, at any time."""
        with self._lock:
            self._aborted = True
            if self._run is not None:
                self._run.abort()

    @property
    def media_seconds(self) -> float:
        """How far the work is, in time of the media."""
        run = self._run
        return run.report().media_seconds if run is not None else 0.0

    def run(self) -> Result:
        """The same as work(), on a thread of its own, which is left behind where a node hangs:
        raises Overdue soon after the limit.
        """
        try:
            return Threads("job", 1).call(self._limits.seconds + GRACE_SECONDS, self.work)
        finally:
            self.abort()

    def work(self) -> Result:
        """Raises NodeFailed, MediaError, TooLarge, GivenUp or Stalled. Where a node hangs it comes
        back when the node does.
        """
        memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
        with tempfile.TemporaryDirectory(prefix="byoc-", dir=memory) as name:
            folder = Path(name)
            try:
                return self._worked(folder)
            except MediaError as exc:
                raise MediaError(_nameless(exc, folder)) from exc
            except NodeFailed as exc:
                if isinstance(exc.__cause__, MediaError):
                    raise MediaError(_nameless(exc.__cause__, folder)) from exc
                raise

    def _worked(self, folder: Path) -> Result:
        source = self._stored(folder)
        still = self.format in _STILL
        sink = folder / f"out.{'png' if still else _ending(self.format)}"
        media = Media({"": source}, self._sinks(folder, sink), seconds=self._length(still))
        run = Run(plan_of(self._compiled, ends=media), media)
        run.params.patch(self._order.params)
        with self._lock:
            if self._aborted:
                raise GivenUp("the job was given up")
            self._run = run
        run.start()
        if self._aborted or not run.done.wait(self._limits.seconds):
            run.abort()
        account = run.wait()
        if self._aborted:
            raise GivenUp("the job was given up")
        if account.seconds >= self._limits.seconds:
            raise TooLarge(f"the work took more than {self._limits.seconds:g} s")
        body, size = self._body(folder, sink, still=still)
        if len(body) > self._limits.output_bytes:
            raise TooLarge(f"the answer has more than {self._limits.output_bytes} bytes")
        counted = self._writers or self._records
        frames = max((account.nodes[name].taken for name in counted), default=0)
        metadata = {
            "width": size[0],
            "height": size[1],
            "frames": 1 if still else frames,
            "format": self.format,
            "params": {
                name: strictjson.brief(value) for name, value in run.params.values().items()
            },
            "seconds": round(account.seconds, 3),
        }
        return Result(body, self.format, metadata)

    def _chosen(self) -> str:
        """The format of the answer. Raises ParamRejected for one that cannot be had."""
        asked = "jpeg" if self._order.format == "jpg" else self._order.format
        if asked and asked not in FORMATS:
            hint = did_you_mean(asked, FORMATS)
            raise _refused("format", f"format should be one of {', '.join(FORMATS)}", hint)
        if len(self._writers) > 1:
            raise _refused("pipeline", "a one-shot job has one answer, and several nodes write it")
        if self._readers and not self._order.data:
            raise _refused("image", "the pipeline reads a picture or a clip, and got none")
        if self._order.data and not self._readers:
            raise _refused("image", "the pipeline makes its own pictures; send none")
        if not self._writers and not self._records:
            raise _refused("pipeline", "the pipeline has no node that writes an output or records")
        if asked == "json" and not self._records:
            raise _refused("format", "no node of the pipeline writes records, so it gives no json")
        if not self._writers:
            if asked not in ("", "json"):
                raise _refused("format", f"no node of the pipeline writes {asked}, only records")
            return "json"
        return asked or self._kind or "mp4"

    def _still(self, graph: Graph) -> Graph:
        """With encode nodes that write PNG where a picture is wanted: others are made of that."""
        if self.format not in _STILL:
            return graph
        nodes = dict(graph.nodes)
        layouts = {"image": ("rgb24", "rgba") if self.format in stills.CLEAR else ("rgb24",)}
        for name in self._writers:
            settings = nodes[name].settings.as_still()
            if settings is not nodes[name].settings:
                nodes[name] = replace(nodes[name], settings=settings, layouts=layouts)
        return replace(graph, nodes=nodes)

    def _sinks(self, folder: Path, sink: Path) -> dict[str, str]:
        """Where each node of the job writes, by its name."""
        written = {name: str(sink) for name in self._writers}
        return written | {name: str(path) for name, path in self._lines(folder).items()}

    def _lines(self, folder: Path) -> dict[str, Path]:
        """The files of records."""
        return {name: folder / f"{number}.jsonl" for number, name in enumerate(self._records)}

    def _check(self, params: Mapping[str, Any]) -> None:
        Run(plan_of(self._compiled), Media()).params.patch(params)

    def _length(self, still: bool) -> float:  # noqa: FBT001
        if self._readers:
            return self._limits.media_seconds
        return 1e-6 if still else min(self._order.seconds, self._limits.media_seconds)

    def _stored(self, folder: Path) -> str:
        """The input in a file, within the limits; its path."""
        if not self._kind:
            return ""
        if self._kind == "rgb" and self._order.size is not None:
            stills.write_raw_png(self._order.data, self._order.size, folder / "in.png")
            return str(folder / "in.png")
        if self._kind in stills.KINDS:
            stills.write_png(self._order.data, folder / "in.png")
            return str(folder / "in.png")
        path = folder / f"in.{self._kind}"
        path.write_bytes(self._order.data)
        clip = extent.measure(path)
        if clip.width * clip.height > self._limits.pixels:
            raise TooLarge(f"{clip.width}x{clip.height} is more than {self._limits.pixels} pixels")
        if clip.seconds > self._limits.media_seconds or clip.pictures > self._limits.pictures:
            raise TooLarge(
                f"the clip has {clip.seconds:.1f} s and {clip.pictures} pictures;"
                f" the limits are {self._limits.media_seconds:g} s and {self._limits.pictures}"
            )
        return str(path)

    def _body(
        self, folder: Path, sink: Path, *, still: bool
    ) -> tuple[bytes, tuple[int | None, int | None]]:
        if self.format == "json":
            return _rows(self._lines(folder)), (None, None)
        if still:
            return stills.from_png(sink, self.format)
        if sink.stat().st_size > self._limits.output_bytes:
            raise TooLarge(f"the answer has more than {self._limits.output_bytes} bytes")
        clip = extent.measure(sink)
        return sink.read_bytes(), (clip.width, clip.height)


def _check_size(order: Order, kind: str, limits: JobLimits) -> None:
    """Before anything is decoded: a small file may hold a picture of any size."""
    if len(order.data) > limits.input_bytes:
        raise TooLarge(f"the input has more than {limits.input_bytes} bytes")
    if kind in stills.KINDS:
        width, height = stills.size_of(order.data)
        if width * height > limits.pixels:
            raise TooLarge(f"{width}x{height} is more than {limits.pixels} pixels")
    if kind == "rgb" and len(order.data) > 3 * limits.pixels:
        raise TooLarge(f"the picture has more than {limits.pixels} pixels")


def _rows(files: Mapping[str, Path]) -> bytes:
    """A JSON object of one list for each file of lines. Line by line, since the interpreter does
    nothing else while it reads or writes one value.
    """
    lists = []
    for name, path in files.items():
        with path.open(encoding="utf-8", newline="\n") as file:
            rows = [strictjson.text(strictjson.read(line)) for line in file if line.strip()]
        lists.append(f"{strictjson.text(name)}: [{', '.join(rows)}]")
    return f"{{{', '.join(lists)}}}".encode()


def _ending(form: str) -> str:
    return "mkv" if form == "json" else form


def _refused(at: str, message: str, hint: str = "") -> ParamRejected:
    return ParamRejected([Problem("bad-value", message, at, hint=hint)])


def _nameless(exc: Exception, folder: Path) -> str:
    """What was said, without the folder that only this process knows."""
    return words_of(exc).replace(f"{folder}/", "")
