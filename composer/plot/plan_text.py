"""A Plan for people: as text for `byoc plan`, as boxes and arrows for `byoc graph`."""

from typing import Any, Final

from composer.compiler.plan import Plan, Step
from composer.node.formats import PACKETS
from composer.plot.drawing import Arrow, GraphBox

SHOWN: Final = 3
"""Settings that a box shows."""


def text(plan: Plan) -> str:
    """Stages, steps, formats and inboxes, one line each."""
    lines = [f"{plan.graph.file}: {_counts(plan)}"]
    for stage in plan.stages:
        workers = f"  x{stage.workers}" if stage.workers > 1 else ""
        lines += ["", f"stage {stage.name}{workers}"]
        for link in plan.into(stage.steps[0]):
            lines.append(
                f"  inbox {link.end_port}: {link.inbox} from {link.start}.{link.start_port}"
            )
        lines += [line for name in stage.steps for line in _step(plan.steps[name])]
    named = {name: param for name, param in plan.params.items() if "/" not in name}
    if named:
        lines += ["", "params"]
    for name, param in named.items():
        targets = ", ".join(f"{target.node}.{target.field}" for target in param.targets) or "when"
        lines.append(f"  {name} = {param.value!r} -> {targets} ({param.change})")
    return "\n".join(lines) + "\n"


def _counts(plan: Plan) -> str:
    copies = sum(len(step.copies) for step in plan.steps.values())
    words = [
        _many(len(plan.steps) - plan.conversions, "node"),
        _many(len(plan.stages), "stage"),
        _many(plan.conversions, "conversion"),
        _many(copies, "copy", "copies"),
    ]
    return ", ".join(words)


def _many(count: int, one: str, more: str = "") -> str:
    return f"{count} {one if count == 1 else more or one + 's'}"


def _step(step: Step) -> list[str]:
    inputs = ", ".join(str(form) for form in step.inputs.values())
    outputs = ", ".join(str(form) for form in step.outputs.values())
    arrow = " -> ".join(part for part in (inputs, outputs) if part)
    lines = [f"  {step.name} ({step.type}): {arrow}"]
    lines += [f"      copies {port} before it writes" for port in sorted(step.copies)]
    if step.unusual:
        options = ", ".join(f"{name}: {_value(value)}" for name, value in step.unusual.items())
        lines.append(f"      with {options}")
    if step.loses_alpha:
        lines.append("      alpha is lost here")
    if _encodes_sound(step):
        lines.append("      sound is encoded here")
    if words := _model(step):
        lines.append(f"      {', '.join(words)}")
    return lines


def _encodes_sound(step: Step) -> bool:
    """Whether it gets samples where it would take packets as they were coded, too."""
    if step.settings is None or step.outputs:
        return False
    copies = [port.name for port in type(step.settings).inputs if PACKETS in port.formats]
    return any(step.inputs[port] != PACKETS for port in copies if port in step.inputs)


def _value(value: Any) -> str:
    """An option as YAML has it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _model(step: Step) -> list[str]:
    """Where a model runs, how large it is, and how many pictures it takes at once."""
    if step.settings is None or not type(step.settings).overlaps:
        return []
    words = [f"on {step.device}"]
    if size := type(step.settings).weights_bytes:
        words.append(f"{size / 2**20:.1f} MB of weights")
    if step.batch.most > 1:
        words.append(f"up to {step.batch.most} at once, {step.batch.delay_ms:g} ms")
    return words


def boxes(plan: Plan) -> list[GraphBox]:
    """One box for each step, framed by stage where a stage has several."""
    groups = {
        name: stage.name for stage in plan.stages if len(stage.steps) > 1 for name in stage.steps
    }
    return [_box(step, groups.get(name, "")) for name, step in plan.steps.items()]


def _box(step: Step, group: str) -> GraphBox:
    if step.convert is not None:
        return GraphBox(step.name, "convert", kind="convert", group=group)
    kind = "node" if step.inputs and step.outputs else "sink" if step.inputs else "source"
    return GraphBox(step.name, step.type, _settings(step), kind, group)  # type: ignore[arg-type]


def _settings(step: Step) -> tuple[str, ...]:
    """What the file says of this node, the first few of it."""
    assert step.settings is not None
    written = [name for name in type(step.settings).model_fields if _written(step, name)]
    return tuple(f"{name} {_short(getattr(step.settings, name))}" for name in written[:SHOWN])


def _written(step: Step, name: str) -> bool:
    assert step.settings is not None
    return name in step.settings.model_fields_set


def _short(value: Any) -> str:
    words = f"{value}"
    return words if len(words) <= 24 else words[:23] + "…"


def arrows(plan: Plan) -> list[Arrow]:
    """One arrow for each edge, with the Format on it."""
    several = {link.end for link in plan.links if len(list(plan.into(link.end))) > 1}
    drawn = []
    for link in plan.links:
        kind = {"picture": "picture", "mask": "picture", "audio": "audio"}.get(
            str(link.format.kind), "data"
        )
        port = link.end_port if link.end in several else ""
        drawn.append(Arrow(link.start, link.end, str(link.format), port, kind))  # type: ignore[arg-type]
    return drawn
