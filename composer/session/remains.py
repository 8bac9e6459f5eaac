"""Remains: what is left in its channels of a session whose process is gone."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from composer.errors import ChannelEnded, ChannelLost
from composer.media.mpegts.written import Written, written
from composer.session.session_record import SessionRecord
from composer.trickle import wire
from composer.trickle.channel_address import ChannelAddress
from composer.trickle.http import Http
from composer.trickle.publisher import next_number
from composer.trickle.reread import reread

log: Final = logging.getLogger(__name__)

ANSWER_SECONDS: Final = 5.0
"""How long the channels of a session may take to answer."""

AGAIN_SECONDS: Final = 0.25
"""Before one that could not be reached is asked again."""

READ_SECONDS: Final = 2.0
"""What reading the end of the output may take: pictures wait meanwhile."""


async def found(http: Http, record: SessionRecord) -> SessionRecord:
    """The record with what its channels say: where its input can be read from, and what is written
    of its output. Raises ChannelEnded where one of them has ended, and ChannelLost where one does
    not answer.
    """
    channels = record.channels
    asked = (channels.subscribe, channels.publish, channels.control, channels.data)
    answers = await asyncio.gather(
        *(_next_number(http, url) for url in asked), return_exceptions=True
    )
    numbers = _known(answers)
    return replace(
        record,
        next_input=_readable(record.next_input, numbers[0]),
        written=await _written(http, channels.publish, numbers[1]),
    )


def _known(answers: Sequence[int | BaseException]) -> list[int]:
    """Raises what one of them failed with, the end of a channel first."""
    failures = [answer for answer in answers if isinstance(answer, BaseException)]
    failures.sort(key=lambda failure: not isinstance(failure, ChannelEnded))
    if failures:
        raise failures[0]
    return [answer for answer in answers if isinstance(answer, int)]


async def _next_number(http: Http, url: str) -> int:
    """0 for no channel."""
    if not url:
        return 0
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            while True:
                try:
                    return await next_number(http, ChannelAddress.parse(url))
                except ChannelLost:
                    await asyncio.sleep(AGAIN_SECONDS)
    except TimeoutError:
        raise ChannelLost(f"channel {ChannelAddress.parse(url).name} does not answer") from None


def _readable(wanted: int | None, latest: int) -> int | None:
    """The segment to begin with: the one that was read last, else the oldest that is kept for a
    while yet; None for the newest, where nothing was read or the server has begun to count anew.
    """
    if wanted is None or wanted > latest:
        return None
    return wanted if wanted > latest - wire.WINDOW else max(0, latest - wire.WINDOW + 2)


async def _written(http: Http, url: str, latest: int) -> Written | None:
    """What the newest segment says that holds anything, None where none can be read."""
    channel = ChannelAddress.parse(url)
    try:
        async with asyncio.timeout(READ_SECONDS):
            for seq in range(latest - 1, max(latest - wire.WINDOW, -1), -1):
                segment = await reread(http, channel, seq)
                if (what := written(segment)) is not None:
                    return what
    except (ChannelLost, TimeoutError) as exc:
        log.warning(
            "what is written of the output is not known: %s", str(exc) or "it takes too long"
        )
    return None
