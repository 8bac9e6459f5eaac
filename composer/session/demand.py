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
    output comes through. readers: the nodes that read the input. wants: what they have to give for
    anything to come of it, "video" or "audio". taken: the edges that this goes over, by name.
    """

    takes_input: bool
    needs: str
    makers: tuple[str, ...]
    way: frozenset[str]
    readers: tuple[str, ...] = ()
    wants: str = ""
    taken: frozenset[str] = frozenset()


def of(plan: Plan) -> Demand:
    """What a plan asks for."""
    readers, writers = playing(plan.steps, Role.INPUT), playing(plan.steps, Role.OUTPUT)
    sources = [name for name, step in plan.steps.items() if not step.inputs]
    needs, given = _needs(writers.values()), _given(plan, readers)
    wants = needs if needs in given.values() else "video" if "video" in given.values() else "audio"
    return Demand(
        bool(readers),
        needs,
        tuple(name for name in sources if name not in readers),
        _upstream(plan, writers),
        tuple(readers),
        wants,
        frozenset(edge for edge, kind in given.items() if kind == wants),
    )


def _given(plan: Plan, readers: Collection[str]) -> dict[str, str]:
    """The edges that lead away from those who read the input: whether pictures or sound go over
    them.
    """
    return {
        str(link): "audio" if form.kind is Kind.AUDIO else "video"
        for name in readers
        for link in plan.out_of(name)
        if (form := plan.steps[name].outputs.get(link.start_port)) is not None
    }


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
