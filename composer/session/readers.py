"""Readers: what comes to a session from its channels."""

import time
from collections.abc import Callable, Mapping
from contextlib import aclosing
from typing import Any, Final

from composer.errors import ChannelLost
from composer.parser import Parser
from composer.session import control
from composer.session.channels import Channels
from composer.session.ending import Reason
from composer.session.ends import InputEnd
from composer.session.timing import Timing
from composer.trickle.http import Http
from composer.trickle.subscriber import MOST_SEGMENTS, Subscriber

MOST_MESSAGES: Final = 120.0
"""Of control, in a second: a slider that moves sends one for each picture."""


class Readers:
    """Reads the channels of one session, each by one coroutine.

    end: called when a channel has ended or is lost; the coroutine is over then.
    """

    def __init__(
        self,
        http: Http,
        channels: Channels,
        timing: Timing,
        end: Callable[[Reason, str], None],
        now: Callable[[], float] = time.monotonic,
        parser: Parser | None = None,
    ) -> None:
        self.heard_at = 0.0
        """When control brought a word last, in monotonic seconds; 0 for never."""

        self._http, self._timing, self._end, self._now = http, timing, end, now
        self._channels, self._parser = channels, parser or Parser()
        self._control: Subscriber | None = None

    @property
    def unheard(self) -> Mapping[str, int]:
        """Messages of control that were left out, by reason."""
        return self._control.left_out if self._control is not None else {}

    async def read_control(
        self, change: Callable[[Mapping[str, Any]], None], refuse: Callable[[str], None]
    ) -> None:
        """change: called with each object that is no keepalive. refuse: told why one that may be a
        change is not read.
        """
        self._control = channel = self._subscriber(self._channels.control, -1, MOST_MESSAGES)
        limits, room = self._parser.limits, self._parser.room
        try:
            async for body in channel.texts(limits.control, limits.body_s, room):
                self.heard_at = self._now()
                try:
                    asked = await control.message(body, self._parser)
                except control.Unheard as exc:
                    refuse(str(exc))
                    continue
                if asked is not None:
                    change(asked)
        except ChannelLost as exc:
            self._end(Reason.LOST, str(exc))
        else:
            self._end(Reason.CONTROL_CLOSED, "")

    async def read_input(self, ingress: InputEnd, look: Callable[[], None]) -> None:
        """Whoever iterates the ingress reads the bytes, which hears where some are missing. look:
        called now and then while some may come.
        """
        channel = self._subscriber(self._channels.subscribe, -2)

        def tend() -> None:
            ingress.tend()
            look()

        try:
            async with aclosing(channel.segments()) as segments:
                async for segment in segments:
                    if segment.opened.gap:
                        ingress.gap()
                    ingress.attach(segment)
                    try:
                        await segment.poured(tend)
                    finally:
                        ingress.detach()
                    if not segment.whole:
                        ingress.gap()
        except ChannelLost as exc:
            self._end(Reason.LOST, str(exc))
        else:
            self._end(Reason.INPUT_CLOSED, "")

    def _subscriber(self, url: str, start: int, most: float = MOST_SEGMENTS) -> Subscriber:
        return Subscriber(self._http, url, start=start, lost=self._timing.lost, most=most)
