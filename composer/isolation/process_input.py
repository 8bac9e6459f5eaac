"""ProcessInput: the input of a session on its way to the process that decodes it."""

import asyncio
import socket
import time
from collections.abc import Callable
from typing import Final

from composer.isolation.conduit import MARK, Conduit
from composer.isolation.messages import InputAccount
from composer.session.budget import InputBudget
from composer.session.ingress import HEAD_BYTES, MOST_BYTES, IngressCount, Source
from composer.weakly import weakly

SILENT_SECONDS: Final = 2.0
"""A process that has said nothing for so long is held up, whatever it said before."""

HELD_BYTES: Final = 1024 * 1024
"""That wait for a process before more is read: some seconds of an input."""


class ProcessInput:
    """Hands the bytes of an input on as they come; the process takes them apart. While it takes
    none, they stay where they are, and their sender waits. Where it does not even say how it is,
    they are read all the same, so that it is seen that some come; what waits too long for it is
    dropped, as in an Ingress that nobody iterates.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic, most: int = MOST_BYTES) -> None:
        self.last_at = 0.0
        """When bytes came last; 0 for never."""
        self.head = b""
        """The first bytes that came."""

        self._now, self._most, self._budget = now, most, InputBudget(now)
        self._loop = asyncio.get_running_loop()
        self._conduit: Conduit | None = None
        self._source: Source | None = None
        self._account, self._told_at = InputAccount(), now()
        self._bytes = self._gaps = self._unread = 0

    def connect(self, sock: socket.socket) -> Conduit:
        """There is a process now; gives what carries the input to it."""
        self._conduit = Conduit(sock, weakly(self._go_on, None))
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
    def tracks(self) -> list[tuple[str, str]]:
        return self._account.tracks

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
        if len(self.head) < HEAD_BYTES:
            self.head += data[: HEAD_BYTES - len(self.head)]
        if self._conduit is None:
            return
        self._conduit.send(data)
        if self._conduit.waiting > self._most:
            self._unread += self._conduit.forget()
            self._conduit.send(MARK)
