"""The pipeline file as values: what was written, checked for form, nothing looked up yet."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)

from composer.errors import Problem
from composer.pipeline.document import Document, Keys, dotted
from composer.pipeline.hints import did_you_mean

Else = Literal["pass", "hold_last", "drop"]
OnError = Literal["pass", "hold_last", "drop", "fail"]
OnFull = Literal["wait", "drop_oldest", "drop_newest"]
Missing = Literal["last", "drop", "empty"]
Isolation = Literal["none", "process"]
"""Where a session's graph runs: in the worker, or in a process of its own."""

NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
"""A node or param name. No dot and no slash: they separate node from port and scope from name."""


class Batch(BaseModel):
    """Frames gathered for one call of a node that can batch."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    max: int = Field(8, ge=1, le=256, description="frames in one call at the most")
    delay_ms: float = Field(4, ge=0, le=1000, description="longest time a frame waits for others")


_DEVICE: Final = "^(auto|cpu|cuda(:[0-9]+)?)$"


def _device(name: str) -> str:
    if re.fullmatch(_DEVICE, name) is None:
        raise ValueError("should be auto, cpu, cuda or cuda:1")
    return name


class Options(BaseModel):
    """What every node takes beside its own fields."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, populate_by_name=True, allow_inf_nan=False
    )

    in_: str | dict[str, str] | None = Field(
        None, alias="in", description="what it takes: node, node.port, or port: node for several"
    )
    when: str | bool | None = Field(
        None, description="a param, or a comparison of params; while false the node is bypassed"
    )
    every: int = Field(1, ge=1, le=100_000, description="run on one frame of so many")
    rate: float | None = Field(None, gt=0, le=1000, description="run at most so often a second")
    else_: Else | None = Field(
        None, alias="else", description="what comes out of a frame the node does not run on"
    )
    on_error: OnError | None = Field(
        None, description="what comes out when the node raises; fail on files, pass in a session"
    )
    queue: int | None = Field(None, ge=1, le=1000, description="frames its inbox holds")
    on_full: OnFull | None = Field(None, description="what a full inbox does with the next frame")
    max_age_ms: float | None = Field(
        None, gt=0, le=600_000, description="frames older than this are dropped from its inbox"
    )
    within_ms: float | None = Field(
        None, ge=0, le=600_000, description="longest wait of a join for its slower inputs"
    )
    missing: Missing = Field("last", description="what a join takes for an input that did not come")
    device: Annotated[str, AfterValidator(_device)] = Field(
        "auto",
        description="auto, cpu, cuda or cuda:1",
        json_schema_extra={"pattern": _DEVICE},
    )
    concurrency: int = Field(1, ge=1, le=64, description="frames worked on at once")
    batch: Batch | None = Field(None, description="gather frames for one call: {max, delay_ms}")


OPTIONS: Final = frozenset(info.alias or name for name, info in Options.model_fields.items())
"""Names that a node may not use for its fields."""


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


