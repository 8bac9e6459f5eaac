"""Graph -> Plan: formats, converters, stages and inboxes, decided once; running decides nothing."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Any, Final

from composer.compiler.conversions import (
    LOST,
    Conversion,
    conversion,
    cost,
    loses_alpha,
    loses_chroma,
    same,
)
from composer.compiler.ends import keeps_chroma
from composer.compiler.graph import Edge, Graph, GraphNode
from composer.compiler.params import Param
from composer.compiler.solve import TooTangled, cheapest
from composer.device import cuda
from composer.errors import Problem
from composer.node.formats import ALPHA_YUV, Carrier, Format, Kind, has_alpha
from composer.node.node import ALONE, Batching, Node, Port, type_name
from composer.pipeline.condition import Condition
from composer.pipeline.spec import Else, Missing, OnError, OnFull

FILE_QUEUE: Final = 4
"""Pictures an inbox holds on files: enough to ride out an uneven frame."""

LIVE_QUEUE: Final = 2
"""Pictures an inbox holds in a session: a late frame is worth less than the next one."""

STARTING_QUEUE: Final = 32
"""Pictures it holds while an encoder opens or a model meets its first picture."""

PATIENCE_SECONDS: Final = 0.5
"""How long pictures may come late in a session before a full inbox drops some: what was held up for
a moment catches up, and loses nothing. Who is too slow for good is seen after it."""

SOUND_QUEUE: Final = 64
"""Packets, sound blocks and records an inbox holds: they are small, and none may be lost."""


class Mode(Enum):
    """What the plan is for."""

    FILE = "file"  # every frame counts; a full inbox waits
    LIVE = "live"  # now counts; a full inbox drops the oldest picture


@dataclass(frozen=True, slots=True)
class InboxSpec:
    """How one input waits: its size, what happens when it is full, how old a frame may get.

    starting: frames it holds until its stage is done with the first one, which may take long.
    patience_s: how long frames may come late before drop_oldest drops; until then it waits.
    """

    size: int
    on_full: OnFull
    max_age_ms: float | None = None
    starting: int = 0
    patience_s: float = 0.0

    def __str__(self) -> str:
        patience = f" after {self.patience_s * 1000:g} ms" if self.patience_s else ""
        age = "" if self.max_age_ms is None else f", {self.max_age_ms:g} ms at most"
        return f"{self.size} {self.on_full}{patience}{age}"


@dataclass(frozen=True)
class Step:
    """One node, or one converter, as it will run.

    copies: inputs that are copied first, because the node writes and somebody else may hold them.
    fallback: what comes out of a frame it does not run on. stored: the pixel layout in which a
    source's pictures are stored, "" where that is not known or does not matter.
    """

    name: str
    settings: Node | None
    inputs: Mapping[str, Format]
    outputs: Mapping[str, Format]
    folder: Path = Path()
    stored: str = ""
    convert: Conversion | None = None
    when: Condition | None = None
    every: int = 1
    rate: float | None = None
    fallback: Else = "drop"
    on_error: OnError = "fail"
    within_ms: float | None = None
    missing: Missing = "last"
    device: str = "cpu"
    batch: Batching = ALONE
    copies: frozenset[str] = frozenset()

    @property
    def type(self) -> str:
        return type_name(type(self.settings)) if self.settings is not None else "convert"

    @property
    def loses_alpha(self) -> bool:
        """Whether its pictures have alpha before it and none after it."""
        main = next(iter(self.inputs.values()), Format(Kind.PICTURE, self.stored, Carrier.FRAME))
        return any(loses_alpha(main, each) for each in self.outputs.values())


@dataclass(frozen=True)
class Link:
    """An edge of the plan. inbox: None where both ends are in one stage."""

    start: str
    start_port: str
    end: str
    end_port: str
    format: Format
    inbox: InboxSpec | None = None

    def __str__(self) -> str:
        return f"{self.start}.{self.start_port} -> {self.end}.{self.end_port}"


@dataclass(frozen=True)
class Stage:
    """Steps that run one after another on one worker, with no queue between them."""

    name: str
    steps: tuple[str, ...]
    workers: int = 1


@dataclass(frozen=True)
class Plan:
    """The graph made executable and frozen."""

    graph: Graph
    mode: Mode
    steps: Mapping[str, Step]
    links: tuple[Link, ...]
    stages: tuple[Stage, ...]

    @property
    def params(self) -> Mapping[str, Param]:
        return self.graph.params

    def into(self, step: str) -> Iterator[Link]:
        return (link for link in self.links if link.end == step)

    def out_of(self, step: str) -> Iterator[Link]:
        return (link for link in self.links if link.start == step)

    @property
    def conversions(self) -> int:
        return sum(1 for step in self.steps.values() if step.convert is not None)


def make(graph: Graph, mode: Mode = Mode.FILE) -> tuple[Plan | None, list[Problem]]:
    """The plan of a graph, or None and a Problem for each edge that no conversion can serve."""
    sizes = _sizes(graph)
    try:
        formats = _Formats(graph, sizes, mode, *_kept(graph)).solve()
    except TooTangled as exc:
        problem = Problem("too-tangled", f"formats cannot be chosen: {exc}", file=graph.file)
        return None, [problem]
    problems = [
        _impossible(graph, edge, formats)
        for edge in graph.edges
        if cost(formats[edge.start, edge.start_port, "out"], formats[edge.end, edge.end_port, "in"])
        == float("inf")
    ]
    if problems:
        return None, problems
    draft = _draft(graph, formats, mode)
    stages = _stages(draft)
    return _finished(graph, mode, draft, stages), []


# formats

_End = tuple[str, str, str]  # node, port, "in" or "out"


def _sizes(graph: Graph) -> dict[_End, tuple[int, int]]:
    """(width, height) on every end of every node, 0 where the file does not say."""
    sizes: dict[_End, tuple[int, int]] = {}
    for name, node in graph.nodes.items():
        main = (0, 0)
        for edge in graph.into(name):
            size = sizes[edge.start, edge.start_port, "out"]
            sizes[name, edge.end_port, "in"] = size
            if edge.end_port == node.cls.inputs[0].name:
                main = size
        out = node.settings.picture_size(*main)
        for port in node.cls.outputs:
            pictured = port.formats[0].kind in (Kind.PICTURE, Kind.MASK)
            sizes[name, port.name, "out"] = out if pictured else (0, 0)
    return sizes


def _kept(graph: Graph) -> tuple[bool, bool]:
    """Whether alpha, and whether whole colours are worth keeping."""
    nodes = graph.nodes.values()
    alpha = any(has_alpha(node.stored) for node in nodes)
    return alpha, any(keeps_chroma(node.layouts) for node in nodes)


@dataclass
class _Formats:
    """The choice of one Format for each connected end, as variables for solve.cheapest()."""

    graph: Graph
    sizes: Mapping[_End, tuple[int, int]]
    mode: Mode
    alpha: bool
    """Whether a source is known to have alpha. Else no layout is tried that only alpha needs."""
    chroma: bool
    """Whether an end keeps whole colours, so that pixels must not share them on the way."""
    domains: dict[str, tuple[Format, ...]] = field(default_factory=dict)
    variable: dict[_End, str] = field(default_factory=dict)

    def solve(self) -> dict[_End, Format]:
        """Raises TooTangled."""
        unary: dict[str, list[float]] = {}
        pairs: dict[tuple[str, str], list[list[float]]] = {}
        for node in self.graph.nodes.values():
            self._add(node, unary, pairs)
        for edge in self.graph.edges:
            one = self.variable[edge.start, edge.start_port, "out"]
            other = self.variable[edge.end, edge.end_port, "in"]
            weight = self._weight((edge.start, edge.start_port, "out"))
            _join(pairs, one, other, self._costs(one, other, weight))
        chosen = cheapest(unary, pairs)
        return {
            end: self.domains[name][chosen[name]].sized(*self.sizes.get(end, (0, 0)))
            for end, name in self.variable.items()
        }

    def _add(
        self,
        node: GraphNode,
        unary: dict[str, list[float]],
        pairs: dict[tuple[str, str], list[list[float]]],
    ) -> None:
        taken = {edge.end_port for edge in self.graph.into(node.name)}
        for port in node.cls.inputs:
            if port.name in taken:
                self._variable((node.name, port.name, "in"), self._open_to(node, port), unary)
        main = next((port for port in node.cls.inputs if port.name in taken), None)
        if self.chroma:
            self._keep_colours(node, taken, pairs)
        for port in node.cls.outputs:
            end = (node.name, port.name, "out")
            tied = port.tied if port.tied in taken else ""
            if not tied and main is not None and _passes(node) and node.can_pass:
                # What has no Format in common is converted when a frame passes.
                both = (self._open_to(node, each) for each in (main, port))
                tied = main.name if _meet(*both) else ""
            if tied:
                self._tie(end, (node.name, tied, "in"), port, unary)
                continue
            self._variable(end, self._open_to(node, port), unary)
            if main is not None and main.kind == port.kind == "picture":
                one, other = self.variable[node.name, main.name, "in"], self.variable[end]
                rows = self._costs(one, other, self._weight(end))
                _join(pairs, one, other, [[0.5 * each for each in row] for row in rows])
            elif main is None and port.kind == "picture" and len(port.formats) > 1:
                native = Format(Kind.PICTURE, node.stored or "yuv420p", Carrier.FRAME)
                asked = self.mode is Mode.LIVE and node.options.device.startswith("cuda")
                for index, each in enumerate(self.domains[self.variable[end]]):
                    # A stream can be decoded there; what is in a file goes up from here.
                    there = asked and each.device != "cpu"
                    unary[self.variable[end]][index] += 0.0 if there else self._cost(native, each)

    def _keep_colours(
        self, node: GraphNode, taken: set[str], pairs: dict[tuple[str, str], list[list[float]]]
    ) -> None:
        """What a node lays over its first picture has its colours in the layout of that one."""
        pictured = [
            self.variable[node.name, port.name, "in"]
            for port in node.cls.inputs
            if port.name in taken and port.kind == "picture"
        ]
        for other in pictured[1:]:
            mine, main = self.domains[other], self.domains[pictured[0]]
            _join(
                pairs, other, pictured[0], [[loses_chroma(a, b) * LOST for b in main] for a in mine]
            )

    def _variable(
        self, end: _End, formats: tuple[Format, ...], unary: dict[str, list[float]]
    ) -> None:
        name = f"{end[0]} {end[1]} {end[2]}"
        self.variable[end] = name
        self.domains[name] = formats
        # What a port names first it prefers, but never at the price of a conversion.
        unary[name] = [index * 1e-3 for index in range(len(formats))]

    def _tie(self, end: _End, to: _End, port: Port, unary: dict[str, list[float]]) -> None:
        """This output always has the Format of that input."""
        name = self.variable[to]
        self.variable[end] = name
        both = [
            (each, price)
            for each, price in zip(self.domains[name], unary[name], strict=True)
            if any(same(each, other) for other in port.formats)
        ]
        if both:
            self.domains[name] = tuple(each for each, _ in both)
            unary[name] = [price for _, price in both]

    def _costs(self, one: str, other: str, weight: float) -> list[list[float]]:
        mine, theirs = self.domains[one], self.domains[other]
        return [[self._cost(a, b, weight) for b in theirs] for a in mine]

    def _cost(self, start: Format, end: Format, weight: float = 1.0) -> float:
        """What the way costs by the size of the picture, and what is lost on it, by no size."""
        lost = (self.alpha and loses_alpha(start, end)) + (self.chroma and loses_chroma(start, end))
        return cost(start, end) * weight + lost * LOST

    def _open_to(self, node: GraphNode, port: Port) -> tuple[Format, ...]:
        formats = _narrowed(node, port, self.mode)
        if self.alpha:
            return formats
        return tuple(each for each in formats if each.layout != ALPHA_YUV)

    def _weight(self, end: _End) -> float:
        """Size of the picture in 720p pictures; one where it is not known."""
        width, height = self.sizes.get(end, (0, 0))
        return width * height / (1280 * 720) if width and height else 1.0


def _narrowed(node: GraphNode, port: Port, mode: Mode) -> tuple[Format, ...]:
    """The Formats of a port that the node's settings leave."""
    names = node.layouts.get(port.name) or node.settings.port_layouts(port.name)
    if mode is Mode.LIVE:
        names = names or node.settings.live_layouts(port.name)
    formats = _on_its_device(node, port.formats)
    if not names:
        return formats
    return tuple(each for name in names for each in formats if each.layout == name)


