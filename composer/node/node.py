"""Node: one step of a pipeline. Its fields are its settings, its `process` declares its ports."""

import inspect
import threading
import time
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Final,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from pydantic import BaseModel, ConfigDict, Field

from composer.node.formats import Format, Own, formats_of
from composer.node.frames import Frame, Moment
from composer.node.roles import Role

if TYPE_CHECKING:  # a file needs neither
    from composer.session.egress import Egress
    from composer.session.ingress import Ingress


def Live(default: Any = ..., **kwargs: Any) -> Any:
    """A field that may change between two frames of a running pipeline."""
    return Field(default, json_schema_extra={"change": "live"}, **kwargs)


def Fixed(default: Any = ..., **kwargs: Any) -> Any:
    """A field that no param may reach: it names files, or is code for another engine."""
    return Field(default, json_schema_extra={"change": "fixed"}, **kwargs)


def ReadFile(default: Any = ..., *, address: bool = False, **kwargs: Any) -> Any:
    """A fixed field that names a file to read, found below the pipeline's folder.

    address: it may be one of the network, too (rtsp://...).
    """
    extra: Any = {"change": "fixed", "file": "address" if address else "read"}
    return Field(default, json_schema_extra=extra, **kwargs)


def WeightsFile(default: Any = ..., **kwargs: Any) -> Any:
    """A fixed field that names a file of weights, as composer.models.weights reads it.

    A field `sha256` beside it, where the node has one, says what the file must be.
    """
    extra: Any = {"change": "fixed", "file": "weights"}
    return Field(default, json_schema_extra=extra, **kwargs)


class BadSetting(ValueError):
    """A setting that no node can have. at: keys and indices below the node; hint: one suggestion.

    Raised by shaped(), and told as a Problem at its place in the file.
    """

    def __init__(self, at: tuple[str | int, ...], message: str, hint: str = "") -> None:
        super().__init__(message)
        self.at: Final = at
        self.hint: Final = hint


class Declared(ValueError):
    """A node class that cannot work. The message says what to write instead."""


@dataclass(frozen=True, slots=True)
class Port:
    """A named end of a node.

    formats: what it takes or gives, the preferred one first. tied: the input whose Format this
    output always has, "" when the plan chooses. own: see formats.Own.
    """

    name: str
    formats: tuple[Format, ...]
    optional: bool = False
    tied: str = ""
    own: bool = False

    @property
    def kind(self) -> str:
        return str(self.formats[0].kind)


def _wait(seconds: float) -> bool:
    """Nobody stops a node that runs alone."""
    return threading.Event().wait(seconds)


@dataclass(frozen=True, slots=True)
class Batching:
    """How many frames one call of a node may take, and how long a frame waits for others."""

    most: int = 1
    delay_ms: float = 0.0


ALONE: Final = Batching()


@dataclass(frozen=True)
class Context:
    """What the plan decided for one node; given to setup().

    inputs, outputs: the Format of each connected port. source, sink: the media this run reads and
    writes ("" when there is none). live: a session rather than a file. now: monotonic seconds.
    wait: let so many seconds pass; true, and at once, when the run stops.

    ingress, egress, data: the ends of a session where it has them, for nodes that play a role:
    iterating ingress gives the Units of its input and a Gap where some are missing, egress takes
    packets of encoders, and data takes one line of JSON for its data channel. sessions: how many
    this process has, this one among them.
    """

    node: str
    folder: Path
    inputs: Mapping[str, Format]
    outputs: Mapping[str, Format]
    device: str = "cpu"
    batch: Batching = ALONE
    source: str = ""
    sink: str = ""
    live: bool = False
    ingress: "Ingress | None" = None
    egress: "Egress | None" = None
    data: Callable[[str], None] | None = None
    sessions: int = 1
    now: Callable[[], float] = time.monotonic
    wait: Callable[[float], bool] = _wait

    def path(self, name: str) -> Path:
        """The file that a setting names, below the pipeline's folder."""
        return self.folder / name


