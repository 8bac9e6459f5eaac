"""Readers: what comes to a session from its channels."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any, Final

from composer.errors import ChannelLost
from composer.parser import Parser
from composer.session import control
from composer.session.channels import Channels
from composer.session.ending import Reason
from composer.session.ends import InputEnd
from composer.session.timing import Timing
from composer.trickle import wire
from composer.trickle.http import Http
from composer.trickle.subscriber import MOST_SEGMENTS, OpenSegment, Subscriber

MOST_MESSAGES: Final = 120.0
"""Of control, in a second: a slider that moves sends one for each picture."""


class Readers:
    """Reads the channels of one session, each by one coroutine.

    end: called when a channel has ended or is lost, or the input was left; the coroutine is over
    then. moved: called when there is another segment to be read next.
    """

    def __init__(
        self,
        http: Http,
        channels: Channels,
        timing: Timing,
        end: Callable[[Reason, str], None],
        now: Callable[[], float] = time.monotonic,
        parser: Parser | None = None,
        moved: Callable[[], None] = lambda: None,
    ) -> None:
        self.heard_at = 0.0
        """When control brought a word last, in monotonic seconds; 0 for never."""
        self.next_input: int | None = None
        """The segment of the input to begin with, for whoever goes on: the one that is being read,
        or the one behind the last; None before the first."""
        self.next_control: int | None = None
        """The first message of control that was not heard; None before the first."""

        self._http, self._timing, self._end, self._now = http, timing, end, now
        self._channels, self._moved = channels, moved
        self._parser = parser or Parser()
        self._control: Subscriber | None = None
        self._leaving, self._cut_short = asyncio.Event(), False
        self._open: OpenSegment | None = None

    @property
    def unheard(self) -> Mapping[str, int]:
        """Messages of control that were left out, by reason."""
        return self._control.left_out if self._control is not None else {}

    async def read_control(
        self, change: Callable[[Mapping[str, Any]], Awaitable[None]], refuse: Callable[[str], None]
    ) -> None:
        """change: awaited with each object that is no keepalive. refuse: told why one that may be a
        change is not read.
        """
        begin = wire.NEXT if self.next_control is None else self.next_control
        self._control = channel = self._subscriber(self._channels.control, begin, MOST_MESSAGES)
        limits, room = self._parser.limits, self._parser.room
        try:
            async for body in channel.texts(limits.control, limits.body_s, room):
                self.heard_at = self._now()
                asked = None
                try:
                    asked = await control.message(body, self._parser)
                except control.Unheard as exc:
                    refuse(str(exc))
                if asked is not None:
                    await change(asked)
                self.next_control = channel.seq + 1
                if asked is not None:
                    self._moved()
        except ChannelLost as exc:
            self._end(Reason.LOST, str(exc))
        else:
            self._end(Reason.CONTROL_CLOSED, "")

    async def read_input(self, ingress: InputEnd, look: Callable[[], None]) -> None:
        """Whoever iterates the ingress reads the bytes, which hears where some are missing. look:
        called now and then while some may come.
        """
        begin = wire.CURRENT if self.next_input is None else self.next_input
        channel = self._subscriber(self._channels.subscribe, begin)

        def tend() -> None:
            ingress.tend()
            look()

        try:
            async with aclosing(channel.segments()) as segments:
                while (segment := await self._following(segments)) is not None:
                    self._begins(segment)
                    if segment.opened.gap:
                        ingress.gap()
                    ingress.attach(segment)
                    try:
                        await segment.poured(tend)
                    finally:
                        ingress.detach()
                    if not segment.whole:
                        ingress.gap()
                    self._ends(segment)
        except ChannelLost as exc:
            self._end(Reason.LOST, str(exc))
        else:
            left = self._leaving.is_set()
            self._end(Reason.HANDED_OVER if left else Reason.INPUT_CLOSED, "")

    def leave(self, seconds: float) -> None:
        """Read the input no further than to the end of the segment that is being read, and not for
        longer than so many seconds.
        """
        self._leaving.set()
        asyncio.get_running_loop().call_later(seconds, self._break_off)

    def _break_off(self) -> None:
        if self._open is not None:
            self._cut_short = True
            self._open.close()

    async def _following(self, segments: AsyncGenerator[OpenSegment, None]) -> OpenSegment | None:
        """The next segment; None at the end of the channel, and where the input is left."""
        if self._leaving.is_set():
            return None
        coming = asyncio.ensure_future(anext(segments, None))
        leaving = asyncio.ensure_future(self._leaving.wait())
        try:
            await asyncio.wait({coming, leaving}, return_when=asyncio.FIRST_COMPLETED)
            return coming.result() if coming.done() else None
        finally:
            leaving.cancel()
            if not coming.done():
                coming.cancel()
                await asyncio.wait({coming})

    def _begins(self, segment: OpenSegment) -> None:
        self._open, self.next_input = segment, segment.opened.seq
        self._moved()

    def _ends(self, segment: OpenSegment) -> None:
        self._open = None
        if not self._cut_short:
            self.next_input = segment.opened.seq + 1

    def _subscriber(self, url: str, start: int, most: float = MOST_SEGMENTS) -> Subscriber:
        return Subscriber(self._http, url, start=start, lost=self._timing.lost, most=most)
