"""Which inputs are copied before a node writes into them."""

from collections.abc import Mapping
from dataclasses import replace

from composer.compiler.plan import Plan, Step


def copied(plan: Plan) -> Plan:
    """The plan, each of its steps with the inputs that it copies."""
    fresh: dict[str, bool] = {}
    steps = {}
    for name, step in plan.steps.items():
        copies = frozenset(
            port
            for port in step.inputs
            if _writes(step, port) and not _alone(plan, name, port, fresh)
        )
        fresh[name] = _gives_fresh(plan, step, fresh)
        steps[name] = replace(step, copies=copies)
    return replace(plan, steps=steps)


def _writes(step: Step, port: str) -> bool:
    if step.settings is None:
        return False
    return any(declared.name == port and declared.own for declared in type(step.settings).inputs)


def _alone(plan: Plan, name: str, port: str, fresh: Mapping[str, bool]) -> bool:
    """Whether nobody but this node will hold the picture that comes in at `port`."""
    link = next(into for into in plan.into(name) if into.end_port == port)
    others = [other for other in plan.out_of(link.start) if other.start_port == link.start_port]
    return len(others) == 1 and fresh[link.start]


def _gives_fresh(plan: Plan, step: Step, fresh: Mapping[str, bool]) -> bool:
    """Whether each picture a step gives is new, and the step keeps no hold on it."""
    if step.settings is None:
        return True
    if not all(port.own for port in type(step.settings).outputs):
        return False
    if step.fallback == "hold_last" or step.on_error == "hold_last":
        return not step.is_gated and step.on_error != "hold_last"
    if not step.is_gated and step.on_error != "pass":
        return True
    return all(fresh[link.start] for link in plan.into(step.name))
