"""Activities: what goes on in a session, each in a task of its own."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from composer.session.phase import ACTIVITIES, Activity, Phase

Work = Callable[[Activity], Coroutine[Any, Any, None] | None]
"""What to do for an activity; None where there is nothing to do."""


class Activities:
    """Those of one session."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._tasks: dict[Activity, asyncio.Task[None]] = {}

    def attend(self, phase: Phase, group: asyncio.TaskGroup) -> None:
        """Begin what belongs to a phase, and end what does not."""
        present = ACTIVITIES[phase]
        for activity in self._tasks.keys() - present:
            self._tasks.pop(activity).cancel()
        for activity in Activity:
            if activity in present and activity not in self._tasks:
                if work := self._work(activity):
                    self._tasks[activity] = group.create_task(work)

    async def come_to_end(self, seconds: float) -> bool:
        """Whether all of them do, in so many seconds."""
        if not self._tasks:
            return True
        _, late = await asyncio.wait(self._tasks.values(), timeout=seconds)
        return not late