class ParamSpec(BaseModel):
    """One entry of `params`: what a caller may change, and how far."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    to: Annotated[
        tuple[str, ...], BeforeValidator(_as_list, json_schema_input_type=str | tuple[str, ...])
    ] = Field((), description="node.field, or a list of them")
    type: Literal["bool", "int", "float", "str"] | None = Field(
        None, description="for a param that only `when` reads"
    )
    default: Any = Field(None, description="value at the start; else that of the first field")
    min: float | None = Field(None, description="narrows the field's own range")
    max: float | None = Field(None, description="narrows the field's own range")
    choices: tuple[Any, ...] | None = Field(None, min_length=1, description="the only values")
    ramp_ms: float = Field(0, ge=0, le=60_000, description="a number moves there in this time")
    help: str = Field("", max_length=500, description="one line for whoever moves the slider")


@dataclass(frozen=True)
class NodeSpec:
    """One node as written. fields: what is not an option, not checked yet.

    type: "" when it cannot be read. wrong: options that are left out, because of their values.
    """

    name: str
    type: str
    options: Options
    fields: Mapping[str, Any]
    path: Keys
    wrong: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Pipeline:
    """What could be read of a pipeline file. unread: the params that could not. isolation: None
    where the file leaves it open.
    """

    doc: Document
    capability: str = ""
    params: Mapping[str, ParamSpec] = field(default_factory=dict)
    nodes: Mapping[str, NodeSpec] = field(default_factory=dict)
    unread: frozenset[str] = frozenset()
    description: str = ""
    isolation: Isolation | None = None


_TOP: Final = ("version", "capability", "description", "isolation", "params", "nodes")
_CAPABILITY: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def read(doc: Document) -> tuple[Pipeline, list[Problem]]:
    """The pipeline of a document, and everything wrong with its form.

    What can be read is read, so that one mistake does not hide the next.
    """
    if not doc.data:
        return Pipeline(doc), list(doc.problems)
    problems = list(doc.problems)
    meant: dict[str, str] = {}
    for key in doc.data:
        if key not in _TOP:
            message, hint = f"{key!r} is not a part of a pipeline file", did_you_mean(key, _TOP)
            problems.append(doc.problem("unknown-key", message, (key,), on="key", hint=hint))
            meant |= {right: key for right in _TOP if repr(right) in hint}
    if "version" not in meant:
        problems += _version(doc)
    problems += _about(doc)
    params = _params(doc, problems)
    nodes = _nodes(doc, problems) if "nodes" not in meant else {}
    written = doc.data.get(meant.get("params", "params"))
    unread = frozenset(written if isinstance(written, dict) else ()) - set(params)
    capability, description = (
        str(doc.data.get(key) or "") for key in ("capability", "description")
    )
    isolation = doc.data.get("isolation")
    isolation = isolation if isolation in get_args(Isolation) else None
    return Pipeline(doc, capability, params, nodes, unread, description, isolation), problems


def _version(doc: Document) -> list[Problem]:
    if "version" not in doc.data:
        message = "the file does not say which version it is"
        return [
            doc.problem("missing-field", message, (), on="value", hint="begin it with `version: 1`")
        ]
    version = doc.data["version"]
    if version == 1 and not isinstance(version, bool):
        return []
    message = f"version should be 1{got(doc, ('version',), version)}"
    hint = "write it without quotes" if version == "1" else ""
    return [doc.problem("bad-version", message, ("version",), hint=hint)]


def _about(doc: Document) -> list[Problem]:
    """What is wrong with the capability, the description and the isolation."""
    problems = []
    name = doc.data.get("capability")
    fits = isinstance(name, str) and _CAPABILITY.fullmatch(name)
    if "capability" in doc.data and not fits:
        message = "capability should be letters, digits, '.', '_' and '-' (at most 100)"
        message += got(doc, ("capability",), name)
        problems.append(doc.problem("bad-value", message, ("capability",)))
    text = doc.data.get("description", "")
    if not isinstance(text, str):
        message = f"description should be text{got(doc, ('description',), text)}"
        problems.append(doc.problem("bad-value", message, ("description",)))
    isolation = doc.data.get("isolation", "none")
    if isolation not in get_args(Isolation):
        message = f"isolation should be none or process{got(doc, ('isolation',), isolation)}"
        hint = did_you_mean(str(isolation), get_args(Isolation))
        problems.append(doc.problem("bad-value", message, ("isolation",), hint=hint))
    return problems


def _mapping(doc: Document, key: str, problems: list[Problem]) -> Mapping[str, Any]:
    value = doc.data.get(key)
    if value is None and key in doc.data and key == "params":
        return {}
    if isinstance(value, dict):
        return value
    if key in doc.data:
        message = f"{key} should be a mapping of names{got(doc, (key,), value)}"
        hint = "write a name where each '-' is" if isinstance(value, list) else ""
        problems.append(doc.problem("bad-value", message, (key,), hint=hint))
    return {}


def _params(doc: Document, problems: list[Problem]) -> dict[str, ParamSpec]:
    params: dict[str, ParamSpec] = {}
    for name, written in _mapping(doc, "params", problems).items():
        path: Keys = ("params", name)
        problems += _named(doc, path, "a param")
        if isinstance(written, str):
            params[name] = ParamSpec(to=(written,))
            continue
        if isinstance(written, list):
            written = {"to": written}
        if not isinstance(written, dict):
            message = f"{dotted(path)} should be node.field or a mapping{got(doc, path, written)}"
            problems.append(doc.problem("bad-value", message, path))
            continue
        try:
            params[name] = ParamSpec.model_validate(written)
        except ValidationError as exc:
            problems += invalid(doc, exc, path, ParamSpec.model_fields)
    return params


def _nodes(doc: Document, problems: list[Problem]) -> dict[str, NodeSpec]:
    written = _mapping(doc, "nodes", problems)
    if not written and not any(problem.at == "nodes" for problem in problems):
        path: Keys = ("nodes",) if "nodes" in doc.data else ()
        hint = "write `nodes:` and below it, for one, `source: {type: decode}`"
        problems.append(doc.problem("missing-field", "the pipeline has no nodes", path, hint=hint))
    return {name: _node(doc, name, value, problems) for name, value in written.items()}


def _node(doc: Document, name: str, written: Any, problems: list[Problem]) -> NodeSpec:
    path: Keys = ("nodes", name)
    problems += _named(doc, path, "a node")
    unread = NodeSpec(name, "", Options(), {}, path)
    if not isinstance(written, dict):
        message = f"{dotted(path)} should be a mapping with a type{got(doc, path, written)}"
        hint = ""
        if isinstance(written, str) and path not in doc.from_env:
            hint = f"write `{name}: {{type: {written}}}`"
            if " " in written:
                hint = "is a ':' missing?"
        problems.append(doc.problem("bad-value", message, path, hint=hint))
        return unread
    kind = written.get("type")
    if "type" not in written:
        problems.append(_typeless(doc, path, written))
        return unread
    if not isinstance(kind, str):
        here = (*path, "type")
        message = f"{dotted(here)} should be the name of a node type{got(doc, here, kind)}"
        problems.append(doc.problem("bad-value", message, here))
        return unread
    chosen = {key: value for key, value in written.items() if key in OPTIONS}
    fields = {key: value for key, value in written.items() if key not in (*OPTIONS, "type")}
    wrong: frozenset[str] = frozenset()
    try:
        options = Options.model_validate(chosen)
    except ValidationError as exc:
        problems += invalid(doc, exc, path, Batch.model_fields)
        wrong = frozenset(str(error["loc"][0]) for error in exc.errors())
        options = Options.model_validate(
            {key: value for key, value in chosen.items() if key not in wrong}
        )
    return NodeSpec(name, kind, options, fields, path, wrong)


def _typeless(doc: Document, path: Keys, written: Mapping[str, Any]) -> Problem:
    for key in written:
        if key not in OPTIONS and (hint := did_you_mean(key, ["type"])):
            here = (*path, key)
            message = f"{dotted(here)} is not a field"
            return doc.problem("unknown-field", message, here, on="key", hint=hint)
    return doc.problem("missing-field", f"{dotted(path)} has no type", path, on="key")


def _named(doc: Document, path: Keys, what: str) -> list[Problem]:
    if NAME.fullmatch(str(path[-1])):
        return []
    message = f"{path[-1]!r} cannot name {what}: use letters, digits, '_' and '-', a letter first"
    return [doc.problem("bad-name", message, path, on="key")]


def invalid(
    doc: Document,
    exc: ValidationError,
    at: Keys,
    known: Iterable[str],
    inner: Mapping[str, Iterable[str]] = MappingProxyType({}),
) -> list[Problem]:
    """pydantic's errors for the mapping at `at`, as problems with positions: one for each place.

    known: names of fields there; inner: of those below a field of this name.
    """
    errors: dict[Keys, list[dict[str, Any]]] = {}
    for error in exc.errors(include_url=False):
        path = (*at, *error["loc"])
        if error["type"] != "missing":
            path = _written(doc, path)
        errors.setdefault(path, []).append(dict(error))
    # A union complains once for each of its types; what lies deepest is what the reader meant.
    above = {path[:end] for path in errors for end in range(len(at) + 1, len(path))}
    names = tuple(known)
    return [
        _problem(doc, path, together, tuple(inner.get(str(path[len(at)]), names)))
        if len(path) > len(at) + 1
        else _problem(doc, path, together, names)
        for path, together in errors.items()
        if path not in above
    ]


def inside(annotation: Any) -> tuple[str, ...]:
    """Names of the fields of the models that a field of this type holds: dict[str, Take]."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return tuple(annotation.model_fields)
    return tuple(name for part in get_args(annotation) for name in inside(part))


