"""The params of one pipeline file, bound to the fields of nodes that they set."""

from dataclasses import dataclass, field, replace
from typing import Any

from composer.compiler import narrowing
from composer.compiler.draft import Draft
from composer.compiler.includes import Values
from composer.compiler.location import Location
from composer.compiler.namespace import Namespace
from composer.compiler.params import Param, Target
from composer.errors import Problem
from composer.node.node import change_of
from composer.pipeline import spec
from composer.pipeline.hints import did_you_mean
from composer.pipeline.spec import ParamSpec, Pipeline


def bind(draft: Draft, pipeline: Pipeline, names: Namespace, values: Values) -> None:
    """Add a file's params to the draft, whose nodes take the values that they begin with.

    values: what the file around gives to them.
    """
    if not pipeline.nodes:
        return  # which was said already
    for name, written in pipeline.params.items():
        place = Location(pipeline.doc, ("params", name))
        way = _way(draft, names, written, place)
        problems = way.problems
        if not written.to:
            problems += _check_condition_only(draft, names, name, place, written)
        if not problems:
            start = _first_value(draft, way, written)
            param = Param(names.full(name), written, tuple(way.targets), tuple(way.sets), start)
            draft.params[param.name] = param
            if not any(text.partition(".")[0] in names.unusable for text in written.to):
                problems = _begin(draft, param, name, values, place)
        draft.problems += problems
    _scope_conditions(draft, pipeline, names)


# where a param leads


@dataclass
class _Way:
    """Where a param leads: to fields, and to params of sub-pipelines."""

    targets: list[Target] = field(default_factory=list)
    sets: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def _way(draft: Draft, names: Namespace, written: ParamSpec, place: Location) -> _Way:
    way = _Way()
    for index, text in enumerate(written.to):
        at = _location_of(place, index)
        node, dot, field_name = text.partition(".")
        if not dot or not field_name:
            message = f"{place.name} should name a field as node.field, got {text!r}"
            way.problems.append(at.problem("bad-value", at.as_written(message, text)))
        elif node in names.unusable:
            continue
        elif node in names.included:
            _add_included(way, draft, names, node, field_name, at)
        elif node in names.nodes:
            _add_field(way, draft, names, node, field_name, at)
        else:
            message = f"{place.name} leads to {text!r}, but there is no node {node!r}"
            message = at.as_written(at.as_written(message, text), node)
            hint = did_you_mean(node, names.nodes)
            way.problems.append(at.problem("unknown-target", message, hint=hint))
    return way


def _location_of(param: Location, index: int) -> Location:
    """Where a target of a param is written: `to` is a list, one text, or left away."""
    for path in (("to", index), ("to",), (index,)):
        if (*param.path, *path) in param.doc.values:
            return param.below(*path)
    return param


def _add_included(
    way: _Way, draft: Draft, names: Namespace, node: str, name: str, place: Location
) -> None:
    """A param of a sub-pipeline, and all that it leads to."""
    inner = draft.params.get(f"{names.full(node)}/{name}")
    if inner is None:
        message = f"{place.name}: sub-pipeline {node!r} has no param {name!r}"
        hint = did_you_mean(name, names.included[node].params)
        way.problems.append(place.problem("unknown-target", message, hint=hint))
        return
    way.targets += inner.targets
    way.sets += [inner.name, *inner.sets]


def _add_field(
    way: _Way, draft: Draft, names: Namespace, node: str, name: str, place: Location
) -> None:
    target = draft.nodes.get(names.full(node))
    if target is None:
        return
    if name not in target.cls.model_fields:
        message = f"{place.name}: node {node!r} has no field {name!r}"
        hint = did_you_mean(name, target.cls.model_fields)
        if name in (*spec.OPTIONS, "type"):
            message = f"{place.name}: {name!r} belongs to every node and is not a field"
            hint = ""
        message = place.as_written(message, name)
        way.problems.append(place.problem("unknown-target", message, hint=hint))
    elif change_of(target.cls, name) == "fixed":
        message = f"{place.name}: {node}.{name} is fixed; no param may set it"
        way.problems.append(place.problem("fixed-field", message))
    else:
        way.targets.append(Target(target.name, name, target.cls))


def _check_condition_only(
    draft: Draft, names: Namespace, name: str, place: Location, written: ParamSpec
) -> list[Problem]:
    """A param without fields has to be read by a `when`, and to have a value of its own."""
    is_read = any(
        name in node.when.names
        for node in draft.nodes.values()
        if node.when is not None and node.scope == names.prefix
    )
    if not is_read and _reads_all(draft):
        message = f"{place.name} leads to nothing: no field in `to`, and no `when` reads it"
        hint = "write `to: node.field`"
        return [place.problem("unused-param", message, key=True, hint=hint)]
    if is_read and "default" not in written.model_fields_set:
        message = f"{place.name} needs a default: no field gives it one"
        return [place.problem("missing-field", message, key=True)]
    return []


def _reads_all(draft: Draft) -> bool:
    """Whether every `when` could be read; else one of them may have meant any param."""
    broken = any(problem.at.endswith(".when") for problem in draft.problems)
    return not (broken or draft.vague or draft.odd)


# the value at the start


def _first_value(draft: Draft, way: _Way, written: ParamSpec) -> Any:
    """What the first thing it leads to has, until the file says otherwise."""
    if way.targets:
        first = way.targets[0]
        return getattr(draft.nodes[first.node].settings, first.field, None)
    if way.sets:
        return draft.params[way.sets[0]].value
    return written.default


def _begin(draft: Draft, param: Param, name: str, values: Values, place: Location) -> list[Problem]:
    """Give a param the value that is written for it; else that of its fields has to suit it."""
    if problems := narrowing.check(param, place):
        return problems
    if name in values:
        return _start(draft, param, *values[name])
    if "default" in param.spec.model_fields_set:
        return _start(draft, param, param.spec.default, place.below("default"))
    if any(target.node in draft.unset for target in param.targets):
        return []
    return narrowing.check_start(param, place)


def _start(draft: Draft, param: Param, value: Any, place: Location) -> list[Problem]:
    """Give a param its value for the start: that of its fields from then on."""
    try:
        value = param.checked(value)
    except ValueError as exc:
        message = place.as_written(f"{place.name}{exc}", value)
        return [place.problem("bad-value", message)]
    for name in (param.name, *param.sets):
        draft.params[name] = replace(draft.params[name], value=value)
    for target in param.targets:
        node = draft.nodes[target.node]
        settings = node.settings.model_copy(update={target.field: value})
        draft.nodes[target.node] = replace(node, settings=settings)
    return []


def _scope_conditions(draft: Draft, pipeline: Pipeline, names: Namespace) -> None:
    """Conditions in a sub-pipeline read that file's params: give these their full names."""
    if not names.prefix:
        return
    for name in map(names.full, pipeline.nodes):
        node = draft.nodes.get(name)
        if node is not None and node.when is not None:
            draft.nodes[name] = replace(node, when=node.when.below(names.prefix))
