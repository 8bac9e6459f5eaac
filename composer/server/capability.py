"""Capability: one pipeline that is offered, and the sessions that use it."""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from typing import Any, Final

from composer import logs
from composer.compiler.change import Change
from composer.compiler.plan import Plan
from composer.errors import NodeFailed, ParamRejected, ProcessLost, Stalled
from composer.parser import Parser
from composer.server import memory
from composer.server.expected import ExpectedSessions
from composer.server.journal import Journal
from composer.server.totals import Totals
from composer.session import session_record
from composer.session.channels import Channels
from composer.session.ending import Ending, Reason, Unstarted
from composer.session.execution import Begin, Replacement, ThreadedExecution
from composer.session.phase import Phase
from composer.session.session import Session
from composer.session.session_record import SessionRecord, key_of
from composer.session.timing import Timing
from composer.threads import Places
from composer.trickle.http import Http
from composer.trickle.outbound import Outbound
from composer.trickle.resolver import PinnedResolver

log: Final = logging.getLogger(__name__)

ENDING_SECONDS: Final = 5.0
"""How long a start waits for a session of its name that is ending: a caller has others to ask."""

GIVE_BACK_SECONDS: Final = 5.0
"""What the system may take to take memory back behind a session."""


class Full(Exception):
    """As many sessions as may be are there."""


class Strained(Exception):
    """There is too little of something for one more: what runs would lose by it."""


class Taken(Exception):
    """A session of this name runs, and with other channels or params than those asked for."""


class StillEnding(Exception):
    """A session of this name is not over yet."""


class Overtaken(Exception):
    """A session of this name was asked for again, and whoever asked last is to get it."""