def _problem(
    doc: Document, path: Keys, errors: list[dict[str, Any]], known: tuple[str, ...]
) -> Problem:
    name, error = dotted(path), errors[0]
    if error["type"] == "extra_forbidden":
        hint = did_you_mean(str(path[-1]), known) or _fields(known)
        return doc.problem("unknown-field", f"{name} is not a field", path, on="key", hint=hint)
    if error["type"] == "missing":
        return doc.problem("missing-field", f"{name} is required", path[:-1], on="key")
    message = _joined([sentence(wrong) for wrong in errors])
    if isinstance(error["input"], dict) and error["type"] == "value_error":
        # What a validator of the whole node says; `got a mapping` would explain nothing.
        return doc.problem("bad-value", f"{name}{message}", path, on="key")
    return doc.problem("bad-value", f"{name}{message}{got(doc, path, error['input'])}", path)


def _fields(known: tuple[str, ...]) -> str:
    """What there is instead, where nothing has a name like it."""
    own = [name for name in known if name not in OPTIONS]
    return f"it has {', '.join(own)}" if own else ""


def _written(doc: Document, path: Keys) -> Keys:
    """The longest part of a pydantic location that stands in the file (unions add words to it)."""
    kept: Keys = ()
    for key in path:
        if (*kept, key) in doc.values:
            kept = (*kept, key)
    return kept


