"""What is opened has a time in which it must say something."""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from composer.errors import MediaError
from composer.media.reader import Reader
from tests.media import transport

ROOT = Path(__file__).parent.parent.parent

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\nContent-Length: 1000000000\r\n\r\n"


@contextmanager
def silent_after(said: bytes) -> Iterator[str]:
    """A server that says this much to whoever asks, and then nothing."""
    held: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                here, _ = listening.accept()
            except OSError:  # it was closed
                return
            here.recv(65536)
            here.sendall(said)
            held.append(here)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/a.ts"
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in held:
                connection.close()


@pytest.mark.parametrize("said", [b"", HEAD, HEAD + bytes(1000)], ids=["nothing", "head", "some"])
def test_an_address_that_says_nothing_is_given_up_while_it_is_opened(said: bytes) -> None:
    with silent_after(said) as address, pytest.raises(MediaError, match="says nothing"):
        Reader(address, layout="yuv420p", silence=0.1)


def test_an_address_that_falls_silent_is_given_up_while_it_is_read() -> None:
    with silent_after(HEAD + transport.stream()) as address:
        reader = Reader(address, layout="yuv420p", silence=0.1)
        given: list[object] = []
        with pytest.raises(MediaError, match="says nothing"):
            given.extend(reader.read())
        reader.close()
    assert len(given) > 10


def test_media_is_opened_in_one_place() -> None:
    """Elsewhere FFmpeg would have no time to keep to."""
    places = {
        path.name
        for folder in ("composer", "nodes")
        for path in (ROOT / folder).rglob("*.py")
        if re.search(r"\bav\.open\(\w", path.read_text(encoding="utf-8"))
    }
    assert places == {"containers.py"}
