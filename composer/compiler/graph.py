"""A pipeline and the node classes it names -> Graph: every name, type and connection settled.

Nothing is loaded yet. Sub-pipelines are flattened here; their nodes are called `outer/inner`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from composer.compiler.conversions import convertible
from composer.compiler.params import Param, Target
from composer.errors import Problem, Span
from composer.models import weights
from composer.models.weights import Weights, WeightsBad, WeightsInvalid, WeightsMissing
from composer.node.node import (
    BadSetting,
    Batching,
    Node,
    Port,
    change_of,
    names_weights,
    opens_addresses,
    reads_file,
)
from composer.node.registry import NotFound, Registry, locate, names_class
from composer.node.roles import Role
from composer.pipeline import condition, spec
from composer.pipeline.condition import Condition
from composer.pipeline.source import Document, Keys, did_you_mean, dotted
from composer.pipeline.spec import NodeSpec, Options, ParamSpec, Pipeline

MAX_NODES: Final = 500
"""Most nodes of a graph, sub-pipelines included."""

MAX_DEPTH: Final = 8
"""Deepest nesting of sub-pipelines."""

Load = Callable[[Path, str], Document]
"""(path, shown name) -> Document; raises OSError."""


@dataclass(frozen=True)
class Place:
    """Where something was written: a document and the path in it."""

    doc: Document
    path: Keys

    def problem(self, code: str, message: str, *, key: bool = False, hint: str = "") -> Problem:
        return self.doc.problem(code, message, self.path, on="key" if key else "value", hint=hint)

    def below(self, *keys: str | int) -> "Place":
        return Place(self.doc, (*self.path, *keys))

    @property
    def is_mapping(self) -> bool:
        """Whether a mapping is written here: what is wrong with all of it is said at its key."""
        found: Any = self.doc.data
        for key in self.path:
            found = found.get(key) if isinstance(found, dict) else None
        return isinstance(found, dict)

    @property
    def hidden(self) -> bool:
        """Whether the value here came from the environment: it may be a secret."""
        return self.path in self.doc.from_env

    def told(self, message: str, value: object) -> str:
        """The message, with what is written here in place of a hidden value."""
        if not self.hidden:
            return message
        span = self.doc.value(self.path)
        line = self.doc.lines[span.line - 1]
        written = line[span.column - 1 :][: span.length]
        return message.replace(repr(value), written).replace(spec.shown(value), written)


@dataclass(frozen=True)
class GraphNode:
    """One node with its class, its checked settings and its options.

    when: the condition, its params by their full names. folder: where its files are found.
    layouts: port -> the pixel layouts that a run leaves to it, where it knows more than the node.
    stored: that in which a source's pictures are stored, "" where it is not known or does not
    matter (see ends.fitted).
    """

    name: str
    cls: type[Node]
    settings: Node
    options: Options
    folder: Path
    place: Place
    when: Condition | None = None
    scope: str = ""
    layouts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    stored: str = ""


@dataclass(frozen=True)
class Edge:
    """ "This output feeds that input"."""

    start: str
    start_port: str
    end: str
    end_port: str

    def __str__(self) -> str:
        return f"{self.start}.{self.start_port} -> {self.end}.{self.end_port}"


@dataclass(frozen=True)
class Graph:
    """Nodes and edges of one pipeline file after every name, type and cycle is checked.

    nodes are in topological order, and in the file's order where that leaves a choice. weights: all
    that the nodes load, each once. absent: a Problem for each of them that is not on this machine
    yet; it may be compiled, and not run.
    """

    file: str
    capability: str
    nodes: Mapping[str, GraphNode]
    edges: tuple[Edge, ...]
    params: Mapping[str, Param]
    description: str = ""
    weights: tuple[Weights, ...] = ()
    absent: tuple[Problem, ...] = ()

    def into(self, node: str) -> Iterator[Edge]:
        return (edge for edge in self.edges if edge.end == node)

    def out_of(self, node: str) -> Iterator[Edge]:
        return (edge for edge in self.edges if edge.start == node)


@dataclass(frozen=True)
class Ref:
    """A reference to an output: a node and, where written, its port."""

    node: str
    port: str = ""


@dataclass
class _Link:
    """An input: what `in` says, or the node above. place: of the `in`, or of the whole node."""

    node: str
    port: str
    ref: Ref
    place: Place

    def problem(self, code: str, message: str, hint: str = "") -> Problem:
        if "in" in self.place.path[2:]:
            return self.place.problem(code, message, hint=hint)
        instead = hint or "it takes the node above it; write `in:` to take another"
        return self.place.problem(code, message, key=True, hint=instead)


@dataclass
class _Draft:
    """The graph while it grows. Owned by build()."""

    registry: Registry
    load: Load
    problems: list[Problem]
    nodes: dict[str, GraphNode] = field(default_factory=dict)
    links: list[_Link] = field(default_factory=list)
    params: dict[str, Param] = field(default_factory=dict)
    named: set[str] = field(default_factory=set)
    """Nodes whose inputs were written as a mapping."""
    loose: set[str] = field(default_factory=set)
    """Nodes with a problem at one of their inputs: what else reaches them is not judged."""
    unset: set[str] = field(default_factory=set)
    """Nodes with a problem in their settings."""
    odd: set[str] = field(default_factory=set)
    """Nodes with an unknown field, or an option that cannot be used: what it would do is open."""
    weights: dict[Weights, None] = field(default_factory=dict)
    """The files of weights that nodes name, in the order of the file."""
    absent: list[Problem] = field(default_factory=list)
    vague: bool = False
    """Some node could not be read, so nobody knows what it would take and give."""
    parts: int = 0

    @property
    def sure(self) -> bool:
        """Whether a node that nothing takes is the mistake, and not what follows from another."""
        return not (self.vague or self.loose or self.unset)


def build(
    pipeline: Pipeline, folder: Path, registry: Registry, load: Load
) -> tuple[Graph | None, list[Problem]]:
    """The graph of a pipeline file in `folder`, or None and every Problem that was found."""
    draft = _Draft(registry, load, [])
    scope = _Scope(draft, pipeline, folder, "", (pipeline.doc.file,))
    scope.read(None)
    edges = _connect(draft)
    if draft.sure:
        edges += _implied(draft, edges)
    _check_inputs(draft, edges)
    order = _ordered(draft, edges)
    if draft.sure and order:
        _check_ends(draft, edges, pipeline)
    if draft.problems:
        return None, draft.problems
    nodes = {name: draft.nodes[name] for name in order}
    whole = Graph(
        pipeline.doc.file,
        pipeline.capability,
        nodes,
        tuple(edges),
        draft.params,
        pipeline.description,
        tuple(draft.weights),
        tuple(draft.absent),
    )
    return whole, []


@dataclass
class _Scope:
    """One file being read into the draft: the pipeline itself, or a sub-pipeline of it."""

    draft: _Draft
    pipeline: Pipeline
    folder: Path
    prefix: str
    files: tuple[str, ...]
    outputs: dict[str, Ref] = field(default_factory=dict)
    inlets: dict[str, Ref] = field(default_factory=dict)
    subs: dict[str, "_Scope"] = field(default_factory=dict)
    last: Ref | None = None
    known_bad: set[str] = field(default_factory=set)
    """Nodes that could not be read: nothing is said of what takes from them."""
    around: Place | None = None
    """The node that a sub-pipeline is in the file around it."""
    blind: bool = False
    """Whether what feeds a sub-pipeline could not be found out."""

    def read(
        self, inputs: Mapping[str, Ref] | None, given: Mapping[str, Any] | None = None
    ) -> None:
        """Add this file's nodes and params. `inputs` feed a sub-pipeline; None at the top."""
        above: str | None = None
        for name, node in self.pipeline.nodes.items():
            if len(self.draft.nodes) + self.draft.parts >= MAX_NODES:
                if not any(each.code == "too-many" for each in self.draft.problems):
                    said = f"the graph has more than {MAX_NODES} nodes"
                    problem = Place(self.pipeline.doc, node.path).problem(
                        "too-many", said, key=True
                    )
                    self._report(problem)
                self.draft.vague = True
                return
            if not spec.NAME.fullmatch(name):
                self._give_up(name)
            if not node.type:
                self._give_up(name)
                added = True
            elif node.type == "pipeline":
                added = self._add_pipeline(node, above, inputs)
            else:
                added = self._add_node(node, above, inputs)
            above = name if added else above
        self._add_params(given or {})

    def full(self, name: str) -> str:
        return f"{self.prefix}{name}"

    def _report(self, problem: Problem) -> None:
        self.draft.problems.append(problem)

    def _give_up(self, name: str) -> None:
        self.known_bad.add(name)
        self.draft.vague = True

    # nodes

    def _add_node(
        self, node: NodeSpec, above: str | None, inputs: Mapping[str, Ref] | None
    ) -> bool:
        place = Place(self.pipeline.doc, node.path)
        try:
            cls = self.draft.registry.find(node.type, self.folder)
        except NotFound as exc:
            here = place.below("type")
            said = here.told(str(exc), node.type)
            self._report(here.problem(exc.code, said, hint=exc.hint))
            self._give_up(node.name)
            return True
        before = len(self.draft.problems)
        found = self._shaped(node, self._settings(node, cls, place), place, before)
        if found is None:
            self._give_up(node.name)
            return True
        settings, cls = found, type(found)
        made = GraphNode(
            self.full(node.name), cls, settings, node.options, self.folder, place, scope=self.prefix
        )
        if inputs is not None and self._stands_for_outside(node, made, above, inputs):
            return True
        made = replace(made, when=self._condition(made))
        self.draft.nodes[made.name] = made
        if node.wrong:
            self.draft.odd.add(made.name)
        self.draft.problems += _check_options(made, sure=made.name not in self.draft.odd)
        self._add_links(node, made.name, cls.inputs, place, above, inputs)
        if cls.outputs:
            self.last = Ref(made.name)
        return bool(cls.outputs)

    def _stands_for_outside(
        self, node: NodeSpec, made: GraphNode, above: str | None, inputs: Mapping[str, Ref]
    ) -> bool:
        """What reads the input or writes the output of a sub-pipeline is the pipeline around it:
        a decode without a file, and every encode, since a part gives what it would write.
        """
        unset = made.name in self.draft.unset  # its own code may not cope with such settings
        if made.cls.role == Role.INPUT and (unset or made.settings.plays_role()):
            ref = inputs.get(node.name) or inputs.get("")
            if ref is None:
                self._give_up(node.name)
                if self.around is not None and not self.blind:
                    said = f"{dotted(self.around.path)} has nothing for its input {node.name!r}"
                    hint = _AN_INPUT
                    self._report(self.around.problem("missing-input", said, key=True, hint=hint))
                return True
            self.inlets[node.name] = ref
            return True
        if made.cls.role == Role.OUTPUT:
            written = node.options.in_
            if isinstance(written, dict):
                written = written.get("image") or next(iter(written.values()), None)
            target = written or above
            if target is not None and (ref := self._resolve(target, made.place.below("in"))):
                self.outputs[node.name] = ref
            return True
        return False

    def _settings(self, node: NodeSpec, cls: type[Node], place: Place) -> Node:
        try:
            settings = cls.model_validate(node.fields)
        except ValidationError as exc:
            known = (*cls.model_fields, *spec.OPTIONS)
            inner = {name: spec.inside(info.annotation) for name, info in cls.model_fields.items()}
            problems = spec.invalid(place.doc, exc, place.path, known, inner)
            self.draft.problems += problems
            self.draft.unset.add(self.full(node.name))
            if any(each.code == "unknown-field" for each in problems):
                self.draft.odd.add(self.full(node.name))
            return cls.model_construct(**node.fields)
        except Exception as exc:  # noqa: BLE001 - a node's own check may raise anything
            why = "" if place.doc.from_env else f": {exc}"
            said = f"{dotted(place.path)}: its own check failed: {type(exc).__name__}{why}"
            self._report(place.problem("bad-node", said, key=True))
            self.draft.unset.add(self.full(node.name))
            return cls.model_construct(**node.fields)
        for name in cls.model_fields:
            value = getattr(settings, name)
            if reads_file(cls, name) and isinstance(value, str) and value:
                self._check_file(value, place.below(name), address=opens_addresses(cls, name))
        return settings

    def _shaped(self, node: NodeSpec, settings: Node, place: Place, before: int) -> Node | None:
        """The node with the ports that its settings call for; None and a Problem if they cannot.

        before: how many problems there were before its settings were read.
        """
        cls = type(settings)
        if not cls.by_settings:
            return settings
        for name in cls.model_fields:
            value = getattr(settings, name, None)
            if names_weights(cls, name) and isinstance(value, str) and value:
                if names_class(value):
                    continue  # code beside the pipeline, which the node looks at itself
                self._check_weights(value, settings, place.below(name))
        if len(self.draft.problems) > before:
            return None
        batch = node.options.batch
        asked = Batching(batch.max, batch.delay_ms) if batch is not None else Batching()
        try:
            return settings.shaped(self.folder, asked)
        except BadSetting as exc:
            here = place.below(*exc.at)
            said = here.told(f"{dotted(here.path)}: {exc}", "")
            on_key = not exc.at or here.path not in here.doc.values or here.is_mapping
            self._report(here.problem("bad-value", said, key=on_key, hint=exc.hint))
            return None
        except Exception as exc:  # noqa: BLE001 - a node's own code may raise anything
            why = "" if place.doc.from_env else f": {exc}"
            said = f"{dotted(place.path)}: it cannot tell its ports: {type(exc).__name__}{why}"
            self._report(place.problem("bad-node", said, key=True))
            return None

    def _check_weights(self, value: str, settings: Node, place: Place) -> None:
        """What is wrong with a file of weights; one that was not fetched yet is only absent."""
        name = dotted(place.path)
        try:
            found = weights.parse(value, str(getattr(settings, "sha256", "")))
        except WeightsInvalid as exc:
            said = place.told(f"{name}: {exc}", value)
            self._report(place.problem("bad-weights", said, hint=exc.hint))
            return
        self.draft.weights[found] = None
        try:
            weights.verify(found, self.folder)
        except WeightsMissing as exc:
            said = place.told(f"{name}: {exc}", value)
            if not found.scheme:
                self._report(place.problem("missing-file", said, hint=exc.hint))
            else:
                hint = f"fetch it first: byoc fetch {self.files[0]}"
                self.draft.absent.append(place.problem("not-fetched", said, hint=hint))
        except WeightsBad as exc:
            self._report(place.problem("bad-weights", place.told(f"{name}: {exc}", value)))

    def _check_file(self, value: str, place: Place, *, address: bool = False) -> None:
        if "://" in value:
            if not address:
                said = place.told(
                    f"{dotted(place.path)} is an address; only files are read here", value
                )
                hint = "fetch it, and put it beside the pipeline"
                self._report(place.problem("bad-path", said, hint=hint))
            return
        try:
            locate(self.folder, value)
        except NotFound as exc:
            if exc.code == "missing-file" and "%" in value:
                return  # a row of pictures: frames/%03d.png
            said = place.told(f"{dotted(place.path)}: {exc}", value)
            self._report(place.problem(exc.code, said, hint=exc.hint))

    def _condition(self, node: GraphNode) -> Condition | None:
        written = node.options.when
        if written is None or written is True:
            return None
        text = "false" if written is False else str(written)
        place = node.place.below("when")
        where = dotted(place.path)
        try:
            parsed = condition.parse(text)
        except condition.Refused as exc:
            said = f"{where}: {exc}" if not place.hidden else f"{where} is not a condition"
            self._report(_moved(place.problem("bad-value", said), text, exc.offset, exc.length))
            return None
        except ValueError as exc:
            said = place.told(f"{where} {exc}, got {text!r}", text)
            self._report(place.problem("bad-value", said))
            return None
        params = self.pipeline.params
        for name, offset in parsed.names.items():
            if name in params or name in self.pipeline.unread:
                continue
            said = place.told(f"{where} reads {name!r}, which is not a param", name)
            hint = did_you_mean(name, params)
            if not hint and not place.hidden and any(each in params for each in parsed.names):
                hint = f"text is written in quotes: '{name}'"
            problem = place.problem("unknown-param", said, hint=hint)
            self._report(_moved(problem, text, offset, len(name)))
        return parsed

    # inputs

    def _add_links(
        self,
        node: NodeSpec,
        name: str,
        ports: tuple[Port, ...],
        place: Place,
        above: str | None,
        inputs: Mapping[str, Ref] | None,
    ) -> None:
        written = node.options.in_
        before = len(self.draft.links)
        wanted = 1
        if "in" in node.wrong or (name in self.draft.odd and written is None):
            self.draft.loose.add(name)
            return
        if isinstance(written, dict):
            self.draft.named.add(name)
            wanted = len(written)
            for port, target in written.items():
                here = place.below("in", port)
                if port not in [each.name for each in ports]:
                    known = [each.name for each in ports]
                    said = f"{dotted(place.path)} has no input {port!r}"
                    hint = did_you_mean(port, known) or f"it takes {', '.join(known)}"
                    if not known:
                        said, hint = f"{dotted(place.path)} is a source and takes no input", ""
                    self._report(here.problem("unknown-port", said, key=True, hint=hint))
                elif ref := self._resolve(target, here):
                    self.draft.links.append(_Link(name, port, ref, here))
        elif isinstance(written, str):
            here = place.below("in")
            if not ports:
                said = f"{dotted(place.path)} is a source and takes no input"
                self._report(place.below("in").problem("unknown-port", said, key=True))
            elif ref := self._resolve(written, here):
                self.draft.links.append(_Link(name, "", ref, here))
        elif not ports:
            return
        elif above is not None:
            if ref := self._resolve(above, place):
                self.draft.links.append(_Link(name, "", ref, place))
        elif inputs and "" in inputs:
            self.draft.links.append(_Link(name, "", inputs[""], place))
        elif not self.blind:
            wanted = 0
        if len(self.draft.links) - before < wanted:
            self.draft.loose.add(name)

    def _resolve(self, written: str, place: Place) -> Ref | None:
        """What `node` or `node.port` means in this file, or None and a Problem."""
        name, dot, port = written.partition(".")
        if name in self.known_bad or written in self.known_bad:
            return None
        if name in self.inlets:
            ref = self.inlets[name]
            return Ref(ref.node, port or ref.port)
        if name in self.subs:
            return self._output_of(name, port, place)
        nodes = self.pipeline.nodes
        if name not in nodes:
            said = place.told(f"{dotted(place.path)}: there is no node {name!r}", name)
            self._report(place.problem("unknown-node", said, hint=did_you_mean(name, nodes)))
            return None
        if dot and not port:
            said = place.told(f"{dotted(place.path)}: {written!r} names no output", written)
            self._report(place.problem("unknown-port", said, hint=f"did you mean {name!r}?"))
            return None
        return Ref(self.full(name), port)

    def _output_of(self, name: str, port: str, place: Place) -> Ref | None:
        sub = self.subs[name]
        if port and port in sub.outputs:
            return sub.outputs[port]
        main = next(iter(sub.outputs.values()), sub.last)
        if main is None:
            if name not in self.known_bad:
                said = f"sub-pipeline {name!r} gives nothing"
                self._report(place.problem("missing-input", said, key="in" not in place.path[2:]))
            return None
        return Ref(main.node, port or main.port)

    # sub-pipelines

    def _add_pipeline(
        self, node: NodeSpec, above: str | None, outside: Mapping[str, Ref] | None
    ) -> bool:
        place = Place(self.pipeline.doc, node.path)
        sub = self._open(node, place)
        self.draft.parts += 1
        if sub is None:
            self._give_up(node.name)
            return True
        inputs = self._inputs_of(node, place, above)
        sub.around = place
        sub.blind = not inputs and (node.options.in_ or above) is not None
        if above is None and node.options.in_ is None and outside and "" in outside:
            inputs = {"": outside[""]}
        given = {key: value for key, value in node.fields.items() if key != "file"}
        for key in given:
            if key not in sub.pipeline.params:
                said = f"{dotted(node.path)}.{key} is not a param of {node.fields['file']}"
                hint = did_you_mean(key, sub.pipeline.params)
                self._report(place.below(key).problem("unknown-field", said, key=True, hint=hint))
        before = len(self.draft.problems)
        sub.read(inputs, {key: (given[key], place.below(key)) for key in given})
        self.subs[node.name] = sub
        self._check_inlets(node, sub, place)
        if len(self.draft.problems) > before or sub.blind:
            self._give_up(node.name)
        elif (ref := next(iter(sub.outputs.values()), sub.last)) is not None:
            self.last = ref
        return True

    def _check_inlets(self, node: NodeSpec, sub: "_Scope", place: Place) -> None:
        written = node.options.in_
        if not isinstance(written, dict) or not sub.inlets:
            return
        for name in written:
            if name not in sub.inlets:
                said = f"{dotted(place.path)} has no input {name!r}"
                hint = did_you_mean(name, sub.inlets) or f"it takes {', '.join(sub.inlets)}"
                here = place.below("in", name)
                self._report(here.problem("unknown-port", said, key=True, hint=hint))

    def _open(self, node: NodeSpec, place: Place) -> "_Scope | None":
        """The file of a sub-pipeline, read; None and Problems when it cannot be used."""
        extra = node.options.model_fields_set - {"in_"}
        for option in sorted(extra):
            written = Options.model_fields[option].alias or option
            said = f"{dotted(node.path)}.{written}: a sub-pipeline takes only `in`"
            self._report(place.below(written).problem("bad-option", said, key=True))
        file = node.fields.get("file")
        if "file" not in node.fields:
            said = f"{dotted(node.path)}.file is required"
            self._report(place.problem("missing-field", said, key=True))
            return None
        if not isinstance(file, str):
            here = place.below("file")
            said = f"{dotted(here.path)} should be text{spec.got(here.doc, here.path, file)}"
            self._report(here.problem("bad-value", said))
            return None
        before = len(self.draft.problems)
        self._check_file(file, place.below("file"))
        if len(self.draft.problems) > before:
            return None
        path = self.folder / file
        shown = str(Path(self.pipeline.doc.file).parent / file)
        if len(self.files) > MAX_DEPTH:
            said = f"{dotted(node.path)}.file: more than {MAX_DEPTH} files inside each other"
            self._report(place.below("file").problem("too-deep", said))
            return None
        if shown in self.files:
            said = f"{dotted(node.path)}.file: {' -> '.join((*self.files, shown))}"
            self._report(place.below("file").problem("cycle", f"{said} leads back to itself"))
            return None
        try:
            doc = self.draft.load(path, shown)
        except OSError as exc:
            said = f"{dotted(node.path)}.file: {exc.strerror or exc}"
            self._report(place.below("file").problem("missing-file", said))
            return None
        pipeline, problems = spec.read(doc)
        self.draft.problems += problems
        if problems:
            return None
        prefix = f"{self.full(node.name)}/"
        return _Scope(self.draft, pipeline, path.parent, prefix, (*self.files, shown))

    def _inputs_of(self, node: NodeSpec, place: Place, above: str | None) -> dict[str, Ref]:
        written = node.options.in_
        if isinstance(written, dict):
            found = {
                port: self._resolve(target, place.below("in", port))
                for port, target in written.items()
            }
            inputs = {port: ref for port, ref in found.items() if ref is not None}
            return {"": next(iter(inputs.values())), **inputs} if inputs else {}
        target = written or above
        ref = self._resolve(target, place.below("in") if written else place) if target else None
        return {"": ref} if ref is not None else {}

    # params

    def _add_params(self, given: Mapping[str, Any]) -> None:
        if not self.pipeline.nodes:
            return  # said already
        for name, written in self.pipeline.params.items():
            place = Place(self.pipeline.doc, ("params", name))
            before = len(self.draft.problems)
            param = self._param(name, written, place)
            if len(self.draft.problems) > before:
                continue
            start, at = given.get(name, (None, place))
            if name not in given and "default" in written.model_fields_set:
                start, at = written.default, place.below("default")
            self.draft.params[param.name] = param
            if any(text.partition(".")[0] in self.known_bad for text in written.to):
                continue
            if not self._check_narrowing(param, place):
                continue
            if name in given or "default" in written.model_fields_set:
                self._start(param, start, at)
            else:
                self._check_start(param, place)
        for node in self.pipeline.nodes:
            self._rename_condition(self.full(node))

    def _rename_condition(self, name: str) -> None:
        """A condition in a sub-pipeline reads that file's params: give them their full names."""
        node = self.draft.nodes.get(name)
        if node is None or node.when is None or not self.prefix:
            return
        self.draft.nodes[name] = replace(node, when=node.when.below(self.prefix))

    def _param(self, name: str, written: ParamSpec, place: Place) -> Param:
        targets: list[Target] = []
        sets: list[str] = []
        for index, text in enumerate(written.to):
            here = self._target_place(place, index)
            node, dot, field_name = text.partition(".")
            if not dot or not field_name:
                said = f"{dotted(place.path)} should name a field as node.field, got {text!r}"
                self._report(here.problem("bad-value", here.told(said, text)))
            elif node in self.known_bad:
                continue
            elif node in self.subs:
                self._sub_target(node, field_name, here, targets, sets)
            elif node in self.pipeline.nodes:
                self._field_target(node, field_name, here, targets)
            else:
                said = f"{dotted(place.path)} leads to {text!r}, but there is no node {node!r}"
                said = here.told(here.told(said, text), node)
                hint = did_you_mean(node, self.pipeline.nodes)
                self._report(here.problem("unknown-target", said, hint=hint))
        if not written.to:
            self._check_condition_only(name, written, place)
        value: Any = self._first_value(targets, sets, written)
        return Param(self.full(name), written, tuple(targets), tuple(sets), value)

    def _target_place(self, place: Place, index: int) -> Place:
        for path in (("to", index), ("to",), (index,)):
            if (*place.path, *path) in place.doc.values:
                return place.below(*path)
        return place

    def _sub_target(
        self, node: str, name: str, place: Place, targets: list[Target], sets: list[str]
    ) -> None:
        inner = self.draft.params.get(f"{self.full(node)}/{name}")
        if inner is None:
            if node not in self.known_bad:
                known = self.subs[node].pipeline.params
                said = f"{dotted(place.path)}: sub-pipeline {node!r} has no param {name!r}"
                self._report(place.problem("unknown-target", said, hint=did_you_mean(name, known)))
            return
        targets += inner.targets
        sets += [inner.name, *inner.sets]

    def _field_target(self, node: str, name: str, place: Place, targets: list[Target]) -> None:
        found = self.draft.nodes.get(self.full(node))
        if found is None:
            return
        if name not in found.cls.model_fields:
            said = f"{dotted(place.path)}: node {node!r} has no field {name!r}"
            hint = did_you_mean(name, found.cls.model_fields)
            if name in (*spec.OPTIONS, "type"):
                said = f"{dotted(place.path)}: {name!r} belongs to every node and is not a field"
                hint = ""
            said = place.told(said, name)
            self._report(place.problem("unknown-target", said, hint=hint))
        elif change_of(found.cls, name) == "fixed":
            said = f"{dotted(place.path)}: {node}.{name} is fixed; no param may set it"
            self._report(place.problem("fixed-field", said))
        else:
            targets.append(Target(found.name, name, found.cls))

    def _check_condition_only(self, name: str, written: ParamSpec, place: Place) -> None:
        read = any(
            name in node.when.names
            for node in self.draft.nodes.values()
            if node.when is not None and node.scope == self.prefix
        )
        if not read and self._reads_all():
            said = (
                f"{dotted(place.path)} leads to nothing: no field in `to`, and no `when` reads it"
            )
            self._report(
                place.problem("unused-param", said, key=True, hint="write `to: node.field`")
            )
        elif read and "default" not in written.model_fields_set:
            said = f"{dotted(place.path)} needs a default: no field gives it one"
            self._report(place.problem("missing-field", said, key=True))

    def _reads_all(self) -> bool:
        """Whether every `when` could be read; else one of them may have meant any param."""
        broken = any(each.at.endswith(".when") for each in self.draft.problems)
        return not (broken or self.draft.vague or self.draft.odd)

    def _first_value(self, targets: list[Target], sets: list[str], written: ParamSpec) -> Any:
        if targets:
            settings = self.draft.nodes[targets[0].node].settings
            return getattr(settings, targets[0].field, None)
        if sets:
            return self.draft.params[sets[0]].value
        return written.default

    def _check_narrowing(self, param: Param, place: Place) -> bool:
        """Whether the range, the choices and the ramp of a param suit its fields."""
        given, name = param.spec, dotted(place.path)
        before = len(self.draft.problems)
        bounds = {"min": given.min, "max": given.max}
        for key in (key for key, bound in bounds.items() if bound is not None):
            if param.kind in ("string", "boolean", "array", "object"):
                said = f"{name}.{key}: only numbers have a range"
                self._report(place.below(key).problem("bad-value", said, key=True))
            else:
                self._check_fits(param, bounds[key], place.below(key))
        if len(self.draft.problems) > before:
            return False
        if given.min is not None and given.max is not None and given.min > given.max:
            said = f"{name}.min should not be greater than max, got {given.min:g}"
            self._report(place.below("min").problem("bad-value", said))
        for index, choice in enumerate(given.choices or ()):
            self._check_fits(param, choice, place.below("choices", index))
        if given.ramp_ms and param.kind not in ("number", ""):
            said = f"{name}.ramp_ms: only a number that may have a fraction moves gradually"
            self._report(place.below("ramp_ms").problem("bad-value", said, key=True))
        return len(self.draft.problems) == before

    def _check_fits(self, param: Param, value: Any, place: Place) -> None:
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        try:
            param.fitted(value)
        except ValueError as exc:
            said = place.told(f"{dotted(place.path)}{exc}", value)
            self._report(place.problem("bad-value", said))

    def _check_start(self, param: Param, place: Place) -> None:
        """The value that the first field has must suit the param and its other fields."""
        if any(target.node in self.draft.unset for target in param.targets):
            return
        try:
            if len(param.targets) > 1:
                param.fitted(param.value)
            if param.targets:
                param.within(param.value)
        except ValueError as exc:
            first = param.targets[0]
            said = f"{dotted(place.path)}: the value of {first.node}.{first.field}{exc}"
            hint = "give the param a `default:` that fits"
            self._report(place.problem("bad-value", said, key=True, hint=hint))

    def _start(self, param: Param, value: Any, place: Place) -> None:
        """Give a param its value for the start: that of its fields from then on."""
        try:
            value = param.checked(value)
        except ValueError as exc:
            said = place.told(f"{dotted(place.path)}{exc}", value)
            self._report(place.problem("bad-value", said))
            return
        for name in (param.name, *param.sets):
            self.draft.params[name] = replace(self.draft.params[name], value=value)
        for target in param.targets:
            node = self.draft.nodes[target.node]
            settings = node.settings.model_copy(update={target.field: value})
            self.draft.nodes[target.node] = replace(node, settings=settings)


