"""Outlet: where the packets of a session go."""

from fractions import Fraction
from typing import Protocol


class Outlet(Protocol):
    """What encoders send to: see composer.session.egress.Egress."""

    @property
    def refusal(self) -> str: ...

    def open(self, *, video: str = "", audio: str = "", channels: int = 2) -> None: ...

    def packet(
        self, kind: str, data: bytes, pts: int, dts: int, time_base: Fraction, *, key: bool
    ) -> None: ...

    def dropped(self, reason: str) -> None: ...
