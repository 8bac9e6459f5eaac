"""Assembly: a plan put together, its stages wired to each other, with its params and account."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from composer.compiler.plan import Plan
from composer.engine.account import EdgeCount, NodeCount, sum_of
from composer.engine.params import Params
from composer.engine.stage import StageRun
from composer.engine.step import StepRun


@dataclass(frozen=True)
class Assembly:
    """What a run works with; another plan is another one. stages: () before it was put together.

    edges: the account of every edge with an inbox, by "node.port -> node.port". final: the account
    of every node, where the stages are no more.
    """

    plan: Plan
    params: Params
    edges: Mapping[str, EdgeCount]
    stages: Sequence[StageRun] = field(default=(), repr=False)
    final: Mapping[str, NodeCount] | None = field(default=None, repr=False)

    def counts(self) -> Mapping[str, NodeCount]:
        """The account of every node."""
        if self.final is not None:
            return self.final
        by_node = {name: count for stage in self.stages for name, count in stage.counts().items()}
        return {name: sum_of(by_node.get(name, ())) for name in self.plan.steps}

    def ended(self) -> "Assembly":
        """What is left of it when all stages have ended: neither threads nor nodes."""
        return replace(self, stages=(), final=self.counts())

    def steps(self) -> Mapping[str, StepRun]:
        """The step of every node on the first of its threads."""
        return {step.step.name: step for stage in self.stages for step in stage.first_row()}

    @property
    def sources(self) -> Mapping[str, StageRun]:
        """The stages that take nothing, by name."""
        return {stage.stage.name: stage for stage in self.stages if stage.is_source}


def edges_of(plan: Plan, before: Mapping[str, EdgeCount]) -> dict[str, EdgeCount]:
    """The account of a plan's edges; those that were there before go on counting."""
    names = [str(link) for link in plan.links if link.inbox]
    return {name: before.get(name) or EdgeCount() for name in names}