def _device(node: GraphNode) -> str:
    return cuda.chosen(node.options.device, node.cls.devices, node.cls.needs)


def _on_its_device(node: GraphNode, formats: tuple[Format, ...]) -> tuple[Format, ...]:
    """The Formats of a port with the device of its node.

    Where a port of a model takes pictures on the host as well as tensors, the device decides which;
    elsewhere the solver does.
    """
    device = _device(node)
    tensors = tuple(each for each in formats if each.carrier is Carrier.TENSOR)
    if not tensors:
        return formats
    hosted = tuple(each for each in formats if each.carrier is not Carrier.TENSOR)
    if hosted and (device == "cpu" or not cuda.has_torch()):
        return hosted
    there = tuple(replace(each, device=device) for each in tensors)
    return there if node.cls.by_settings or not hosted else (*hosted, *there)


def _join(
    pairs: dict[tuple[str, str], list[list[float]]], one: str, other: str, rows: list[list[float]]
) -> None:
    if one == other:
        return
    if (one, other) in pairs:
        old = pairs[one, other]
        rows = [[a + b for a, b in zip(x, y, strict=True)] for x, y in zip(old, rows, strict=True)]
    pairs[one, other] = rows


def _passes(node: GraphNode) -> bool:
    """Whether frames may go by this node as they came."""
    options = node.options
    gated = options.when is not None or options.every > 1 or options.rate is not None
    return (gated and options.else_ in (None, "pass")) or options.on_error == "pass"


