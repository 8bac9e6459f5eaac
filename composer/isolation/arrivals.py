"""Arrivals: the input of a session as its process gets it, for the thread that decodes."""

import socket
import threading
from collections.abc import Callable
from typing import Final

from composer.isolation.conduit import MARK, READ_BYTES, Pieces


class Arrivals:
    """A Source of composer.session.ingress. gap: called where bytes are missing. ended: called once
    when nothing more comes. Both are called in the thread that reads.
    """

    def __init__(
        self, sock: socket.socket, gap: Callable[[], None], ended: Callable[[], None]
    ) -> None:
        self.fileno: Final = sock.fileno()
        self.over = False
        """Whether nothing more comes."""

        self._socket, self._gap, self._ended = sock, gap, ended
        self._pieces, self._lock = Pieces(), threading.Lock()

    def pour(self, take: Callable[[bytes], None]) -> bool:
        """Give what one read brings; whether it brought anything. It waits for nothing but another
        thread that does the same.
        """
        with self._lock:
            if self.over:
                return False
            try:
                data = self._socket.recv(READ_BYTES)
            except (BlockingIOError, InterruptedError):
                return False
            except OSError:
                data = b""
            if not data:
                self.over = True
                self._ended()
                return False
            for piece in self._pieces.feed(data):
                if piece == MARK:
                    self._gap()
                else:
                    take(piece)
            return True
