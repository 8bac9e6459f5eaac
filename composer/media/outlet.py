"""Outlet: where the packets of a session go."""

from collections.abc import Iterable
from fractions import Fraction
from typing import Any, Protocol


class Outlet(Protocol):
    """What encoders send to: see composer.session.egress.Egress."""

    @property
    def refusal(self) -> str: ...

    def open(self, *, video: str = "", audio: str = "", channels: int = 2) -> None: ...

    def packet(
        self, kind: str, data: bytes, pts: int, dts: int, time_base: Fraction, *, key: bool
    ) -> None: ...

    def repeats(self, pts: int, time_base: Fraction) -> bool: ...

    def dropped(self, reason: str) -> None: ...


def send(outlet: Outlet, kind: str, base: Fraction, packets: Iterable[Any]) -> None:
    """What an encoder of "video" or "audio" gave, av.Packets whose times count in `base`. One
    without a time is left out.
    """
    for packet in packets:
        if packet.pts is None:
            continue
        dts = packet.pts if packet.dts is None else packet.dts
        key = kind == "audio" or packet.is_keyframe
        outlet.packet(kind, bytes(packet), packet.pts, dts, base, key=key)
