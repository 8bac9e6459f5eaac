"""What somebody else has written to a channel, read back from its window."""

from typing import Final

import aiohttp

from composer.errors import ChannelLost
from composer.trickle.channel_address import ChannelAddress

LONGEST: Final = 16 << 20
"""Bytes of a segment; a longer one cannot be read back."""


async def reread(http: aiohttp.ClientSession, channel: ChannelAddress, seq: int) -> bytes:
    """What was written of one segment, b"" where it is not kept. Whoever wrote it is gone and has
    perhaps left it open: it is closed, since its readers would wait. Raises ChannelLost.
    """
    try:
        async with http.delete(channel.at(seq), allow_redirects=False):
            pass
        async with http.get(channel.at(seq), allow_redirects=False) as response:
            if response.status != 200:
                return b""
            data = bytearray()
            async for piece in response.content.iter_chunked(1 << 16):
                data += piece
                if len(data) > LONGEST:
                    raise ChannelLost(f"segment {seq} has more than {LONGEST} bytes")
            return bytes(data)
    except (aiohttp.ClientError, OSError) as exc:
        raise ChannelLost(f"segment {seq} cannot be read: {type(exc).__name__}") from exc
