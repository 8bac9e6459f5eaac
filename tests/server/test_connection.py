"""What is no HTTP."""

import asyncio
import json
import logging

import pytest

from composer.server.connection import PIECE, HttpConnection
from tests.server.streams import ran, serving
from tests.server.test_reception import sent

POST = b"POST /stream/start HTTP/1.1\r\nHost: worker\r\n"


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (b"\x16\x03\x01 hello\r\n\r\n", "Received HTTPS traffic on an HTTP port"),
        (b"nonsense\r\n\r\n", "Invalid method encountered"),
        (b"GET / HTTP/1.1\r\nHost: w\r\nX: \x00\r\n\r\n", "Invalid header value char"),
        (POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", "Duplicate Content-Length"),
        (
            POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "Transfer-Encoding can't be present with Content-Length",
        ),
        (
            POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n",
            "Invalid character in chunk size",
        ),
        (
            POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\nzz\r\n",
            "Invalid character in chunk size",
        ),
    ],
)
def test_it_is_refused_in_the_form_of_all_refusals_and_not_logged(
    request_: bytes, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        async with serving() as stage:
            host, port = stage.worker.address.removeprefix("http://").split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(request_)
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
            assert head.split()[1] == b"400"
            assert b"application/json" in head
            told = json.loads(body)
            assert told["status"] == "error"
            assert told["message"].startswith(f"the request cannot be read: {said}")
            assert "\n" not in told["message"]
            writer.close()
            assert (await stage.get("/health"))[0] == 200
            assert not any(stage.worker.reception.here.values())

    with caplog.at_level(logging.DEBUG, "composer"):
        ran(test)
    assert [record for record in caplog.records if "read" in record.getMessage()] == []


def test_little_is_taken_from_a_socket_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one-byte chunks there are ten thousand in it, and the loop has no turn between them."""
    sizes: list[int] = []
    received = HttpConnection.data_received

    def counted(connection: HttpConnection, data: bytes) -> None:
        sizes.append(len(data))
        received(connection, data)

    monkeypatch.setattr(HttpConnection, "data_received", counted)

    async def test() -> None:
        async with serving() as stage:
            status, _ = await sent(stage, "/stream/start", b" " * 4_000_000)
            assert status == 400

    ran(test)
    assert sum(sizes) > 4_000_000
    assert max(sizes) <= PIECE
