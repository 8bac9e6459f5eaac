"""The options of one node: what its class and its ports do not allow, and what they come to."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from composer.compiler.graph import GraphNode
from composer.compiler.location import Location
from composer.device import cuda
from composer.errors import Problem, Span
from composer.node.node import ALONE, Batching, Node
from composer.pipeline import condition
from composer.pipeline.condition import Condition
from composer.pipeline.hints import did_you_mean
from composer.pipeline.spec import Options


def batching(options: Options) -> Batching:
    """How many frames one call of the node takes."""
    batch = options.batch
    return ALONE if batch is None else Batching(batch.max, batch.delay_ms)


def is_gated(options: Options) -> bool:
    """Whether there may be frames that the node does not run on."""
    return options.when is not None or options.every > 1 or options.rate is not None


def device(node: GraphNode) -> str:
    """The device that the node runs on."""
    return cuda.chosen(node.options.device, node.cls.devices, node.cls.needs)


def threads(node: GraphNode, *, live: bool) -> int:
    """Threads that work for a node. On files, where only throughput counts, a model has as many as
    its batch takes, and two at least: one reads and writes pictures while the other computes.
    """
    asked, cls = node.options.concurrency, node.cls
    if live or "concurrency" in node.options.model_fields_set:
        return asked
    if not cls.overlaps or not cls.stateless:
        return asked
    return max(2, batching(node.options).most)


def check(node: GraphNode, *, sure: bool) -> list[Problem]:
    """What a node's class and ports do not allow. sure: whether every option could be read."""
    misfits = [*_of_class(node), *_of_gate(node, sure=sure), *_of_ports(node)]
    problems = []
    for misfit in misfits:
        place = node.place.below(misfit.option)
        message = f"{place.name}: {misfit.why}"
        problems.append(place.problem("bad-option", message, key=misfit.at_key, hint=misfit.hint))
    return problems


@dataclass(frozen=True)
class _Misfit:
    """Why a node cannot have an option. at_key: whether not its value is the trouble."""

    option: str
    why: str
    at_key: bool = True
    hint: str = ""


def _of_class(node: GraphNode) -> Iterator[_Misfit]:
    options, cls = node.options, node.cls
    written = options.model_fields_set
    if options.concurrency > 1 and not cls.stateless:
        why = "the node keeps state from frame to frame, so frames take turns"
        yield _Misfit("concurrency", why)
    if "batch" in written and not cls.batches:
        yield _Misfit("batch", "the node cannot take several frames in one call")
    if "device" in written and options.device.split(":")[0] not in ("auto", *cls.devices):
        yield _Misfit("device", f"the node runs on {' or '.join(cls.devices)}", at_key=False)


def _of_gate(node: GraphNode, *, sure: bool) -> Iterator[_Misfit]:
    if "else_" in node.options.model_fields_set and not is_gated(node.options) and sure:
        yield _Misfit("else", "without when, every or rate the node runs on every frame")


def _of_ports(node: GraphNode) -> Iterator[_Misfit]:
    options, cls = node.options, node.cls
    written = options.model_fields_set
    if not cls.inputs:
        for option in ("every", "rate", "when", "queue", "on_full", "max_age_ms", "concurrency"):
            if option in written:
                yield _Misfit(option, "the node is a source and takes no frames")
    if not node.can_pass:
        for option, value in (("else", options.else_), ("on_error", options.on_error)):
            if value == "pass":
                why = f"{_passing(cls)}, so nothing can pass it by"
                yield _Misfit(option, why, at_key=False, hint="use hold_last or drop")
    if cls.merges or len(cls.inputs) < 2:
        for option in ("within_ms", "missing"):
            if option in written:
                yield _Misfit(option, "the node joins nothing: it takes one input at a time")


def _passing(cls: type[Node]) -> str:
    if not cls.inputs:
        return "the node is a source"
    gives = ", ".join(port.kind for port in cls.outputs)
    return f"the node takes {cls.inputs[0].kind} and gives {gives}"


def condition_of(
    node: GraphNode, params: Mapping[str, object], unread: Collection[str]
) -> tuple[Condition | None, list[Problem]]:
    """The condition that `when` holds, None for none or one that cannot be read.

    params: those of the file, by the names that it may use. unread: those that could not be read.
    """
    written = node.options.when
    if written is None or written is True:
        return None, []
    text = "false" if written is False else str(written)
    place = node.place.below("when")
    try:
        parsed = condition.parse(text)
    except condition.BadCondition as exc:
        message = f"{place.name}: {exc}" if not place.hidden else f"{place.name} is not a condition"
        problem = place.problem("bad-value", message)
        return None, [_moved(problem, text, exc.offset, exc.length)]
    except ValueError as exc:
        message = place.as_written(f"{place.name} {exc}, got {text!r}", text)
        return None, [place.problem("bad-value", message)]
    problems = [
        _moved(_unknown_param(place, name, parsed, params), text, offset, len(name))
        for name, offset in parsed.names.items()
        if name not in params and name not in unread
    ]
    return parsed, problems


def _unknown_param(
    place: Location, name: str, parsed: Condition, params: Mapping[str, object]
) -> Problem:
    message = place.as_written(f"{place.name} reads {name!r}, which is not a param", name)
    hint = did_you_mean(name, params)
    if not hint and not place.hidden and any(other in params for other in parsed.names):
        hint = f"text is written in quotes: '{name}'"
    return place.problem("unknown-param", message, hint=hint)


def _moved(problem: Problem, text: str, offset: int, length: int) -> Problem:
    """The same Problem, its caret at a word inside a plain one-line value."""
    span = problem.span
    if span is None or span.length != len(text):
        return problem
    return replace(problem, span=Span(span.line, span.column + offset, length))
