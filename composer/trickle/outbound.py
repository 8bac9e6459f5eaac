"""Outbound: the HTTP sessions of a worker, and what each of them may connect to."""

import asyncio
import ipaddress
import socket
from collections.abc import Collection, Mapping, Sequence
from types import TracebackType
from typing import Final, Self

from aiohttp.abc import ResolveResult
from yarl import URL

from composer.errors import ComposerError
from composer.trickle.host import Host
from composer.trickle.http import Http, Trust, session
from composer.trickle.reach import Reach, is_public, plain
from composer.trickle.resolver import PinnedResolver, Resolver


class ChannelsRefused(ComposerError):
    """Channels at addresses that a worker may not talk to. which: their names."""

    def __init__(self, which: Sequence[str]) -> None:
        super().__init__("at an address that is not public: " + ", ".join(which))
        self.which: Final = tuple(which)


class NotPublic(OSError):
    """A host that has no address which may be reached."""


class Outbound:
    """One session for what the operator has named, and one for each stream.

    Names that callers choose are looked up apart from the operator's: where those are not answered
    orchestrators are found all the same. Raises OSError where ca_file cannot be read.
    """

    def __init__(
        self, reach: Reach | None = None, *, verify_tls: bool = True, ca_file: str = ""
    ) -> None:
        self.reach: Final = reach or Reach()
        self._trust = Trust(verify_tls=verify_tls, ca_file=ca_file)
        self._own, self._others = Resolver(), Resolver()
        self.common: Final = session(self._trust, self._own)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.common.close()
        await self._others.close()

    async def pinned(self, channels: Mapping[str, str]) -> PinnedResolver:
        """The hosts of some channels, looked up. channels: addresses by name, "" where there is
        none. A host that is not found now is looked for again when it is connected to.

        Raises ChannelsRefused.
        """
        pins = PinnedResolver(self._look_up)
        hosts = {name: Host.of(URL(address)) for name, address in channels.items() if address}
        distinct = list(dict.fromkeys(host.name for host in hosts.values()))
        refused = await asyncio.gather(*(self._refuses(name, pins) for name in distinct))
        bad = {name for name, refuses in zip(distinct, refused, strict=True) if refuses}
        if which := [name for name, host in hosts.items() if host.name in bad]:
            raise ChannelsRefused(which)
        return pins

    def open(self, pins: PinnedResolver) -> Http:
        """A session that finds hosts by these alone. Whoever opens it closes it."""
        return session(self._trust, pins)

    async def _refuses(self, name: str, pins: PinnedResolver) -> bool:
        """Whether a host may not be connected to, as far as is known."""
        if Host(name).address is not None:
            return not await self._permitted(name, [name])
        try:
            await pins.resolve(name)
        except NotPublic:
            return True
        except OSError:
            return False
        return False

    async def _look_up(
        self, name: str, port: int, family: socket.AddressFamily
    ) -> list[ResolveResult]:
        """Those of its addresses that may be reached. Raises OSError."""
        resolver = self._own if self.reach.owns(Host(name.removesuffix("."))) else self._others
        found = await resolver.resolve(name, port, family)
        permitted = await self._permitted(name, [each["host"] for each in found])
        if not permitted:
            raise NotPublic(None, "its addresses are not public")
        return [each for each in found if each["host"] in permitted]

    async def _permitted(self, name: str, addresses: Collection[str]) -> Collection[str]:
        """Those addresses of a host that may be reached."""
        reach = self.reach
        if not reach.public or reach.owns(Host(name.removesuffix("."))):
            return addresses
        permitted = {each for each in addresses if is_public(each)}
        if len(permitted) < len(set(addresses)):
            own = await self._own_addresses()
            permitted |= {each for each in addresses if plain(each) in own}
        return permitted

    async def _own_addresses(self) -> set[ipaddress.IPv4Address | ipaddress.IPv6Address]:
        """Where the hosts are that the operator has named: a channel may name them by number."""
        found: set[ipaddress.IPv4Address | ipaddress.IPv6Address] = set()
        for host in self.reach.own:
            if host.address is not None:
                found.add(plain(host.name))
                continue
            try:
                known = await self._own.resolve(host.name, 0, socket.AF_UNSPEC)
            except OSError:
                continue
            found |= {plain(each["host"]) for each in known}
        return found
