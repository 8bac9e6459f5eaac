"""Run the picture through filters of FFmpeg."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple, Self, TypeAlias

import av
from pydantic import Field, StringConstraints, field_validator, model_validator

from composer import Context, Fixed, Layouts, Live, Moment, Node, Picture
from composer.media import rates
from composer.node.formats import EVERY_LAYOUT, is_yuv
from composer.node.frames import UNSAID, UNTAGGED
from composer.pictures import chain, pixels

if TYPE_CHECKING:  # pydantic evaluates annotations, which would load the module
    from composer.pictures.chain import Chain

Filtered: TypeAlias = Annotated[Picture, Layouts(*EVERY_LAYOUT)]

NAME: Final = re.compile(r"(?P<filter>\w+)(@(?P<label>\w+))?", re.ASCII)

Option: TypeAlias = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9_]+(@[A-Za-z0-9_]+)?\.[A-Za-z0-9_]+$")
]
Word: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.+-]{1,32}$")]
Number: TypeAlias = Annotated[float, Field(allow_inf_nan=False)]

RESIZING: Final = {
    "crop": ("w", "h", "out_w", "out_h"),
    "scale": ("w", "h", "width", "height"),
    "scale2ref": ("w", "h", "width", "height"),
    "zscale": ("w", "h", "width", "height"),
}
"""Options that change the size of a running filter. The filters behind it keep the buffers of the
old size then, and libavfilter does not look."""

FILES: Final = re.compile(r"file|path|url|model|plugin|reinit")
"""Options that open what they name. Their values could come from a caller."""

COUNTS_WITH_RATE: Final = re.compile(
    r"\b(FRAME_RATE|FR|source_fps|\w*telecine|tpad|framerate|minterpolate|decimate|pulldown"
    r"|framestep)\b"
)
"""Filters and words in them that fail, or do nothing, where the rate is not known."""

MATRIX_CHANGES: Final = re.compile(r"colorspace|colormatrix|setparams|zscale|tonemap|libplacebo")
"""Filters that are there to change the colour matrix: what they give is left as it is."""

MATRICES: Final = {
    1: "bt709",
    4: "fcc",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    9: "bt2020nc",
    10: "bt2020c",
}
"""AVColorSpace -> its name in libavutil."""

HOLDS_ALL: Final = "reverse"
"""The filter that gives nothing before the end."""

HELD_BYTES: Final = 2 << 30
"""Most that it may hold."""

MOST: Final = 100_000
"""Pictures that a chain may give for one; `loop=-1` never stops."""

SMALLEST: Final = {"gblur": 34}
"""Sides below which a plane of 4:2:0 has 16 samples or fewer, beyond which gblur then writes
(libavfilter/x86/vf_gblur.asm)."""

RESERVED: Final = (0, 3)
"""Colour tags without a meaning (ISO/IEC 23091-2)."""


class ChainFilter(NamedTuple):
    """One filter of a chain: `name@label=options`."""

    name: str
    label: str
    options: str


class Filter(Node):
    """Run the picture through filters of FFmpeg: any chain of libavfilter with one way in and out.

    image: any layout and size. Gives what the chain gives, in the layout that the next node takes:
    it may be of another size, at other times, more or fewer. Scaling between layouts is put in
    where a filter needs it. The chain begins anew when size, layout or colour tags change.

    The chain is told the rate of the pictures, the shape of their pixels and the order of their
    fields, as FFmpeg tells it. Where the source says no rate and the chain counts with it
    (FRAME_RATE, source_fps, tpad, telecine and the like), the first picture waits for the second,
    whose distance says it.

    `graph` is written as for `ffmpeg -vf`, quotes and backslashes included; only commas between
    round brackets need no backslash. Labels in [brackets] and `;` are not taken. `commands` change
    options of the running filters: {"hue.s": 0}, {"hue@first.h": 90}. Taking a command out again
    does not undo it. Which options can change is up to the filter ("runtime" in FFmpeg's list).
    """

    graph: str = Fixed(min_length=1, max_length=10_000, description="for example hue=s=0, negate")
    commands: dict[Option, int | Number | Word] = Live(
        {}, max_length=32, description='values of running filters: {"hue.s": 0}'
    )
    threads: int = Field(
        1, ge=0, le=64, description="threads of each filter; 0: one per core, faster but costlier"
    )

    _layout: str
    _steps: tuple[ChainFilter, ...]
    _kind: tuple[Any, ...] = ()
    _running: BuiltChain | None = None
    _before: int | None = None
    _rate: Fraction = UNSAID
    _waits: bool = False
    _first: tuple[av.VideoFrame, Moment] | None = None
    """The first picture, while only the second one can tell the rate."""

    _sent: dict[str, int | float | str]
    _references: Chain

    @field_validator("graph")
    @classmethod
    def _can_be_read(cls, graph: str) -> str:
        steps_of(graph)
        return graph

    @model_validator(mode="after")
    def _commands_lead_somewhere(self) -> Self:
        for command in self.commands:
            target(command, steps_of(self.graph))
        return self

    def picture_size(self, width: int, height: int) -> tuple[int, int]:
        return 0, 0  # only libavfilter knows

    def setup(self, ctx: Context) -> None:
        self._layout = ctx.outputs["image"].layout
        self._steps = steps_of(self.graph)
        check(self._steps)
        if ctx.live and any(step.name == HOLDS_ALL for step in self._steps):
            raise ValueError(
                f"filter {HOLDS_ALL!r} waits for the end, which a session does not have"
            )
        self._references = chain.Chain()
        self._waits = COUNTS_WITH_RATE.search(self.graph) is not None

    def process(self, image: Filtered, at: Moment) -> Iterator[Filtered]:
        if not self._rate:
            self._rate = self._rate_of(image, at)
        if not self._rate and self._first is None and self._waits:
            self._first = image, at
            return
        yield from self._held()
        yield from self._filtered(image, at)

    def _held(self) -> Iterator[av.VideoFrame]:
        if self._first is not None:
            first, self._first = self._first, None
            yield from self._filtered(*first)

    def _rate_of(self, image: av.VideoFrame, at: Moment) -> Fraction:
        """Pictures per second as the source, the picture or its distance to the first one says."""
        if at.rate:
            return at.rate
        if image.duration and image.time_base:
            return rates.of_step(image.duration, image.time_base)
        if self._first is None or at.pts <= self._first[1].pts:
            return UNSAID
        return rates.of_step(at.pts - self._first[1].pts, at.time_base)

    def _filtered(self, image: av.VideoFrame, at: Moment) -> Iterator[av.VideoFrame]:
        size = (image.width, image.height, image.format.name)
        kind = (*size, image.colorspace, image.color_range, at.time_base, at.color.matrix)
        if self._running is None or kind != self._kind:
            yield from self._rest()
            last = last_format(self._steps, self._layout, image, at)
            self._running = BuiltChain(image, at, self._rate, self._steps, last, self.threads)
            self._kind, self._sent, self._before = kind, {}, None
        for command, value in self.commands.items():
            if self._sent.get(command) != value:
                self._sent[command] = value
                place, option = target(command, self._steps)
                self._running.command(place, option, value)
        for given in self._running.run(self._at_time(image, at)):
            from_rgb = pixels.tags(image) == UNTAGGED
            if from_rgb and given.colorspace == at.color.matrix:
                pixels.with_tags(given, at.color, given.color_range)
            yield given

    def _at_time(self, image: av.VideoFrame, at: Moment) -> av.VideoFrame:
        """The picture as libavfilter needs it; the same pixels.

        Its time is that of the envelope, which may be another one than it was made at. It lasts as
        long as the one before where it does not say: `fps` loses the last picture otherwise. Colour
        tags that are reserved numbers are left out: swscale refuses them.
        """
        if self._before is not None:
            step = max(at.pts - self._before, 0)
        else:
            step = round(1 / (self._rate * at.time_base)) if self._rate else 0
        self._before = at.pts
        same_time = image.pts == at.pts and image.time_base == at.time_base
        reserved = image.color_trc in RESERVED or image.color_primaries in RESERVED
        if same_time and not reserved and (image.duration or not step):
            return image
        same = self._references.run(image)
        same.pts, same.time_base = at.pts, at.time_base
        if not same_time or not image.duration:
            same.duration = step
        if reserved:
            same.color_trc = same.color_primaries = pixels.UNSPECIFIED
        return same

    def flush(self) -> Iterator[Filtered]:
        yield from self._held()
        yield from self._rest()

    def _rest(self) -> Iterator[av.VideoFrame]:
        """What the filters still hold; they have ended then."""
        if self._running is not None:
            yield from self._running.end()
        self._running = None

    def close(self) -> None:
        self._running = None


class BuiltChain:
    """A chain built for one kind of picture. Raises ValueError when it cannot be."""

    def __init__(
        self,
        image: av.VideoFrame,
        at: Moment,
        rate: Fraction,
        steps: Sequence[ChainFilter],
        last: str,
        threads: int,
    ) -> None:
        _dare(steps, image)
        self._ended = False
        self._steps = steps
        self._room = HELD_BYTES if any(step.name == HOLDS_ALL for step in steps) else None
        self._graph = av.filter.Graph()
        self._graph.threads = threads
        source = {
            "video_size": f"{image.width}x{image.height}",
            "pix_fmt": image.format.name,
            "time_base": str(at.time_base),
            "pixel_aspect": str(pixels.aspect(image)),
            "colorspace": str(int(image.colorspace)),
            "range": str(pixels.FULL if pixels.is_full_range(image) else pixels.LIMITED),
        }
        self._source = self._graph.add(
            "buffer", **source, **({"frame_rate": str(rate)} if rate else {})
        )
        self._filters = [added(self._graph, step) for step in steps]
        self._sink = self._graph.add("buffersink")
        shape = self._graph.add("format", last)
        try:
            self._graph.link_nodes(self._source, *self._filters, shape, self._sink)
            self._graph.configure()
        except av.FFmpegError as exc:
            shown = ", ".join(step.name for step in steps)
            raise ValueError(
                f"the chain {shown} does not take {image.width}x{image.height}"
                f" {image.format.name} pictures: {exc.strerror}"
            ) from exc

    def run(self, image: av.VideoFrame) -> Iterator[av.VideoFrame]:
        if self._ended:
            return
        if self._room is not None:
            self._room -= sum(plane.buffer_size for plane in image.planes)
            if self._room < 0:
                raise ValueError(
                    f"filter {HOLDS_ALL!r} holds all pictures until the end, and these are more"
                    f" than {HELD_BYTES >> 30} GiB; cut the input with a trim before it"
                )
        self._source.push(image)
        yield from self._ready()

    def end(self) -> Iterator[av.VideoFrame]:
        """What the filters still hold."""
        if not self._ended:
            self._ended = True
            self._source.push(None)
            yield from self._ready()

    def _ready(self) -> Iterator[av.VideoFrame]:
        for _ in range(MOST):
            try:
                given = self._sink.pull()
            except BlockingIOError:  # it wants another picture first
                return
            except EOFError:  # also before the end: a filter such as trim has had enough
                self._ended = True
                return
            assert isinstance(given, av.VideoFrame)
            yield given
        raise ValueError(f"the chain gives more than {MOST} pictures for one, so it has no end")

    def command(self, place: int, option: str, value: int | float | str) -> None:
        """Change an option between two pictures. Raises ValueError when the filter cannot."""
        name = self._steps[place].name
        try:
            self._filters[place].process_command(option, str(value))
        except NotImplementedError as exc:
            raise ValueError(f"{name} has no {option!r} that can change while it runs") from exc
        except av.FFmpegError as exc:
            raise ValueError(f"{name}.{option} cannot be {value!r}: {exc.strerror}") from exc


def _dare(steps: Sequence[ChainFilter], image: av.VideoFrame) -> None:
    """Raises ValueError for pictures that would crash a filter, if they reach it unscaled."""
    for step in steps:
        if step.name in RESIZING:
            return
        least = SMALLEST.get(step.name, 0)
        if min(image.width, image.height) < least:
            raise ValueError(
                f"filter {step.name!r} needs pictures of {least}x{least} at least,"
                f" got {image.width}x{image.height}; put a scale before it, or use a blur node"
            )


def steps_of(graph: str) -> tuple[ChainFilter, ...]:
    """The filters of a chain in FFmpeg's notation, one level of quoting taken off as FFmpeg does.

    Raises ValueError when it cannot be read. Knows nothing of which filters there are.
    """
    steps = []
    for written in _split(graph):
        if not written.strip():
            raise ValueError("should have a filter before and after each comma")
        head, _, options = written.partition("=")
        match = NAME.fullmatch(head.strip())
        if match is None:
            raise ValueError(
                f"has {head.strip()!r} where the name of a filter belongs;"
                " write name=option=value:option=value"
            )
        steps.append(ChainFilter(match["filter"], match["label"] or "", options.strip()))
    return tuple(steps)


def _split(graph: str) -> Iterator[str]:
    """The parts between commas. In quotes, after a backslash and in (...) a comma is a letter."""
    part, depth, quoted = "", 0, False
    letters = iter(graph)
    for letter in letters:
        if letter == "'":
            quoted = not quoted
        elif quoted:
            part += letter
        elif letter == "\\":
            part += next(letters, letter)
        elif letter in "[];":
            raise ValueError(
                f"has {letter!r}: only one row of filters is taken here, without labels;"
                " write nodes for branches"
            )
        elif letter == "," and not depth:
            yield part
            part = ""
        else:
            depth += (letter == "(") - (letter == ")")
            part += letter
        if depth < 0:
            raise ValueError("has a ')' too many")
    if quoted:
        raise ValueError("has a quote that is never closed")
    if depth:
        raise ValueError("has a '(' that is never closed")
    yield part


def target(command: str, steps: Sequence[ChainFilter]) -> tuple[int, str]:
    """Where in the chain a command goes, and to which option. Raises ValueError."""
    head, _, option = command.partition(".")
    name, _, label = head.partition("@")
    found = [
        place for place, step in enumerate(steps) if step.name == name and label in ("", step.label)
    ]
    if not found:
        shown = ", ".join(step.name + (f"@{step.label}" if step.label else "") for step in steps)
        raise ValueError(f"{command!r} leads to no filter; the chain has {shown}")
    if option in RESIZING.get(name, ()):
        raise ValueError(f"{command!r} would change the size while it runs; that takes a new graph")
    if FILES.search(option):
        raise ValueError(f"{command!r} opens files; such options are set in the graph only")
    return found[0], option


def check(steps: Sequence[ChainFilter]) -> None:
    """Raises ValueError for a filter that is not there, does not fit or refuses its options."""
    trial = av.filter.Graph()
    for step in steps:
        if step.name not in av.filter.filters_available:
            near = difflib.get_close_matches(step.name, sorted(av.filter.filters_available), 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"this FFmpeg has no filter {step.name!r}{hint}")
        found: Any = added(trial, step)  # its inputs and outputs are not in PyAV's stubs
        for word, ends in (("input", found.inputs), ("output", found.outputs)):
            if len(ends) != 1:
                raise ValueError(
                    f"filter {step.name!r} has {len(ends) or 'no'} {word}s;"
                    " only filters of one input and one output are taken"
                )


def added(graph: av.filter.Graph, step: ChainFilter) -> av.filter.context.FilterContext:
    """A filter with its options. Raises ValueError when it refuses them."""
    try:
        return graph.add(step.name, step.options or None)
    except av.FFmpegError as exc:
        raise ValueError(f"filter {step.name!r} refuses {step.options!r}: {exc.strerror}") from exc


def last_format(steps: Sequence[ChainFilter], layout: str, image: av.VideoFrame, at: Moment) -> str:
    """Options of the `format` filter that gives the planned layout, range and matrix."""
    wanted = f"pix_fmts={layout}"
    if not is_yuv(layout):
        return wanted
    wanted += ":color_ranges=tv"
    tagged = pixels.tags(image).matrix
    matrix = MATRICES.get(tagged if tagged != pixels.UNSPECIFIED else at.color.matrix)
    from_rgb = not image.format.name.startswith("yuv")
    if matrix and (from_rgb or tagged in MATRICES):
        changed = any(MATRIX_CHANGES.search(f"{step.name} {step.options}") for step in steps)
        changed = changed or any("out_color_matrix" in step.options for step in steps)
        wanted += "" if changed else f":color_spaces={matrix}"
    return wanted
