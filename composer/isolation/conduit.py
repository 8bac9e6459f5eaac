"""Conduit: pieces of media over a socket between two processes. Whoever sends waits for nobody."""

import asyncio
import logging
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable
from typing import Final

log: Final = logging.getLogger(__name__)

MARK: Final = b""
"""A piece of no bytes: some are missing here, or a segment ends."""

READ_BYTES: Final = 256 * 1024

LONGEST_PIECE: Final = 32 * 1024 * 1024
"""Beyond what any coded picture has; more is no piece of ours."""

_SIZE: Final = struct.Struct("<I")


class Garbled(ValueError):
    """What came is not what the other side of a conduit writes."""


class Pieces:
    """Finds the pieces in what is read of a conduit."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The pieces that are whole now. Raises Garbled."""
        self._data += data
        pieces, at = [], 0
        while len(self._data) >= at + _SIZE.size:
            (size,) = _SIZE.unpack_from(self._data, at)
            if size > LONGEST_PIECE:
                raise Garbled(f"a piece of {size} bytes")
            if len(self._data) < at + _SIZE.size + size:
                break
            at += _SIZE.size
            pieces.append(bytes(self._data[at : at + size]))
            at += size
        del self._data[:at]
        return pieces


class Conduit:
    """The end of a socket that pieces are sent into. What the other side does not take yet waits
    here; whoever sends bounds that. send(), offer() and waiting are for any thread, the rest is the
    loop's. Where nobody reads any more, pieces are dropped: that a process is gone is told
    elsewhere. cleared: called, on the loop, when nothing waits any more.
    """

    def __init__(self, sock: socket.socket, cleared: Callable[[], None] = lambda: None) -> None:
        sock.setblocking(False)  # noqa: FBT003 - it takes no name
        self._socket, self._loop = sock, asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._backlog: deque[bytes] = deque()
        self._rest = b""
        """Of a piece that has begun."""
        self._size = 0
        self._ends = self._closed = False
        self._clear, self._cleared = asyncio.Event(), cleared

    @property
    def waiting(self) -> int:
        """Bytes that the other side has not taken."""
        return self._size

    def offer(self, piece: bytes) -> bool:
        """Send a piece where nothing waits before it; False: it was left."""
        with self._lock:
            if self._size or self._ends:
                return False
            self._send(piece)
            return True

    def send(self, piece: bytes) -> None:
        """Send a piece behind what waits; nothing comes behind end()."""
        with self._lock:
            if self._ends:
                return
            if self._size:
                self._backlog.append(piece)
                self._size += _SIZE.size + len(piece)
            else:
                self._send(piece)

    def forget(self) -> int:
        """Drop the pieces that have not begun. Returns how many bytes of media that were."""
        with self._lock:
            dropped = sum(map(len, self._backlog))
            self._backlog.clear()
            self._size = len(self._rest)
        return dropped

    async def cleared(self) -> None:
        """Return when nothing waits, or when nobody reads any more."""
        while self._size and not self._closed:
            self._clear.clear()
            await self._clear.wait()

    def end(self) -> None:
        """Nothing more is sent: the other side reads what waits, and then the end."""
        with self._lock:
            self._ends = True
            if not self._size:
                self._shut()

    def close(self) -> None:
        """Let go of what waits. The socket is its owner's."""
        with self._lock:
            self._drop()
        self._loop.remove_writer(self._socket)
        self._clear.set()

    def _send(self, piece: bytes) -> None:
        """Under the lock, where nothing waits."""
        if self._closed:
            return
        head = _SIZE.pack(len(piece))
        try:
            count = self._socket.sendmsg([head, piece])
        except (BlockingIOError, InterruptedError):
            count = 0
        except OSError as exc:
            log.debug("a conduit broke: %s", exc)
            self._drop()
            return
        if count < len(head) + len(piece):
            self._rest = (head + piece)[count:]
            self._size = len(self._rest)
            self._call_soon()

    def _call_soon(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._await_room)
        except RuntimeError:
            log.debug("the loop of a conduit is closed")

    def _await_room(self) -> None:
        if self._size and not self._closed:
            self._loop.add_writer(self._socket, self._flush)

    def _flush(self) -> None:
        """There is room."""
        with self._lock:
            while self._size:
                if not self._rest:
                    piece = self._backlog.popleft()
                    self._rest = _SIZE.pack(len(piece)) + piece
                try:
                    count = self._socket.send(self._rest)
                except (BlockingIOError, InterruptedError):
                    return
                except OSError as exc:
                    log.debug("a conduit broke: %s", exc)
                    self._drop()
                    break
                self._rest = self._rest[count:]
                self._size -= count
            if self._ends and not self._closed:
                self._shut()
        self._loop.remove_writer(self._socket)
        self._clear.set()
        self._cleared()

    def _drop(self) -> None:
        self._closed = True
        self._backlog.clear()
        self._rest, self._size = b"", 0

    def _shut(self) -> None:
        self._closed = True
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError as exc:
            log.debug("a conduit had ended: %s", exc)