class Node(BaseModel):
    """One step of a pipeline. Subclass it, give it fields, and annotate `process`.

    A node without inputs is a source: its process() is a generator. One that returns None is a
    sink. One annotated `-> Iterator[...]` gives any number of values for each one it takes.
    """

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True, allow_inf_nan=False)

    inputs: ClassVar[tuple[Port, ...]] = ()
    outputs: ClassVar[tuple[Port, ...]] = ()
    timed: ClassVar[str] = ""
    many: ClassVar[bool] = False

    role: ClassVar[Role | None] = None
    """What it is to the run or session around it: what reads the input, or writes the output."""

    stateless: ClassVar[bool] = False
    """True: frames may be worked on side by side (`concurrency`)."""

    blocking: ClassVar[bool] = False
    """True: slow enough to deserve a stage of its own."""

    merges: ClassVar[bool] = False
    """True: takes its inputs one by one as they come, instead of joined by pts."""

    devices: ClassVar[tuple[str, ...]] = ("cpu",)

    batches: ClassVar[bool] = False
    """True: it gathers frames of several sessions for one call, as ctx.batch says."""

    by_settings: ClassVar[bool] = False
    """True: its ports depend on its settings, and shaped() says which."""

    shaped_of: ClassVar["tuple[Node, Path, Batching] | None"] = None
    """Of a class that shaped() made: by which settings, in which folder, for which batch."""

    remembers: ClassVar[bool] = False
    """True: see() is called with the frames that `every` or `rate` lets by."""

    adapts: ClassVar[bool] = False
    """True: where only layouts or sizes around it change, or whether sound is coded, adapt() is
    called instead of setup()."""

    overlaps: ClassVar[bool] = False
    """True: it waits for something outside Python, so on files a second thread works beside it."""

    needs: ClassVar[tuple[str, ...]] = ()
    """What an image has to hold for it beside the base install: "onnxruntime", "torch"."""

    weights_bytes: ClassVar[int] = 0
    """Size of what it loads, where that is known before it is loaded."""

    shared: ClassVar[bool] = False
    """True: setup() loads what sessions share, so a server does that before the first session."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        for name in cls.__private_attributes__:
            setattr(cls, name, _Private(name))
        if cls.process is not Node.process and not cls.by_settings:
            _declare(cls)
            _check_role(cls)

    def shaped(self, folder: Path, batch: Batching) -> "Node":
        """The node with the ports that its settings call for; for classes with by_settings.

        folder: where its files are. batch: what the file asks for. Opens no library, and of files
        no more than what they say of themselves. Returns an instance of a subclass whose `inputs`
        and `outputs` are set. Raises BadSetting.
        """
        return self

    def plays_role(self) -> bool:
        """Whether it plays the role of its class with these settings; false where they name an end
        of its own, such as a file. Asked before setup(), and before a plan is made.
        """
        return True

    def as_still(self) -> "Node":
        """A sink as it has to be where a run wants one picture that lost nothing, as PNG. For sinks
        of Role.OUTPUT whose settings say how pictures are coded.
        """
        return self

    def about(self) -> Mapping[str, Any]:
        """What a node that is set up has to say of itself in the account of a run."""
        return {}

    def lost(self) -> Mapping[str, int]:
        """What a source did not give of its medium, or a sink not write of what it took, by reason,
        so far. Told like frames that were dropped.
        """
        return {}

    def lost_tracks(self) -> Sequence[str]:
        """Tracks of the medium of which nothing came through at all, in words."""
        return ()

    def picture_size(self, width: int, height: int) -> tuple[int, int]:
        """Size of the pictures it gives, from that of the first picture it takes (0: unknown)."""
        return width, height

    def port_layouts(self, port: str) -> tuple[str, ...]:
        """The pixel layouts that these settings leave to a port, preferred first; () for all."""
        return ()

    def live_layouts(self, port: str) -> tuple[str, ...]:
        """What a session leaves to a port, where these settings say more of it than port_layouts():
        pixel layouts, or of sound "coded" and "samples"; () for all.
        """
        return ()

    def stored_layout(self, source: str, folder: Path) -> str:
        """The pixel layout nearest to how a source's pictures are stored, "" where it is not known.

        source: what the run reads. Asked before the plan is made: nothing is decoded for it.
        """
        return ""

    def held_layouts(self, sink: str, *, live: bool) -> tuple[str, ...]:
        """The pixel layouts that what a sink writes can hold, preferred first; () for not known.

        sink: what the run writes, "" for nothing. live: in a session.
        """
        return ()

    def media_seconds(self, source: str, folder: Path) -> float | None:
        """Seconds of media that a source will give, None where it does not know."""
        return None

    def wants_track(self, port: str) -> bool:
        """Whether an optional track that nobody named should reach this node by itself."""
        return True

    def setup(self, ctx: Context) -> None:
        """Load, open, build buffers. Called once, before the first frame."""

    def process(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    def adapt(self, ctx: Context) -> None:
        """Go on with other layouts, sizes or sound around it, while it runs. For classes with
        adapts.
        """

    def see(self, **values: Any) -> None:
        """Take note of what process() is not run on. For nodes that remember."""

    def flush(self) -> Iterator[Any]:
        """What is still held when the input has ended, for nodes that give an Iterator; a sink ends
        here what it writes.
        """
        return iter(())

    def close(self) -> None:
        """Give back what setup() took. Called once, also after a failure."""


class _Private:
    """A private attribute of a node. pydantic looks each one up by failing to find it first, which
    costs some microseconds, and process() may ask for several at every frame.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, node: Any, cls: type[Node] | None = None) -> Any:
        if node is None:
            raise AttributeError(self._name)
        try:
            return node.__pydantic_private__[self._name]
        except (KeyError, TypeError):  # not set yet, or no instance yet
            raise AttributeError(f"{type(node).__name__!r} has no {self._name!r}") from None


