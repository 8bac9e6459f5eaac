"""Readers: what comes to a session from its channels."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from composer.errors import ChannelLost
from composer.parser import Parser
from composer.session import control
from composer.session.channels import Channels
from composer.session.ending import Reason
from composer.session.ingress import Ingress
from composer.session.timing import Timing
from composer.trickle.http import Http
from composer.trickle.subscriber import Ended, Opened, Subscriber


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
        self._control = channel = self._subscriber(self._channels.control, -1)
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

    async def read_input(self, ingress: Ingress, take: Callable[[bytes], None]) -> None:
        """take: called with the bytes, in any pieces. The ingress hears where some are missing."""
        channel = self._subscriber(self._channels.subscribe, -2)
        try:
            async for item in channel:
                if isinstance(item, bytes):
                    take(item)
                elif isinstance(item, Opened) and item.gap:
                    ingress.gap()
                elif isinstance(item, Ended) and not item.whole:
                    ingress.gap()
        except ChannelLost as exc:
            self._end(Reason.LOST, str(exc))
        else:
            self._end(Reason.INPUT_CLOSED, "")

    def _subscriber(self, url: str, start: int) -> Subscriber:
        return Subscriber(self._http, url, start=start, lost=self._timing.lost)
