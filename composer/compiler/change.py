"""Change: what lies between two plans, one that runs and one that was just compiled. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from composer.compiler.plan import Plan, Step
from composer.node.formats import Format, Kind
from composer.node.node import Node, change_of, names_weights, reads_file
from composer.node.registry import names_class
from composer.pipeline.spec import Options


@dataclass(frozen=True)
class Change:
    """values: live fields that differ, by node, as the new file has them. built: nodes that are new
    or have to be built anew. gone: nodes that are no more. moved: whether anything else differs:
    edges, options, stages, params.
    """

    values: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    built: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    moved: bool = False

    @property
    def only_live(self) -> bool:
        """Whether it can be applied as a change of params is."""
        return not (self.built or self.gone or self.moved)

    @property
    def nothing(self) -> bool:
        return self.only_live and not self.values


def between(old: Plan, new: Plan, touched: Collection[Path] = ()) -> Change:
    """What makes the new plan of the old one. touched: files whose content has changed."""
    values: dict[str, dict[str, Any]] = {}
    built = []
    for name, step in new.steps.items():
        if step.settings is None:
            continue
        before = old.steps.get(name)
        if before is None or before.settings is None or not _stays(before, step, touched):
            built.append(name)
        elif changed := _live(before.settings, step.settings):
            values[name] = changed
    nodes = [name for name, step in old.steps.items() if step.settings is not None]
    gone = tuple(name for name in nodes if name not in new.steps)
    return Change(values, tuple(built), gone, _form(old) != _form(new))


def files_of(step: Step) -> set[Path]:
    """The files that a node's settings name, below its folder."""
    if step.settings is None:
        return set()
    cls = type(step.settings)
    files = set()
    for name in cls.model_fields:
        value = getattr(step.settings, name)
        if not isinstance(value, str) or not value or "://" in value:
            continue
        if reads_file(cls, name) or names_weights(cls, name):
            file = value.rpartition(":")[0] if names_class(value) else value
            files.add((step.folder / file).resolve())
    return files


def _stays(old: Step, new: Step, touched: Collection[Path]) -> bool:
    """Whether a node can go on as it is, but for its live fields and the Formats around it."""
    assert old.settings is not None
    assert new.settings is not None
    if _declared(type(old.settings)) is not _declared(type(new.settings)):
        return False
    cls = type(new.settings)
    if (type(old.settings).inputs, type(old.settings).outputs) != (cls.inputs, cls.outputs):
        return False
    if (old.folder, old.device, old.batch) != (new.folder, new.device, new.batch):
        return False
    if not (_alike(old.inputs, new.inputs, cls) and _alike(old.outputs, new.outputs, cls)):
        return False
    if not files_of(new).isdisjoint(touched):
        return False
    return not any(
        getattr(old.settings, name) != getattr(new.settings, name)
        for name in cls.model_fields
        if change_of(cls, name) != "live"
    )


def _alike(old: Mapping[str, Format], new: Mapping[str, Format], cls: type[Node]) -> bool:
    """Whether a node can go on with other Formats at these ports."""
    if old.keys() != new.keys():
        return False
    if not cls.adapts:
        return old == new
    return all(_near(old[port], new[port]) for port in new)


def _near(old: Format, new: Format) -> bool:
    """Whether a node that adapts takes the one for the other: sound may be coded or not."""
    if old.kind is new.kind is Kind.AUDIO:
        return True
    return (old.kind, old.carrier, old.device) == (new.kind, new.carrier, new.device)


def _declared(cls: type[Node]) -> type[Node]:
    """The class as it was written: one whose ports follow from settings is derived each time."""
    base = cls.__base__
    derived = cls.by_settings and base is not None and base.__name__ == cls.__name__
    return base if derived and base is not None and issubclass(base, Node) else cls


def _live(old: Node, new: Node) -> dict[str, Any]:
    return {
        name: getattr(new, name)
        for name in type(new).model_fields
        if change_of(type(new), name) == "live" and getattr(old, name) != getattr(new, name)
    }


_DECIDED: Final = frozenset({"when", "else", "on_error"})
"""Options of which a step has what they came to."""


def _options_and_ends(step: Step) -> object:
    """All of a step but its settings. How its options were written makes no difference."""
    unusual = {name: value for name, value in step.unusual.items() if name not in _DECIDED}
    return replace(step, settings=None, options=Options()), step.batch, unusual


def _form(plan: Plan) -> object:
    """All of a plan but the settings of its nodes."""
    steps = {name: _options_and_ends(step) for name, step in plan.steps.items()}
    params = {
        name: (param.spec, param.sets, [(t.node, t.field) for t in param.targets])
        for name, param in plan.params.items()
    }
    graph = plan.graph
    about = graph.capability, graph.description, graph.isolation
    return (steps, plan.links, plan.stages, params, about)
