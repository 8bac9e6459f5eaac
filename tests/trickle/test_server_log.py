"""What the servers log: not what peers send that is no request."""

import asyncio
import logging

import pytest
from aiohttp.http_exceptions import BadStatusLine

from composer.testing.orchestrator import Orchestrator
from composer.trickle.server_log import SERVER_LOG
from tests.server.streams import ran, serving

SECRET = "s3cr3t"

NONSENSE = [
    f"GET /x?token={SECRET} HTTP/9.9\r\nHost: x\r\n\r\n",
    f"GET /x HTTP/1.1\r\nHost: x\r\nno header: ?token={SECRET}\r\n\r\n",
    f"GET http://[::1?token={SECRET} HTTP/1.1\r\nHost: x\r\n\r\n",
    f"GET /x/0?token={SECRET} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
]


async def sent(address: str, request: str) -> bytes:
    """What a server answers to some bytes."""
    host, _, port = address.removeprefix("http://").partition("/")[0].rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(request.encode())
    answer = await reader.read()
    writer.close()
    return answer


def test_what_is_no_request_is_answered_and_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def test() -> None:
        async with serving() as stage, Orchestrator().serving() as there:
            for address in (stage.worker.address, there.url, there.trickle):
                for request in NONSENSE:
                    assert (await sent(address, request)).startswith(b"HTTP/1.")

    ran(test)
    assert SECRET not in caplog.text


def test_mistakes_of_ours_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    SERVER_LOG.error("it broke", exc_info=ValueError("why"))
    SERVER_LOG.error("no request", exc_info=BadStatusLine(f"GET {SECRET}"))
    assert "ValueError: why" in caplog.text
    assert SECRET not in caplog.text
