"""Heir: a process that takes the place of the one that began it, and its sessions."""

import asyncio
import logging
import os
import socket
from collections.abc import Coroutine, MutableMapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final, Self

from composer.errors import (
    ChannelEnded,
    ChannelLost,
    NodeFailed,
    ParamRejected,
    Stalled,
)
from composer.server.link import LinkBroken, PeerLink, PeerMessage, Topic
from composer.server.revival import out_of_reach, tell_resumed
from composer.session import remains
from composer.session.ending import Reason, Unstarted
from composer.session.session import Session
from composer.session.session_record import SessionRecord
from composer.trickle.outbound import ChannelsRefused

if TYPE_CHECKING:  # which has an heir
    from composer.server.worker import Worker

log: Final = logging.getLogger(__name__)

HANDOVER: Final = "BYOC_HANDOVER"
"""Variable of the environment: the descriptor of the link, and those of each door, as 3;4,5;6."""


class Heir:
    """The new process's side of an upgrade. sockets: where it will be reached, door by door."""

    def __init__(self, link: socket.socket, sockets: Sequence[Sequence[socket.socket]]) -> None:
        self.sockets: Final = tuple(sockets)
        self._socket = link
        self._link: PeerLink | None = None
        self._coming: dict[str, tuple[SessionRecord, Session]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    def of(cls, environment: MutableMapping[str, str] = os.environ) -> Self | None:
        """Where another process began this one for that, else None."""
        written = environment.pop(HANDOVER, "")
        if not written:
            return None
        (link,), *doors = (_sockets(each) for each in written.split(";"))
        return cls(link, doors)

    async def admitted(self, worker: "Worker", group: asyncio.TaskGroup) -> bool:
        """Say that this process is ready, set up what comes, and return when it is to accept
        requests; False where it is not wanted any more.
        """
        link = self._link = await PeerLink.over(self._socket)
        try:
            await link.send(PeerMessage(Topic.READY))
            while (message := await link.receive()).topic is not Topic.GO:
                if message.topic is Topic.KEPT:
                    return False
                self._take(worker, group, link, message)
        except LinkBroken as exc:
            log.error("this process is not wanted any more: %s", exc)
            return False
        return True

    async def run(self, worker: "Worker", group: asyncio.TaskGroup) -> None:
        """Take all sessions, from the moment at which requests are accepted here."""
        link = self._link
        assert link is not None  # admitted() made it
        try:
            await link.send(PeerMessage(Topic.LISTENING))
            while (message := await link.receive()).topic is not Topic.DONE:
                if message.topic is Topic.KEPT:
                    worker.end()
                    return
                self._take(worker, group, link, message)
            await self._settled()
            if worker.journal is not None:
                worker.journal.take_back()
            await link.send(PeerMessage(Topic.DONE))
        except LinkBroken:
            log.warning("the process before this one is gone in the middle of an upgrade")
            await self._orphaned(worker)
            if worker.journal is not None:
                worker.journal.take_back()
        finally:
            link.close()

    # messages

    def _take(
        self, worker: "Worker", group: asyncio.TaskGroup, link: PeerLink, message: PeerMessage
    ) -> None:
        match message.topic:
            case Topic.COMING:
                self._begin(group, self._coming_up(worker, link, message.session))
            case Topic.LEFT:
                self._begin(group, self._goes_on(worker, message.session))
            case Topic.GONE:
                if message.key in self._coming:
                    record, session = self._coming.pop(message.key)
                    session.end(Reason.HANDED_OVER)
                    worker.capabilities[record.capability].expected.settle(record.name)

    def _begin(self, group: asyncio.TaskGroup, work: Coroutine[Any, Any, None]) -> None:
        task = group.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _settled(self) -> None:
        while self._tasks:
            await asyncio.wait(self._tasks)

    # one session

    async def _coming_up(self, worker: "Worker", link: PeerLink, record: SessionRecord) -> None:
        """Set a session up, so that it can go on at once when it is left there."""
        capability = worker.capabilities.get(record.capability)
        if capability is None:
            why = f"the capability {record.capability!r} is not served any more"
            link.say(PeerMessage(Topic.REFUSED, record.key, why=why))
            return
        if why := out_of_reach(worker.outbound.reach, record):
            link.say(PeerMessage(Topic.REFUSED, record.key, why=why))
            return
        capability.expected.expect(record.name)
        if (same := capability.sessions.get(record.name)) is not None:  # it came to its end there
            await same.over.wait()
        try:
            session = await capability.take_up(record)
        except (ChannelsRefused, Unstarted) as exc:
            link.say(PeerMessage(Topic.REFUSED, record.key, why=str(exc)))
            return
        self._coming[record.key] = record, session
        why = await _set_up(session)
        topic = Topic.REFUSED if why else Topic.SET_UP
        link.say(PeerMessage(topic, record.key, why=why))

    async def _goes_on(self, worker: "Worker", record: SessionRecord) -> None:
        """Go on with a session where the other process has left it."""
        before, session = self._coming.pop(record.key)
        changed = {
            name: value
            for name, value in record.params.items()
            if name not in before.params or before.params[name] != value
        }
        session.unmet += await session.changes.restore(changed)
        session.go_on(record)
        await asyncio.wait({session.ready})
        worker.capabilities[record.capability].expected.settle(record.name)
        if session.ready.exception() is None:
            log.info("it goes on here", extra={"session": record.name})
            tell_resumed(session)

    async def _orphaned(self, worker: "Worker") -> None:
        """The other process is gone: go on with what it had not left as after a crash."""
        await self._settled()
        coming, self._coming = list(self._coming.values()), {}
        for record, session in coming:
            try:
                pins = await worker.outbound.pinned(asdict(record.channels))
                async with worker.outbound.open(pins) as http:
                    found = await remains.found(http, record)
            except (ChannelEnded, ChannelLost, ChannelsRefused) as exc:
                log.warning("it is left: %s", exc, extra={"session": record.name})
                session.end(Reason.HANDED_OVER)
            else:
                session.go_on(found)
                tell_resumed(session)
            worker.capabilities[record.capability].expected.settle(record.name)


def _sockets(descriptors: str) -> list[socket.socket]:
    """From here on no other process gets them by itself."""
    sockets = [socket.socket(fileno=int(each)) for each in descriptors.split(",")]
    for each in sockets:
        each.set_inheritable(False)
    return sockets


async def _set_up(session: Session) -> str:
    """Wait for its nodes; why they cannot be set up, "" where they are."""
    prepared = asyncio.ensure_future(session.takeover.prepared.wait())
    either: set[asyncio.Future[Any]] = {prepared, session.ready}
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    prepared.cancel()
    if not session.ready.done():
        return ""
    try:
        session.ready.result()
    except (NodeFailed, ParamRejected, Stalled, Unstarted) as exc:
        return str(exc)
    return ""