_SENTENCES: Final = {
    "string_type": "should be text",
    "bool_type": "should be true or false",
    "bool_parsing": "should be true or false",
    "int_type": "should be a whole number",
    "int_parsing": "should be a whole number",
    "int_from_float": "should be a whole number",
    "float_type": "should be a number",
    "float_parsing": "should be a number",
    "finite_number": "should be a finite number",
    "list_type": "should be a list",
    "tuple_type": "should be a list",
    "dict_type": "should be a mapping",
    "model_type": "should be a mapping",
}
"""What pydantic's codes mean to somebody who writes YAML."""

_SUBJECTS: Final = re.compile(
    r"^(Value error, |Assertion failed, |Input |Value |String |List |Tuple |Dictionary )"
)
_VERBS: Final = ("should ", "must ", "is ", "has ", "needs ", "cannot ", "may ")


def sentence(error: Mapping[str, Any]) -> str:
    """One of pydantic's errors, to be put behind a name: " should be a number"."""
    message = _SENTENCES.get(error["type"]) or _SUBJECTS.sub("", str(error["msg"]))
    if error["type"] in ("too_short", "too_long"):
        message = message.partition(" after validation")[0]
    return f" {message}" if message.startswith(_VERBS) else f": {message}"


def first_error(exc: ValidationError) -> str:
    """The first of pydantic's errors, to be put behind a name: " should be ..., got ..."."""
    error = exc.errors(include_url=False)[0]
    return f"{sentence(error)}, got {shown(error['input'])}"


def _joined(sentences: list[str]) -> str:
    """ " should be text or a mapping", from what each type of a union says."""
    start = " should be "
    different = list(dict.fromkeys(sentences))
    if len(different) < 2 or not all(text.startswith(start) for text in different):
        return different[0]
    return start + " or ".join(text.removeprefix(start) for text in different)


def got(doc: Document, path: Keys, value: object) -> str:
    """ ", got 640"; nothing for a value of the environment, which may be a secret."""
    return "" if path in doc.from_env else f", got {shown(value)}"


def shown(value: object) -> str:
    """A value as the reader wrote it, cut where it is long."""
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case dict():
            return "a mapping"
        case list() | tuple():
            return "a list"
        case float() if math.isinf(value):
            return ".inf" if value > 0 else "-.inf"
    text = repr(value[:60] if isinstance(value, str | bytes) else value)
    return text if len(text) <= 60 else text[:57] + "..."