def change_of(cls: type[Node], field: str) -> str:
    """How a field may change: "live", "rebuild" or "fixed"."""
    extra = cls.model_fields[field].json_schema_extra
    return str(extra.get("change", "rebuild")) if isinstance(extra, dict) else "rebuild"


def reads_file(cls: type[Node], field: str) -> bool:
    return _file_of(cls, field) in ("read", "address")


def opens_addresses(cls: type[Node], field: str) -> bool:
    """Whether a field that names a file may name one of the network."""
    return _file_of(cls, field) == "address"


def names_weights(cls: type[Node], field: str) -> bool:
    """Whether a field names a file of weights."""
    return _file_of(cls, field) == "weights"


def _file_of(cls: type[Node], field: str) -> object:
    extra = cls.model_fields[field].json_schema_extra
    return extra.get("file") if isinstance(extra, dict) else None


def type_name(cls: type[Node]) -> str:
    """snake_case of the class name: OverlayText -> overlay_text, Lut3d -> lut3d."""
    letters = [
        "_" + letter.lower() if letter.isupper() and place else letter.lower()
        for place, letter in enumerate(cls.__name__)
    ]
    return "".join(letters)


def _declare(cls: type[Node]) -> None:
    """Read the ports off `process`. Raises Declared when they cannot be used."""
    signature = inspect.signature(cls.process)
    try:
        hints = get_type_hints(cls.process, include_extras=True)
    except NameError as exc:
        raise Declared(f"process() is annotated with {exc.name!r}, which is not imported") from exc
    returned = hints.pop("return", _MISSING)
    ports, annotations, timed = [], {}, ""
    for name, parameter in list(signature.parameters.items())[1:]:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise Declared(f"process() may not take *{name}: each port needs a name and a Format")
        if name not in hints:
            raise Declared(f"process() does not say what {name!r} is; write `{name}: RGB`")
        if hints[name] is Moment:
            timed = name
            continue
        annotations[name] = _bare(hints[name])
        ports.append(_port(cls, name, hints[name], {}))
    if returned is _MISSING:
        raise Declared("process() does not say what it returns; write `-> RGB`, or `-> None`")
    cls.inputs, cls.timed = tuple(ports), timed
    returned, cls.many = _each(returned)
    cls.outputs = tuple(
        _port(cls, name, hint, annotations) for name, hint in _returned(returned).items()
    )
    if not cls.inputs and not cls.many:
        raise Declared("a node without inputs is a source: annotate process() `-> Iterator[...]`")