def _meet(one: tuple[Format, ...], other: tuple[Format, ...]) -> bool:
    return any(same(a, b) for a in one for b in other)


def _impossible(graph: Graph, edge: Edge, formats: Mapping[_End, Format]) -> Problem:
    start = formats[edge.start, edge.start_port, "out"]
    end = formats[edge.end, edge.end_port, "in"]
    node = graph.nodes[edge.end]
    said = (
        f"{edge.end}.{edge.end_port} takes {end}, but {edge.start}.{edge.start_port} gives {start},"
        " and there is no way between them"
    )
    if node.options.in_ is None:
        return node.place.problem("type-mismatch", said, key=True)
    return node.place.below("in", edge.end_port).problem("type-mismatch", said)


# steps and links


@dataclass
class _Draft:
    steps: dict[str, Step] = field(default_factory=dict)
    links: list[Link] = field(default_factory=list)
    asked: dict[str, InboxSpec] = field(default_factory=dict)
    """Inboxes that the file asks for, by step."""
    workers: dict[str, int] = field(default_factory=dict)


def _draft(graph: Graph, formats: Mapping[_End, Format], mode: Mode) -> _Draft:
    draft = _Draft()
    for name, node in graph.nodes.items():
        for edge in graph.into(name):
            _link(draft, edge, formats, graph)
        draft.steps[name] = _step(graph, node, formats, mode)
        draft.workers[name] = _workers(node, mode)
    for name, node in graph.nodes.items():
        if inbox := _asked(node, mode):
            sources = [link.start for link in draft.links if link.end == name]
            # Converters that work for this node alone: drop before converting.
            ahead = [each for each in sources if _converts_for_one(draft, each)]
            ahead = ahead if draft.workers[name] == 1 else []
            draft.asked.update(dict.fromkeys(ahead, inbox))
            # Where they do not share a thread, there is an inbox between them, too.
            one = len(sources) == 1 and ahead == sources
            if not one or not _may_share(draft.steps[ahead[0]], draft.steps[name]):
                draft.asked[name] = inbox
    return draft


