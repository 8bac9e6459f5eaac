"""Nodes that take their process down, or try to: in a module, where another process finds them."""

import asyncio
import ctypes
import logging
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

from pydantic import PrivateAttr

from composer import RGB, YUV, Context, Fixed, Live, Node

WAIT_MS: Final = 10_000
"""Milliseconds after which a wait is a deadlock."""

log: Final = logging.getLogger(__name__)

How = Literal["", "segfault", "abort", "exit", "kill", "gil", "pattern", "leak", "raise", "log"]


class Crash(Node):
    """Gives pictures on, and does something bad at the one with a number of its own."""

    how: How = Live("")
    at: int = Live(10)
    seconds: float = Live(1.0)

    _seen: int = PrivateAttr(default=0)
    _kept: list[Any] = PrivateAttr(default_factory=list)

    def process(self, image: YUV) -> YUV:
        self._seen += 1
        if self.how and self._seen >= self.at:
            self._do(self.how)
        return image

    def _do(self, how: How) -> None:
        match how:
            case "segfault":
                ctypes.string_at(0)
            case "abort":
                os.abort()
            case "exit":
                os._exit(3)
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "gil" if self._seen == self.at:
                ctypes.PyDLL(None).usleep(int(self.seconds * 1e6))  # the lock stays with us
            case "pattern" if self._seen == self.at:
                re.match("(a+)+b", "a" * 24)
            case "leak":
                self._kept.append(bytearray(b"x") * (16 << 20))
            case "raise":
                raise SystemExit("no")
            case "log":
                for number in range(10_000):
                    log.warning("line %d", number, extra={"session": "mine"})


class CrashInSetup(Node):
    """Never gets as far as a picture."""

    how: Literal["segfault", "raise", "hang"] = "segfault"

    def setup(self, ctx: Context) -> None:
        if self.how == "segfault":
            ctypes.string_at(0)
        if self.how == "hang":
            ctypes.PyDLL(None).sleep(1000)
        raise RuntimeError("no pictures")

    def process(self) -> Iterator[RGB]:
        yield from ()


class Shared(Node):
    """Loads what sessions share, or cannot."""

    shared: ClassVar[bool] = True

    how: Literal["", "segfault", "raise"] = ""

    def setup(self, ctx: Context) -> None:
        if self.how == "segfault":
            ctypes.string_at(0)
        if self.how == "raise":
            raise RuntimeError("no model")

    def process(self, image: YUV) -> YUV:
        return image


class Look(Node):
    """Writes down what its process has."""

    folder: str = Fixed("")

    def setup(self, ctx: Context) -> None:
        found = [f"pid {os.getpid()}", f"group {os.getpgid(0)}", f"parent {os.getppid()}"]
        for number in sorted(map(int, os.listdir("/proc/self/fd"))):
            try:
                found.append(f"file {number} {os.readlink(f'/proc/self/fd/{number}')}")
            except OSError:
                continue  # the folder itself
        helper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
        found.append(f"helper {helper.pid}")
        Path(self.folder, str(os.getpid())).write_text("\n".join(found))

    def process(self, image: YUV) -> YUV:
        return image


class Hang(Node):
    """Stands at its first picture, with or without the interpreter's lock."""

    locked: bool = True

    def process(self, image: YUV) -> YUV:
        if self.locked:
            ctypes.PyDLL(None).sleep(1000)
        else:
            time.sleep(1000)  # noqa: TID251 - it is what hangs
        return image


class Fails(Node):
    """Never works."""

    def process(self, image: YUV) -> YUV:
        raise RuntimeError("no weights")


class Weighted(Node):
    """Loads weights, of which some cannot be loaded."""

    weights: str = "a"
    level: float = Live(0.0)
    size: int = 1

    def setup(self, ctx: Context) -> None:
        if self.weights == "bad":
            raise RuntimeError("no such weights")

    def process(self, image: YUV) -> YUV:
        return image


NODES: Final[Mapping[str, type[Node]]] = {
    "crash": Crash,
    "breaks": CrashInSetup,
    "look": Look,
    "hang": Hang,
    "fails": Fails,
    "weighted": Weighted,
}
"""By the types that pipelines of tests give them."""


async def gone(pid: int) -> None:
    """Return when a process is no more."""
    try:
        file = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    poll = select.poll()
    poll.register(file, select.POLLIN)
    assert await asyncio.to_thread(poll.poll, WAIT_MS)
    os.close(file)