_AN_INPUT: Final = "put it below the node it takes from, or write `in: a_node`"


def _moved(problem: Problem, text: str, offset: int, length: int) -> Problem:
    """The same Problem, its caret at a word inside a plain one-line value."""
    span = problem.span
    if span is None or span.length != len(text):
        return problem
    return replace(problem, span=Span(span.line, span.column + offset, length))


def _check_options(node: GraphNode, *, sure: bool) -> list[Problem]:
    """What a node's class and ports do not allow. sure: whether every option could be read."""
    options, cls, name = node.options, node.cls, dotted(node.place.path)
    given = options.model_fields_set
    problems = []

    def refuse(option: str, why: str, *, key: bool = True, hint: str = "") -> None:
        said = f"{name}.{option}: {why}"
        problems.append(node.place.below(option).problem("bad-option", said, key=key, hint=hint))

    if options.concurrency > 1 and not cls.stateless:
        refuse("concurrency", "the node keeps state from frame to frame, so frames take turns")
    if "batch" in given and not cls.batches:
        refuse("batch", "the node cannot take several frames in one call")
    if "device" in given and options.device.split(":")[0] not in ("auto", *cls.devices):
        refuse("device", f"the node runs on {' or '.join(cls.devices)}", key=False)
    gated = options.when is not None or options.every > 1 or options.rate is not None
    if "else_" in given and not gated and sure:
        refuse("else", "without when, every or rate the node runs on every frame")
    if not cls.inputs:
        for option in ("every", "rate", "when", "queue", "on_full", "max_age_ms", "concurrency"):
            if option in given:
                refuse(option, "the node is a source and takes no frames")
    if not can_pass(node):
        for option, value in (("else", options.else_), ("on_error", options.on_error)):
            if value == "pass":
                why = f"{_passing(cls)}, so nothing can pass it by"
                refuse(option, why, key=False, hint="use hold_last or drop")
    if cls.merges or len(cls.inputs) < 2:
        for option in ("within_ms", "missing"):
            if option in given:
                refuse(option, "the node joins nothing: it takes one input at a time")
    return problems


