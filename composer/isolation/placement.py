"""Placement: where the graph of each session runs, as its file or the operator says."""

import sys
from collections.abc import Iterable

from composer.compiler.plan import Plan
from composer.errors import SettingsInvalid
from composer.isolation import rehearsal
from composer.isolation.execution import IsolatedExecution
from composer.isolation.processes import Processes
from composer.pipeline.spec import Isolation
from composer.session.execution import Execution, Notified, Surroundings, ThreadedExecution


class Placement:
    """Begins the executions of a worker's sessions. Used on its loop.

    isolation: of all of them; None: each as its file says. memory: bytes that each process may
    have, 0 for any number.
    """

    def __init__(self, isolation: Isolation | None = None, memory: int = 0) -> None:
        self._isolation, self._memory = isolation, memory
        self._processes: Processes | None = None

    def isolates(self, plan: Plan) -> bool:
        """Whether the sessions of a plan have processes of their own."""
        return (self._isolation or plan.graph.isolation) == "process"

    def begin(self, plan: Plan, around: Surroundings, notify: Notified) -> Execution:
        """As composer.session.execution.Begin says."""
        if not self.isolates(plan):
            return ThreadedExecution(plan, around, notify)
        processes = self._processes = self._processes or Processes(_modules([plan]))
        return IsolatedExecution(processes, self._memory, plan, around, notify)

    async def prepare(self, plans: Iterable[Plan]) -> None:
        """Have all that is imported once be imported before the first session, and see whether what
        processes load of these plans can be loaded. Raises NodeFailed, Stalled, and SettingsInvalid
        where a session cannot have a process.
        """
        isolated = [plan for plan in plans if self.isolates(plan)]
        if not isolated:
            return
        if not sys.platform.startswith("linux"):
            raise SettingsInvalid("isolation: process needs Linux")
        processes = self._processes = Processes(_modules(isolated))
        await processes.start()
        for plan in isolated:
            if _loads(plan):
                await rehearsal.rehearse(processes, plan)

    def close(self) -> None:
        """End all processes."""
        if self._processes is not None:
            self._processes.close()


def _loads(plan: Plan) -> bool:
    """Whether there is anything to load that a session may not be able to."""
    settings = [step.settings for step in plan.steps.values()]
    return any(node is not None and type(node).shared for node in settings)


def _modules(plans: Iterable[Plan]) -> list[str]:
    """The modules of built-in nodes that these plans use."""
    names = {
        type(step.settings).__module__
        for plan in plans
        for step in plan.steps.values()
        if step.settings is not None
    }
    return sorted(name for name in names if name.startswith("nodes.") and name in sys.modules)
