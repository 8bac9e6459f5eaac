"""The question that an image asks of its worker."""

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from composer import health
from tests.server.streams import ran, serving

FILE = Path(health.__file__)


def asked(*words: str, **environment: str) -> tuple[int, str, str]:
    """Exit code, what it printed, and what Python imported for it."""
    done = subprocess.run(
        [sys.executable, "-I", "-X", "importtime", FILE, *words],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    lines = done.stderr.splitlines()
    said = [line for line in lines if not line.startswith("import time:")]
    return done.returncode, "\n".join(said), "\n".join(lines)


def test_a_worker_that_is_well() -> None:
    async def test() -> None:
        async with serving() as stage:
            port = stage.worker.address.rsplit(":", 1)[1]
            code, said, loaded = await asyncio.to_thread(asked, BYOC_PORT=port, BYOC_HOST="0.0.0.0")
            assert (code, said) == (0, "")
            assert not [name for name in ("pydantic", "typer", "composer") if name in loaded]

    ran(test)


def test_a_worker_that_is_not_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    code, said, _ = asked(f"http://127.0.0.1:{port}")
    assert (code, said.startswith(f"http://127.0.0.1:{port} does not answer: ")) == (1, True)
    assert len(said.splitlines()) == 1


def test_a_loop_that_hangs_does_not_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as hung:
        said = health.why_not(f"http://127.0.0.1:{hung.getsockname()[1]}", 0.1)
        assert said.endswith("does not answer: timed out")


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (503, b'{"why": "session a hangs"}', "session a hangs"),
        (404, b"x", " answers 404"),
        (503, b"[]", " answers 503"),
    ],
)
def test_what_a_worker_says_of_itself(status: int, body: bytes, said: str) -> None:
    answer = f"HTTP/1.1 {status} So\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    with socket.create_server(("127.0.0.1", 0)) as server:

        async def test() -> None:
            asking = asyncio.to_thread(
                health.why_not, f"http://127.0.0.1:{server.getsockname()[1]}"
            )
            async with asyncio.TaskGroup() as group:
                task = group.create_task(asking)
                connection, _ = await asyncio.to_thread(server.accept)
                with connection:
                    connection.recv(4096)
                    connection.sendall(answer)
            assert task.result().endswith(said)

        ran(test)


@pytest.mark.parametrize(
    ("host", "port", "at"),
    [
        ("", "", "http://127.0.0.1:8000"),
        ("0.0.0.0", "9000", "http://127.0.0.1:9000"),
        ("10.0.0.7", "9000", "http://10.0.0.7:9000"),
        ("::1", "9000", "http://[::1]:9000"),
    ],
)
def test_it_asks_where_the_settings_say(
    monkeypatch: pytest.MonkeyPatch, host: str, port: str, at: str
) -> None:
    monkeypatch.setenv("BYOC_HOST", host)
    monkeypatch.setenv("BYOC_PORT", port)
    assert health.address() == at
