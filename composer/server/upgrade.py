"""Upgrade: a new process takes the place of this one, and all sessions go over to it.

The new one begins with the same command and the sockets of this one. While it loads, this one
serves as ever; where it does not get ready, it is killed and nothing has changed. Then the new one
accepts requests, and each session is left at the end of a segment and goes on there.
"""

import asyncio
import contextlib
import logging
import os
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from composer.errors import ChannelEnded, ChannelLost, ComposerError
from composer.server import supervision
from composer.server.capability import Capability
from composer.server.heir import HANDOVER
from composer.server.link import LinkBroken, PeerLink, PeerMessage, Topic
from composer.session import remains
from composer.session.ending import Reason, Unstarted
from composer.session.phase import Phase
from composer.session.session import Session
from composer.session.session_record import SessionRecord, key_of
from composer.trickle.outbound import ChannelsRefused

if TYPE_CHECKING:  # which has an upgrade done
    from composer.server.worker import Worker

log: Final = logging.getLogger(__name__)

SEGMENT_SECONDS: Final = 12.0
"""How long a session waits for the end of a segment; none is above 10 s (contract 5.2)."""

LISTEN_SECONDS: Final = 10.0
"""What the new process may take to accept requests, once it may."""

TAKE_SECONDS: Final = 30.0
"""What it may take to have all sessions, behind the last one that was left."""

IN_FLIGHT_SECONDS: Final = 20.0
"""How long requests that this process has begun with are waited for: a body may take as long."""


Hearing: TypeAlias = "asyncio.Future[None]"
"""Ends with LinkBroken, and only so."""


class NotUpgraded(ComposerError):
    """The new process does not take the place of this one, which goes on."""


@dataclass(frozen=True)
class Command:
    """What begins the new process. environment: with the secrets that this one has put away."""

    words: Sequence[str]
    environment: Mapping[str, str]
    folder: Path

    @classmethod
    def of_this_process(cls, secrets: Mapping[str, str]) -> "Command":
        """The same once more: the same interpreter, the same words, the same folder. To be asked
        before nodes can change any of them.
        """
        words = (sys.executable, *sys.orig_argv[1:])
        return cls(words, {**os.environ, **secrets}, Path.cwd())


@dataclass
class _Answers:
    """What the new process has said so far."""

    ready: asyncio.Event = field(default_factory=asyncio.Event)
    listening: asyncio.Event = field(default_factory=asyncio.Event)
    done: asyncio.Event = field(default_factory=asyncio.Event)
    set_up: dict[str, "asyncio.Future[str]"] = field(default_factory=dict)
    """By the key of a session: "" where it is, else why it cannot be."""

    def of(self, key: str) -> "asyncio.Future[str]":
        return self.set_up.setdefault(key, asyncio.get_running_loop().create_future())

    def take(self, message: PeerMessage) -> None:
        match message.topic:
            case Topic.READY:
                self.ready.set()
            case Topic.LISTENING:
                self.listening.set()
            case Topic.DONE:
                self.done.set()
            case Topic.SET_UP | Topic.REFUSED:
                if not (answer := self.of(message.key)).done():
                    answer.set_result(message.why)


