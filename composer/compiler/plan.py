"""A plan: a graph with all that its running needs decided. Running decides nothing."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final

from composer.compiler import options
from composer.compiler.conversions import Conversion, loses_alpha
from composer.compiler.graph import Graph
from composer.compiler.params import Param
from composer.node.formats import Carrier, Format, Kind
from composer.node.node import Batching, Node, type_name
from composer.pipeline.condition import Condition
from composer.pipeline.spec import Else, Missing, OnError, OnFull, Options


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


_AS_USUAL: Final = Options()
_PLACED: Final = frozenset(
    {"in_", "queue", "on_full", "max_age_ms", "device", "concurrency", "batch"}
)
"""Options of which a plan shows what they came to: edges, inboxes, a device, threads, a batch."""


@dataclass(frozen=True)
class Step:
    """One node, or one converter, as it will run.

    options: those of the node, as they were written. What the plan decides where they leave it open
    is beside them. when: the condition, its params by their full names. fallback: what comes out of
    a frame it does not run on. copies: inputs that are copied first, because the node writes and
    somebody else may hold them. stored: the pixel layout in which a source's pictures are stored,
    "" where that is not known or does not matter.
    """

    name: str
    settings: Node | None
    inputs: Mapping[str, Format]
    outputs: Mapping[str, Format]
    options: Options = _AS_USUAL
    folder: Path = Path()
    stored: str = ""
    convert: Conversion | None = None
    when: Condition | None = None
    fallback: Else = "drop"
    on_error: OnError = "fail"
    device: str = "cpu"
    copies: frozenset[str] = frozenset()

    @property
    def type(self) -> str:
        return type_name(type(self.settings)) if self.settings is not None else "convert"

    @property
    def every(self) -> int:
        return self.options.every

    @property
    def rate(self) -> float | None:
        return self.options.rate

    @property
    def within_ms(self) -> float | None:
        return self.options.within_ms

    @property
    def missing(self) -> Missing:
        return self.options.missing

    @property
    def batch(self) -> Batching:
        """How many frames one call takes."""
        return options.batching(self.options)

    @property
    def is_gated(self) -> bool:
        """Whether there may be frames that it does not run on."""
        return self.when is not None or self.every > 1 or self.rate is not None

    @property
    def unusual(self) -> Mapping[str, Any]:
        """The options that are not as usual, by the names that a file gives them; without those of
        which the plan shows what they came to.
        """
        return {
            info.alias or name: value
            for name, info in Options.model_fields.items()
            if name not in _PLACED
            and (value := getattr(self.options, name)) != getattr(_AS_USUAL, name)
        }

    @property
    def loses_alpha(self) -> bool:
        """Whether its pictures have alpha before it and none after it."""
        main = next(iter(self.inputs.values()), Format(Kind.PICTURE, self.stored, Carrier.FRAME))
        return any(loses_alpha(main, form) for form in self.outputs.values())


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


def as_data(plan: Plan) -> dict[str, Any]:
    """The plan as plain data, for `byoc plan --json` and for whoever compares two plans."""
    isolation = plan.graph.isolation
    return {
        "file": plan.graph.file,
        "capability": plan.graph.capability,
        **({} if isolation is None else {"isolation": isolation}),
        "mode": plan.mode.value,
        "conversions": plan.conversions,
        "stages": [
            {"name": stage.name, "steps": list(stage.steps), "workers": stage.workers}
            for stage in plan.stages
        ],
        "steps": {name: _step_data(step) for name, step in plan.steps.items()},
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


def _step_data(step: Step) -> dict[str, Any]:
    data: dict[str, Any] = {
        "type": step.type,
        "inputs": {port: str(form) for port, form in step.inputs.items()},
        "outputs": {port: str(form) for port, form in step.outputs.items()},
        "copies": sorted(step.copies),
        "device": step.device,
    }
    if step.loses_alpha:
        data["loses"] = ["alpha"]
    if step.batch.most > 1:
        data["batch"] = asdict(step.batch)
    if step.settings is not None and (size := type(step.settings).weights_bytes):
        data["weights_bytes"] = size
    if step.unusual:
        data["options"] = dict(step.unusual)
    return data
