"""Capability: one pipeline that is offered, and the sessions that use it."""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

from composer import logs
from composer.compiler.change import Change
from composer.compiler.plan import Plan
from composer.errors import NodeFailed, Stalled
from composer.server import memory
from composer.session.session import Channels, Reason, Session, Timing
from composer.threads import Places
from composer.trickle.http import Http

log: Final = logging.getLogger(__name__)

GIVE_BACK_SECONDS: Final = 5.0
"""What the system may take to take memory back behind a session."""


class Full(Exception):
    """As many sessions as may be are there."""


class Taken(Exception):
    """A session of this name runs, and with other channels or params than those asked for."""


class Slots:
    """How many sessions may run at once in this process, whatever capability they are of."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.used = 0
        self.empty = asyncio.Event()
        self.empty.set()

    def take(self) -> None:
        """Raises Full."""
        if self.used >= self.most:
            raise Full
        self.used += 1
        self.empty.clear()

    def give_back(self) -> None:
        self.used -= 1
        if not self.used:
            self.empty.set()


class Capability:
    """Starts sessions of one plan and keeps them by name until they are over.

    failed: told why one failed in its nodes.
    """

    def __init__(
        self,
        name: str,
        plan: Plan,
        slots: Slots,
        http: Http,
        group: asyncio.TaskGroup,
        timing: Timing = Timing(),  # noqa: B008 - it is frozen
        failed: Callable[[Exception], None] = lambda failure: None,
        places: Places | None = None,
    ) -> None:
        self.name, self.plan, self.slots = name, plan, slots
        self.manifest: Mapping[str, Any] = {}
        """What it is, for callers; the server sets it."""
        self.sessions: dict[str, Session] = {}
        self.ended: Counter[Reason] = Counter()
        """How many sessions ended, by reason."""

        self._http, self._group, self._timing = http, group, timing
        self._failed = failed
        self.places = places or Places(slots.most)
        """Where it blocks."""
        self._asked: dict[str, tuple[Channels, Any]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def start(self, name: str, channels: Channels, params: Any) -> Session:
        """A session that lives. The same asked for twice is one session.

        Raises Full, Taken, ParamRejected, NodeFailed and Stalled; then nothing has changed.
        """
        while (present := self.sessions.get(name)) is not None:
            if present.reason is None:
                if self._asked.get(name) == (channels, params):
                    return present
                raise Taken(name)
            await present.over.wait()
        self.slots.take()
        try:
            session = Session(
                name,
                self.plan,
                channels,
                self._http,
                params,
                self._timing,
                beside=self.slots.used - 1,
                places=self.places,
            )
        except BaseException:
            self.slots.give_back()
            raise
        self.sessions[name], self._asked[name] = session, (channels, params)
        opened = False
        try:
            await session.open()
            opened = True
        except NodeFailed as exc:
            log.warning("it cannot start: %s", exc, extra={"session": name})
            session.end(Reason.FAILED, str(exc))
            self._failed(exc)
            raise
        finally:
            if not opened:
                session.end(Reason.FAILED, "it was not opened")
                self._forget(session)
        task = self._group.create_task(self._run(session), name=f"session {name}")
        self._tasks[name] = task
        return session

    async def _run(self, session: Session) -> None:
        logs.enter(session.name)
        try:
            await session.run()
        except Exception:
            # One session's bug is not another's end.
            log.exception("it broke")
            session.end(Reason.FAILED, "internal error")
        finally:
            if session.run_of_plan.failure is not None:
                self._failed(session.run_of_plan.failure)
            try:
                with contextlib.suppress(Stalled):
                    await self.places.ends.run(GIVE_BACK_SECONDS, memory.give_back)
            finally:
                self._forget(session)

    def _forget(self, session: Session) -> None:
        del self.sessions[session.name], self._asked[session.name]
        self._tasks.pop(session.name, None)
        self.slots.give_back()
        self.ended[session.reason or Reason.FAILED] += 1
        session.over.set()

    async def replace(self, plan: Plan, change: Change) -> None:
        """Let all sessions go on with another plan, and those that come begin with it.

        Raises NodeFailed and Stalled where one that is not over cannot; others may have changed.
        """
        for session in list(self.sessions.values()):
            try:
                await session.replace(plan, change)
            except Stalled:
                if session.reason is None:
                    raise
        self.plan = plan

    async def end_all(self, reason: Reason, seconds: float, failure: str = "") -> None:
        """End every session, and wait until they are over. seconds: what they have for it."""
        present = list(self.sessions.values())
        for session in present:
            session.end(reason, failure, within=seconds)
        for session in present:
            await session.over.wait()

    def abandon(self) -> None:
        """Break off what is left of every session."""
        for task in self._tasks.values():
            task.cancel()

    def status(self) -> Mapping[str, Any]:
        """The state of every session, by name."""
        return {name: session.status() for name, session in self.sessions.items()}
