"""The fields of a node as they were written -> its settings, and what is wrong with them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from composer.compiler import options
from composer.compiler.location import Location
from composer.errors import Problem
from composer.models import weights
from composer.models.weights import Weights, WeightsBad, WeightsInvalid, WeightsMissing
from composer.node.node import (
    BadSetting,
    Node,
    names_weights,
    opens_addresses,
    reads_file,
)
from composer.node.registry import NotFound, locate, names_class
from composer.pipeline import spec
from composer.pipeline.spec import NodeSpec


@dataclass(frozen=True)
class NodeSettings:
    """What could be read of a node's fields.

    node: the settings, checked or, where they are not `valid`, as far as they go; None where what
    they say is not enough to tell the ports. unknown_field: whether one of them is none of this
    class. weights: files that they name. absent: a Problem for each of those that has to be
    fetched first.
    """

    node: Node | None
    problems: tuple[Problem, ...] = ()
    valid: bool = True
    unknown_field: bool = False
    weights: tuple[Weights, ...] = ()
    absent: tuple[Problem, ...] = ()


def read(
    node: NodeSpec, cls: type[Node], place: Location, folder: Path, fetched_for: str
) -> NodeSettings:
    """The settings of a node whose files are found in `folder`.

    fetched_for: the pipeline file that a reader would fetch its weights for.
    """
    settings = _validated(node, cls, place, folder)
    if not cls.by_settings or settings.node is None:
        return settings
    files = _weights_of(settings.node, place, folder, fetched_for)
    problems = [*settings.problems, *files.problems]
    shaped: Node | None = None
    if not problems:
        try:
            shaped = _shaped(settings.node, node, folder)
        except BadSetting as exc:
            problems.append(_unfit(exc, place))
        except Exception as exc:  # noqa: BLE001 - a node's own code may raise anything
            problems.append(_failed(place, "it cannot tell its ports", exc))
    return NodeSettings(
        shaped,
        tuple(problems),
        settings.valid,
        settings.unknown_field,
        tuple(files.weights),
        tuple(files.absent),
    )


def _validated(node: NodeSpec, cls: type[Node], place: Location, folder: Path) -> NodeSettings:
    """The settings by the types and validators of the class, and whether their files are there."""
    try:
        settings = cls.model_validate(node.fields)
    except ValidationError as exc:
        known = (*cls.model_fields, *spec.OPTIONS)
        inner = {name: spec.inside(info.annotation) for name, info in cls.model_fields.items()}
        problems = tuple(spec.invalid(place.doc, exc, place.path, known, inner))
        unknown = any(problem.code == "unknown-field" for problem in problems)
        return NodeSettings(
            cls.model_construct(**node.fields), problems, valid=False, unknown_field=unknown
        )
    except Exception as exc:  # noqa: BLE001 - a node's own check may raise anything
        problem = _failed(place, "its own check failed", exc)
        return NodeSettings(cls.model_construct(**node.fields), (problem,), valid=False)
    missing = (
        check_file(value, folder, place.below(name), address=opens_addresses(cls, name))
        for name, value in _texts(settings, reads_file)
    )
    return NodeSettings(settings, tuple(problem for problem in missing if problem is not None))


def _texts(settings: Node, names: Callable[[type[Node], str], bool]) -> list[tuple[str, str]]:
    """(field, what it says) of the fields that name something, and are not empty."""
    cls = type(settings)
    written = ((name, getattr(settings, name, None)) for name in cls.model_fields)
    return [
        (name, value)
        for name, value in written
        if isinstance(value, str) and value and names(cls, name)
    ]


def _shaped(settings: Node, node: NodeSpec, folder: Path) -> Node:
    """The node with the ports that its settings call for. Raises what the node's own code does."""
    batch = options.batching(node.options)
    shaped = settings.shaped(folder, batch)
    if type(shaped) is not type(settings):
        type(shaped).shaped_of = settings, folder, batch
    return shaped


def _unfit(exc: BadSetting, place: Location) -> Problem:
    here = place.below(*exc.at)
    message = here.as_written(f"{here.name}: {exc}", "")
    on_key = not exc.at or here.path not in here.doc.values or here.is_mapping
    return here.problem("bad-value", message, key=on_key, hint=exc.hint)


def _failed(place: Location, what: str, exc: Exception) -> Problem:
    """What to say of a node's own code that raised; its words may hold a secret."""
    why = "" if place.doc.from_env else f": {exc}"
    message = f"{place.name}: {what}: {type(exc).__name__}{why}"
    return place.problem("bad-node", message, key=True)


def check_file(
    value: str, folder: Path, place: Location, *, address: bool = False
) -> Problem | None:
    """What is wrong with the name of a file. address: whether it may be one of another place."""
    if "://" in value:
        if address:
            return None
        message = f"{place.name} is an address; only files are read here"
        hint = "fetch it, and put it beside the pipeline"
        return place.problem("bad-path", place.as_written(message, value), hint=hint)
    try:
        locate(folder, value)
    except NotFound as exc:
        if exc.code == "missing-file" and "%" in value:
            return None  # a row of pictures: frames/%03d.png
        message = place.as_written(f"{place.name}: {exc}", value)
        return place.problem(exc.code, message, hint=exc.hint)
    return None


@dataclass
class _WeightFiles:
    """The files of weights that a node names."""

    weights: list[Weights] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    absent: list[Problem] = field(default_factory=list)


def _weights_of(settings: Node, place: Location, folder: Path, fetched_for: str) -> _WeightFiles:
    files = _WeightFiles()
    for name, value in _texts(settings, names_weights):
        if names_class(value):
            continue  # code beside the pipeline, which the node looks at itself
        _check_weights(files, value, settings, place.below(name), folder, fetched_for)
    return files


def _check_weights(
    files: _WeightFiles, value: str, settings: Node, place: Location, folder: Path, fetched_for: str
) -> None:
    """Add a file of weights; one that was not fetched yet is only absent, and no problem."""
    try:
        wanted = weights.parse(value, str(getattr(settings, "sha256", "")))
    except WeightsInvalid as exc:
        message = place.as_written(f"{place.name}: {exc}", value)
        files.problems.append(place.problem("bad-weights", message, hint=exc.hint))
        return
    files.weights.append(wanted)
    try:
        weights.verify(wanted, folder)
    except WeightsMissing as exc:
        message = place.as_written(f"{place.name}: {exc}", value)
        if not wanted.scheme:
            files.problems.append(place.problem("missing-file", message, hint=exc.hint))
        else:
            hint = f"fetch it first: byoc fetch {fetched_for}"
            files.absent.append(place.problem("not-fetched", message, hint=hint))
    except WeightsBad as exc:
        message = place.as_written(f"{place.name}: {exc}", value)
        files.problems.append(place.problem("bad-weights", message))