def can_pass(node: GraphNode) -> bool:
    """Whether a frame can go by the node as it came: what it gives is what it takes."""
    cls = node.cls
    if not cls.outputs:
        return bool(cls.inputs)
    return bool(cls.inputs) and len(cls.outputs) == 1 and cls.inputs[0].kind == cls.outputs[0].kind


def _passing(cls: type[Node]) -> str:
    if not cls.inputs:
        return "the node is a source"
    gives = ", ".join(port.kind for port in cls.outputs)
    return f"the node takes {cls.inputs[0].kind} and gives {gives}"


# connections


def _connect(draft: _Draft) -> list[Edge]:
    """An edge for each written input, or a Problem that names both ends."""
    edges: list[Edge] = []
    for link in draft.links:
        start, end = draft.nodes.get(link.ref.node), draft.nodes.get(link.node)
        if start is None or end is None:
            continue
        if edge := _edge(start, end, link, draft):
            edges.append(edge)
        else:
            draft.loose.add(end.name)
    return edges


def _edge(start: GraphNode, end: GraphNode, link: _Link, draft: _Draft) -> Edge | None:
    outs, ins = start.cls.outputs, end.cls.inputs
    if not outs:
        said = f"{dotted(link.place.path)}: {start.name!r} is a sink and gives nothing"
        draft.problems.append(link.problem("unknown-port", said))
        return None
    if link.ref.port:
        outs = tuple(port for port in outs if port.name == link.ref.port)
    if not outs:
        known = [port.name for port in start.cls.outputs]
        said = f"{dotted(link.place.path)}: {start.name!r} has no output {link.ref.port!r}"
        said = link.place.told(said, link.ref.port)
        hint = did_you_mean(link.ref.port, known) or f"it gives {', '.join(known)}"
        draft.problems.append(link.problem("unknown-port", said, hint))
        return None
    ins = tuple(port for port in ins if port.name == link.port) or ins
    for entry in ins:
        for out in outs:
            if any(convertible(a, b) for a in out.formats for b in entry.formats):
                return Edge(start.name, out.name, end.name, entry.name)
    draft.problems.append(_mismatch(start, outs[0], end, ins[0], link))
    return None


