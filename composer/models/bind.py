"""Bind: which port feeds which input of a model, and what its outputs become."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from pydantic import Field

from composer import lazy
from composer.models.answer import FORMATS, PORT, Answer, Post, made_by
from composer.models.feed import Feed, Feeding, parsed, settle
from composer.models.labels import labels_in
from composer.models.onnxfile import Signature, Value
from composer.models.ultralytics import BOXES, FILL, Export, export
from composer.node.formats import Array, Format, Mask, Picture, Tensor, formats_of
from composer.node.node import BadSetting, Port
from composer.pipeline.hints import did_you_mean

with lazy.deferred():
    from composer.models import heads

Numbers: TypeAlias = float | list[float] | dict[str, float]

FEED: Final = frozenset(Feed.model_fields)
"""Names of what a Feed may say."""

PLACING: Final = frozenset({"size", "multiple", "fit"})
"""What the node says of pictures and holds for masks, too: they should lie on each other."""


class InputFeed(Feed):
    """What feeds one input of a model: a port, or a value of the file that a param may change."""

    port: str = Field("", pattern=PORT, description="name of the port")
    kind: Literal["image", "mask", "array"] = Field("image", description="what the port takes")
    value: Numbers | None = Field(
        None,
        description="instead of a port: a number, a list, or numbers by name; each name becomes a"
        " live field of the node, and so does a number or list under the input's own name",
    )
    min: float | None = Field(None, description="least that a number of `value` may be")
    max: float | None = Field(None, description="most that it may be")
    state: str = Field(
        "",
        description="instead of a port: the output that comes back here with the next picture;"
        " zeros at the start",
    )


@dataclass(frozen=True, slots=True)
class PictureIn:
    """An input that a picture (or mask) becomes."""

    name: str
    port: str
    kind: Literal["image", "mask"]
    feeding: Feeding


@dataclass(frozen=True, slots=True)
class ArrayIn:
    """An input that takes an array as it comes."""

    name: str
    port: str


@dataclass(frozen=True, slots=True)
class ValueIn:
    """An input made of live fields of the node, in this order. shape: () for a single number."""

    name: str
    fields: tuple[str, ...]
    default: tuple[float, ...]
    shape: tuple[int, ...]
    dtype: str
    least: float | None
    most: float | None


@dataclass(frozen=True, slots=True)
class StateIn:
    """An input that gets what an output was for the picture before. shape: of the zeros before."""

    name: str
    output: str
    shape: tuple[int, ...]
    dtype: str


In: TypeAlias = PictureIn | ArrayIn | ValueIn | StateIn


@dataclass(frozen=True, slots=True)
class Out:
    """One output: what it means and at which port."""

    name: str
    port: str
    answer: Answer


@dataclass(frozen=True)
class Binding:
    """How a model and the ports of its node belong together.

    outs: empty when all outputs together are detections; then head says how they are read, "" if
    that could not be told. regions: the model runs on each region of a picture. export: what
    Ultralytics wrote into the file.
    """

    ins: tuple[In, ...]
    outs: tuple[Out, ...]
    head: str = ""
    regions: bool = False
    labels: tuple[str, ...] = ()
    export: Export | None = None

    @property
    def inputs(self) -> tuple[Port, ...]:
        ports = [
            _in_port(each, regions=self.regions)
            for each in self.ins
            if not isinstance(each, ValueIn | StateIn)
        ]
        if self.regions:
            ports.append(Port("regions", (FORMATS["detections"],)))
        return tuple(ports)

    @property
    def outputs(self) -> tuple[Port, ...]:
        if self.regions or not self.outs:
            return (Port("detections", (FORMATS["detections"],)),)
        return tuple(
            Port(each.port, _out_formats(each.answer.post), own=True) for each in self.outs
        )

    @property
    def states(self) -> tuple[StateIn, ...]:
        return tuple(each for each in self.ins if isinstance(each, StateIn))

    @property
    def values(self) -> tuple[ValueIn, ...]:
        return tuple(each for each in self.ins if isinstance(each, ValueIn))

    @property
    def pictures(self) -> tuple[PictureIn, ...]:
        return tuple(each for each in self.ins if isinstance(each, PictureIn))


def _in_port(each: PictureIn | ArrayIn, *, regions: bool) -> Port:
    """Regions are cut out of a picture on the host: they are small, and none is like another."""
    if isinstance(each, ArrayIn):
        return Port(each.port, formats_of(Array))
    if each.kind == "mask":
        return Port(each.port, formats_of(Mask))
    return Port(each.port, formats_of(Picture) + (() if regions else formats_of(Tensor)))


def _out_formats(post: Post) -> tuple[Format, ...]:
    """On a device an image stays there."""
    return (FORMATS[post], *formats_of(Tensor)) if post == "image" else (FORMATS[post],)


@dataclass(frozen=True)
class Wanted:
    """What the file says of a model's ends."""

    feed: Feed
    takes: Mapping[str, InputFeed]
    gives: Mapping[str, Answer]
    post: Post | None = None
    head: str = ""
    window: int = 1
    regions: bool = False
    labels: tuple[str, ...] = ()
    said: frozenset[str] = frozenset()
    """Fields of the feed that stand in the file, on the node itself."""