def _converts_for_one(draft: _Draft, step: str) -> bool:
    alone = len([link for link in draft.links if link.start == step]) == 1
    return alone and draft.steps[step].convert is not None


def _link(draft: _Draft, edge: Edge, formats: Mapping[_End, Format], graph: Graph) -> None:
    start = formats[edge.start, edge.start_port, "out"]
    end = formats[edge.end, edge.end_port, "in"]
    if same(start, end):
        draft.links.append(Link(edge.start, edge.start_port, edge.end, edge.end_port, start))
        return
    wanted = end.sized(start.width, start.height)
    shape = {Carrier.ARRAY: "array", Carrier.TENSOR: f"@{end.device}"}.get(end.carrier, "")
    # A mask becomes a picture, so one beside a picture needs a converter of its own.
    alike = (Kind.PICTURE, Kind.MASK) if start.kind in (Kind.PICTURE, Kind.MASK) else (start.kind,)
    several = sum(port.kind in alike for port in graph.nodes[edge.start].cls.outputs) > 1
    output = f"{edge.start}.{edge.start_port}" if several else edge.start
    name = f"{output}:{end.layout or end.kind}{shape}"
    if name not in draft.steps:
        way = conversion(start, end)
        assert way is not None, "an edge without a way was refused before"
        device = next((each.device for each in (start, wanted) if each.device != "cpu"), "cpu")
        draft.steps[name] = Step(
            name, None, {"in": start}, {"out": wanted}, convert=way, device=device
        )
        draft.workers[name] = 1
        draft.links.append(Link(edge.start, edge.start_port, name, "in", start))
    draft.links.append(Link(name, "out", edge.end, edge.end_port, wanted))


