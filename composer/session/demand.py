"""Demand: what the plan of a session asks of its channels."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from composer.compiler.plan import Plan, Step
from composer.node.formats import Kind
from composer.node.roles import Role, playing


@dataclass(frozen=True)
class Demand:
    """takes_input: whether a node reads the input of the session. needs: the units of the input
    that its output cannot be made without, "video", or "audio" where it has no pictures; "" where
    there is no output. makers: the sources that do not end with the input. way: the nodes that the
    output comes through.
    """

    takes_input: bool
    needs: str
    makers: tuple[str, ...]
    way: frozenset[str]


def of(plan: Plan) -> Demand:
    """What a plan asks for."""
    readers, writers = playing(plan.steps, Role.INPUT), playing(plan.steps, Role.OUTPUT)
    sources = [name for name, step in plan.steps.items() if not step.inputs]
    return Demand(
        bool(readers),
        _needs(writers.values()),
        tuple(name for name in sources if name not in readers),
        _upstream(plan, writers),
    )


def _needs(writers: Iterable[Step]) -> str:
    kinds = {form.kind for step in writers for form in step.inputs.values()}
    if not kinds:
        return ""
    return "audio" if kinds == {Kind.AUDIO} else "video"


def _upstream(plan: Plan, ends: Collection[str]) -> frozenset[str]:
    """These nodes and all that is in front of them."""
    reached: set[str] = set()
    left = list(ends)
    while left:
        name = left.pop()
        if name not in reached:
            reached.add(name)
            left += [link.start for link in plan.into(name)]
    return frozenset(reached)
