"""Parser: reads the JSON of others, what is long in a process of its own.

json keeps Python's lock for all of a text, so that a thread would hold up every stream, too. The
process is begun with the first long text, reads one after another, and comes to its end with this
one. It has a socket, and neither ports, channels nor secrets.
"""

import asyncio
import logging
import marshal
import mmap
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar

from composer import parsing
from composer.errors import Overdue, ParserLost
from composer.limits import WireLimits
from composer.parsing import ParsedJson, TooMuch, UnreadableJson
from composer.room import Room
from composer.spool import Spool, SpoolFailed

log: Final = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

_CLOSED: Final = "no more JSON is read, since the worker comes to its end"

_ENVIRONMENT: Final = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
"""What Python may need to find its own library."""


class Parser:
    """Reads texts for one loop. close() it at the end; until a long text comes it has nothing."""

    def __init__(self, limits: WireLimits = WireLimits()) -> None:  # noqa: B008 - it is frozen
        self.limits = limits
        self.room = Room(limits.waiting)
        """For what waits to be read."""
        self.read_count: Counter[str] = Counter()
        """Texts that were read, `here` and `apart`."""
        self.refused: Counter[str] = Counter()
        """Texts that were not, by reason: `unreadable`, `too_much`, `turn` and `lost`."""
        self.begun = self.ended = 0
        """How often the process was begun, and ended because it broke or took too long."""
        self.waiting = 0
        """Long texts that are being read, or wait for their turn."""

        self._turn, self._closed = asyncio.Lock(), False
        self._beginning = threading.Lock()
        self._thread = ThreadPoolExecutor(1, "json")
        self._process: _Process | None = None

    async def read(self, text: Spool) -> ParsedJson:
        """What it says. Raises UnreadableJson and TooMuch where it is wrong; Overdue where its turn
        does not come, and ParserLost.
        """
        if self._is_short(text):
            return self._here(parsing.parsed, text.bytes(), self.limits.values)
        return ParsedJson(*await self._apart(text, ""))

    async def open(self, text: Spool, name: str) -> tuple[dict[str, Any], bytes]:
        """An object without its member `name`, and the bytes that this holds in base64. Raises the
        same.
        """
        if self._is_short(text):
            return self._here(parsing.opened, text.bytes(), name, self.limits.values)
        value, data = await self._apart(text, name)
        return value, data

    def close(self) -> None:
        """End the process. Texts that are being read, or wait, are lost."""
        self._thread.shutdown(wait=False)
        with self._beginning:
            self._closed = True
            if self._process is not None:
                self._process.end()

    def _is_short(self, text: Spool) -> bool:
        """Whether the work to read it is bounded well enough to be done here."""
        if text.size > self.limits.at_once:
            return False
        return parsing.may_hold(text.bytes(), self.limits.values)

    def _here(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            found = work(*args, **kwargs)
        except UnreadableJson as exc:
            raise self._refused(exc) from None
        self.read_count["here"] += 1
        return found

    async def _apart(self, text: Spool, name: str) -> Any:
        self.waiting += 1
        try:
            await self._turn_came()
            # A caller who leaves does not end it: the next one waits until the process is free.
            found = await asyncio.shield(self._asking(text, name))
        except (UnreadableJson, Overdue, ParserLost) as exc:
            raise self._refused(exc) from None
        finally:
            self.waiting -= 1
        self.read_count["apart"] += 1
        return found

    def _asking(self, text: Spool, name: str) -> "asyncio.Future[Any]":
        """Done when the process has answered; it is the turn of the next one then. Raises
        ParserLost.
        """
        try:
            if self._closed:
                raise ParserLost(_CLOSED)
            file = text.file()  # the text may be gone before the answer comes
        except ParserLost:
            self._turn.release()
            raise
        except SpoolFailed as exc:
            self._turn.release()
            raise ParserLost(f"there is no file to read JSON from: {exc}") from exc
        work = asyncio.wrap_future(self._thread.submit(self._asked, file, text.size, name))
        work.add_done_callback(self._done)
        return work

    async def _turn_came(self) -> None:
        """Raises Overdue."""
        try:
            async with asyncio.timeout(self.limits.parse_s):
                await self._turn.acquire()
        except TimeoutError:
            seconds = self.limits.parse_s
            raise Overdue(f"other JSON is read, and has not left a turn in {seconds:g} s") from None

    def _done(self, work: "asyncio.Future[Any]") -> None:
        self._turn.release()
        if not work.cancelled():
            work.exception()  # told already, or to nobody

    def _refused(self, exc: Exception) -> Exception:
        """The same, counted."""
        reasons = {TooMuch: "too_much", Overdue: "turn", ParserLost: "lost"}
        self.refused[reasons.get(type(exc), "unreadable")] += 1
        return exc

    # on its thread

    def _asked(self, file: int, size: int, name: str) -> Any:
        """What the process answers to a text in a file, which is closed then. Raises
        UnreadableJson, TooMuch and ParserLost.
        """
        try:
            outcome, found = self._answered(file, size, name)
        finally:
            os.close(file)
        if outcome == parsing.UNREADABLE:
            raise UnreadableJson(found)
        if outcome == parsing.TOO_MUCH:
            raise TooMuch(found)
        if outcome == parsing.BROKEN:
            log.error("the process that reads JSON made a mistake: %s", found)
            raise ParserLost("the process that reads JSON made a mistake")
        return found

    def _answered(self, file: int, size: int, name: str) -> tuple[int, Any]:
        with self._beginning:
            if self._closed:
                raise ParserLost(_CLOSED)
            if self._process is None:
                self._process = self._begun()
        try:
            return self._process.ask(file, size, self.limits.values, name)
        except BlockingIOError:
            self._lost("it takes too long")
            seconds = self.limits.parse_s
            raise TooMuch(f"takes more than {seconds:g} s to read") from None
        except (OSError, EOFError) as exc:
            said = f"the process that reads JSON has ended ({self._lost(type(exc).__name__)})"
            raise ParserLost(said) from None

    def _begun(self) -> "_Process":
        try:
            process = _Process(self.limits)
        except (OSError, subprocess.SubprocessError) as exc:
            raise ParserLost(f"no process that reads JSON can be begun: {exc}") from exc
        self.begun += 1
        return process

    def _lost(self, why: str) -> str:
        """End the process, to be begun anew; says how it ended."""
        process, self._process = self._process, None
        assert process is not None
        how = process.end()
        self.ended += 1
        log.warning("the process that reads JSON is ended: %s (%s)", why, how)
        return how


class _Process:
    """The process, and the socket through which it is asked. Raises OSError."""

    def __init__(self, limits: WireLimits) -> None:
        self._socket, there = socket.socketpair()
        with there:
            for option in (socket.SO_SNDTIMEO, socket.SO_RCVTIMEO):
                self._socket.setsockopt(socket.SOL_SOCKET, option, _timeval(limits.parse_s))
            try:
                self._popen = _begun(there, limits.parse_memory)
            except BaseException:
                self._socket.close()
                raise

    def ask(self, file: int, size: int, most: int, name: str) -> tuple[int, Any]:
        """What came of the text in a file, where the answer takes its place, and the values or the
        sentence. Raises BlockingIOError when it takes too long, OSError and EOFError when the
        process is gone.
        """
        named = name.encode()
        head = parsing.HEAD.pack(size, most, len(named))
        socket.send_fds(self._socket, [head, named], [file])
        outcome, is_in_file, size = parsing.REPLY.unpack(self._exactly(parsing.REPLY.size))
        if not is_in_file:
            return outcome, marshal.loads(self._exactly(size))
        with mmap.mmap(file, size, prot=mmap.PROT_READ) as answer:
            return outcome, marshal.loads(answer)

    def _exactly(self, size: int) -> bytes:
        pieces = []
        while size:
            # All of it in one call: each return waits for Python's lock.
            piece = self._socket.recv(size, socket.MSG_WAITALL)
            if not piece:
                raise EOFError
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    def end(self) -> str:
        """Says how it ended."""
        self._popen.kill()
        code = self._popen.wait()
        self._socket.close()  # whoever waits at it has come to the end of it
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _begun(asked: socket.socket, memory: int) -> "subprocess.Popen[bytes]":
    flags = ("-I", "-S", "-B")  # no environment, no packages, nothing written
    program = str(Path(parsing.__file__).resolve())
    return subprocess.Popen(
        [sys.executable, *flags, program, str(memory)],
        stdin=asked.fileno(),
        stdout=subprocess.DEVNULL,
        env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
        cwd="/",
        start_new_session=True,  # Ctrl-C is for the worker, which ends it then
    )


def _timeval(seconds: float) -> bytes:
    """As setsockopt() has it."""
    whole = int(seconds)
    return struct.pack("ll", whole, int((seconds - whole) * 1e6))
