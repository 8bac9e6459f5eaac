"""Door: where connections come in, as long as there are descriptors for what runs, and with which
another process can go on.

asyncio's own server takes all that come, and where there is no descriptor left each of those that
wait is a traceback, again and again.
"""

import asyncio
import contextlib
import logging
import os
import socket
import weakref
from collections.abc import Sequence
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


class Door:
    """Listens at one address from the first open() to the end of the process; between open() and
    close() this process is one of those that accept what comes. That nobody is let in it says once
    a minute.

    sockets: those of the process before this one, in place of host and port.
    """

    def __init__(self, host: str, port: int, sockets: Sequence[socket.socket] = ()) -> None:
        self._host, self._port = host, port
        self._sockets = list(sockets)
        for each in self._sockets:
            each.setblocking(False)  # noqa: FBT003 - socket has no other name for it
            _LISTENING.add(each)
        self._server: web.Server | None = None
        self._accepting: list[asyncio.Task[None]] = []
        self._told_at = -TOLD_SECONDS
        self._room, self._looked_at = 0, -AGAIN_SECONDS

    def open(self, server: web.Server, group: asyncio.TaskGroup) -> None:
        """Accept what comes for a server, if it does not. Raises OSError where the address is
        taken, or is none.
        """
        if self._accepting:
            return
        self._server = server
        self._sockets = self._sockets or bound(self._host, self._port)
        self._accepting = [
            group.create_task(self._let_in(listening, server)) for listening in self._sockets
        ]

    async def close(self) -> None:
        """Accept nothing more. What waits to be accepted waits."""
        accepting, self._accepting = self._accepting, []
        for task in accepting:
            task.cancel()
        await asyncio.gather(*accepting, return_exceptions=True)  # nobody looks at the sockets then

    async def give_back(self) -> None:
        """Listen no longer."""
        await self.close()
        for each in self._sockets:
            each.close()
        self._sockets = []

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What another process needs to be reached here, too."""
        return tuple(each.fileno() for each in self._sockets)

    @property
    def address(self) -> str:
        """Where it is reached: http://host:port; "" while it was never open."""
        if not self._sockets:
            return ""
        host, port = self._sockets[0].getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def _let_in(self, listening: socket.socket, server: Any) -> None:
        """server: a factory of protocols, which its class does not say."""
        loop = asyncio.get_running_loop()
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
        here = self._server.connections if self._server is not None else []
        idle = [each for each in here if isinstance(each, HttpConnection) and each.is_idle]
        for connection in idle[:SENT_AWAY]:
            connection.force_close()

    @property
    def _connections(self) -> int:
        return len(self._server.connections) if self._server is not None else 0


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
