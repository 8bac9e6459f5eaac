"""One pipeline file read into the draft: its nodes from top to bottom, each with what feeds it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

from composer.compiler import bindings, fields, options
from composer.compiler.draft import Draft, Intake, Ref
from composer.compiler.edges import HOW_TO_FEED
from composer.compiler.graph import GraphNode
from composer.compiler.includes import PipelineFile, Values, values_of
from composer.compiler.location import Location
from composer.compiler.namespace import Namespace
from composer.errors import Problem
from composer.node.node import Node, Port
from composer.node.registry import NotFound
from composer.node.roles import Role
from composer.pipeline import spec
from composer.pipeline.hints import did_you_mean
from composer.pipeline.spec import NodeSpec

MAX_NODES: Final = 500
"""Most nodes of a graph, sub-pipelines included."""

_NOTHING: Final[Mapping[str, Ref]] = MappingProxyType({})


@dataclass(frozen=True)
class Around:
    """What is around a sub-pipeline. place: its node in that file. inputs: what feeds it, by the
    names of its inputs and by "" for the first. blind: whether that could not be found out.
    """

    place: Location
    inputs: Mapping[str, Ref]
    blind: bool


@dataclass
class Scope:
    """A file while it is read. around: None for the whole pipeline, which nothing is around."""

    draft: Draft
    file: PipelineFile
    prefix: str = ""
    around: Around | None = None
    names: Namespace = field(init=False)

    def __post_init__(self) -> None:
        pipeline = self.file.pipeline
        self.names = Namespace(self.prefix, pipeline.nodes, pipeline.params)

    def read(self, values: Values = MappingProxyType({})) -> None:
        """Add this file's nodes and params. values: what the file around gives to the params."""
        above: str | None = None
        for name, node in self.file.pipeline.nodes.items():
            if not self._has_room(node):
                return
            if not spec.NAME.fullmatch(name):
                self._give_up(name)
            if not node.type:
                self._give_up(name)
                gives = True
            elif node.type == "pipeline":
                gives = self._add_pipeline(node, above)
            else:
                gives = self._add_node(node, above)
            above = name if gives else above
        bindings.bind(self.draft, self.file.pipeline, self.names, values)

    @property
    def _outside(self) -> Mapping[str, Ref]:
        """What feeds this file from the one around it."""
        return _NOTHING if self.around is None else self.around.inputs

    def _has_room(self, node: NodeSpec) -> bool:
        draft = self.draft
        if len(draft.nodes) + draft.includes < MAX_NODES:
            return True
        if not any(problem.code == "too-many" for problem in draft.problems):
            message = f"the graph has more than {MAX_NODES} nodes"
            draft.problems.append(self._place(node).problem("too-many", message, key=True))
        draft.vague = True
        return False

    def _place(self, node: NodeSpec) -> Location:
        return Location(self.file.pipeline.doc, node.path)

    def _give_up(self, name: str) -> None:
        self.names.unusable.add(name)
        self.draft.vague = True

    # nodes

    def _add_node(self, node: NodeSpec, above: str | None) -> bool:
        """Whether the node gives something that one below it may take."""
        place, full = self._place(node), self.names.full(node.name)
        try:
            cls = self.draft.registry.find(node.type, self.file.folder)
        except NotFound as exc:
            at = place.below("type")
            message = at.as_written(str(exc), node.type)
            self.draft.problems.append(at.problem(exc.code, message, hint=exc.hint))
            self._give_up(node.name)
            return True
        ready = self._read_settings(node, cls, place)
        if ready is None:
            self._give_up(node.name)
            return True
        added = GraphNode(
            full, type(ready), ready, node.options, self.file.folder, place, scope=self.prefix
        )
        if self.around is not None and self._stands_for_outside(node, added, above):
            return True
        if node.wrong:
            self.draft.odd.add(full)
        self._add_options(added)
        self._add_intakes(node, full, added.cls.inputs, place, above)
        if added.cls.outputs:
            self.names.last = Ref(full)
        return bool(added.cls.outputs)

    def _read_settings(self, node: NodeSpec, cls: type[Node], place: Location) -> Node | None:
        full, draft = self.names.full(node.name), self.draft
        ready = fields.read(node, cls, place, self.file.folder, self.file.files[0])
        draft.problems += ready.problems
        draft.weights |= dict.fromkeys(ready.weights)
        draft.absent += ready.absent
        if not ready.valid:
            draft.unset.add(full)
        if ready.unknown_field:
            draft.odd.add(full)
        return ready.node

    def _add_options(self, node: GraphNode) -> None:
        """Put the node into the draft, with its condition."""
        pipeline = self.file.pipeline
        when, problems = options.condition_of(node, pipeline.params, pipeline.unread)
        self.draft.nodes[node.name] = replace(node, when=when)
        problems += options.check(node, sure=node.name not in self.draft.odd)
        self.draft.problems += problems

    def _stands_for_outside(self, node: NodeSpec, added: GraphNode, above: str | None) -> bool:
        """What reads the input or writes the output of a sub-pipeline is the pipeline around it:
        a decode without a file, and every encode, since a part gives what it would write.
        """
        unset = added.name in self.draft.unset  # its own code may not cope with such settings
        if added.cls.role == Role.INPUT and (unset or added.settings.plays_role()):
            ref = self._outside.get(node.name) or self._outside.get("")
            if ref is None:
                self._miss_from_outside(node.name)
            else:
                self.names.inlets[node.name] = ref
            return True
        if added.cls.role == Role.OUTPUT:
            written = node.options.in_
            if isinstance(written, dict):
                written = written.get("image") or next(iter(written.values()), None)
            target = written or above
            if target is not None and (ref := self._resolved(target, added.place.below("in"))):
                self.names.outlets[node.name] = ref
            return True
        return False

    def _miss_from_outside(self, name: str) -> None:
        self._give_up(name)
        if self.around is not None and not self.around.blind:
            place = self.around.place
            message = f"{place.name} has nothing for its input {name!r}"
            self.draft.problems.append(
                place.problem("missing-input", message, key=True, hint=HOW_TO_FEED)
            )

    # inputs

    def _resolved(self, written: str, place: Location) -> Ref | None:
        """What a reference leads to, or None and a Problem."""
        target = self.names.resolved(written, place)
        if isinstance(target, Problem):
            self.draft.problems.append(target)
            return None
        return target

    def _add_intakes(
        self,
        node: NodeSpec,
        name: str,
        ports: tuple[Port, ...],
        place: Location,
        above: str | None,
    ) -> None:
        written, draft = node.options.in_, self.draft
        intakes: list[Intake | None] = []
        if "in" in node.wrong or (name in draft.odd and written is None):
            intakes = [None]
        elif isinstance(written, dict):
            draft.named.add(name)
            intakes = [
                self._from_named(name, port, target, ports, place)
                for port, target in written.items()
            ]
        elif isinstance(written, str):
            intakes = [self._from_written(name, written, ports, place)]
        elif not ports:
            pass
        elif above is not None:
            ref = self._resolved(above, place)
            intakes = [Intake(name, "", ref, place) if ref else None]
        elif "" in self._outside:
            intakes = [Intake(name, "", self._outside[""], place)]
        elif self.around is not None and self.around.blind:
            intakes = [None]
        draft.intakes += [intake for intake in intakes if intake is not None]
        if None in intakes:
            draft.loose.add(name)

    def _from_named(
        self, name: str, port: str, target: str, ports: tuple[Port, ...], place: Location
    ) -> Intake | None:
        """What `in: {port: target}` says, or None and a Problem."""
        at, known = place.below("in", port), [entry.name for entry in ports]
        if port in known:
            ref = self._resolved(target, at)
            return Intake(name, port, ref, at) if ref else None
        message = f"{place.name} has no input {port!r}"
        hint = did_you_mean(port, known) or f"it takes {', '.join(known)}"
        if not known:
            message, hint = f"{place.name} is a source and takes no input", ""
        self.draft.problems.append(at.problem("unknown-port", message, key=True, hint=hint))
        return None

    def _from_written(
        self, name: str, target: str, ports: tuple[Port, ...], place: Location
    ) -> Intake | None:
        """What `in: target` says, or None and a Problem."""
        at = place.below("in")
        if ports:
            ref = self._resolved(target, at)
            return Intake(name, "", ref, at) if ref else None
        message = f"{place.name} is a source and takes no input"
        self.draft.problems.append(at.problem("unknown-port", message, key=True))
        return None

    # sub-pipelines

    def _add_pipeline(self, node: NodeSpec, above: str | None) -> bool:
        """Add the nodes of a sub-pipeline. It counts as one that gives something."""
        place, draft = self._place(node), self.draft
        file, problems = self.file.included(node, place, draft.load)
        draft.problems += problems
        draft.includes += 1
        if file is None:
            self._give_up(node.name)
            return True
        around = self._around(node, place, above)
        values, problems = values_of(node, place, file.pipeline)
        draft.problems += problems
        before = len(draft.problems)
        inner = Scope(draft, file, f"{self.names.full(node.name)}/", around)
        inner.read(values)
        names = self.names.included[node.name] = inner.names
        if isinstance(node.options.in_, dict) and names.inlets:
            draft.problems += names.unknown_inputs(node.options.in_, place)
        if len(draft.problems) > before or around.blind:
            self._give_up(node.name)
        elif names.gives is not None:
            self.names.last = names.gives
        return True

    def _around(self, node: NodeSpec, place: Location, above: str | None) -> Around:
        """What a sub-pipeline of this file takes."""
        written = node.options.in_
        inputs: dict[str, Ref] = {}
        if isinstance(written, dict):
            for port, target in written.items():
                if ref := self._resolved(target, place.below("in", port)):
                    inputs[port] = ref
            if inputs:
                inputs = {"": next(iter(inputs.values())), **inputs}
        elif (source := written or above) is not None:
            ref = self._resolved(source, place.below("in") if written else place)
            inputs = {"": ref} if ref else {}
        blind = not inputs and (written or above) is not None
        if above is None and written is None and "" in self._outside:
            inputs = {"": self._outside[""]}
        return Around(place, inputs, blind)
