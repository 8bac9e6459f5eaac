"""The manifest of a capability: what a caller needs to know to use it, read from its graph."""

from collections.abc import Mapping
from typing import Any

from composer.compiler.plan import Plan
from composer.node.formats import Kind
from composer.node.roles import Role, playing
from composer.session.session import hash_of


def manifest(name: str, plan: Plan) -> dict[str, Any]:
    """{capability, description, graph, modalities, size, params, example}; params: JSON Schema."""
    return {
        "capability": name,
        "description": plan.graph.description,
        "graph": hash_of(plan),
        "modalities": {"input": _kinds(plan, source=True), "output": _kinds(plan, source=False)},
        "size": _size(plan),
        "params": params_schema(plan),
        "example": _example(plan),
    }


def params_schema(plan: Plan) -> dict[str, Any]:
    """JSON Schema of everything a caller may set."""
    params = {name: each for name, each in plan.params.items() if "/" not in name}
    return {
        "type": "object",
        "properties": {name: each.schema() for name, each in params.items()},
        "additionalProperties": False,
    }


def _kinds(plan: Plan, *, source: bool) -> list[str]:
    """What goes in at the sources or comes out at the sinks: image, audio, record."""
    found = set()
    for name, step in plan.steps.items():
        if source and not step.inputs:
            found |= {str(link.format.kind) for link in plan.out_of(name)}
        if not source and not step.outputs:
            found |= {str(link.format.kind) for link in plan.into(name)}
    return sorted(found)


def _size(plan: Plan) -> Mapping[str, int] | None:
    """Width and height of the pictures that go out; None where they are those that come in."""
    for name, step in plan.steps.items():
        for link in plan.into(name):
            if not step.outputs and link.format.kind is Kind.PICTURE and link.format.width:
                return {"width": link.format.width, "height": link.format.height}
    return None


def _example(plan: Plan) -> dict[str, Any]:
    """The body of a start that would work, with every param at its default."""
    kinds = _kinds(plan, source=True)
    channel = "https://orchestrator:8935/ai/trickle/example"
    body = {
        "gateway_request_id": "example",
        "control_url": f"{channel}-control",
        "events_url": f"{channel}-events",
        "publish_url": f"{channel}-out",
        "params": {name: each.value for name, each in plan.params.items() if "/" not in name},
    }
    has_input = bool(playing(plan.steps, Role.INPUT))
    return body | ({"subscribe_url": channel} if kinds and has_input else {})
