"""Two ends of a socket: the worker's, and that of a process."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The worker's end, and that of a process, which a loop may wait for."""
    here, there = socket.socketpair()
    there.setblocking(False)  # noqa: FBT003 - it takes no name
    with here, there:
        yield here, there