def bind(wanted: Wanted, signature: Signature | None) -> Binding:
    """The binding of a node. signature: None where the model is not at hand.

    Raises BadSetting for what does not fit together.
    """
    post = wanted.post or ("raw" if wanted.gives else _post_of(signature))
    metadata = signature.metadata if signature is not None else {}
    labels = wanted.labels or labels_in(metadata)
    found = exported(metadata)
    ins = tuple(_ins(wanted, signature, found))
    if post == "detections":
        if wanted.gives:
            raise BadSetting(("gives",), "detections are read off all outputs together")
        head = wanted.head or _guessed(signature, found)
        if signature is not None and signature.outputs and not head:
            said = f"it cannot be told how to read detections off {_listed(signature.outputs)}"
            raise BadSetting(("post",), said, f"write `head:` ({', '.join(heads.HEADS)})")
        _check_export(found, head, signature)
        _check_scaled(post, [each for each in _outputs(signature) if len(each.shape or ()) > 2])
        binding = Binding(ins, (), head, wanted.regions, labels, found)
    else:
        if found is not None and found.task in BOXES and wanted.post not in (None, "raw"):
            said = f"the file says task: {found.task}, whose outputs are boxes and no {wanted.post}"
            raise BadSetting(("post",), said, "leave it out, or name one output in `gives`")
        if wanted.head:
            raise BadSetting(("head",), "only `post: detections` has a head")
        binding = Binding(ins, tuple(_outs(wanted, post, signature)), "", wanted.regions, labels)
    _check_ports(binding.inputs, "takes")
    _check_ports(binding.outputs, "gives")
    if not binding.inputs:
        raise BadSetting(("takes",), "nothing goes in but values", "one input should be a port")
    _check_regions(binding, wanted)
    _check_states(binding, wanted, signature)
    return binding


# inputs


def _ins(wanted: Wanted, signature: Signature | None, found: Export | None) -> Iterator[In]:
    taken: set[str] = set()
    if signature is None:
        # Where nothing says what is the picture, the model will: it has one that is not named here.
        unnamed = {} if _pictured(wanted) else {"": InputFeed()}
        for name, take in (unnamed | dict(wanted.takes)).items():
            yield _in(name, take, None, wanted, None, taken)
        return
    known = {each.name: each for each in signature.inputs}
    for name in wanted.takes:
        _check_named(("takes", name), name, "input", signature.inputs)
    pictured = _pictured(wanted)
    for name, value in known.items():
        take = wanted.takes.get(name, InputFeed())
        if name not in wanted.takes:
            if pictured or not _looks_like_picture(value):
                said = f"the model takes {_listed(signature.inputs)}; nothing says what {name!r} is"
                raise BadSetting(("takes",), said, f"write `takes: {{{name}: ...}}`")
            pictured = True
        yield _in(name, take, value, wanted, found, taken)


def _pictured(wanted: Wanted) -> bool:
    return any(
        take.value is None and not take.state and take.kind != "array"
        for take in wanted.takes.values()
    )


def _looks_like_picture(value: Value) -> bool:
    return value.shape is None or len(value.shape) >= 3


def _in(
    name: str,
    take: InputFeed,
    value: Value | None,
    wanted: Wanted,
    found: Export | None,
    taken: set[str],
) -> In:
    at = ("takes", name)
    if take.state:
        return _state(name, take, value, at)
    if take.value is not None:
        return _value(name, take, value, at)
    port = take.port or (_plain(name) if take.kind in {*taken, "array"} else take.kind)
    taken.add(port)
    if take.kind == "array":
        if said := sorted(FEED & take.model_fields_set):
            raise BadSetting((*at, said[0]), "an array goes in as it comes")
        return ArrayIn(name, port)
    return _picture(name, take, value, wanted, found, port)


def _picture(
    name: str, take: InputFeed, value: Value | None, wanted: Wanted, found: Export | None, port: str
) -> PictureIn:
    """What the input says of itself goes before what the node says of all pictures."""
    both = {key: getattr(wanted.feed, key) for key in FEED & wanted.said}
    own = {key: getattr(take, key) for key in FEED & take.model_fields_set}
    at: tuple[str, ...] = ("takes", name) if own else ()
    kind: Literal["image", "mask"] = "mask" if take.kind == "mask" else "image"
    if kind == "mask":
        both = {"channels": "gray"} | {key: each for key, each in both.items() if key in PLACING}
    placing = {} if found is None or kind == "mask" else _placing(found, both | own, value, at)
    feed = Feed(**placing | both | own)
    return PictureIn(name, port, kind, settle(feed, value, wanted.window, at))