def _step(graph: Graph, node: GraphNode, formats: Mapping[_End, Format], mode: Mode) -> Step:
    options = node.options
    fallback = options.else_ or ("pass" if node.can_pass else "hold_last")
    error: OnError = options.on_error or "fail"
    if options.on_error is None and mode is Mode.LIVE:
        error = "pass" if node.can_pass else "hold_last"
    return Step(
        name=node.name,
        settings=node.settings,
        inputs={
            edge.end_port: formats[node.name, edge.end_port, "in"] for edge in graph.into(node.name)
        },
        outputs={
            edge.start_port: formats[node.name, edge.start_port, "out"]
            for edge in graph.out_of(node.name)
        },
        folder=node.folder,
        stored=node.stored,
        when=node.when,
        every=options.every,
        rate=options.rate,
        fallback=fallback,
        on_error=error,
        within_ms=options.within_ms,
        missing=options.missing,
        device=_device(node),
        batch=_batching(node),
    )


def _batching(node: GraphNode) -> Batching:
    asked = node.options.batch
    return ALONE if asked is None else Batching(asked.max, asked.delay_ms)


def _workers(node: GraphNode, mode: Mode) -> int:
    """Threads that work for a node. On files, where only throughput counts, a model has as many as
    its batch takes, and two at least: one reads and writes pictures while the other computes.
    """
    asked, cls = node.options.concurrency, node.cls
    if mode is Mode.LIVE or "concurrency" in node.options.model_fields_set:
        return asked
    if not cls.overlaps or not cls.stateless:
        return asked
    return max(2, _batching(node).most)


def _asked(node: GraphNode, mode: Mode) -> InboxSpec | None:
    options = node.options
    if options.queue is None and options.on_full is None and options.max_age_ms is None:
        return None
    usual = _usual(Kind.PICTURE, mode)
    return InboxSpec(
        options.queue or usual.size, options.on_full or usual.on_full, options.max_age_ms
    )


def _usual(kind: Kind, mode: Mode) -> InboxSpec:
    if kind is not Kind.PICTURE and kind is not Kind.MASK:
        return InboxSpec(SOUND_QUEUE, "wait")
    if mode is Mode.LIVE:
        return InboxSpec(LIVE_QUEUE, "drop_oldest", starting=STARTING_QUEUE)
    return InboxSpec(FILE_QUEUE, "wait")


# stages


def _stages(draft: _Draft) -> list[Stage]:
    """Runs of steps that nothing forces apart, in topological order."""
    stages: dict[str, list[str]] = {}
    home: dict[str, str] = {}
    for name in _in_order(draft):
        into = [link for link in draft.links if link.end == name]
        if len(into) == 1 and _fuses(draft, into[0].start, name):
            home[name] = home[into[0].start]
            stages[home[name]].append(name)
        else:
            home[name] = name
            stages[name] = [name]
    return [Stage(name, tuple(steps), draft.workers[name]) for name, steps in stages.items()]


def _in_order(draft: _Draft) -> list[str]:
    """Steps so that a step comes after what feeds it: converters were put in before their ends."""
    return list(draft.steps)


def _fuses(draft: _Draft, start: str, end: str) -> bool:
    """Whether two neighbours may share a worker without a queue between them."""
    if len([link for link in draft.links if link.start == start]) != 1:
        return False
    if end in draft.asked or max(draft.workers[start], draft.workers[end]) > 1:
        return False
    return _may_share(draft.steps[start], draft.steps[end])


def _may_share(first: Step, second: Step) -> bool:
    """Whether nothing about the steps themselves keeps them on different threads."""
    if not first.inputs or first.device != second.device:
        return False
    return not _apart(first) and not _apart(second)


def _apart(step: Step) -> bool:
    """Whether the step deserves a stage of its own: it blocks, or it is an end with a codec.

    So does a copy down from a device: the host waits for it, and for nothing else.
    """
    if step.convert is not None:
        return step.inputs["in"].device != "cpu"
    return step.settings is not None and (step.settings.blocking or step.settings.merges)