class Slots:
    """How many sessions may run at once in this process, whatever capability they are of."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.used = 0
        self.empty = asyncio.Event()
        self.empty.set()

    def take(self, *, running: bool = False) -> None:
        """Raises Full, but for a session that runs already."""
        if self.used >= self.most and not running:
            raise Full
        self.used += 1
        self.empty.clear()

    def give_back(self) -> None:
        self.used -= 1
        if not self.used:
            self.empty.set()


class Capability:
    """Starts sessions of one plan and keeps them by name until they are over.

    failed: told why one failed in its nodes. journal: where they are kept for another process.
    why_no_start: why none may begin now, "" for nothing. begin: makes the executions of their
    plans.
    """

    def __init__(
        self,
        name: str,
        plan: Plan,
        slots: Slots,
        outbound: Outbound,
        group: asyncio.TaskGroup,
        timing: Timing = Timing(),  # noqa: B008 - it is frozen
        failed: Callable[[Exception], None] = lambda failure: None,
        places: Places | None = None,
        parser: Parser | None = None,
        journal: Journal | None = None,
        why_no_start: Callable[[], str] = lambda: "",
        begin: Begin = ThreadedExecution,
    ) -> None:
        self.name, self.plan, self.slots = name, plan, slots
        self.manifest: Mapping[str, Any] = {}
        """What it is, for callers; the server sets it."""
        self.sessions: dict[str, Session] = {}
        self.ended: Counter[Reason] = Counter()
        """How many sessions ended, by reason."""
        self.ended_totals = Totals()
        """What they have done, all together."""
        self.lost: Counter[str] = Counter()
        """How many processes of sessions ended before their time, by what ended them."""

        self._outbound, self._group, self._timing = outbound, group, timing
        self._failed, self._why_no_start = failed, why_no_start
        self._begin_execution = begin
        self.places = places or Places(slots.most)
        """Where it blocks."""
        self._parser = parser or Parser()
        self.expected = ExpectedSessions()
        """Sessions of it that are on their way from another process."""
        self._journal = journal
        self._moving, self._closed = asyncio.Lock(), False
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def start(self, name: str, channels: Channels, params: Any) -> Session:
        """A session that lives. The same asked for twice is one session.

        Raises Full, Strained, Taken, StillEnding, Overtaken and ChannelsRefused where nothing was
        begun; NodeFailed, ParamRejected and Stalled where its nodes could not be set up, and it is
        over then; Unstarted where something ended it before they were, or the worker ends. Whoever
        is cancelled while another session ends, or while names are looked up, has begun nothing;
        one that was begun goes on.
        """
        if name not in self.sessions:
            self._look_for_room()  # before anything is looked up for it
        pins = await self._outbound.pinned(asdict(channels))
        session = await self._present(name)
        if session is None:
            session = await self._begin(name, channels, params, pins)
        elif (session.channels, session.asked) != (channels, params):
            raise Taken(name)
        try:
            await asyncio.shield(session.ready)
        except (NodeFailed, ParamRejected, Stalled) as exc:
            log.warning("it cannot start: %s", exc, extra={"session": name})
            await session.over.wait()
            raise
        await self.kept()
        return session

    def _look_for_room(self) -> None:
        """Raises Full and Strained."""
        if self.slots.used >= self.slots.most:
            raise Full
        if why := self._why_no_start():
            raise Strained(why)

    async def kept(self) -> None:
        """Return when another process would find what sessions are now, or when that takes long."""
        if self._journal is not None:
            await self._journal.settled()

    async def take_up(self, known: SessionRecord) -> Session:
        """A session that another process has, or had. Its nodes are set up, and it waits for
        go_on().

        Raises ChannelsRefused, and Unstarted where the worker ends.
        """
        pins = await self._outbound.pinned(asdict(known.channels))
        return await self._begin(known.name, known.channels, known.asked, pins, known)

    async def _present(self, name: str) -> Session | None:
        """The session of a name; None where there is none. One that is ending is waited for.

        Raises StillEnding and Overtaken.
        """
        try:
            async with asyncio.timeout(ENDING_SECONDS):
                while (session := self.sessions.get(name)) is not None and session.life.ending:
                    await self._turn(name, session)
        except TimeoutError:
            raise StillEnding(name) from None
        return session

    async def _turn(self, name: str, session: Session) -> None:
        """Return when a session is over. Of several who wait only the last one does.

        Raises Overtaken.
        """
        if (other := self._waiting.get(name)) is not None and not other.done():
            other.set_exception(Overtaken(name))
        mine = self._waiting[name] = asyncio.get_running_loop().create_future()
        over = asyncio.ensure_future(session.over.wait())
        try:
            await asyncio.wait({over, mine}, return_when=asyncio.FIRST_COMPLETED)
            if mine.done():
                mine.result()
        finally:
            over.cancel()
            if self._waiting[name] is mine:
                del self._waiting[name]

    async def _begin(
        self,
        name: str,
        channels: Channels,
        params: Any,
        pins: PinnedResolver,
        before: SessionRecord | None = None,
    ) -> Session:
        """before: what another process knows of it. Raises Full and Unstarted."""
        if self._closed:
            raise Unstarted(Ending(Reason.SHUTDOWN))
        self.slots.take(running=before is not None)
        http = self._outbound.open(pins)
        journal = self._journal
        try:
            session = Session(
                name,
                self.plan,
                channels,
                http,
                params,
                self._timing,
                beside=self.slots.used - 1,
                alone=lambda: self.slots.used <= 1,
                places=self.places,
                parser=self._parser,
                begin=self._begin_execution,
                before=before,
                noted=_unheard if journal is None else partial(self._note, journal, name),
            )
        except BaseException:
            self.slots.give_back()
            await http.close()
            raise
        # Nothing was waited for since it was known that there is none of its name.
        self.sessions[name] = session
        running = self._run(session, http)
        self._tasks[name] = self._group.create_task(running, name=f"session {name}")
        return session

    def _note(self, journal: Journal, name: str) -> None:
        """Another process would have to know something else of a session. Before it lives it is not
        kept; one that another process goes on with is that process's.
        """
        session = self.sessions.get(name)
        if session is None or session.life.phase is Phase.SETTING_UP:
            return
        if session.reason is Reason.HANDED_OVER:
            return
        key = key_of(self.name, name)
        journal.note(key, lambda: None if session.life.ending else self.record_of(session))

    def record_of(self, session: Session) -> SessionRecord:
        """What another process has to know of it."""
        return session_record.of(session, self.name)

    async def _run(self, session: Session, http: Http) -> None:
        logs.enter(session.name)
        try:
            async with http:
                await session.run()
        except Exception:
            # One session's bug is not another's end.
            log.exception("it broke")
        finally:
            if (failure := session.execution.failure) is not None:
                self._failed(failure)
            if isinstance(failure, ProcessLost):
                self.lost[failure.how] += 1
            try:
                with contextlib.suppress(Stalled):
                    await self.places.ends.run(GIVE_BACK_SECONDS, memory.give_back)
            finally:
                self._forget(session)

    def _forget(self, session: Session) -> None:
        del self.sessions[session.name], self._tasks[session.name]
        self.slots.give_back()
        self.ended[session.reason or Reason.FAILED] += 1
        self.ended_totals.include(session)
        session.forgotten()

    async def replace(self, plan: Plan, change: Change) -> None:
        """Let all sessions go on with another plan, and those that come begin with it: all, or
        none. Those that are being set up begin again.

        Raises NodeFailed where a node cannot be set up, and Stalled where a run does not work; then
        nothing has changed.
        """
        # A caller who is cancelled leaves no session half on its way.
        moving = self._group.create_task(self._go_over(plan, change))
        if (failure := await asyncio.shield(moving)) is not None:
            raise failure

    async def _go_over(self, plan: Plan, change: Change) -> NodeFailed | Stalled | None:
        """What replace() raises."""
        async with self._moving:
            with contextlib.suppress(TimeoutError):
                await self.expected.of()
            prepared: dict[Session, Replacement] = {}
            try:
                while left := [session for session in self._live() if session not in prepared]:
                    for session in left:
                        await self._prepare(session, plan, change, prepared)
            except (NodeFailed, Stalled) as exc:
                for waiting in prepared.values():
                    with contextlib.suppress(Stalled):  # what hangs is left behind
                        await waiting.discard()
                return exc
            # Nobody is waited for in between: a session is on the old plan or on its way.
            self.plan = plan
            for session in self.sessions.values():
                if session.life.phase is Phase.SETTING_UP:
                    session.supersede(plan)
            going = (session.go_over(waiting, change) for session, waiting in prepared.items())
            await asyncio.gather(*going)
            return None

    async def _prepare(
        self, session: Session, plan: Plan, change: Change, prepared: dict[Session, Replacement]
    ) -> None:
        """Raises NodeFailed, and Stalled where that is not because it ends."""
        try:
            prepared[session] = await session.execution.prepare(plan, change)
        except Stalled:
            if not session.life.ending:
                raise

    def _live(self) -> list[Session]:
        """The sessions whose nodes are set up and work."""
        return [each for each in self.sessions.values() if each.life.phase is Phase.LIVE]

    async def end_all(self, reason: Reason, seconds: float, failure: str = "") -> None:
        """End every session, and wait until they are over; none begins any more. seconds: what they
        have for it.
        """
        self._closed = True
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


def _unheard() -> None:
    """Nobody keeps what another process would have to know."""
