"""A server that lies, as a client meets it, in this process and in one of its own."""

import asyncio
import subprocess
import sys

import pytest

from composer.testing import scripts
from composer.testing.exchange import Exchange
from composer.testing.peer import Peer, script_of
from composer.trickle.client import Client
from composer.trickle.resolver import Resolver
from tests.server.streams import ran


async def read(address: str, path: str = "/in/3") -> tuple[int, dict[str, str], bytes]:
    """One GET with the client of the worker. Raises OSError."""
    client = Client(Resolver(), lambda: pytest.fail("nothing is encrypted here"))
    try:
        answer = await client.get(address + path)
        body = b""
        try:
            while data := await answer.read():
                body += data
        finally:
            answer.close()
        return answer.status, dict(answer.headers), body
    finally:
        client.close()


def test_a_script_answers_and_requests_are_counted() -> None:
    async def test() -> None:
        peer = Peer(get=scripts.serving([b"one", b"two", b"three", b"four"]))
        async with peer.serving() as address:
            status, headers, body = await read(address)
            assert (status, headers["Lp-Trickle-Seq"], body) == (200, "3", b"four")
            newest = await read(address, "/in/-1")
            assert newest[2] == b"two", "the second request is given the second segment"
            await peer.until(lambda: peer.asked["GET"] == 2)

    ran(test)


def test_a_script_of_ones_own_reads_what_is_sent() -> None:
    came: list[tuple[int, bytes]] = []

    async def keeping(exchange: Exchange) -> None:
        came.append((exchange.seq, await exchange.body()))
        await exchange.answer()

    async def test() -> None:
        async with Peer(post=keeping).serving() as address:
            port = int(address.rpartition(":")[2])
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for body in (
                b"Content-Length: 2\r\n\r\nab",
                b"Transfer-Encoding: chunked\r\n\r\n2\r\ncd\r\n0\r\n\r\n",
            ):
                writer.write(b"POST /out/7 HTTP/1.1\r\n" + body)
                assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
            writer.close()

    ran(test)
    assert came == [(7, b"ab"), (7, b"cd")]


WHOLE = {"no_content", "packed", "closed_with_text", "segments_that_jump", "the_same_segment"}
WHOLE |= {"numbers_beyond_measure", "numbers_that_are_none", "always_behind"}
WHOLE |= {"behind_without_a_number", "behind_a_number_that_is_none", "empty_segments"}
"""Lies that are HTTP all the same."""

CUT = {"cut_within", "reset_within", "reset_at_once", "long_header", "noise", "two_lengths"}
CUT |= {"negative_length", "other_protocol", "tiny_chunks", "interim_answers", "endless_head"}
"""Answers that are none, or that break off."""


@pytest.mark.parametrize("name", sorted(WHOLE))
def test_lies_that_can_be_read(name: str) -> None:
    async def test() -> None:
        async with Peer(get=scripts.SCRIPTS[name]).serving() as address:
            assert (await read(address))[0] in (200, 204, 470)

    ran(test)


@pytest.mark.parametrize("name", sorted(CUT))
def test_lies_that_no_client_takes(name: str) -> None:
    async def test() -> None:
        async with Peer(get=scripts.SCRIPTS[name]).serving() as address:
            with pytest.raises(OSError):  # noqa: PT011 - of several kinds
                await read(address)

    ran(test)


def test_every_script_says_what_it_does() -> None:
    assert [name for name, script in scripts.SCRIPTS.items() if not script.__doc__] == []
    assert set(scripts.READING) | set(scripts.FLOODS) >= WHOLE | CUT


def test_it_is_a_process_as_well() -> None:
    command = [sys.executable, "-m", "composer.testing.peer", "--get", "closed_with_text"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()

        async def test() -> None:
            assert (await read(address))[2] == b"no such entry"

        try:
            ran(test)
        finally:
            process.terminate()


def test_a_script_that_there_is_not_is_told() -> None:
    with pytest.raises(ValueError, match="there is no script 'nice'; there are absent, "):
        script_of("nice", b"")
    assert script_of("endless", b"data") is not None
