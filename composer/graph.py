"""A pipeline and the node classes it names -> Graph: every name, type and connection settled.

Nothing is loaded yet. Sub-pipelines are flattened here; their nodes are called `outer/inner`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from composer import condition, spec
from composer.condition import Condition
from composer.conversions import convertible
from composer.errors import Problem, Span
from composer.node import Node, Port, change_of, reads_file
from composer.params import Param, Target
from composer.registry import NotFound, Registry
from composer.source import Document, Keys, did_you_mean, dotted
from composer.spec import NodeSpec, Options, ParamSpec, Pipeline

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


@dataclass(frozen=True)
class GraphNode:
    """One node with its class, its checked settings and its options.

    when: the condition, its params by their full names. folder: where its files are found.
    """

    name: str
    cls: type[Node]
    settings: Node
    options: Options
    folder: Path
    place: Place
    when: Condition | None = None
    scope: str = ""


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

    nodes are in topological order, and in the file's order where that leaves a choice.
    """

    file: str
    capability: str
    nodes: Mapping[str, GraphNode]
    edges: tuple[Edge, ...]
    params: Mapping[str, Param]

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
    """An input that somebody wrote or left out: filled while the files are read."""

    node: str
    port: str
    ref: Ref
    place: Place


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


def build(
    pipeline: Pipeline, folder: Path, registry: Registry, load: Load
) -> tuple[Graph | None, list[Problem]]:
    """The graph of a pipeline file in `folder`, or None and every Problem that was found."""
    draft = _Draft(registry, load, [])
    scope = _Scope(draft, pipeline, folder, "", (pipeline.doc.file,))
    scope.read(None)
    edges = _connect(draft)
    if not draft.problems:
        edges += _implied(draft, edges)
        _check_inputs(draft, edges)
    order = _ordered(draft, edges)
    if not draft.problems:
        _check_ends(draft, edges, pipeline)
    if draft.problems:
        return None, draft.problems
    nodes = {name: draft.nodes[name] for name in order}
    return Graph(pipeline.doc.file, pipeline.capability, nodes, tuple(edges), draft.params), []


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

    def read(
        self, inputs: Mapping[str, Ref] | None, given: Mapping[str, Any] | None = None
    ) -> None:
        """Add this file's nodes and params. `inputs` feed a sub-pipeline; None at the top."""
        above: str | None = None
        for name, node in self.pipeline.nodes.items():
            if len(self.draft.nodes) >= MAX_NODES:
                said = f"the graph has more than {MAX_NODES} nodes"
                self._report(Place(self.pipeline.doc, node.path).problem("too-many", said))
                return
            if node.type == "pipeline":
                added = self._add_pipeline(node, above)
            else:
                added = self._add_node(node, above, inputs)
            above = name if added else above
        self._add_params(given or {})

    def full(self, name: str) -> str:
        return f"{self.prefix}{name}"

    def _report(self, problem: Problem) -> None:
        self.draft.problems.append(problem)

    # nodes

    def _add_node(
        self, node: NodeSpec, above: str | None, inputs: Mapping[str, Ref] | None
    ) -> bool:
        place = Place(self.pipeline.doc, node.path)
        try:
            cls = self.draft.registry.find(node.type, self.folder)
        except NotFound as exc:
            self._report(place.below("type").problem(exc.code, str(exc), hint=exc.hint))
            self.known_bad.add(node.name)
            return True
        settings = self._settings(node, cls, place)
        made = GraphNode(
            self.full(node.name), cls, settings, node.options, self.folder, place, scope=self.prefix
        )
        if inputs is not None and self._stands_for_outside(node, made, above, inputs):
            return True
        made = replace(made, when=self._condition(made))
        self.draft.nodes[made.name] = made
        self.draft.problems += _check_options(made)
        self._add_links(node, made.name, cls.inputs, place, above, inputs)
        if cls.outputs:
            self.last = Ref(made.name)
        return bool(cls.outputs)

    def _stands_for_outside(
        self, node: NodeSpec, made: GraphNode, above: str | None, inputs: Mapping[str, Ref]
    ) -> bool:
        """A decode without a file, or an encode, in a sub-pipeline is the pipeline around it."""
        if node.type == "decode" and not getattr(made.settings, "path", ""):
            ref = inputs.get(node.name) or inputs.get("")
            if ref is None:
                said = f"{dotted(made.place.path)} needs an input from the pipeline around it"
                self._report(made.place.problem("missing-input", said, key=True))
                self.known_bad.add(node.name)
                return True
            self.inlets[node.name] = ref
            return True
        if node.type == "encode":
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
            self.draft.problems += spec.invalid(place.doc, exc, place.path, known)
            self.known_bad.add(node.name)
            return cls.model_construct(**node.fields)
        for name in cls.model_fields:
            value = getattr(settings, name)
            if reads_file(cls, name) and isinstance(value, str) and value:
                self._check_file(value, place.below(name))
        return settings

    def _check_file(self, value: str, place: Place) -> None:
        name = dotted(place.path)
        if "://" in value or "%" in value:
            return
        path = Path(value)
        inside = (self.folder / path).resolve().is_relative_to(self.folder.resolve())
        if path.is_absolute() or not inside:
            hint = "put the file beside the pipeline and write its path from there"
            said = f"{name}: {value!r} is outside the pipeline's folder"
            self._report(place.problem("bad-path", said, hint=hint))
        elif not (self.folder / path).is_file():
            beside = [str(each.relative_to(self.folder)) for each in _beside(self.folder / path)]
            hint = did_you_mean(value, beside)
            self._report(
                place.problem("missing-file", f"{name}: there is no file {value!r}", hint=hint)
            )

    def _condition(self, node: GraphNode) -> Condition | None:
        written = node.options.when
        if written is None or written is True:
            return None
        text = "false" if written is False else str(written)
        place = node.place.below("when")
        try:
            parsed = condition.parse(text)
        except ValueError as exc:
            self._report(place.problem("bad-value", f"{dotted(place.path)} {exc}, got {text!r}"))
            return None
        for name, offset in parsed.names.items():
            if name not in self.pipeline.params:
                said = f"{dotted(place.path)} reads {name!r}, which is not a param"
                problem = place.problem(
                    "unknown-param", said, hint=did_you_mean(name, self.pipeline.params)
                )
                self._report(_moved(problem, place, text, offset, len(name)))
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
        if isinstance(written, dict):
            self.draft.named.add(name)
            for port, target in written.items():
                here = place.below("in", port)
                if port not in [each.name for each in ports]:
                    known = [each.name for each in ports]
                    said = f"{dotted(place.path)} has no input {port!r}"
                    if not known:
                        said = f"{dotted(place.path)} is a source and takes no input"
                    self._report(
                        here.problem("unknown-port", said, key=True, hint=did_you_mean(port, known))
                    )
                elif ref := self._resolve(target, here):
                    self.draft.links.append(_Link(name, port, ref, here))
            return
        if isinstance(written, str):
            here = place.below("in")
            if not ports:
                said = f"{dotted(place.path)} is a source and takes no input"
                self._report(here.problem("unknown-port", said))
            elif ref := self._resolve(written, here):
                self.draft.links.append(_Link(name, "", ref, here))
            return
        if not ports:
            return
        if above is not None:
            if ref := self._resolve(above, place):
                self.draft.links.append(_Link(name, "", ref, place))
        elif inputs and "" in inputs:
            self.draft.links.append(_Link(name, "", inputs[""], place))

    def _resolve(self, written: str, place: Place) -> Ref | None:
        """What `node` or `node.port` means in this file, or None and a Problem."""
        name, dot, port = written.partition(".")
        if name in self.known_bad:
            return None
        if name in self.inlets:
            ref = self.inlets[name]
            return Ref(ref.node, port or ref.port)
        if name in self.subs:
            return self._output_of(name, port, place)
        if name in self.pipeline.nodes and not (dot and not port):
            return Ref(self.full(name), port)
        said = f"{dotted(place.path)}: there is no node {name!r}"
        self._report(
            place.problem("unknown-node", said, hint=did_you_mean(name, self.pipeline.nodes))
        )
        return None

    def _output_of(self, name: str, port: str, place: Place) -> Ref | None:
        sub = self.subs[name]
        if port and port in sub.outputs:
            return sub.outputs[port]
        main = next(iter(sub.outputs.values()), sub.last)
        if main is None:
            if name not in self.known_bad:
                said = f"sub-pipeline {name!r} gives nothing"
                self._report(place.problem("missing-input", said))
            return None
        return Ref(main.node, port or main.port)

    # sub-pipelines

    def _add_pipeline(self, node: NodeSpec, above: str | None) -> bool:
        place = Place(self.pipeline.doc, node.path)
        sub = self._open(node, place)
        if sub is None:
            self.known_bad.add(node.name)
            return True
        inputs = self._inputs_of(node, place, above)
        given = {key: value for key, value in node.fields.items() if key != "file"}
        for key in given:
            if key not in sub.pipeline.params:
                said = f"{dotted(node.path)}.{key} is not a param of {node.fields['file']}"
                hint = did_you_mean(key, sub.pipeline.params)
                self._report(place.below(key).problem("unknown-field", said, key=True, hint=hint))
        before = len(self.draft.problems)
        sub.read(inputs, {key: (given[key], place.below(key)) for key in given})
        self.subs[node.name] = sub
        if len(self.draft.problems) > before:
            self.known_bad.add(node.name)
        elif (ref := next(iter(sub.outputs.values()), sub.last)) is not None:
            self.last = ref
        return True

    def _open(self, node: NodeSpec, place: Place) -> "_Scope | None":
        """The file of a sub-pipeline, read; None and Problems when it cannot be used."""
        extra = node.options.model_fields_set - {"in_"}
        for option in sorted(extra):
            written = Options.model_fields[option].alias or option
            said = f"{dotted(node.path)}.{written}: a sub-pipeline takes only `in`"
            self._report(place.below(written).problem("bad-option", said, key=True))
        file = node.fields.get("file")
        if not isinstance(file, str):
            said = f"{dotted(node.path)}.file is required"
            self._report(place.problem("missing-field", said, key=True))
            return None
        before = len(self.draft.problems)
        self._check_file(file, place.below("file"))
        if len(self.draft.problems) > before:
            return None
        path = self.folder / file
        shown = str(Path(self.pipeline.doc.file).parent / file)
        if shown in self.files or len(self.files) > MAX_DEPTH:
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
            if name in given or "default" in written.model_fields_set:
                self._start(param, start, at)
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
                self._report(here.problem("bad-value", said))
            elif node in self.subs:
                self._sub_target(node, field_name, here, targets, sets)
            elif node in self.pipeline.nodes:
                self._field_target(node, field_name, here, targets)
            else:
                said = f"{dotted(place.path)} leads to {text!r}, but there is no node {node!r}"
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
            if name in spec.OPTIONS:
                said = f"{dotted(place.path)}: {name!r} is an option of every node, not a field"
            hint = did_you_mean(name, found.cls.model_fields)
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
        if not read:
            said = (
                f"{dotted(place.path)} leads to nothing: no field in `to`, and no `when` reads it"
            )
            self._report(
                place.problem("unused-param", said, key=True, hint="write `to: node.field`")
            )
        elif "default" not in written.model_fields_set:
            said = f"{dotted(place.path)} needs a default: no field gives it one"
            self._report(place.problem("missing-field", said, key=True))

    def _first_value(self, targets: list[Target], sets: list[str], written: ParamSpec) -> Any:
        if targets:
            settings = self.draft.nodes[targets[0].node].settings
            return getattr(settings, targets[0].field, None)
        if sets:
            return self.draft.params[sets[0]].value
        return written.default

    def _start(self, param: Param, value: Any, place: Place) -> None:
        """Give a param its value for the start: that of its fields from then on."""
        try:
            value = param.checked(value)
        except ValueError as exc:
            self._report(place.problem("bad-value", f"{dotted(place.path)} {exc}"))
            return
        for name in (param.name, *param.sets):
            self.draft.params[name] = replace(self.draft.params[name], value=value)
        for target in param.targets:
            node = self.draft.nodes[target.node]
            settings = node.settings.model_copy(update={target.field: value})
            self.draft.nodes[target.node] = replace(node, settings=settings)


