"""What somebody else has written is read back, though it was left open."""

import asyncio

import pytest

from composer.errors import ChannelLost
from composer.trickle import reread as module
from composer.trickle.channel_address import ChannelAddress
from composer.trickle.http import open_http
from composer.trickle.reread import reread
from composer.trickle.server import TrickleServer
from tests.server.streams import ran
from tests.session.test_remains import left_open, wrote


def test_a_segment_that_was_left_open_is_closed_and_read() -> None:
    async def test() -> None:
        async with TrickleServer().serving() as base, open_http() as http:
            url = f"{base}/ch"
            await wrote(http, url, b"whole", b"")
            await left_open(http, url, 2, b"half")
            reading = asyncio.ensure_future(http.get(f"{url}/2"))
            found = [await reread(http, ChannelAddress.parse(url), seq) for seq in (0, 1, 2, 9)]
            assert found == [b"whole", b"", b"half", b""]
            async with await reading as answer:  # who read it already goes on, too
                assert await answer.read() == b"half"

    ran(test)


def test_what_is_too_long_or_cannot_be_reached_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        async with open_http() as http:
            async with TrickleServer().serving() as base:
                await wrote(http, f"{base}/ch", b"x" * 100)
                monkeypatch.setattr(module, "LONGEST", 99)
                channel = ChannelAddress.parse(f"{base}/ch?key=secret")
                with pytest.raises(ChannelLost, match="segment 0 has more than 99 bytes"):
                    await reread(http, channel, 0)
            with pytest.raises(ChannelLost, match="segment 0 cannot be read: Client") as caught:
                await reread(http, channel, 0)
            assert "secret" not in str(caught.value)

    ran(test)
