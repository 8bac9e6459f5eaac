"""ProcessOutput: what a session's process has encoded, on its way to the network."""

import asyncio
import logging
import socket
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from composer.isolation.conduit import MARK, READ_BYTES, Garbled, Pieces
from composer.media.mpegts.written import Written
from composer.session.egress import CUT, Cut, EgressCount, Offer

log: Final = logging.getLogger(__name__)


class ProcessOutput:
    """Gives the output as the process sends it. While somebody waits for it, what comes is offered
    to the network at once. What nobody reads stays in the socket, and in the end in the process's
    own Egress, which bounds and drops.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.last_at = 0.0
        """When bytes came last; 0 for never."""
        self.shift = 0
        """As composer.session.egress.Egress.shift, as of the last account."""

        self._now, self._loop = now, asyncio.get_running_loop()
        self._socket: socket.socket | None = None
        self._pieces, self._waiting = Pieces(), deque[bytes]()
        self._ended = False
        self._reader: asyncio.Future[None] | None = None
        self._offer: Offer | None = None
        self._account, self._bytes = EgressCount(), 0
        self._written: Written | None = None

    def connect(self, sock: socket.socket) -> None:
        """There is a process now."""
        self._socket = sock
        if self._reader is not None:
            self._loop.add_reader(sock, self._receive)

    def disconnect(self) -> None:
        """Its socket is to be closed."""
        if self._socket is not None:
            self._loop.remove_reader(self._socket)
            self._socket = None
        self._end()

    def told(self, account: EgressCount, shift: int, written: Written | None) -> None:
        """What the process says of it."""
        self._account, self.shift, self._written = account, shift, written

    def written(self) -> Written | None:
        """As composer.session.egress.Egress.written(), as of the last account."""
        return self._written

    @property
    def counts(self) -> EgressCount:
        told = self._account
        return EgressCount(self._bytes, told.packets, told.segments, told.dropped)

    async def read(self, offer: Offer | None = None) -> bytes | Cut | None:
        """As composer.session.egress.Egress.read()."""
        while not self._waiting and not self._ended:
            reader = self._reader = self._loop.create_future()
            self._offer = offer
            if self._socket is not None:
                self._loop.add_reader(self._socket, self._receive)
            try:
                await reader
            finally:
                self._reader = self._offer = None
        if not self._waiting:
            return None
        piece = self._waiting.popleft()
        return CUT if piece == MARK else piece

    def end(self) -> None:
        """A process says itself that nothing more comes; without one nothing does."""
        if self._socket is None:
            self._end()

    def _receive(self) -> None:
        """Some bytes are there, or will never be."""
        assert self._socket is not None
        if self._reader is None:  # nobody waits for them
            self._loop.remove_reader(self._socket)
            return
        try:
            data = self._socket.recv(READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as exc:
            log.debug("the output of a process broke: %s", exc)
            data = b""
        if data:
            self._came(data)
        else:
            self.disconnect()

    def _came(self, data: bytes) -> None:
        self.last_at = self._now()
        try:
            pieces = self._pieces.feed(data)
        except Garbled as exc:
            log.warning("the output of its process ends: %s", exc)
            self.disconnect()
            return
        for piece in pieces:
            self._bytes += len(piece)
            if self._waiting or piece == MARK or not (self._offer and self._offer(piece)):
                self._waiting.append(piece)
        if self._waiting:
            self._wake()

    def _end(self) -> None:
        self._ended = True
        self._wake()

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)
