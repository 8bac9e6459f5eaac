"""The ends of a session's process as the worker has them: media, coded as it came, and data."""

import asyncio
import logging
import socket
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Final

from composer.isolation.conduit import MARK, READ_BYTES, Conduit, Garbled, Pieces
from composer.isolation.messages import InputAccount
from composer.session.budget import InputBudget
from composer.session.data_lines import LINES, LONGEST, DataLines
from composer.session.egress import CUT, Cut, EgressCount, Offer
from composer.session.ingress import MOST_BYTES, IngressCount, Source

log: Final = logging.getLogger(__name__)

SILENT_SECONDS: Final = 2.0
"""A process that has said nothing for so long is held up, whatever it said before."""

HELD_BYTES: Final = 1024 * 1024
"""Of the input, that wait for a process before more is read: some seconds of it."""

SEGMENT_BYTES: Final = LINES * LONGEST
"""What one segment of data holds at the most."""


class ProcessInput:
    """Hands the bytes of an input on as they come; the process takes them apart. While it takes
    none, they stay where they are, and their sender waits. Where it does not even say how it is,
    they are read all the same, so that it is seen that some come; what waits too long for it is
    dropped, as in an Ingress that nobody iterates.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic, most: int = MOST_BYTES) -> None:
        self.last_at = 0.0
        """When bytes came last; 0 for never."""

        self._now, self._most, self._budget = now, most, InputBudget(now)
        self._loop = asyncio.get_running_loop()
        self._conduit: Conduit | None = None
        self._source: Source | None = None
        self._account, self._told_at = InputAccount(), now()
        self._bytes = self._gaps = self._unread = 0

    def connect(self, sock: socket.socket) -> Conduit:
        """There is a process now; gives what carries the input to it."""
        self._conduit = Conduit(sock, self._go_on)
        return self._conduit

    def told(self, account: InputAccount) -> None:
        """What the process says of it."""
        self._account, self._told_at = account, self._now()

    # as its session sees it

    @property
    def counts(self) -> IngressCount:
        told = self._account
        unread = told.unread + self._unread
        return IngressCount(self._bytes, told.units, told.dropped, self._gaps, unread)

    @property
    def given_at(self) -> float:
        return self._account.given_at

    @property
    def waiting(self) -> int:
        """Units that wait in the process, and whether bytes wait for it."""
        return self._account.waiting + bool(self._backlog)

    @property
    def unreadable(self) -> list[str]:
        return self._account.unreadable

    @property
    def parsed(self) -> bool:
        return self._account.parsed

    @property
    def overdrawn(self) -> bool:
        """Whether it costs too much to read, here, or to take apart, there."""
        return self._account.overdrawn or self._budget.overdrawn

    def fed_at(self, kind: str) -> float:
        """When the newest unit of "video" or "audio" came; 0 for never. What comes for a process
        that is held up is taken for such a unit.
        """
        if self._silent:
            return self.last_at
        return self._account.video_at if kind == "video" else self._account.audio_at

    def attach(self, source: Source) -> None:
        self._source = source
        self._go_on()
        self._pour()  # what came behind its head is in no socket

    def detach(self) -> None:
        if self._source is not None:
            self._loop.remove_reader(self._source.fileno)
            self._source = None

    def tend(self) -> None:
        """Look whether it has fallen silent: it is read for itself else."""
        self._go_on()

    def gap(self) -> None:
        self._gaps += 1
        if self._conduit is not None:
            self._conduit.send(MARK)

    def end(self) -> None:
        """Nothing more comes."""
        if self._conduit is not None:
            self._conduit.end()

    @property
    def _backlog(self) -> int:
        return 0 if self._conduit is None else self._conduit.waiting

    @property
    def _silent(self) -> bool:
        return self._now() - self._told_at > SILENT_SECONDS

    @property
    def _held(self) -> bool:
        """Whether what comes has to wait: for the process, or for what it has cost."""
        full = self._backlog > HELD_BYTES and not self._silent
        return full or self._budget.rest() > 0

    def _go_on(self) -> None:
        """Read what comes, if it may be read now."""
        if self._source is not None and not self._source.over and not self._held:
            self._loop.add_reader(self._source.fileno, self._pour)

    def _pour(self) -> None:
        """Some bytes are there: one read, and then it is the turn of others."""
        source, budget = self._source, self._budget
        if source is None:
            return
        budget.begin()
        source.pour(self._take)
        budget.end()
        if (rest := budget.rest()) > 0:
            self._loop.call_later(rest, self._go_on)
        else:
            budget.idle()
        if source.over or self._held:
            self._loop.remove_reader(source.fileno)

    def _take(self, data: bytes) -> None:
        self.last_at = self._now()
        self._bytes += len(data)
        if self._conduit is None:
            return
        self._conduit.send(data)
        if self._conduit.waiting > self._most:
            self._unread += self._conduit.forget()
            self._conduit.send(MARK)


class ProcessOutput:
    """Gives the output as the process sends it. While somebody waits for it, what comes is offered
    to the network at once. What nobody reads stays in the socket, and in the end in the process's
    own Egress, which bounds and drops.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.last_at = 0.0
        """When bytes came last; 0 for never."""

        self._now, self._loop = now, asyncio.get_running_loop()
        self._socket: socket.socket | None = None
        self._pieces, self._waiting = Pieces(), deque[bytes]()
        self._ended = False
        self._reader: asyncio.Future[None] | None = None
        self._offer: Offer | None = None
        self._account, self._bytes = EgressCount(), 0

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

    def told(self, account: EgressCount) -> None:
        """What the process says of it."""
        self._account = account

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


class ProcessData:
    """Data that the process has sent; it sends more while what waits here fits one segment.

    wake: called when some came. room: called when there is room for more.
    """

    def __init__(self, wake: Callable[[], None], room: Callable[[], None]) -> None:
        self._lines, self._room = DataLines(wake), room
        self._size, self._owed = 0, False
        self._told: Counter[str] = Counter()

    def told(self, dropped: Counter[str]) -> None:
        """What the process says that it dropped."""
        self._told = dropped

    @property
    def dropped(self) -> Counter[str]:
        return self._told + self._lines.dropped

    @property
    def waiting(self) -> int:
        return self._lines.waiting

    def came(self, lines: str) -> None:
        """Whole lines, each an array of JSON; they are gathered anew with those that wait."""
        for line in lines.split("\n"):
            if line:
                self._lines.put(line.removeprefix("[").removesuffix("]"))
        self._size += len(lines)
        self._owed = True
        self._give_room()

    def take(self) -> bytes:
        """The body of the next segment."""
        body = self._lines.take()
        self._size = max(0, self._size - len(body)) if self._lines.waiting else 0
        self._give_room()
        return body

    def _give_room(self) -> None:
        if self._owed and self._size < SEGMENT_BYTES:
            self._owed = False
            self._room()
