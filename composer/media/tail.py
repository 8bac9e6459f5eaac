"""The packets since the last key picture: decoded again where the end of a file is damaged."""

from collections.abc import Iterator
from typing import Any, Final

LONGEST_TAIL: Final = 300
"""Packets from one key picture on that are kept to be decoded again."""


class Tail:
    """What went into a decoder since the last key picture, and the newest that came out."""

    def __init__(self) -> None:
        self._packets: list[Any] = []
        self._newest = -(1 << 63)

    def add(self, packet: Any) -> None:
        if packet.is_keyframe or len(self._packets) >= LONGEST_TAIL:
            self._packets.clear()
        self._packets.append(packet)

    def came(self, image: Any) -> None:
        time = image.dts if image.pts is None else image.pts
        if time is not None:
            self._newest = time

    def is_new(self, image: Any) -> bool:
        """Whether a picture that came again did not come before."""
        time = image.dts if image.pts is None else image.pts
        return time is not None and time > self._newest

    def shortened(self, most: int) -> Iterator[list[Any]]:
        """Without its last packet, without the last two..."""
        if self._packets and self._packets[0].is_keyframe:
            count = len(self._packets)
            for end in range(count - 1, max(count - 1 - most, 0), -1):
                yield self._packets[:end]