class Upgrade:
    """One attempt. upgrade_s: seconds that the new process has to get ready."""

    def __init__(self, worker: "Worker", command: Command, upgrade_s: float) -> None:
        self._worker, self._command, self._upgrade_s = worker, command, upgrade_s
        self._answers = _Answers()
        self._announced: dict[str, Session] = {}
        self._left: dict[str, SessionRecord] = {}
        self._begun: set[Session] = set()

    async def run(self) -> int:
        """The id of the new process, which has everything then. Raises NotUpgraded; then this one
        goes on with all that it had.
        """
        if why := supervision.why_not_succeeded():
            raise NotUpgraded(why)
        for capability in self._worker.capabilities.values():
            with contextlib.suppress(TimeoutError):  # what is on its way here goes on from here
                await capability.expected.of()
        mine, theirs = socket.socketpair()
        with theirs:
            process = await self._started(theirs)
        link = await PeerLink.over(mine)
        hearing = asyncio.ensure_future(self._hear(link))
        hearing.add_done_callback(_looked_at)
        over = False
        try:
            await self._warm(link, hearing, process)
            await self._hand_over(link, hearing)
            over = True
        except LinkBroken as exc:
            raise NotUpgraded(await self._why(process, exc)) from exc
        finally:
            if not over:
                link.say(PeerMessage(Topic.KEPT))
            hearing.cancel()
            link.close()
            if not over:
                await self._go_on_here(process)
        return process.pid

    # the new process

    async def _started(self, theirs: socket.socket) -> Process:
        """Raises NotUpgraded where it cannot be started."""
        ends = [(theirs.fileno(),), *(door.descriptors for door in self._worker.doors)]
        handover = {HANDOVER: ";".join(",".join(map(str, each)) for each in ends)}
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command.words,
                env={**self._command.environment, **handover},
                cwd=self._command.folder,
                pass_fds=[descriptor for each in ends for descriptor in each],
            )
        except OSError as exc:
            raise NotUpgraded(f"no process can be started: {exc.strerror or exc}") from exc
        log.info("process %d begins; this one goes on until it is ready", process.pid)
        return process

    async def _hear(self, link: PeerLink) -> None:
        """Raises LinkBroken."""
        while True:
            self._answers.take(await link.receive())

    async def _why(self, process: Process, broken: LinkBroken) -> str:
        """What ended an attempt: how the new process ended says more than that it is gone."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                code = await process.wait()
                return f"the new process ended with {code}; its log says why"
        return str(broken)

    async def _go_on_here(self, process: Process) -> None:
        """Nothing has changed: what was left goes on here."""
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        await process.wait()
        self._worker.forwarding.end()
        self._worker.listen()
        if self._worker.journal is not None:
            self._worker.journal.take_back()
        left, self._left = list(self._left.values()), {}
        await asyncio.gather(*(self._taken_back(record) for record in left))

    async def _taken_back(self, record: SessionRecord) -> None:
        about = {"session": record.name}
        capability = self._worker.capabilities[record.capability]
        outbound = self._worker.outbound
        try:
            async with outbound.open(await outbound.pinned(asdict(record.channels))) as http:
                found = await remains.found(http, record)
            session = await capability.take_up(found)
        except (ChannelEnded, ChannelLost, ChannelsRefused, Unstarted) as exc:
            log.warning("it is left: %s", exc, extra=about)
        else:
            session.go_on(found)
            log.warning("it goes on in the process that it was in", extra=about)

    # step by step

    async def _warm(self, link: PeerLink, hearing: Hearing, process: Process) -> None:
        """Until the new process has its models, and the nodes of all sessions that live now.

        Raises NotUpgraded and LinkBroken.
        """
        try:
            async with asyncio.timeout(self._upgrade_s):
                await _heard(self._answers.ready.wait(), hearing)
                live = [pair for pair in self._present() if pair[1].life.phase is Phase.LIVE]
                for capability, session in live:
                    if why := await self._set_up(link, hearing, capability, session):
                        raise NotUpgraded(f"stream {session.name!r} cannot go on there: {why}")
        except TimeoutError:
            raise NotUpgraded(
                f"the new process ({process.pid}) was not ready in {self._upgrade_s:g} s"
            ) from None

    async def _hand_over(self, link: PeerLink, hearing: Hearing) -> None:
        """Raises LinkBroken."""
        worker = self._worker
        await link.send(PeerMessage(Topic.GO))
        await _within(LISTEN_SECONDS, self._answers.listening.wait(), hearing)
        for door in worker.doors:
            await door.close()
        worker.forwarding.begin(worker.address)
        here = {session for _, session in self._present()}
        for key in [key for key, session in self._announced.items() if session not in here]:
            await self._gone(link, key)
        while pairs := [pair for pair in self._present() if pair[1] not in self._begun]:
            await asyncio.gather(*(self._one(link, hearing, *pair) for pair in pairs))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(IN_FLIGHT_SECONDS):
                    await worker.forwarding.idle.wait()
        if worker.journal is not None:
            await worker.journal.write()
            worker.journal.release()
        await link.send(PeerMessage(Topic.DONE))
        await _within(TAKE_SECONDS, self._answers.done.wait(), hearing)

    def _present(self) -> Iterator[tuple[Capability, Session]]:
        for capability in self._worker.capabilities.values():
            for session in list(capability.sessions.values()):
                yield capability, session

    async def _set_up(
        self,
        link: PeerLink,
        hearing: Hearing,
        capability: Capability,
        session: Session,
    ) -> str:
        """Have a session set up there; why that cannot be, "" where it is. Raises LinkBroken."""
        key = key_of(capability.name, session.name)
        if self._announced.get(key) is not session:
            await self._gone(link, key)
            self._announced[key] = session
            await link.send(PeerMessage.about(Topic.COMING, capability.record_of(session)))
        answer = self._answers.of(key)
        await _heard(asyncio.wait({answer}), hearing)
        return answer.result()

    async def _gone(self, link: PeerLink, key: str) -> None:
        """Say that a session will not come, where it was announced."""
        if self._announced.pop(key, None) is not None:
            self._answers.set_up.pop(key, None)
            await link.send(PeerMessage(Topic.GONE, key))

    async def _one(
        self,
        link: PeerLink,
        hearing: Hearing,
        capability: Capability,
        session: Session,
    ) -> None:
        """Hand a session over, or see it to its end. Raises LinkBroken."""
        self._begun.add(session)
        key = key_of(capability.name, session.name)
        await asyncio.wait({session.ready})
        if not session.life.ending:
            if why := await self._set_up(link, hearing, capability, session):
                log.error("it cannot go on there: %s", why, extra={"session": session.name})
                session.end(Reason.SHUTDOWN)
            else:
                session.leave(SEGMENT_SECONDS)
        await session.over.wait()
        if session.reason is not Reason.HANDED_OVER:
            await self._gone(link, key)
            return
        record = self._left[key] = capability.record_of(session)
        await link.send(PeerMessage.about(Topic.LEFT, record))


def _looked_at(hearing: Hearing) -> None:
    """A link that nobody waits for any more is not held against the loop."""
    if not hearing.cancelled():
        hearing.exception()


async def _heard(awaited: Coroutine[Any, Any, object], hearing: Hearing) -> None:
    """Wait for something for as long as the other process is there. Raises LinkBroken."""
    waiting = asyncio.ensure_future(awaited)
    try:
        either: set[asyncio.Future[Any]] = {waiting, hearing}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            await hearing
    finally:
        waiting.cancel()


async def _within(seconds: float, awaited: Coroutine[Any, Any, object], hearing: Hearing) -> None:
    """The same for no longer than so many seconds. Raises LinkBroken."""
    try:
        async with asyncio.timeout(seconds):
            await _heard(awaited, hearing)
    except TimeoutError:
        raise LinkBroken("the other process does not answer") from None
