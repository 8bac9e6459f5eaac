"""Processes: those of isolated sessions, as the worker has them. A Zygote forks them."""

import asyncio
import itertools
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from composer import strictjson
from composer.errors import Stalled
from composer.isolation import zygote
from composer.isolation.blackbox import BlackBox
from composer.isolation.zygote import EXITED, FORK, FORKED, READY, RECORD, REFUSED, SIGNAL

log: Final = logging.getLogger(__name__)

IMPORTED: Final = ("av", "numpy", "PIL.Image", "composer.isolation.guest")
"""What every session needs, imported once for all. Libraries whose threads do not survive a fork
are imported by each process itself.
"""

READY_SECONDS: Final = 60.0
"""What the imports may take on a busy machine."""

FORK_SECONDS: Final = 5.0

LAST_SECONDS: Final = 0.5

PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


class SessionProcess:
    """One process. control, media: the worker's ends of its sockets. box: what is left of it."""

    def __init__(self, number: int, pool: "Processes") -> None:
        self.number: Final = number
        self.pid = 0
        self.control, self._control = _pair()
        self.media, self._media = _pair()
        self.box: Final = BlackBox()
        loop = asyncio.get_running_loop()
        self.forked: Final[asyncio.Future[None]] = loop.create_future()
        """Raises Stalled."""
        self.exited: Final[asyncio.Future[int]] = loop.create_future()
        """Its exit code, or the number of a signal below zero."""

        self._pool = pool

    @property
    def theirs(self) -> list[int]:
        """The open files that it is given."""
        return [self._control.fileno(), self._media.fileno(), self.box.fileno]

    def let_go(self) -> None:
        """It has its files: ours of them are closed."""
        self._control.close()
        self._media.close()

    def signal(self, number: int) -> None:
        """To it and all that it has begun. Harmless where it has ended."""
        if not self.exited.done():
            self._pool.tell(SIGNAL, self.number, number)

    def memory(self) -> int:
        """Bytes that it has in memory, 0 where it has ended; what it shares with others counts."""
        try:
            resident = Path(f"/proc/{self.pid}/statm").read_text().split()[1]
        except (OSError, IndexError):
            return 0
        return int(resident) * PAGE_BYTES

    def close(self) -> None:
        """Let go of its files."""
        self.let_go()
        self.control.close()
        self.media.close()
        self.box.close()


class Processes:
    """Begins processes, and hears of their ends. Used on one loop.

    modules: what they need beside what all do, imported before the first.
    """

    def __init__(self, modules: Iterable[str] = ()) -> None:
        self._modules = (*IMPORTED, *modules)
        self._zygote: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._ready: asyncio.Future[None] | None = None
        self._numbers = itertools.count(1)
        self._present: dict[int, SessionProcess] = {}
        self._heard = b""

    async def start(self) -> None:
        """Have everything imported, so that a process begins at once. Raises Stalled."""
        if self._ready is None:
            self._begin()
        assert self._ready is not None
        try:
            async with asyncio.timeout(READY_SECONDS):
                await asyncio.shield(self._ready)
        except TimeoutError:
            raise Stalled("the process that begins those of sessions is not ready") from None

    async def fork(self) -> SessionProcess:
        """A process that waits for its orders. Raises Stalled."""
        await self.start()
        try:
            process = SessionProcess(next(self._numbers), self)
        except OSError as exc:
            raise Stalled(f"no process can be begun: {exc.strerror}") from exc
        self._present[process.number] = process
        try:
            if not self.tell(FORK, process.number, 0, process.theirs):
                raise Stalled("no process can be begun")
            async with asyncio.timeout(FORK_SECONDS):
                await process.forked
        except BaseException as exc:
            self._present.pop(process.number, None)
            process.close()
            if isinstance(exc, TimeoutError):
                raise Stalled("no process could be begun in time") from None
            raise
        process.let_go()
        return process

    def tell(self, what: bytes, number: int, value: int, files: Iterable[int] = ()) -> bool:
        """Ask the zygote for something; False where it cannot be asked."""
        if self._socket is None:
            return False
        record = RECORD.pack(what, number, value)
        try:
            return socket.send_fds(self._socket, [record], list(files)) == len(record)
        except OSError as exc:
            log.debug("the zygote cannot be asked: %s", exc)
            return False

    def close(self) -> None:
        """End all of them."""
        self._lost()

    def _begin(self) -> None:
        here, there = _pair()
        wanted = strictjson.text({"path": sys.path, "modules": self._modules})
        self._zygote = subprocess.Popen(
            [sys.executable, "-P", zygote.__file__, str(there.fileno()), wanted],
            stdin=subprocess.DEVNULL,
            pass_fds=[there.fileno()],
            start_new_session=True,  # Ctrl-C is for the worker alone
        )
        there.close()
        self._socket, self._heard = here, b""
        loop = asyncio.get_running_loop()
        self._ready = loop.create_future()
        loop.add_reader(here, self._hear)

    def _hear(self) -> None:
        assert self._socket is not None
        try:
            data = self._socket.recv(RECORD.size * 64)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self._lost()
            return
        self._heard += data
        whole = len(self._heard) // RECORD.size * RECORD.size
        for what, number, value in RECORD.iter_unpack(self._heard[:whole]):
            self._hear_one(what, number, value)
        self._heard = self._heard[whole:]

    def _hear_one(self, what: bytes, number: int, value: int) -> None:
        if what == READY:
            if self._ready is not None and not self._ready.done():
                self._ready.set_result(None)
            return
        process = self._present.get(number)
        if process is None:  # nobody waits for it any more
            if what == FORKED:
                self.tell(SIGNAL, number, signal.SIGKILL)
        elif what == FORKED:
            process.pid = value
            process.forked.set_result(None)
        elif what == REFUSED:
            process.forked.set_exception(Stalled(f"no process can be begun: {os.strerror(value)}"))
        elif what == EXITED:
            del self._present[number]
            process.exited.set_result(value)

    def _lost(self) -> None:
        """The zygote has ended, or is to end; so do all that it became."""
        if self._socket is None:
            return
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        self._socket = None
        ready, self._ready = self._ready, None
        if ready is not None and not ready.done():
            ready.set_exception(Stalled("the process that begins those of sessions has ended"))
            ready.exception()
        present, self._present = list(self._present.values()), {}
        for process in present:
            if process.forked.done():
                process.exited.set_result(-signal.SIGKILL)
            else:
                process.forked.set_exception(Stalled("no process can be begun"))
        if self._zygote is not None:
            try:  # it ends what is left first
                self._zygote.wait(LAST_SECONDS)
            except subprocess.TimeoutExpired:
                self._zygote.kill()
                self._zygote.wait()
            self._zygote = None


def _pair() -> tuple[socket.socket, socket.socket]:
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    here.setblocking(False)  # noqa: FBT003 - it takes no name
    return here, there
