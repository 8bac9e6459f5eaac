"""What a first frame would wait for: the libraries of nodes, and the models that sessions share."""

import sys
from collections.abc import Sequence
from typing import Any

from composer import lazy, logs
from composer.compiler.plan import Plan, Step
from composer.device import cuda
from composer.engine.account import NodeCount
from composer.engine.instance import Instance
from composer.engine.notices import unheard
from composer.errors import DeviceMissing, NodeFailed
from composer.models.pool import LEASES_PER_MODEL, POOL
from composer.node.node import Context


def load(plans: Sequence[Plan]) -> None:
    """Load the libraries and models of plans before a first frame waits for them; models stay when
    their last session has ended. Raises NodeFailed.
    """
    steps = [step for plan in plans for step in plan.steps.values()]
    shared = sum(1 for step in steps if step.settings is not None and type(step.settings).shared)
    POOL.idle = max(POOL.idle, LEASES_PER_MODEL * shared)
    for plan in plans:
        load_libraries(plan)
        preload(plan)


def load_libraries(plan: Plan) -> None:
    """Load the libraries that the nodes of a plan use."""
    for step in plan.steps.values():
        if step.settings is not None:
            lazy.load_used(sys.modules[type(step.settings).__module__])


def preload(plan: Plan) -> None:
    """Set up each node of a plan whose model sessions share, once: it stays in the pool after that.

    Raises NodeFailed.
    """
    logs.enter("")
    for step in plan.steps.values():
        if step.settings is None or not type(step.settings).shared:
            continue
        instance = Instance(step, context_of(step, live=True), NodeCount(), unheard)
        try:
            check_device(step)
            instance.open()
        finally:
            instance.close()


def check_device(step: Step) -> None:
    """Raises NodeFailed where it asks for a device that is not there."""
    try:
        cuda.check(step.device)
    except DeviceMissing as exc:
        raise NodeFailed(step.name, "setup()", exc, None) from exc


def context_of(step: Step, **run: Any) -> Context:
    """What the plan says to a node; `run` is what the run does."""
    return Context(
        node=step.name,
        folder=step.folder,
        inputs=step.inputs,
        outputs=step.outputs,
        device=step.device,
        batch=step.batch,
        **run,
    )
