"""Relay: what goes through a channel of one session after another, as one stream for viewers."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator
from typing import Final

from composer.errors import ChannelLost
from composer.media.mpegts.demuxer import CLOCK, Demuxer, Track, Unit
from composer.media.rates import TIME_BASE
from composer.session.egress import Cut, Egress
from composer.trickle.http import Http
from composer.trickle.subscriber import Subscriber

log: Final = logging.getLogger(__name__)

MOST_BYTES: Final = 24 << 20
"""Largest group that is kept for viewers; what is longer has a keyframe too rarely."""

STEP: Final = CLOCK // 30
"""From the last picture of a channel to the first one of the next."""


class Group:
    """The bytes from one keyframe to the next, and the units in them."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.size = 0
        self.over = False


class Relay:
    """Reads channels by Subscriber, one after another, and puts all of them into one stream.

    Its times go on over a change of channels, and so do its counters. Viewers that are slow leave
    out whole groups, and hold nobody up.
    """

    def __init__(self) -> None:
        self.bytes = 0
        """Bytes that came so far."""

        self._egress = Egress()
        self._group = Group()
        self._news = asyncio.Event()
        self._last: int | None = None
        self._shift = 0
        self._picture: list[Unit] = []
        self._held = 0

    async def follow(self, http: Http, url: str) -> None:
        """Take one channel until its end; nothing more of another is taken meanwhile."""
        demuxer, opened = Demuxer(), False
        channel = Subscriber(http, url, late=5.0, lost=5.0)
        with contextlib.suppress(ChannelLost):
            async for item in channel:
                if not isinstance(item, bytes):
                    continue
                self.bytes += len(item)
                for unit in demuxer.feed(item):
                    if not opened:
                        self._open(demuxer.tracks, unit)
                        opened = True
                    self._take(unit)

    async def run(self) -> None:
        """Gather for the viewers; endless."""
        while (item := await self._egress.read()) is not None:
            if isinstance(item, Cut) or self._group.size > MOST_BYTES:
                self._group.over = True
                self._group = Group()
            if isinstance(item, bytes):
                self._group.pieces.append(item)
                self._group.size += len(item)
            self._news.set()
            self._news = asyncio.Event()

    async def view(self) -> AsyncGenerator[bytes, None]:
        """The stream from the newest keyframe on; endless."""
        group, place = self._group, 0
        while True:
            news = self._news
            if place < len(group.pieces):
                piece = b"".join(group.pieces[place:])
                place = len(group.pieces)
                yield piece
            elif group.over:
                group, place = self._group, 0
            else:
                await news.wait()

    def picture(self) -> tuple[Unit, ...]:
        """The units of pictures from the newest keyframe to the newest picture."""
        return tuple(self._picture)

    def _open(self, tracks: tuple[Track, ...], first: Unit) -> None:
        """A channel begins: its times are put behind those of the one before."""
        dts = _dts(first)
        if self._last is not None and dts is not None:
            self._shift = self._last + STEP - dts
        named = {track.kind: track for track in tracks}
        video, audio = named.get("video"), named.get("audio")
        self._egress.open(
            video=video.codec if video is not None else "",
            audio=audio.codec if audio is not None else "",
            channels=(audio.channels if audio is not None else 0) or 2,
        )

    def _take(self, unit: Unit) -> None:
        kind, dts = unit.track.kind, _dts(unit)
        if kind == "video":
            self._keep(unit)
        if dts is not None:
            pts = dts if unit.pts is None else unit.pts
            self._last = dts + self._shift
            self._egress.packet(
                kind, unit.data, pts + self._shift, self._last, TIME_BASE, key=unit.key
            )

    def _keep(self, unit: Unit) -> None:
        if unit.key:
            self._picture, self._held = [], 0
        self._held += len(unit.data)
        if self._held <= MOST_BYTES:
            self._picture.append(unit)


def _dts(unit: Unit) -> int | None:
    return unit.pts if unit.dts is None else unit.dts
