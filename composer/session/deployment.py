"""Deployment: which run of which plan a session has."""

import asyncio
from collections.abc import Callable

from composer.compiler.plan import Plan
from composer.engine.notices import Happened, Notice
from composer.errors import NodeFailed, Stalled
from composer.session.crossing import to_loop
from composer.session.execution import Execution, Surroundings
from composer.session.record import SessionRecord


class Deployment:
    """One execution that counts. While it is set up, one of another plan may take its place.

    around: of every execution. notify: told, on the loop, what happens in the one that counts.
    """

    def __init__(self, plan: Plan, around: Surroundings, notify: Callable[[Notice], None]) -> None:
        self.over = asyncio.Event()
        """Set when the run has come to its end, or was closed again before it began."""

        self._around, self._notify = around, notify
        self._heard = to_loop(self._noticed)
        self._next: Plan | None = None
        self._before: SessionRecord | None = None
        self.execution = Execution(plan, around, self._heard)

    async def set_up(self) -> None:
        """Set the nodes up, on the plan that holds when that is done.

        Raises NodeFailed; ParamRejected where another plan does not take what callers have set; and
        Stalled where it was given up.
        """
        while True:
            failure: NodeFailed | Stalled | None = None
            try:
                await self.execution.start()
            except (NodeFailed, Stalled) as exc:
                failure = exc
            if self._next is not None:
                self._begin_anew(self._next)
            elif failure is not None:
                raise failure
            else:
                return

    def go_on_after(self, record: SessionRecord) -> None:
        """Before anything comes in: go on behind what another process has written."""
        self._before = record
        self.execution.go_on_after(record)

    def supersede(self, plan: Plan) -> None:
        """What is set up now is not wanted any more: set_up() begins again with this plan."""
        self._next = plan
        self.execution.give_up()

    def give_up(self) -> None:
        """Nothing more is worked on, and nothing more is set up."""
        self._next = None
        self.execution.give_up()

    def _begin_anew(self, plan: Plan) -> None:
        """As if it had been started now, with what callers have set so far."""
        asked, self._next = self.execution.asked(), None
        self.execution = Execution(plan, self._around, self._heard)
        self.over.clear()
        self.execution.patch(asked)
        if self._before is not None:
            self.execution.go_on_after(self._before)

    def _noticed(self, execution: Execution, notice: Notice) -> None:
        if execution is not self.execution:  # it was given up for another plan
            return
        if notice.kind is Happened.ENDED:
            self.over.set()
        self._notify(notice)
