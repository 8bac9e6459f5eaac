"""Door: where connections come in, as long as there are descriptors for what runs.

asyncio's own server takes all that come, and where there is no descriptor left each of those that
wait is a traceback, again and again.
"""

import asyncio
import contextlib
import logging
import os
import socket
import weakref
from typing import Any, Final

from aiohttp import web

from composer.server import descriptors
from composer.server.connection import HttpConnection

log: Final = logging.getLogger(__name__)

WAITING: Final = 128
"""Connections that may wait to be let in."""

MOST_CONNECTIONS: Final = 4096
"""Connections at once, whatever descriptors there are: each holds memory."""

TOLD_SECONDS: Final = 60.0

SENT_AWAY: Final = 8
"""Idle connections that are closed at once where others wait."""

AGAIN_SECONDS: Final = 0.1
"""How old a look at the descriptors may be. Nobody says when one is free again: whoever has it may
be a node.
"""


_LISTENING: Final[weakref.WeakSet[socket.socket]] = weakref.WeakSet()
"""The ports of this process."""


def _close_in_child() -> None:
    """A process that a node forks holds no port: it could outlive the worker, and keep the next one
    from listening.
    """
    for listening in _LISTENING:
        listening.close()


os.register_at_fork(after_in_child=_close_in_child)


class Door(web.BaseSite):
    """One address at which a runner listens. That nobody is let in it says once a minute."""

    def __init__(
        self, runner: web.AppRunner, host: str, port: int, group: asyncio.TaskGroup
    ) -> None:
        super().__init__(runner)
        self._host, self._port, self._group = host, port, group
        self._sockets: list[socket.socket] = []
        self._watching: list[asyncio.Task[None]] = []
        self._told_at = -TOLD_SECONDS
        self._room, self._looked_at = 0, -AGAIN_SECONDS

    @property
    def name(self) -> str:
        return f"http://{self._host}:{self._port}"

    @property
    def address(self) -> str:
        """Where it listens."""
        host, port = self._sockets[0].getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def start(self) -> None:
        """Listen. Raises OSError where the address is taken, or is none."""
        await super().start()
        self._sockets = bound(self._host, self._port)
        self._watching = [
            self._group.create_task(self._let_in(listening)) for listening in self._sockets
        ]

    async def stop(self) -> None:
        for task in self._watching:
            task.cancel()
        for listening in self._sockets:
            listening.close()
        await super().stop()

    async def _let_in(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        server: Any = self._runner.server
        while True:
            await self._has_room()
            try:
                connection, _ = await loop.sock_accept(listening)
            except OSError as exc:  # whoever came has gone, or the system has no descriptors left
                log.debug("nobody came in: %s", exc)
                await asyncio.sleep(AGAIN_SECONDS)
                continue
            self._room -= 1
            with contextlib.suppress(OSError):  # it has gone already
                await loop.connect_accepted_socket(server, connection)

    async def _has_room(self) -> None:
        """Return when there is room for one more."""
        while not self._look():
            self._tell()
            self._send_away()
            await asyncio.sleep(AGAIN_SECONDS)

    def _tell(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._told_at < TOLD_SECONDS:
            return
        self._told_at = now
        used, most = descriptors.used(), descriptors.limit()
        log.warning(
            "nobody is let in, what runs goes on: there are %d of %d descriptors, %d connections",
            used,
            most,
            self._connections,
        )

    def _look(self) -> bool:
        """Whether there is room, as of a moment ago."""
        now = asyncio.get_running_loop().time()
        if self._room < 1 or now - self._looked_at >= AGAIN_SECONDS:
            connections = MOST_CONNECTIONS - self._connections
            # Not all of it at once: what runs may need some meanwhile.
            self._room = min(connections, (descriptors.room_for_connections() + 1) // 2)
            self._looked_at = now
        return self._room >= 1

    def _send_away(self) -> None:
        """Close some connections that have nothing to say, those first that came first: somebody
        who has may wait.
        """
        server = self._runner.server
        here = server.connections if server is not None else []
        idle = [each for each in here if isinstance(each, HttpConnection) and each.is_idle]
        for connection in idle[:SENT_AWAY]:
            connection.force_close()

    @property
    def _connections(self) -> int:
        server = self._runner.server
        return len(server.connections) if server is not None else 0


def bound(host: str, port: int) -> list[socket.socket]:
    """Sockets that listen at a name's addresses. Raises OSError."""
    known = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    try:
        for family, _, _, _, address in dict.fromkeys(known):
            sockets.append(_listening(family, address))
    except OSError:
        for listening in sockets:
            listening.close()
        raise
    return sockets


def _listening(family: int, address: Any) -> socket.socket:
    here = socket.socket(family, socket.SOCK_STREAM)
    try:
        here.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            here.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        here.setblocking(False)  # noqa: FBT003 - socket has no other name for it
        here.bind(address)
        here.listen(WAITING)
        _LISTENING.add(here)
    except OSError as exc:
        here.close()
        message = f"it cannot listen at {address!r}: {(exc.strerror or str(exc)).lower()}"
        raise OSError(exc.errno, message) from None
    return here
