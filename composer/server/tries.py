"""Tries: how often a peer may show a wrong token before it is told to wait."""

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

MOST: Final = 15
"""Wrong tokens that a peer may show at once."""

SECONDS: Final = 60.0
"""In which so many more may come, one by one."""

PEERS: Final = 1024
"""Peers that are remembered; whoever was wrong longest ago is forgotten for a new one."""


class Tries:
    """Counts wrong tokens by peer. now: monotonic seconds.

    Each peer has a bucket of MOST tries, which fills again within SECONDS.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """Peer -> the tries that it had left, and when that was."""

    def __len__(self) -> int:
        """Peers that are remembered."""
        return len(self._left)

    def wrong(self, peer: str) -> int:
        """Note a wrong token. Gives the whole seconds that the peer has to wait for its next try; 0
        where this one was within its limit.
        """
        key, now = _network(peer), self._now()
        left, at = self._left.pop(key, (float(MOST), now))
        left = min(float(MOST), left + (now - at) * MOST / SECONDS)
        allowed = left >= 1
        if len(self._left) >= PEERS:
            self._left.popitem(last=False)
        self._left[key] = (left - 1 if allowed else left), now
        return 0 if allowed else math.ceil((1 - left) * SECONDS / MOST)

    def right(self, peer: str) -> None:
        """Note a right token: whatever was wrong before is forgotten."""
        if self._left:
            self._left.pop(_network(peer), None)


def _network(peer: str) -> str:
    """Whom an address stands for: in IPv6 every host has a network of 64 bits to choose from."""
    try:
        address = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return peer
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, 64), strict=False))
