"""Reach: where the channels of streams may be. Callers name them, so a worker looks first."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from yarl import URL

from composer.trickle.host import Host

_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
"""IPv4 as networks of IPv6 alone reach it (RFC 6052, 2.1)."""

_UNICAST: Final = ipaddress.IPv6Network("2000::/3")
"""All that IPv6 has given out for the world (RFC 4291, 2.4)."""

_TUNNELS: Final = (ipaddress.IPv6Network("2001::/32"), ipaddress.IPv6Network("2002::/16"))
"""Teredo and 6to4: addresses that hold others."""


class Unwritable(ValueError):
    """An address that no request can be made to. The message is to be put behind its name."""


@dataclass(frozen=True, slots=True)
class Reach:
    """Where channels may be. hosts: only there; empty for anywhere. own: hosts that the operator
    has named, whatever their addresses are. public: whether all others need an address of the
    internet.
    """

    hosts: tuple[Host, ...] = ()
    own: tuple[Host, ...] = ()
    public: bool = False

    @classmethod
    def of(cls, hosts: Sequence[str], orchestrators: Sequence[str]) -> Self:
        """What an operator has said: hosts as Host.parse() takes them, addresses of orchestrators.

        With an orchestrator a worker is in production, where no caller needs what is inside its
        network, but for the orchestrator itself. Raises ValueError for what is no host.
        """
        named = tuple(Host.parse(each) for each in hosts)
        known = tuple(Host.of(URL(each)) for each in orchestrators)
        return cls(named, (*named, *known), public=bool(known))

    def owns(self, host: Host) -> bool:
        """Whether the operator has named a host, at whatever port."""
        return any(each.name == host.name for each in self.own)

    def wrong_with(self, address: str) -> str:
        """Why a channel may not be there, "" where it may, as far as its address tells. The address
        itself is not repeated. Raises Unwritable.
        """
        if any(character < " " or character == "\x7f" for character in address):
            raise Unwritable("holds a character that no address has")
        try:
            url = URL(address)
        except ValueError:
            raise Unwritable("is not an address") from None
        if url.scheme not in ("http", "https") or not url.raw_host:
            return "should be an http or https address"
        if url.user or url.password or url.fragment:
            return "should hold no user and no fragment"
        host = Host.of(url)
        if not host.exists or url.explicit_port == 0:
            raise Unwritable("has a host that cannot be looked up")
        if self.hosts and not any(each.holds(host) for each in self.hosts):
            return "is not on a host that this worker may talk to (setting trickle_hosts)"
        return ""


def is_public(address: str) -> bool:
    """Whether an address is one of the internet, however it is written: no loopback, nothing
    private, link-local, shared or reserved, and no group.
    """
    number = plain(address)
    if isinstance(number, ipaddress.IPv4Address):
        return number.is_global and not number.is_multicast
    tunnelled = any(number in each for each in _TUNNELS)
    return number in _UNICAST and number.is_global and not tunnelled


def plain(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An address, without its interface; the one of IPv4 where it stands for such a one."""
    number = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(number, ipaddress.IPv4Address):
        return number
    if number in _NAT64:
        return ipaddress.IPv4Address(int(number) & 0xFFFF_FFFF)
    return number.ipv4_mapped or number
