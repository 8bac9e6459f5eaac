"""Deployment: which run of which plan a session has."""

import asyncio
from collections.abc import Callable

from composer.compiler.plan import Plan
from composer.engine.notices import Happened, Notice
from composer.errors import NodeFailed, Stalled
from composer.session.crossing import to_loop
from composer.session.execution import Begin, Execution, Surroundings, ThreadedExecution
from composer.session.session_record import SessionRecord
from composer.weakly import weakly


class Deployment:
    """One execution that counts. While it is set up, one of another plan may take its place.

    around: of every execution. notify: told, on the loop, what happens in the one that counts.
    begin: makes each of them.
    """

    def __init__(
        self,
        plan: Plan,
        around: Surroundings,
        notify: Callable[[Notice], None],
        begin: Begin = ThreadedExecution,
    ) -> None:
        self.over = asyncio.Event()
        """Set when the run has come to its end, or was closed again before it began."""
        self.given_up = False
        """Whether nothing more is worked on."""

        self._around, self._notify, self._begin = around, notify, begin
        self._heard = to_loop(weakly(self._noticed, None))
        self._next: Plan | None = None
        self._before: SessionRecord | None = None
        self.execution = begin(plan, around, self._heard)

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
                await self._begin_anew(self._next)
            elif failure is not None:
                raise failure
            else:
                return

    async def go_on_after(self, record: SessionRecord) -> None:
        """Before anything comes in: go on behind what another process has written. Raises
        Stalled.
        """
        self._before = record
        await self.execution.go_on_after(record.written, record.shift)

    def supersede(self, plan: Plan) -> None:
        """What is set up now is not wanted any more: set_up() begins again with this plan."""
        self._next = plan
        self.execution.give_up()

    def give_up(self) -> None:
        """Nothing more is worked on, and nothing more is set up."""
        self._next, self.given_up = None, True
        self.execution.give_up()

    def leave_behind(self) -> None:
        """Nobody waits for what has not come to its end."""
        if not self.over.is_set():
            self.give_up()
            self.execution.leave_behind()

    async def _begin_anew(self, plan: Plan) -> None:
        """As if it had been started now, with what callers have set so far."""
        asked, self._next = self.execution.asked(), None
        self.execution = self._begin(plan, self._around, self._heard)
        self.over.clear()
        await self.execution.patch(asked)
        if self._before is not None:
            await self.execution.go_on_after(self._before.written, self._before.shift)

    def _noticed(self, execution: Execution, notice: Notice) -> None:
        if execution is not self.execution:  # it was given up for another plan
            return
        if notice.kind is Happened.ENDED:
            self.over.set()
        self._notify(notice)