def _mismatch(start: GraphNode, out: Port, end: GraphNode, entry: Port, link: _Link) -> Problem:
    said = (
        f"{end.name}.{entry.name} takes {entry.kind}, but {start.name}.{out.name} gives {out.kind}"
    )
    fitting = [
        port.name
        for port in start.cls.outputs
        if any(convertible(a, b) for a in port.formats for b in entry.formats)
    ]
    hint = f"take {start.name}.{fitting[0]}" if fitting else ""
    return link.problem("type-mismatch", said, hint)


def _implied(draft: _Draft, edges: list[Edge]) -> list[Edge]:
    """Sound (or pictures) that nobody named still reach the end: from the nearest node upstream."""
    added: list[Edge] = []
    for node in draft.nodes.values():
        if not node.cls.merges:
            continue
        taken = {edge.end_port for edge in edges if edge.end == node.name}
        for port in node.cls.inputs:
            if port.name in taken or not node.settings.wants_track(port.name):
                continue
            if port.kind != "audio" and node.name in draft.named:
                continue
            if found := _nearest_track(draft, edges, node.name, port):
                added.append(Edge(found[0], found[1], node.name, port.name))
    return added


def _nearest_track(
    draft: _Draft, edges: list[Edge], node: str, port: Port
) -> tuple[str, str] | None:
    """The closest node upstream that gives this kind; then on through nodes that only take it."""
    seen, wave = {node}, [node]
    while wave:
        wave = [edge.start for each in wave for edge in edges if edge.end == each]
        wave = [name for name in dict.fromkeys(wave) if name not in seen]
        seen.update(wave)
        for name in wave:
            for out in draft.nodes[name].cls.outputs:
                if out.kind == port.kind:
                    return _dangling_end(draft, edges, name, out.name)
    return None