def _finished(graph: Graph, mode: Mode, draft: _Draft, stages: list[Stage]) -> Plan:
    home = {name: stage.name for stage in stages for name in stage.steps}
    links = tuple(
        link
        if home[link.start] == home[link.end]
        else replace(link, inbox=draft.asked.get(link.end) or _usual(link.format.kind, mode))
        for link in draft.links
    )
    links = tuple(_patient(link, links, home) for link in links)
    plan = Plan(graph, mode, draft.steps, links, tuple(stages))
    fresh: dict[str, bool] = {}
    steps = {}
    for name in _in_order(draft):
        copies = frozenset(
            port
            for port in draft.steps[name].inputs
            if _writes(draft.steps[name], port) and not _alone(plan, name, port, fresh)
        )
        fresh[name] = _gives_fresh(plan, name, fresh)
        steps[name] = replace(draft.steps[name], copies=copies)
    return replace(plan, steps=steps)


def _patient(link: Link, links: Sequence[Link], home: Mapping[str, str]) -> Link:
    """The same with an inbox that waits for a while, where that holds nobody else up: its feeder
    feeds no other, and its stage waits for no other.
    """
    if link.inbox is None or link.inbox != _usual(Kind.PICTURE, Mode.LIVE):
        return link
    pictures = [each for each in links if each.inbox is not None and each.inbox.starting]
    fed = sum(home[each.start] == home[link.start] for each in pictures)
    awaited = sum(each.end == link.end for each in pictures)
    if fed > 1 or awaited > 1:
        return link
    return replace(link, inbox=replace(link.inbox, patience_s=PATIENCE_SECONDS))


def _writes(step: Step, port: str) -> bool:
    if step.settings is None:
        return False
    return any(each.name == port and each.own for each in type(step.settings).inputs)


def _alone(plan: Plan, name: str, port: str, fresh: Mapping[str, bool]) -> bool:
    """Whether nobody but this node will hold the picture that comes in at `port`."""
    link = next(each for each in plan.into(name) if each.end_port == port)
    others = [each for each in plan.out_of(link.start) if each.start_port == link.start_port]
    return len(others) == 1 and fresh[link.start]


def _gives_fresh(plan: Plan, name: str, fresh: Mapping[str, bool]) -> bool:
    """Whether each picture a step gives is new, and the step keeps no hold on it."""
    step = plan.steps[name]
    if step.settings is None:
        return True
    if not all(port.own for port in type(step.settings).outputs):
        return False
    if step.fallback == "hold_last" or step.on_error == "hold_last":
        return not (step.when or step.every > 1 or step.rate) and step.on_error != "hold_last"
    gated = step.when is not None or step.every > 1 or step.rate is not None
    if not gated and step.on_error != "pass":
        return True
    return all(fresh[link.start] for link in plan.into(name))


def _size_of(step: Step) -> dict[str, int]:
    size = type(step.settings).weights_bytes if step.settings is not None else 0
    return {"weights_bytes": size} if size else {}


def as_data(plan: Plan) -> dict[str, Any]:
    """The plan as plain data, for `byoc plan --json` and for whoever compares two plans."""
    return {
        "file": plan.graph.file,
        "capability": plan.graph.capability,
        "mode": plan.mode.value,
        "conversions": plan.conversions,
        "stages": [
            {"name": stage.name, "steps": list(stage.steps), "workers": stage.workers}
            for stage in plan.stages
        ],
        "steps": {
            name: {
                "type": step.type,
                "inputs": {port: str(each) for port, each in step.inputs.items()},
                "outputs": {port: str(each) for port, each in step.outputs.items()},
                "copies": sorted(step.copies),
                "device": step.device,
                **({"loses": ["alpha"]} if step.loses_alpha else {}),
                **({"batch": asdict(step.batch)} if step.batch.most > 1 else {}),
                **_size_of(step),
            }
            for name, step in plan.steps.items()
        },
        "edges": [
            {
                "from": f"{link.start}.{link.start_port}",
                "to": f"{link.end}.{link.end_port}",
                "format": str(link.format),
                "inbox": None if link.inbox is None else str(link.inbox),
            }
            for link in plan.links
        ],
        "params": {
            name: {
                "to": [f"{target.node}.{target.field}" for target in param.targets],
                "change": param.change,
                "value": param.value,
            }
            for name, param in plan.params.items()
            if "/" not in name
        },
    }
