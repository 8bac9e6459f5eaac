"""A few seconds of a channel, as somebody gets them who joins now."""

import asyncio
import contextlib
from dataclasses import dataclass
from typing import BinaryIO, Final

import aiohttp

from composer.errors import ChannelEnded
from composer.trickle import wire
from composer.trickle.channel_address import ChannelAddress
from composer.trickle.subscriber import Ended, Opened, Subscriber

ANSWER_SECONDS: Final = 10.0
"""How long a server may take to say whether something is a channel."""

PATIENCE_SECONDS: Final = 10.0
"""How long the first byte may take."""

_NO_CHANNEL: Final = "Stream not found"
"""What a trickle server says of a channel that it does not have (contract 4.2)."""

_TABLES: Final = 8 * 188
"""Bytes of a segment within which its tables should begin."""


@dataclass
class Excerpt:
    """What came. gaps: places where segments are missing. torn: segments that were broken off; the
    last one is cut by us. bare: segments of MPEG-TS without a programme table at their beginning.
    ended: whether the channel ended meanwhile.
    """

    bytes: int = 0
    segments: int = 0
    gaps: int = 0
    torn: int = 0
    bare: int = 0
    ended: bool = False


async def is_channel(http: aiohttp.ClientSession, url: str) -> bool:
    """Whether a trickle server has a channel there: it answers /next with the number of a segment.

    False, too, where nobody answers. Raises ChannelEnded where there is such a server, and no such
    channel.
    """
    address = ChannelAddress.parse(url)
    try:
        async with (
            asyncio.timeout(ANSWER_SECONDS),
            http.get(address.at("next"), allow_redirects=False) as response,
        ):
            if response.status == 404 and (await response.text())[:80].strip() == _NO_CHANNEL:
                raise ChannelEnded(f"there is no channel {address.name}")
            return wire.LATEST in response.headers or wire.CLOSED in response.headers
    except (aiohttp.ClientError, OSError, ValueError):
        return False


async def take(
    http: aiohttp.ClientSession, url: str, into: BinaryIO, *, seconds: float, most: int
) -> Excerpt:
    """Write `seconds` of a channel into a file, from the segment on that is being written now.

    They count from the first byte. It ends sooner with the channel, and after `most` bytes. Raises
    ChannelLost when its server cannot be reached or understood any more.
    """
    excerpt, head = Excerpt(), b""
    items = Subscriber(http, url, lost=PATIENCE_SECONDS).__aiter__()
    try:
        async with asyncio.timeout(PATIENCE_SECONDS) as patience, contextlib.aclosing(items):
            async for item in items:
                if isinstance(item, Opened):
                    excerpt.segments += 1
                    excerpt.gaps += item.gap
                    head = b""
                elif isinstance(item, Ended):
                    excerpt.torn += not item.whole
                    excerpt.bare += _is_bare(head)
                    head = b""
                else:
                    if not excerpt.bytes:
                        patience.reschedule(asyncio.get_running_loop().time() + seconds)
                    head += item[: max(0, _TABLES - len(head))]
                    excerpt.bytes += len(item)
                    into.write(item)
                    if excerpt.bytes >= most:
                        return excerpt
    except TimeoutError:
        excerpt.bare += _is_bare(head)
        return excerpt
    excerpt.ended = True
    return excerpt


def _is_bare(head: bytes) -> bool:
    """head: how a segment begins."""
    packets = [head[at : at + 188] for at in range(0, len(head) - 187, 188)]
    if not packets or any(packet[0] != 0x47 for packet in packets):
        return False
    return not any(packet[1] & 0x1F == 0 and packet[2] == 0 for packet in packets)
