"""Upgrades: those who want one, by a signal or at a socket, and what became of it."""

import asyncio
import contextlib
import json
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from composer import strictjson
from composer.server import supervision
from composer.server.upgrade import Command, NotUpgraded, Upgrade

if TYPE_CHECKING:  # which has them done
    from composer.server.worker import Worker

log: Final = logging.getLogger(__name__)

SOCKET: Final = "upgrade.sock"
"""In the folder of the state, which lets nobody in but its owner."""

LONGEST_PATH: Final = 100
"""Bytes of the address of a socket; the system takes 107."""


@dataclass(frozen=True)
class Upgraded:
    """What became of an upgrade. said: a sentence."""

    done: bool
    said: str


class Upgrades:
    """Does one upgrade at a time, for all who want one meanwhile. For the loop.

    folder: where others may ask for one; None for nowhere.
    """

    def __init__(
        self, worker: "Worker", command: Command, upgrade_s: float, folder: Path | None = None
    ) -> None:
        self._worker, self._command, self._upgrade_s = worker, command, upgrade_s
        self._folder = folder
        self._wanted = asyncio.Event()
        self._asking: list[asyncio.Future[Upgraded]] = []

    def want(self) -> "asyncio.Future[Upgraded]":
        """Ask for one."""
        asking: asyncio.Future[Upgraded] = asyncio.get_running_loop().create_future()
        self._asking.append(asking)
        self._wanted.set()
        return asking

    async def run(self) -> None:
        """Do what is wanted, until an upgrade is done: the worker ends then."""
        server = await self._open() if self._folder is not None else None
        try:
            while not self._worker.handed_over:
                await self._wanted.wait()
                self._wanted.clear()
                asking, self._asking = self._asking, []
                outcome = await self._one()
                for each in asking:
                    if not each.done():
                        each.set_result(outcome)
        finally:
            if server is not None:
                server.close()

    async def _one(self) -> Upgraded:
        try:
            pid = await Upgrade(self._worker, self._command, self._upgrade_s).run()
        except NotUpgraded as exc:
            log.error("no upgrade: %s", exc)
            return Upgraded(done=False, said=str(exc))
        log.info("process %d goes on, and this one ends", pid)
        supervision.notify(f"MAINPID={pid}")
        self._worker.handed_over = True
        self._worker.end()
        return Upgraded(done=True, said=f"process {pid} goes on with all streams")

    async def _open(self) -> asyncio.Server:
        assert self._folder is not None
        sock = socket.socket(socket.AF_UNIX)
        with _address(self._folder) as path:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            sock.bind(path)
            os.chmod(path, 0o600)
        return await asyncio.start_unix_server(self._answer, sock=sock)

    async def _answer(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Whoever connects wants one."""
        with contextlib.suppress(OSError):
            writer.write(strictjson.text(asdict(await self.want())).encode())
            writer.close()
            await writer.wait_closed()


def ask(folder: Path) -> Upgraded:
    """Have the worker that keeps its streams in a folder upgraded, and wait for what becomes of it.

    Raises OSError where no worker is there.
    """
    with socket.socket(socket.AF_UNIX) as sock, _address(folder) as path:
        sock.connect(path)
        said = bytearray()
        while data := sock.recv(4096):
            said += data
    if not said:
        return Upgraded(done=False, said="the worker came to its end")
    return Upgraded(**json.loads(said))


@contextmanager
def _address(folder: Path) -> Iterator[str]:
    """A path of the socket that is short enough, while it is used."""
    path = str(folder / SOCKET)
    if len(os.fsencode(path)) <= LONGEST_PATH:
        yield path
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{SOCKET}"
    finally:
        os.close(descriptor)