def _check_role(cls: type[Node]) -> None:
    """Raises Declared where a class cannot play the role that it declares."""
    if cls.role is None:
        return
    if cls.role not in list(Role):
        known = ", ".join(f"Role.{role.name}" for role in Role)
        raise Declared(f"its role is {cls.role!r}; there are {known}")
    if cls.role == Role.INPUT and cls.inputs:
        raise Declared("what plays Role.INPUT is a source: its process() takes nothing")
    if cls.role != Role.INPUT and cls.outputs:
        raise Declared(f"what plays Role.{cls.role.name} is a sink: annotate process() `-> None`")


_MISSING: Final = object()


def _each(hint: Any) -> tuple[Any, bool]:
    if get_origin(hint) is Iterator:
        return get_args(hint)[0], True
    return hint, False


def _returned(hint: Any) -> dict[str, Any]:
    """Output name -> annotation. One unnamed output is called after its kind."""
    if hint in (None, type(None)):
        return {}
    if isinstance(hint, type) and issubclass(hint, tuple) and hasattr(hint, "_fields"):
        return get_type_hints(hint, include_extras=True)
    return {"": hint}


def _bare(hint: Any) -> Any:
    """The annotation without `| None` and without the Frame envelope."""
    if get_origin(hint) in (Union, types.UnionType):
        rest = [part for part in get_args(hint) if part is not type(None)]
        return _bare(rest[0]) if len(rest) == 1 else hint
    if get_origin(hint) is Frame:
        return _bare(get_args(hint)[0])
    return hint


def _port(cls: type[Node], name: str, hint: Any, inputs: Mapping[str, Any]) -> Port:
    bare = _bare(hint)
    base, marks = (get_args(bare)[0], get_args(bare)[1:]) if _annotated(bare) else (bare, ())
    try:
        formats = formats_of(base, marks)
    except ValueError as exc:
        raise Declared(f"process(): {exc}") from exc
    if not formats:
        shown = getattr(base, "__name__", str(base))
        place = f"has {name!r} as {shown}" if name else f"gives {shown}"
        raise Declared(
            f"process() {place}, which is not a Format;"
            " there are Picture, RGB, Tensor, Mask, Audio, Array, Detections and Record"
        )
    tied = next((port for port, other in inputs.items() if _same_formats(other, bare)), "")
    return Port(
        name=name or _PORT_NAMES[str(formats[0].kind)],
        formats=formats,
        optional=type(None) in get_args(hint),
        tied=tied,
        own=any(isinstance(mark, Own) for mark in marks),
    )


def _annotated(hint: Any) -> bool:
    return get_origin(hint) is Annotated


def _same_formats(one: Any, other: Any) -> bool:
    """Whether two annotations name the same Formats; who owns the picture does not count."""
    return _without_own(one) == _without_own(other)


def _without_own(hint: Any) -> list[Any]:
    parts = get_args(hint) if _annotated(hint) else (hint,)
    return [part for part in parts if not isinstance(part, Own)]


_PORT_NAMES: Final = {
    "picture": "image",
    "audio": "audio",
    "mask": "mask",
    "detections": "detections",
    "record": "record",
    "array": "array",
}
"""What an output is called that the node did not name."""