def _dangling_end(draft: _Draft, edges: list[Edge], node: str, port: str) -> tuple[str, str]:
    """Follow a track through the chain of nodes that take it, while nothing else does."""
    seen = {node}
    while True:
        onward = [edge for edge in edges if (edge.start, edge.start_port) == (node, port)]
        if len(onward) != 1 or onward[0].end in seen:
            return node, port
        cls = draft.nodes[onward[0].end].cls
        if len(cls.outputs) != 1 or len(cls.inputs) != 1:
            return node, port
        if cls.outputs[0].kind != cls.inputs[0].kind:
            return node, port
        node, port = onward[0].end, cls.outputs[0].name
        seen.add(node)


def _check_inputs(draft: _Draft, edges: list[Edge]) -> None:
    for node in draft.nodes.values():
        if node.name in draft.loose:
            continue
        taken = {edge.end_port for edge in edges if edge.end == node.name}
        required = [port.name for port in node.cls.inputs if not port.optional]
        missing = [port for port in node.cls.inputs if not port.optional and port.name not in taken]
        if node.cls.inputs and not missing and not taken:
            missing = list(node.cls.inputs[:1])
        for port in missing:
            said = (
                f"{dotted(node.place.path)} has nothing for its input {port.name!r} ({port.kind})"
            )
            hint = _AN_INPUT
            if len(required) > 1:
                hint = f"write `in: {{{', '.join(f'{each}: a_node' for each in required)}}}`"
            draft.loose.add(node.name)
            draft.problems.append(node.place.problem("missing-input", said, key=True, hint=hint))


