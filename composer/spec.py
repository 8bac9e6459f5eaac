"""The pipeline file as values: what was written, checked for form, nothing looked up yet."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from composer.errors import Problem
from composer.source import Document, Keys, did_you_mean, dotted

Else = Literal["pass", "hold_last", "drop"]
OnError = Literal["pass", "hold_last", "drop", "fail"]
OnFull = Literal["wait", "drop_oldest", "drop_newest"]
Missing = Literal["last", "drop", "empty"]

NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
"""A node or param name. No dot and no slash: they separate node from port and scope from name."""


class Batch(BaseModel):
    """Frames gathered for one call of a node that can batch."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max: int = Field(8, ge=1, le=256, description="frames in one call at the most")
    delay_ms: float = Field(4, ge=0, le=1000, description="longest time a frame waits for others")


class Options(BaseModel):
    """What every node takes beside its own fields."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

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
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")] = Field(
        "auto", description="auto, cpu, cuda or cuda:1"
    )
    concurrency: int = Field(1, ge=1, le=64, description="frames worked on at once")
    batch: Batch | None = Field(None, description="gather frames for one call: {max, delay_ms}")


OPTIONS: Final = frozenset(info.alias or name for name, info in Options.model_fields.items())
"""Names that a node may not use for its fields."""


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


class ParamSpec(BaseModel):
    """One entry of `params`: what a caller may change, and how far."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    to: Annotated[tuple[str, ...], BeforeValidator(_as_list)] = Field(
        (), description="node.field, or a list of them"
    )
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
    """One node as written. fields: what is not an option, not checked yet."""

    name: str
    type: str
    options: Options
    fields: Mapping[str, Any]
    path: Keys


@dataclass(frozen=True)
class Pipeline:
    """A pipeline file whose form is right."""

    doc: Document
    capability: str = ""
    params: Mapping[str, ParamSpec] = field(default_factory=dict)
    nodes: Mapping[str, NodeSpec] = field(default_factory=dict)


_TOP: Final = ("version", "capability", "description", "params", "nodes")
_CAPABILITY: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def read(doc: Document) -> tuple[Pipeline, list[Problem]]:
    """The pipeline of a document, and everything wrong with its form.

    What can be read is read, so that one mistake does not hide the next.
    """
    if not doc.data:
        return Pipeline(doc), list(doc.problems)
    problems = list(doc.problems)
    for key in doc.data:
        if key not in _TOP:
            hint = did_you_mean(key, _TOP)
            problems.append(
                doc.problem(
                    "unknown-key",
                    f"{key} is not a part of a pipeline file",
                    (key,),
                    on="key",
                    hint=hint,
                )
            )
    problems += _version(doc) + _capability(doc)
    params = _params(doc, problems)
    nodes = _nodes(doc, problems)
    return Pipeline(doc, str(doc.data.get("capability", "")), params, nodes), problems


def _version(doc: Document) -> list[Problem]:
    if "version" not in doc.data:
        said = "the file does not say which version it is"
        return [
            doc.problem("missing-field", said, (), on="value", hint="begin it with `version: 1`")
        ]
    version = doc.data["version"]
    if version == 1 and not isinstance(version, bool):
        return []
    return [doc.problem("bad-version", f"version should be 1, got {version!r}", ("version",))]


def _capability(doc: Document) -> list[Problem]:
    if "capability" not in doc.data:
        return []
    name = doc.data["capability"]
    if isinstance(name, str) and _CAPABILITY.fullmatch(name):
        return []
    said = f"capability should be letters, digits, '.', '_' and '-' (at most 100), got {name!r}"
    return [doc.problem("bad-value", said, ("capability",))]