def _beside(path: Path) -> list[Path]:
    return sorted(path.parent.iterdir()) if path.parent.is_dir() else []


def _moved(problem: Problem, place: Place, text: str, offset: int, length: int) -> Problem:
    """The same Problem, its caret at a word inside a plain one-line value."""
    span = problem.span
    if span is None or span.length != len(text):
        return problem
    return replace(problem, span=Span(span.line, span.column + offset, length))


def _check_options(node: GraphNode) -> list[Problem]:
    """What a node's class and ports do not allow."""
    options, cls, name = node.options, node.cls, dotted(node.place.path)
    given = options.model_fields_set
    problems = []

    def refuse(option: str, why: str, hint: str = "") -> None:
        said = f"{name}.{option}: {why}"
        problems.append(node.place.below(option).problem("bad-option", said, hint=hint))

    if options.concurrency > 1 and not cls.stateless:
        refuse("concurrency", "the node keeps state from frame to frame, so frames take turns")
    if "batch" in given and not cls.batches:
        refuse("batch", "the node cannot take several frames in one call")
    if "device" in given and options.device.split(":")[0] not in ("auto", *cls.devices):
        refuse("device", f"the node runs on {' or '.join(cls.devices)}")
    gated = options.when is not None or options.every > 1 or options.rate is not None
    if "else_" in given and not gated:
        refuse("else", "without when, every or rate the node runs on every frame")
    if not cls.inputs:
        for option in ("every", "rate", "when", "queue", "on_full", "max_age_ms", "concurrency"):
            if option in given:
                refuse(option, "the node is a source and takes no frames")
    if not can_pass(node):
        for option, value in (("else", options.else_), ("on_error", options.on_error)):
            if value == "pass":
                refuse(
                    option, f"{_passing(cls)}, so nothing can pass it by", "use hold_last or drop"
                )
    if "within_ms" in given or "missing" in given:
        option = "within_ms" if "within_ms" in given else "missing"
        if cls.merges or len(cls.inputs) < 2:
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
    return edges


