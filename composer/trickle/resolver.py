"""Resolver: names of hosts to addresses, on threads of its own and with a limit.

aiohttp's own looks names up on the pool that everything in a process shares.
"""

import socket
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult

from composer.errors import Stalled
from composer.threads import Threads

LOOKUPS: Final = 4
"""Names that are looked up at once."""

LOOKUP_SECONDS: Final = 8.0
"""Below what connecting has, so that it is known what took so long."""


class Resolver(AbstractResolver):
    """The system's own way to find addresses. For one loop."""

    def __init__(self) -> None:
        self._threads = Threads("name look-up", LOOKUPS)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Raises OSError where there is no answer, or none in time."""
        try:
            return await self._threads.run(LOOKUP_SECONDS, _looked_up, host, port, family)
        except Stalled as exc:
            raise OSError(None, str(exc)) from exc

    async def close(self) -> None:
        self._threads.close()


def _looked_up(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
    known = socket.getaddrinfo(
        host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
    )
    return [_result(host, info[0], info[2], info[4]) for info in known if len(info[4]) > 1]


def _result(
    host: str, family: socket.AddressFamily, proto: int, address: tuple[object, ...]
) -> ResolveResult:
    # Link-local addresses need the number of an interface, which only this text has.
    numbers = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
    text, service = socket.getnameinfo(address, numbers)  # type: ignore[arg-type]
    return ResolveResult(
        hostname=host,
        host=text,
        port=int(service),
        family=family,
        proto=proto,
        flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
    )
