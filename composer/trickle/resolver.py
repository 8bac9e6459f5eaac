"""Resolver: names of hosts to addresses, on threads of its own and with a limit.

aiohttp's own looks names up on the pool that everything in a process shares.
"""

import asyncio
import socket
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult

from composer.errors import Stalled
from composer.threads import Threads

LOOKUPS: Final = 1024
"""Names that are looked up at once: some for every session, since a caller may name a host that
nobody answers for, and other sessions are not to wait for that.
"""

LOOKUP_SECONDS: Final = 8.0
"""Below what connecting has, so that it is known what took so long."""


class Resolver(AbstractResolver):
    """The system's own way to find addresses. For one loop."""

    def __init__(self) -> None:
        self._threads = Threads("name look-up", LOOKUPS)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Raises OSError where there is no answer, or none in time, and for what is no name."""
        try:
            return await self._threads.run(LOOKUP_SECONDS, _looked_up, host, port, family)
        except Stalled as exc:
            raise OSError(None, str(exc)) from exc
        except UnicodeError as exc:  # of Python's codec `idna`
            raise OSError(None, "this can be no address of a channel") from exc

    async def close(self) -> None:
        """What is looked up ends by itself."""


LookUp = Callable[[str, int, socket.AddressFamily], Awaitable[list[ResolveResult]]]
"""The addresses of a host; raises OSError."""


class PinnedResolver(AbstractResolver):
    """What names led to when they were looked up first, for as long as this lasts: whoever owns one
    cannot have it lead elsewhere once the first answer was looked at. It keeps all that it was
    asked for.
    """

    def __init__(self, look_up: LookUp) -> None:
        self._look_up = look_up
        self._known: dict[str, list[ResolveResult]] = {}
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Raises OSError where there is no answer; then it is asked for again the next time."""
        host = host.removesuffix(".")
        async with self._turns[host]:
            if host not in self._known:
                self._known[host] = await self._look_up(host, port, family)
        found = [each.copy() for each in self._known[host]]
        for each in found:
            each["port"] = port
        return found

    async def close(self) -> None:
        """Nothing is held."""


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