def _mapping(doc: Document, key: str, problems: list[Problem]) -> Mapping[str, Any]:
    value = doc.data.get(key)
    if value is None and key in doc.data and key == "params":
        return {}
    if isinstance(value, dict):
        return value
    if key in doc.data:
        said = f"{key} should be a mapping of names, got {_shown(value)}"
        problems.append(doc.problem("bad-value", said, (key,)))
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
            said = f"{dotted(path)} should be node.field or a mapping, got {_shown(written)}"
            problems.append(doc.problem("bad-value", said, path))
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
    specs = (_node(doc, name, value, problems) for name, value in written.items())
    return {spec.name: spec for spec in specs if spec is not None}


def _node(doc: Document, name: str, written: Any, problems: list[Problem]) -> NodeSpec | None:
    path: Keys = ("nodes", name)
    problems += _named(doc, path, "a node")
    if not isinstance(written, dict):
        said = f"{dotted(path)} should be a mapping with a type, got {_shown(written)}"
        hint = f"write `{name}: {{type: {written}}}`" if isinstance(written, str) else ""
        problems.append(doc.problem("bad-value", said, path, hint=hint))
        return None
    kind = written.get("type")
    if kind is None:
        problems.append(doc.problem("missing-field", f"{dotted(path)} has no type", path, on="key"))
        return None
    if not isinstance(kind, str):
        said = f"{dotted(path)}.type should be the name of a node type, got {_shown(kind)}"
        problems.append(doc.problem("bad-value", said, (*path, "type")))
        return None
    chosen = {key: value for key, value in written.items() if key in OPTIONS}
    fields = {key: value for key, value in written.items() if key not in (*OPTIONS, "type")}
    try:
        options = Options.model_validate(chosen)
    except ValidationError as exc:
        problems += invalid(doc, exc, path, OPTIONS)
        options = Options()
    return NodeSpec(name, kind, options, fields, path)


def _named(doc: Document, path: Keys, what: str) -> list[Problem]:
    if NAME.fullmatch(str(path[-1])):
        return []
    said = f"{path[-1]!r} cannot name {what}: use letters, digits, '_' and '-', a letter first"
    return [doc.problem("bad-name", said, path, on="key")]


def invalid(doc: Document, exc: ValidationError, at: Keys, known: Iterable[str]) -> list[Problem]:
    """pydantic's errors for the mapping at `at`, as problems with positions."""
    found: dict[tuple[str, str], Problem] = {}
    for error in exc.errors(include_url=False):
        problem = _problem(doc, dict(error), at, tuple(known))
        found.setdefault((problem.at, problem.code), problem)
    return list(found.values())


def _problem(doc: Document, error: dict[str, Any], at: Keys, known: tuple[str, ...]) -> Problem:
    path = _written(doc, (*at, *error["loc"]))
    name = dotted(path)
    if error["type"] == "extra_forbidden":
        hint = did_you_mean(str(path[-1]), known)
        return doc.problem("unknown-field", f"{name} is not a field", path, on="key", hint=hint)
    if error["type"] == "missing":
        missing = dotted((*at, *error["loc"]))
        return doc.problem("missing-field", f"{missing} is required", at, on="key")
    said = _after_subject(str(error["msg"]))
    if path in doc.from_env:
        return doc.problem("bad-value", f"{name} {said}", path)
    return doc.problem("bad-value", f"{name} {said}, got {_shown(error['input'])}", path)


def _written(doc: Document, path: Keys) -> Keys:
    """The longest part of a pydantic location that stands in the file (unions add words to it)."""
    kept: Keys = ()
    for key in path:
        if (*kept, key) in doc.values:
            kept = (*kept, key)
    return kept


_SUBJECTS: Final = ("Value error, ", "Input ", "Value ", "String ", "Assertion failed, ")


def _after_subject(message: str) -> str:
    """pydantic's sentence without its subject: "should be less than or equal to 64"."""
    for subject in _SUBJECTS:
        if message.startswith(subject):
            return message.removeprefix(subject)
    return message


def _shown(value: object) -> str:
    """A value as the reader wrote it, cut where it is long."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


CHOICES: Final = {
    "else": get_args(Else),
    "on_error": get_args(OnError),
    "on_full": get_args(OnFull),
    "missing": get_args(Missing),
}