def _edge(start: GraphNode, end: GraphNode, link: _Link, draft: _Draft) -> Edge | None:
    outs, ins = start.cls.outputs, end.cls.inputs
    if not outs:
        said = f"{dotted(link.place.path)}: {start.name!r} is a sink and gives nothing"
        draft.problems.append(link.place.problem("unknown-port", said))
        return None
    if link.ref.port:
        outs = tuple(port for port in outs if port.name == link.ref.port)
    if not outs:
        known = [port.name for port in start.cls.outputs]
        said = f"{dotted(link.place.path)}: {start.name!r} has no output {link.ref.port!r}"
        hint = did_you_mean(link.ref.port, known) or f"it gives {', '.join(known)}"
        draft.problems.append(link.place.problem("unknown-port", said, hint=hint))
        return None
    ins = tuple(port for port in ins if port.name == link.port) or ins
    for entry in ins:
        for out in outs:
            if any(convertible(a, b) for a in out.formats for b in entry.formats):
                return Edge(start.name, out.name, end.name, entry.name)
    draft.problems.append(_mismatch(start, outs[0], end, ins[0], link.place))
    return None


def _mismatch(start: GraphNode, out: Port, end: GraphNode, entry: Port, place: Place) -> Problem:
    said = (
        f"{end.name}.{entry.name} takes {entry.kind}, but {start.name}.{out.name} gives {out.kind}"
    )
    fitting = [
        port.name
        for port in start.cls.outputs
        if any(convertible(a, b) for a in port.formats for b in entry.formats)
    ]
    hint = f"take {start.name}.{fitting[0]}" if fitting else ""
    return place.problem("type-mismatch", said, hint=hint)


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
        taken = {edge.end_port for edge in edges if edge.end == node.name}
        missing = [port for port in node.cls.inputs if not port.optional and port.name not in taken]
        if node.cls.inputs and not missing and not taken:
            missing = list(node.cls.inputs[:1])
        for port in missing:
            said = (
                f"{dotted(node.place.path)} has nothing for its input {port.name!r} ({port.kind})"
            )
            hint = f"write `in: {{{port.name}: a_node}}`" if len(node.cls.inputs) > 1 else ""
            if not hint:
                hint = "put it below the node it takes from, or write `in: a_node`"
            draft.problems.append(node.place.problem("missing-input", said, key=True, hint=hint))


def _ordered(draft: _Draft, edges: list[Edge]) -> list[str]:
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for name in draft.nodes:
        sorter.add(name)
    for edge in edges:
        sorter.add(edge.end, edge.start)
    rank = {name: place for place, name in enumerate(draft.nodes)}
    try:
        sorter.prepare()
    except CycleError as exc:
        draft.problems.append(_cycle(draft, list(exc.args[1])))
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
    link = next(each for each in draft.links if each.node == first and each.ref.node in ring)
    said = f"the nodes feed each other in a ring: {' -> '.join([*turned, first])}"
    return link.place.problem("cycle", said)


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
    for name, node in draft.nodes.items():
        if name not in reached:
            said = f"nothing takes what {name!r} gives, so it never does anything"
            hint = "name it in the `in:` of another node, or take it out"
            draft.problems.append(node.place.problem("unreachable", said, key=True, hint=hint))
