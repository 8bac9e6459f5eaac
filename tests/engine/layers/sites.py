"""Steps that ask for one layer, and what a layer does to frames."""

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from composer import Context, Frame, Node
from composer.compiler.plan import Step
from composer.device.lanes import Lane
from composer.engine.account import NodeCount
from composer.engine.inbox import WorkItem
from composer.engine.instance import Instance
from composer.engine.layers.layer import Call, Layer, Memory, Missed, Out, Site
from composer.engine.notices import Notify, unheard
from tests import stubs
from tests.stubs import picture, plan_of


def step_of(node: type[Node] = stubs.Pass, **options: Any) -> Step:
    """The step of a node between a source and a sink. options: as in a file, `else_` for else."""
    words = {name.rstrip("_"): value for name, value in options.items()}
    plan = plan_of(
        "params: {on: {type: bool, default: true}}\n"
        f"nodes: {{source: {{type: count}}, step: {json.dumps({'type': 'step', **words})},"
        " other: {type: pass, when: on}, out: {type: collect}}",
        step=node,
    )
    return plan.steps["step"]


def converter() -> Site:
    """A step without a node."""
    plan = plan_of("nodes: {source: {type: count}, out: {type: show}}")
    (step,) = [step for step in plan.steps.values() if step.settings is None]
    return Site(step)


def site_of(
    step: Step,
    memory: Memory | None = None,
    *,
    live: bool = False,
    lane: Lane | None = None,
    notify: Notify = unheard,
) -> Site:
    """What its layers are made from, with a node that is set up, but for a session."""
    count = NodeCount()
    context = Context(step.name, step.folder, step.inputs, step.outputs, live=live)
    instance = Instance(step, context, count, notify, lane)
    if not live:
        instance.open()
    return Site(step, instance, count, memory or Memory(), notify, lane)


def made(layer: Layer | None) -> Layer:
    """The layer, which is there."""
    assert layer is not None
    return layer


def taken(number: int, **changes: Any) -> WorkItem:
    """A picture of this number as a node of one input takes it."""
    return WorkItem("image", replace(stubs.frame(number, picture(number)), **changes))


def admitted(layer: Layer | None, frames: Iterable[Frame[Any]]) -> list[str]:
    """For each frame "" where it comes to the node, else why it does not."""
    admit = made(layer).admit
    assert admit is not None
    missed = [admit(frame) for frame in frames]
    return ["" if each is None else each.reason for each in missed]


def around(layer: Layer | None, call: Call) -> Call:
    """The call with the layer around it."""
    wrap = made(layer).around
    assert wrap is not None
    return wrap(call)


def giving(*values: Any) -> Call:
    """A call that gives each of these on "image", at the time of its frame."""

    def call(taken: WorkItem) -> Out | Missed:
        return [("image", taken.frame.carry(value)) for value in values]

    return call
