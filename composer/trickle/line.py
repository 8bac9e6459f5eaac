"""Line: the connection below a request that is being written, for any thread while it is free."""

import asyncio
import logging
import socket
import threading
from collections.abc import Callable
from typing import Final

log: Final = logging.getLogger(__name__)


class Line:
    """Takes pieces of a chunked body (RFC 9112, 7.1) that the network takes at once.

    It is open between open() and close_up(), unless something of before still waits: what comes
    then waits in order, with its owner. All but send() are the loop's. wake: called on the loop
    when a part of a piece is left over, which close_up() hands to the transport.
    """

    def __init__(self, transport: asyncio.WriteTransport, wake: Callable[[], None]) -> None:
        self.used = False
        """Whether it took anything."""
        self.rest = b""
        """What the network did not take of a piece yet."""

        self._transport, self._wake = transport, wake
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._is_open = False
        self._socket = _own_socket(transport)

    def open(self) -> None:
        """Nothing waits before what comes now, as far as its owner knows."""
        with self._lock:
            self._is_open = self._is_clear()

    def write(self, data: bytes) -> bool:
        """Whether a piece went out. On the loop; what the network leaves is the transport's."""
        with self._lock:
            if not self._is_open:
                return False
            if not data:  # as a chunk it would be the last one
                return True
            self.used = True
            self._transport.write(_chunk(data))
            self._is_open = self._is_clear()
            return True

    def send(self, data: bytes) -> bool:
        """Whether a piece went out, from any thread: it costs the loop no wake-up."""
        with self._lock:
            if not self._is_open or self._socket is None:
                return False
            if not data:
                return True
            chunk = _chunk(data)
            try:
                count = self._socket.send(chunk)
            except OSError:  # nobody takes it, or nobody takes it now: the loop finds out which
                count = 0
            self.used = self.used or count > 0
            if 0 < count < len(chunk):
                self.rest = chunk[count:]
                self._wake_loop()
            self._is_open = count == len(chunk)
            return count > 0

    def close_up(self) -> None:
        """What comes from now on waits with its owner."""
        with self._lock:
            self._is_open = False
            if self.rest:
                self._transport.write(self.rest)
                self.rest = b""

    def close(self) -> None:
        """It takes nothing any more."""
        with self._lock:
            self._is_open = False
            if self._socket is not None:
                self._socket.close()
                self._socket = None

    def _is_clear(self) -> bool:
        transport = self._transport
        waits = self.rest or transport.get_write_buffer_size()
        return not waits and not transport.is_closing()

    def _wake_loop(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._wake)
        except RuntimeError:
            log.debug("the loop of a line is closed")


def _own_socket(transport: asyncio.WriteTransport) -> socket.socket | None:
    """A handle of our own, which stays the same connection when the transport closes its; None
    where bytes go through TLS, whose state is the loop's.
    """
    if transport.get_extra_info("sslcontext") is not None:
        return None
    shared = transport.get_extra_info("socket")
    return None if shared is None else shared.dup()


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)
