"""Door: the sockets at which a worker is reached, and with which another process can go on."""

import asyncio
import socket
from collections.abc import Callable, Sequence
from typing import Final

BACKLOG: Final = 128
"""Connections that wait while nobody accepts: none of them is refused."""

Factory = Callable[[], asyncio.Protocol]


class Door:
    """Listens from the first open() to the end of the process; between open() and close() this
    process is one of those that accept what comes.

    sockets: those of the process before this one, in place of host and port.
    """

    def __init__(self, host: str, port: int, sockets: Sequence[socket.socket] = ()) -> None:
        self._host, self._port = host, port
        self._sockets = list(sockets)
        self._servers: list[asyncio.Server] = []

    async def open(self, factory: Factory) -> None:
        """Accept, if it does not. Raises OSError where the port is taken."""
        if self._servers:
            return
        loop = asyncio.get_running_loop()
        if self._sockets:
            for each in self._sockets:
                server = await loop.create_server(factory, sock=each.dup(), backlog=BACKLOG)
                self._servers.append(server)
            return
        server = await loop.create_server(factory, self._host, self._port, backlog=BACKLOG)
        # A server closes its sockets; these keep listening for whoever opens again.
        self._sockets = [each.dup() for each in server.sockets]
        self._servers = [server]

    def close(self) -> None:
        """Accept nothing more. What waits to be accepted waits."""
        for server in self._servers:
            server.close()
        self._servers = []

    def give_back(self) -> None:
        """Listen no longer."""
        self.close()
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