def _ordered(draft: _Draft, edges: list[Edge]) -> list[str]:
    """Nodes so that each comes after what feeds it; nothing, and a Problem for each ring."""
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for name in draft.nodes:
        sorter.add(name)
    for edge in edges:
        sorter.add(edge.end, edge.start)
    rank = {name: place for place, name in enumerate(draft.nodes)}
    try:
        sorter.prepare()
    except CycleError as exc:
        # graphlib lists each node before the one that takes from it.
        ring = list(exc.args[1])
        draft.problems.append(_cycle(draft, ring))
        _ordered(draft, [edge for edge in edges if not {edge.start, edge.end} <= set(ring)])
        return []
    order: list[str] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready(), key=rank.__getitem__)
        order += ready
        sorter.done(*ready)
    return order


def _cycle(draft: _Draft, names: list[str]) -> Problem:
    """Points at the edge that closes the ring: the input of the first of its nodes in the file."""
    ring = names[:-1]
    rank = {name: place for place, name in enumerate(draft.nodes)}
    first = min(ring, key=rank.__getitem__)
    turned = ring[ring.index(first) :] + ring[: ring.index(first)]
    said = f"the nodes feed each other in a ring: {' -> '.join([*turned, first])}"
    for link in draft.links:
        if link.node == first and link.ref.node in ring:
            return link.place.problem("cycle", said, key="in" not in link.place.path)
    return draft.nodes[first].place.problem("cycle", said, key=True)


def _check_ends(draft: _Draft, edges: list[Edge], pipeline: Pipeline) -> None:
    """Every node must be on a way from a source to a sink."""
    sinks = [name for name, node in draft.nodes.items() if not node.cls.outputs]
    if not sinks and draft.nodes:
        said = "the pipeline has no end: nothing takes what comes out"
        hint = "end it with `out: {type: encode}`"
        draft.problems.append(
            Place(pipeline.doc, ("nodes",)).problem("no-sink", said, key=True, hint=hint)
        )
        return
    reached, wave = set(sinks), list(sinks)
    while wave:
        wave = [edge.start for each in wave for edge in edges if edge.end == each]
        wave = [name for name in dict.fromkeys(wave) if name not in reached]
        reached.update(wave)
    taken = {edge.start for edge in edges}
    for name, node in draft.nodes.items():
        if name not in reached and name not in taken:
            said = f"nothing takes what {name!r} gives, so it never does anything"
            hint = "name it in the `in:` of another node, or take it out"
            draft.problems.append(node.place.problem("unreachable", said, key=True, hint=hint))
