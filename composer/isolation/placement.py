"""Placement: where the graph of each session runs, as its file or the operator says."""

import sys
from collections.abc import Iterable

from composer import lazy
from composer.compiler.plan import Plan
from composer.errors import SettingsInvalid
from composer.pipeline.spec import Isolation
from composer.session.execution import Execution, Notified, Surroundings, ThreadedExecution

with lazy.deferred():  # most workers isolate nothing
    from composer.isolation import execution, processes, rehearsal


class Placement:
    """Begins the executions of a worker's sessions. Used on its loop.

    isolation: of all of them; None: each as its file says. memory: bytes that each process may
    have, 0 for any number.
    """

    def __init__(self, isolation: Isolation | None = None, memory: int = 0) -> None:
        self._isolation, self._memory = isolation, memory
        self._processes: processes.Processes | None = None

    def isolates(self, plan: Plan) -> bool:
        """Whether the sessions of a plan have processes of their own."""
        return (self._isolation or plan.graph.isolation) == "process"

    def begin(self, plan: Plan, around: Surroundings, notify: Notified) -> Execution:
        """As composer.session.execution.Begin says."""
        if not self.isolates(plan):
            return ThreadedExecution(plan, around, notify)
        pool = self._processes = self._processes or processes.Processes(_modules([plan]))
        return execution.IsolatedExecution(pool, self._memory, plan, around, notify)

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
        lazy.load(execution)  # not with the first session
        pool = self._processes = processes.Processes(_modules(isolated))
        await pool.start()
        for plan in isolated:
            if _loads(plan):
                await rehearsal.rehearse(pool, plan)

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
