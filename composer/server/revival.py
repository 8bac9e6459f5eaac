"""Revival: the sessions of a process that is gone go on in this one."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Final

from composer import stacks, strictjson
from composer.errors import (
    ChannelEnded,
    ChannelLost,
    NodeFailed,
    ParamRejected,
    Stalled,
    TrickleError,
)
from composer.server.capability import Capability
from composer.server.journal import Journal
from composer.session import finish, remains
from composer.session.ending import Reason, Unstarted
from composer.session.events import Events
from composer.session.session import Session
from composer.session.session_record import SessionRecord
from composer.session.timing import Timing
from composer.trickle.http import Http
from composer.trickle.outbound import ChannelsRefused, Outbound
from composer.trickle.publisher import Publisher
from composer.trickle.reach import Reach, Unwritable

log: Final = logging.getLogger(__name__)

TWICE_SECONDS: Final = 60.0
"""A session that takes its process down twice within so many seconds is given up."""

MOST_UNEXPLAINED: Final = 2
"""Ends of a process in as many seconds of which nobody knows why: each of its sessions may have
done it, and most of them did not.
"""

TELL_SECONDS: Final = 2.0
"""What telling a gateway why a session is given up may take."""


@dataclass(frozen=True)
class Fall:
    """The end of the process before this one. at: when it lived last, in seconds since 1970.
    culprit: the session that took it down, by its stacks.name_of(); "" where nobody knows.
    """

    at: float
    culprit: str = ""

    def is_of(self, record: SessionRecord) -> bool:
        """Whether a session is known to have done it."""
        return self.culprit == stacks.name_of(record.name)


class Revival:
    """Takes sessions up that another process has left. now: seconds since 1970.

    resume_s: how long ago that may be.
    """

    def __init__(
        self,
        capabilities: Mapping[str, Capability],
        journal: Journal,
        outbound: Outbound,
        fall: Fall,
        *,
        resume_s: float,
        timing: Timing = Timing(),  # noqa: B008 - it is frozen
        now: Callable[[], float] = time.time,
    ) -> None:
        self._capabilities, self._journal, self._outbound = capabilities, journal, outbound
        self._fall, self._resume_s = fall, resume_s
        self._timing, self._now = timing, now

    async def run(self, records: Sequence[SessionRecord]) -> None:
        """Take them up, each as far as it can be; whoever asks for one of them waits meanwhile."""
        going_on = [self._settled(record) for record in records]
        outcomes = await asyncio.gather(*going_on, return_exceptions=True)
        for record, outcome in zip(records, outcomes, strict=True):
            if isinstance(outcome, Exception):  # one session's bug is not another's end
                log.error("it broke", exc_info=outcome, extra={"session": record.name})

    async def _settled(self, record: SessionRecord) -> None:
        capability = self._capabilities.get(record.capability)
        try:
            await self._one(record, capability)
        finally:
            if capability is not None:
                capability.expected.settle(record.name)

    async def _one(self, record: SessionRecord, capability: Capability | None) -> None:
        about = {"session": record.name}
        gone = self._now() - self._fall.at
        if gone > self._resume_s:
            log.warning("it is left: its process is gone for %.0f s", gone, extra=about)
            self._forget(record)
            return
        known = self._accused(record)
        if why := out_of_reach(self._outbound.reach, record):
            log.error("it is left: %s", why, extra=about)
            self._forget(record)
            return
        try:
            pins = await self._outbound.pinned(asdict(record.channels))
        except ChannelsRefused as exc:
            log.error("it is left: its channels are %s", exc, extra=about)
            self._forget(record)
            return
        async with self._outbound.open(pins) as http:
            if why := self._hopeless(known, capability):
                await self._give_up(http, known, why)
                return
            assert capability is not None  # or there would be no hope
            self._journal.note(known.key, lambda: known)  # it may take this process down, too
            await self._journal.settled()
            try:
                found = await remains.found(http, known)
            except (ChannelEnded, ChannelLost) as exc:
                log.warning("it is left: %s", exc, extra=about)
                self._forget(record)
                return
            await self._go_on(http, capability, found, gone)

    def _accused(self, record: SessionRecord) -> SessionRecord:
        """The record with this fall, where that may be its doing, and without those long ago."""
        falls, unexplained = self._lately(record.falls), self._lately(record.unexplained)
        if self._fall.is_of(record):
            falls = (*falls, self._fall.at)
        elif not self._fall.culprit:
            unexplained = (*unexplained, self._fall.at)
        return replace(
            record,
            falls=falls,
            unexplained=unexplained,
            restarts=record.restarts + 1,
            restarted_ms=round(self._now() * 1000),
        )

    def _lately(self, falls: Sequence[float]) -> tuple[float, ...]:
        return tuple(at for at in falls if self._fall.at - at < TWICE_SECONDS)

    def _hopeless(self, record: SessionRecord, capability: Capability | None) -> str:
        """Why it cannot go on here, "" where it can."""
        if capability is None:
            return f"the capability {record.capability!r} is not served any more"
        if len(record.falls) > 1:
            return f"it took its process down twice within {TWICE_SECONDS:.0f} s"
        if (count := len(record.unexplained)) > MOST_UNEXPLAINED:
            return f"its process came to an end {count} times within {TWICE_SECONDS:.0f} s"
        return ""

    async def _go_on(
        self, http: Http, capability: Capability, record: SessionRecord, gone: float
    ) -> None:
        session = await capability.take_up(record)
        session.go_on(record)
        try:
            await asyncio.shield(session.ready)
        except (NodeFailed, ParamRejected, Stalled) as exc:
            await session.over.wait()
            await self._give_up(http, record, str(exc))
            return
        except Unstarted as exc:
            log.warning("%s", exc, extra={"session": record.name})
            return
        log.info("it goes on after %.1f s", gone, extra={"session": record.name})
        tell_resumed(session)

    async def _give_up(self, http: Http, record: SessionRecord, why: str) -> None:
        """Say so, and let the gateway take another worker (contract 3.8)."""
        log.error("it is given up: %s", why, extra={"session": record.name})
        self._forget(record)
        try:
            async with asyncio.timeout(TELL_SECONDS):
                await self._tell(http, record, why)
        except (TrickleError, TimeoutError) as exc:
            log.debug("nobody hears why a session is given up: %r", exc)
        await finish.hand_over(http, record.channels, self._timing)

    async def _tell(self, http: Http, record: SessionRecord, why: str) -> None:
        if not record.channels.events:
            return
        events = Events(lambda: round(self._now() * 1000), lambda: None)
        events.put("error", error=why)
        events.put("stream_stopped", reason=Reason.FAILED, error=why)
        channel = Publisher(
            http, record.channels.events, content_type="application/json", lasting=True
        )
        await channel.resume()
        while body := events.take():
            await channel.send(body)
        await channel.close(TELL_SECONDS)

    def _forget(self, record: SessionRecord) -> None:
        self._journal.note(record.key, lambda: None)


def out_of_reach(reach: Reach, record: SessionRecord) -> str:
    """Why a session's channels are where this worker may not go, "" where it may. Another process
    may have had another reach.
    """
    for name, address in asdict(record.channels).items():
        try:
            said = reach.wrong_with(address) if address else ""
        except Unwritable as exc:
            said = str(exc)
        if said:
            return f"its {name} channel {said}"
    return ""


def tell_resumed(session: Session) -> None:
    """Let the events, and the log, say that a session goes on here, and without which params."""
    before = session.takeover.before
    left_out = [{"at": each.at, "message": each.message} for each in session.unmet]
    session.events.put(
        "stream_resumed",
        restarts=before.restarts if before is not None else 0,
        params_left_out=left_out,
    )
    if left_out:
        said = strictjson.text(left_out)
        log.warning("it goes on without params: %s", said, extra={"session": session.name})