def _placing(
    found: Export, said: Mapping[str, Any], value: Value | None, at: tuple[str, ...]
) -> dict[str, Any]:
    """What a file of Ultralytics says of its pictures, where it is open. Raises BadSetting."""
    shape = value.shape if value is not None and value.shape is not None else ()
    if all(isinstance(side, int) for side in shape[-3:]):
        return {"fit": found.fit, "fill": FILL}
    multiple = said.get("multiple") or found.stride
    if multiple % found.stride:
        raise BadSetting((*at, "multiple"), f"the file says stride: {found.stride}, got {multiple}")
    size = said.get("size")
    if size is not None and any(side % multiple for side in parsed(size)):
        sides = [str(-(-side // multiple) * multiple or "") for side in parsed(size)]
        whole = "x".join(sides) if "x" in size else sides[0]
        what = f"the file says stride: {found.stride}, got {size}"
        raise BadSetting((*at, "size"), what, f"write `size: {whole}`")
    return {"fit": found.fit, "fill": FILL, "multiple": multiple}


def _state(name: str, take: InputFeed, value: Value | None, at: tuple[str, str]) -> StateIn:
    """Sizes that the model leaves open begin as 1, as exporters of such models mean it."""
    if said := sorted(take.model_fields_set - {"state"}):
        raise BadSetting((*at, said[0]), "a state comes back as it was given")
    shape = value.shape if value is not None and value.shape is not None else ()
    dtype = value.dtype if value is not None and value.dtype else "float32"
    known = tuple(each if isinstance(each, int) else 1 for each in shape)
    return StateIn(name, take.state, known, dtype)


def _check_states(binding: Binding, wanted: Wanted, signature: Signature | None) -> None:
    for each in binding.states:
        at = ("takes", each.name, "state")
        if wanted.regions:
            raise BadSetting(at, "regions are not the same ones in the next picture")
        if signature is not None and signature.outputs:
            _check_named(at, each.output, "output", signature.outputs)


def _value(name: str, take: InputFeed, value: Value | None, at: tuple[str, str]) -> ValueIn:
    given = take.value
    assert given is not None
    if isinstance(given, dict):
        fields, numbers = tuple(given), tuple(given.values())
    else:
        numbers = tuple(given) if isinstance(given, list) else (given,)
        fields = (_plain(name),)
    _check_numbers(numbers, take, at)
    shape: tuple[int, ...] = () if isinstance(given, float | int) else (len(numbers),)
    dtype = value.dtype if value is not None and value.dtype else "float32"
    if value is not None and dtype not in _NUMBERS:
        raise BadSetting(
            (*at, "value"), f"the model takes {value.name!r} ({value}): no number fits"
        )
    if value is not None and value.shape is not None:
        shape = _value_shape(value, len(numbers), at)
    return ValueIn(name, fields, tuple(map(float, numbers)), shape, dtype, take.min, take.max)


def _check_numbers(numbers: Sequence[float], take: InputFeed, at: tuple[str, str]) -> None:
    for number in numbers:
        if take.min is not None and number < take.min:
            said = f"should be greater than or equal to {take.min:g}, got {number:g}"
            raise BadSetting((*at, "value"), said)
        if take.max is not None and number > take.max:
            said = f"should be less than or equal to {take.max:g}, got {number:g}"
            raise BadSetting((*at, "value"), said)


_NUMBERS: Final = frozenset(
    {
        "bool",
        *(f"float{bits}" for bits in (16, 32, 64)),
        *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
    }
)
"""Types that NumPy makes of a number."""


def _value_shape(value: Value, count: int, at: tuple[str, str]) -> tuple[int, ...]:
    assert value.shape is not None
    open_dims = [place for place, extent in enumerate(value.shape) if not isinstance(extent, int)]
    fixed = 1
    for extent in value.shape:
        fixed *= extent if isinstance(extent, int) else 1
    if (not open_dims and fixed != count) or (fixed and count % fixed):
        raise BadSetting((*at, "value"), f"the model takes {value.name!r} ({value}), got {count}")
    rest = count // fixed if open_dims else 1
    shape = [extent if isinstance(extent, int) else 1 for extent in value.shape]
    if open_dims:
        shape[open_dims[-1]] = rest
    return tuple(shape)


def _plain(name: str) -> str:
    """A model's name as the name of a port or field: input.1 becomes input_1."""
    plain = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_") or "array"
    return plain if not plain[0].isdigit() else f"n{plain}"


# outputs


def _post_of(signature: Signature | None) -> Post:
    """What the model's own metadata says its outputs mean (as ultralytics exports write it)."""
    task = signature.metadata.get("task", "") if signature is not None else ""
    return _TASKS.get(task, "raw")


_TASKS: Final[Mapping[str, Post]] = {
    "classify": "classes",
    **dict.fromkeys(BOXES, "detections"),
}


def exported(metadata: Mapping[str, str]) -> Export | None:
    return export(metadata, len(labels_in(metadata)))


def _guessed(signature: Signature | None, found: Export | None) -> str:
    if signature is None:
        return ""
    return heads.guess(_shapes(signature), signature.metadata, found)


def _shapes(signature: Signature) -> list[tuple[str, tuple[int | str, ...]]]:
    return [(each.name, each.shape or ()) for each in signature.outputs]


def _check_export(found: Export | None, head: str, signature: Signature | None) -> None:
    if found is None or signature is None or head not in heads.EXPORTED or not signature.outputs:
        return
    if heads.holds(_shapes(signature), found):
        return
    what = f"task: {found.task}" if found.task else "names and a stride, as YOLOv5 does"
    said = f"the file says {what}, and gives {_listed(signature.outputs)}: no boxes are in that"
    raise BadSetting(("model",), said, "export it again, or say what it gives in `post:`")


def _outputs(signature: Signature | None) -> tuple[Value, ...]:
    return signature.outputs if signature is not None else ()


def _check_scaled(post: Post, outputs: Sequence[Value]) -> None:
    """Raises BadSetting for numbers of a quantised model, whose scale is lost behind its end."""
    for value in outputs:
        if value.dtype in ("int8", "uint8") and post not in ("image", "mask", "raw"):
            said = (
                f"the model gives {value.name!r} ({value}), quantised numbers without their scale"
            )
            raise BadSetting(("model",), said, "export it with a DequantizeLinear at its end")


def _outs(wanted: Wanted, post: Post, signature: Signature | None) -> Iterator[Out]:
    known = [each.name for each in signature.outputs] if signature is not None else []
    makers = signature.makers if signature is not None else {}
    if signature is not None and known:
        for name in wanted.gives:
            _check_named(("gives", name), name, "output", signature.outputs)
    if wanted.gives:
        if wanted.post is not None:
            raise BadSetting(("post",), "`gives` says what each output means", "leave one out")
        for name, answer in wanted.gives.items():
            if answer.post == "detections":
                said = "detections are read off all outputs together"
                raise BadSetting(
                    ("gives", name, "post"), said, "write `post: detections` without `gives`"
                )
            _check_scaled(answer.post, [each for each in _outputs(signature) if each.name == name])
            port = answer.port or _port_of(name, answer.post, len(wanted.gives))
            yield Out(name, port, made_by(answer, makers.get(name, "")))
        return
    names = known if post == "raw" and known else known[:1] or [""]
    _check_scaled(post, _outputs(signature)[: len(names)])
    for name in names:
        answer = made_by(Answer(post=post), makers.get(name, ""))
        yield Out(name, _port_of(name, post, len(names)), answer)


def _port_of(name: str, post: Post, count: int) -> str:
    return KINDS[post] if count == 1 else _plain(name)


KINDS: Final[Mapping[Post, str]] = {
    "image": "image",
    "mask": "mask",
    "detections": "detections",
    "classes": "record",
    "embedding": "record",
    "text": "record",
    "raw": "array",
}
"""What the only output of a node is called."""


def _check_ports(ports: Sequence[Port], key: str) -> None:
    names = [port.name for port in ports]
    for name in names:
        if names.count(name) > 1:
            raise BadSetting((key,), f"two ports are called {name!r}", "give one a `port:`")


def _check_regions(binding: Binding, wanted: Wanted) -> None:
    if not binding.regions:
        return
    if wanted.window > 1:
        raise BadSetting(("window",), "regions come and go, so there is no row of pictures of one")
    posts = [each.answer.post for each in binding.outs]
    if len(binding.pictures) != 1 or len(binding.inputs) != 2:
        raise BadSetting(("regions",), "only a model of one picture runs on each region")
    if posts and posts not in (["classes"], ["text"]):
        said = "on each region a model gives classes, text or detections"
        raise BadSetting(("regions",), f"{said}, not {posts[0]}", "write `post: classes`")


def _check_named(
    at: tuple[str, ...], name: str, end: Literal["input", "output"], known: Sequence[Value]
) -> None:
    if name in (names := [each.name for each in known]):
        return
    verb = "takes" if end == "input" else "gives"
    hint = did_you_mean(name, names) or f"it {verb} {_listed(known)}"
    raise BadSetting(at, f"the model has no {end} {name!r}", hint)


def _listed(values: Sequence[Value]) -> str:
    return ", ".join(f"{each.name!r} ({each})" for each in values)
