"""What two processes say to each other."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from composer.server.link import LinkBroken, PeerLink, PeerMessage, Topic
from composer.session.channels import Channels
from composer.session.session_record import SessionRecord
from tests.server.streams import ran


@asynccontextmanager
async def linked() -> AsyncIterator[tuple[PeerLink, PeerLink, asyncio.StreamWriter]]:
    one, other = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=other)
    ends = await PeerLink.over(one), PeerLink(reader, writer)
    try:
        yield *ends, writer
    finally:
        for end in ends:
            end.close()


def test_a_session_of_any_size_arrives_as_it_is() -> None:
    record = SessionRecord("cap", "x\n\u00e9", Channels("c"), params={"logo": "\n" * (1 << 20)})

    async def test() -> None:
        one, other = socket.socketpair()
        here, there = await PeerLink.over(one), await PeerLink.over(other)
        async with asyncio.TaskGroup() as group:
            group.create_task(here.send(PeerMessage.about(Topic.COMING, record)))
            message = await there.receive()
        assert (message.topic, message.key, message.session) == (Topic.COMING, record.key, record)
        here.close()
        with pytest.raises(LinkBroken, match="the other process is gone"):
            await there.receive()
        there.close()

    ran(test)


@pytest.mark.parametrize("line", [b"\n", b"{}\n", b'{"topic": "strange"}\n', b"\xff\n"])
def test_what_is_not_understood_ends_it(line: bytes) -> None:
    async def test() -> None:
        async with linked() as (here, _, writer):
            writer.write(line)
            with pytest.raises(LinkBroken, match="is not understood"):
                await here.receive()

    ran(test)


def test_a_session_that_cannot_be_read_ends_it() -> None:
    with pytest.raises(LinkBroken, match="handed over is no record of a session"):
        _ = PeerMessage(Topic.LEFT, "x", "{}").session
