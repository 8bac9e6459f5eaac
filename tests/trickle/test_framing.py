"""Bodies of answers, held to what aiohttp makes of the same bytes."""

import asyncio
import random
from typing import Any

import pytest
from aiohttp import StreamReader
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpResponseParser

from composer.trickle.framing import (
    LONGEST_LINE,
    MOST_CHUNKS,
    MOST_TRAILERS,
    Chunked,
    Framing,
    Malformed,
)
from composer.trickle.framing import framing_of as of

CHUNKED = [
    b"5\r\nhello\r\n0\r\n\r\n",
    b"0\r\n\r\n",
    b"1\r\na\r\n2\r\nbc\r\n00A\r\n0123456789\r\n0\r\n\r\n",
    b"a;name=value\r\n0123456789\r\n0;last\r\n\r\n",
    b"3\r\n\r\n\r\r\n4\r\n\r\n\r\n\r\n0\r\n\r\n",
    b"2\r\nab\r\n0\r\nX-Trailer: yes\r\n\r\n",
    b"1000\r\n" + bytes(range(256)) * 16 + b"\r\n0\r\n\r\n",
]
BROKEN = [b"g\r\n", b"\r\n", b"-1\r\n", b"0x5\r\nhello\r\n", b"2\r\nabc\r\n", b" ;\r\n"]


def cut(data: bytes, seed: int) -> list[bytes]:
    """The same bytes in pieces."""
    chance, pieces, at = random.Random(seed), [], 0
    while at < len(data):
        size = chance.choice((1, 2, 3, 7, 100, 5000))
        pieces.append(data[at : at + size])
        at += size
    return pieces


def ours(data: bytes, seed: int) -> bytes:
    body = Chunked()
    return b"".join(body.feed(piece) for piece in cut(data, seed))


def theirs(data: bytes, seed: int) -> bytes:
    async def read() -> bytes:
        loop = asyncio.get_running_loop()
        parser: Any = HttpResponseParser(BaseProtocol(loop), loop, 1 << 16)
        messages, _, _ = parser.feed_data(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        content: StreamReader = messages[0][1]
        for piece in cut(data, seed):
            parser.feed_data(piece)
        return await content.read()

    return asyncio.run(read())


@pytest.mark.parametrize("data", CHUNKED, ids=range(len(CHUNKED)))
@pytest.mark.parametrize("seed", range(4))
def test_a_body_in_chunks_is_what_aiohttp_reads(data: bytes, seed: int) -> None:
    assert ours(data, seed) == theirs(data, seed)


@pytest.mark.parametrize("data", BROKEN)
def test_what_aiohttp_refuses_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        ours(data, 1)
    with pytest.raises(Exception, match=r"(?i)chunk|invalid|expected|bad"):
        theirs(data, 1)


def test_what_comes_behind_it_is_kept() -> None:
    for body, data in (
        (Chunked(), b"2\r\nab\r\n0\r\n\r\nHTTP/1.1"),
        (Framing(2), b"abHTTP/1.1"),
    ):
        assert body.feed(data) == b"ab"
        assert body.over
        assert body.rest == b"HTTP/1.1"


def test_lines_are_bounded() -> None:
    with pytest.raises(Malformed, match="too long"):
        ours(b"1" * (LONGEST_LINE + 1), 1)
    with pytest.raises(Malformed, match="trailers"):
        Chunked().feed(b"0\r\n" + b"X: y\r\n" * (MOST_TRAILERS + 1))


@pytest.mark.fault("F-13")
def test_a_read_that_is_all_chunks_is_no_body() -> None:
    assert len(Chunked().feed(b"1\r\na\r\n" * MOST_CHUNKS)) == MOST_CHUNKS
    with pytest.raises(Malformed, match="too small"):
        Chunked().feed(b"1\r\na\r\n" * (MOST_CHUNKS + 1))


def test_the_head_says_where_a_body_ends() -> None:
    assert isinstance(of(200, {"Transfer-Encoding": "Chunked"}), Chunked)
    assert of(204, {}).over
    assert of(200, {"Content-Length": "0"}).over
    assert of(200, {"Content-Length": "3"}).feed(b"abcd") == b"abc"
    endless = of(200, {})
    assert endless.feed(b"abc") == b"abc"
    assert (endless.over, endless.told) == (False, False)
    with pytest.raises(Malformed):
        of(200, {"Content-Length": "-3"})
