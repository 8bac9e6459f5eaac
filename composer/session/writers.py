"""Writers: what goes out of a session to its channels."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from composer.errors import ChannelEnded, ChannelLost, SegmentLost
from composer.session.channels import Channels
from composer.session.data_lines import NOTHING
from composer.session.egress import Cut, Offer
from composer.session.ending import Reason
from composer.session.ends import DataEnd, OutputEnd
from composer.session.events import Events
from composer.session.patience import came_within
from composer.session.timing import Timing
from composer.trickle.http import Http
from composer.trickle.publisher import Publisher, SegmentWriter

log: Final = logging.getLogger(__name__)


AGAIN_SECONDS: Final = 0.25
"""Before it is asked again where a channel is."""


class Writers:
    """Writes the channels of one session, each by one coroutine, until it is told to flush.

    end: called when a channel has ended or is lost. goes_on: somebody else has written to the
    channels so far.
    """

    def __init__(
        self,
        http: Http,
        channels: Channels,
        timing: Timing,
        end: Callable[[Reason, str], None],
        now: Callable[[], float] = time.monotonic,
        *,
        goes_on: bool = False,
    ) -> None:
        self._http, self._channels, self._timing = http, channels, timing
        self._end, self._now = end, now
        self._events_wait, self._data_waits = asyncio.Event(), asyncio.Event()
        self._flushing = asyncio.Event()
        self._goes_on = goes_on
        self._output: Publisher | None = None

    @property
    def lost_segments(self) -> int:
        """Segments of the output that were broken off, or never got out."""
        return self._output.lost if self._output is not None else 0

    def events_wait(self) -> None:
        """There is an event to write."""
        self._events_wait.set()

    def data_waits(self) -> None:
        """There is data to write."""
        self._data_waits.set()

    def flush(self, timing: Timing) -> None:
        """What still waits is written, and no more. timing: holds from here on."""
        self._timing = timing
        self._flushing.set()
        self._events_wait.set()
        self._data_waits.set()

    async def write_output(self, egress: OutputEnd, sent: Callable[[], None]) -> None:
        """Until the egress ends. sent: called when the first segment was handed over."""
        channel = self._output = Publisher(
            self._http, self._channels.publish, content_type="video/MP2T", ahead=True
        )
        gone = asyncio.ensure_future(self._until_gone(channel))
        try:
            await self._find_place(channel)
            await _OutputSegments(channel, sent).write(egress)
        except (ChannelEnded, SegmentLost) as exc:
            self._end(Reason.LOST if channel.broken else Reason.OUTPUT_CLOSED, str(exc))
        except ChannelLost as exc:
            self._end(Reason.LOST, str(exc))
        finally:
            gone.cancel()
            await channel.close(self._timing.close)

    async def _until_gone(self, channel: Publisher) -> None:
        await channel.wait_ended()
        self._end(Reason.LOST if channel.gave_up else Reason.OUTPUT_CLOSED, channel.broken)

    async def write_events(self, events: Events, status: Callable[[], Mapping[str, Any]]) -> None:
        """Each event is a segment. status: what is told of the session now and then."""
        channel = Publisher(
            self._http, self._channels.events, content_type="application/json", lasting=True
        )
        due = self._now()
        try:
            await self._find_place(channel)
            while True:
                if self._now() >= due and not self._flushing.is_set():
                    due = self._now() + self._timing.status
                    events.status(status())
                while body := events.take():
                    await channel.send(body)
                if self._flushing.is_set():
                    return
                self._events_wait.clear()
                await came_within(self._events_wait.wait(), due - self._now())
        except (ChannelEnded, ChannelLost):
            log.debug("nobody hears the events any more")
            if channel.broken:
                self._end(Reason.LOST, channel.broken)
        finally:
            await channel.close(self._timing.close)

    async def write_data(self, data: DataEnd) -> None:
        """What waits is a segment; where nothing comes for long, an empty array."""
        channel = Publisher(
            self._http, self._channels.data, content_type="application/jsonl", lasting=True
        )
        try:
            await self._find_place(channel)
            while True:
                if not data.waiting and not self._flushing.is_set():
                    self._data_waits.clear()
                    await came_within(self._data_waits.wait(), self._timing.data_keepalive)
                if data.waiting or not self._flushing.is_set():
                    await channel.send(data.take() or NOTHING)
                if self._flushing.is_set() and not data.waiting:
                    return
                if not self._flushing.is_set():
                    await came_within(self._flushing.wait(), self._timing.data)
        except ChannelEnded:
            reason = Reason.LOST if channel.broken else Reason.OUTPUT_CLOSED
            self._end(reason, channel.broken or "the data channel is closed")
        except ChannelLost as exc:
            self._end(Reason.LOST, str(exc))
        finally:
            await channel.close(self._timing.close)

    async def _find_place(self, channel: Publisher) -> None:
        """Go on behind what somebody else has written. Raises ChannelEnded and ChannelLost."""
        if not self._goes_on:
            return
        until = self._now() + self._timing.lost
        while True:
            try:
                await channel.resume()
                return
            except ChannelLost:
                if self._now() > until:
                    raise
            await asyncio.sleep(AGAIN_SECONDS)


class _OutputSegments:
    """The segments of an output; a lost one costs what it held, and the next cut begins anew."""

    def __init__(self, channel: Publisher, sent: Callable[[], None]) -> None:
        self._channel, self._first_sent = channel, sent
        self._open: SegmentWriter | None = channel.begin()
        self._begun = self._sent = False

    async def write(self, egress: OutputEnd) -> None:
        """Raises ChannelEnded, and SegmentLost for the last one."""
        while (item := await egress.read(self._offer())) is not None:
            try:
                if isinstance(item, Cut):
                    await self._cut()
                elif self._open is not None:
                    self._begun = True
                    await self._open.write(item)
            except SegmentLost as exc:
                log.debug("%s", exc)  # the publisher counts it
                self._open = None
        if self._open is not None and self._begun:
            await self._open.end()

    def _offer(self) -> Offer | None:
        """Where the encoder's thread may write itself: into a segment that has begun."""
        return self._open.offer if self._open is not None and self._begun else None

    async def _cut(self) -> None:
        """The next segment, unless nothing was written to the one that is open."""
        if self._open is not None and not self._begun:
            return
        if self._open is not None:
            await self._open.end()
            if not self._sent:
                self._sent = True
                self._first_sent()
        self._open, self._begun = self._channel.begin(), False
