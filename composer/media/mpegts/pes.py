"""The PES packets of one elementary stream, each given at the byte that ends it.

ISO/IEC 13818-1, 2.4.3. A PES packet without a length must end with a TS packet, which is why its
last one is stuffed: that is the sign. Where a sign was wrong, because a muxer stuffs anywhere or
writes lengths modulo 65536, the packet is given again when it is whole, and signs of this kind are
not believed any more.
"""

from dataclasses import dataclass
from typing import Final

PACKET: Final = 188
PAYLOAD: Final = 184
SYNC: Final = 0x47
NULL_PID: Final = 0x1FFF

LONGEST_PES: Final = 8 * 1024 * 1024
"""Bytes after which a PES packet is given up: a 720p picture has about 15 000."""

LONGEST_SOUND_PES: Final = 0xFFFF + 6
"""Only pictures may leave the length of their packets open (2.4.3.7)."""

FULL_PES: Final = 0xFFFF - 512
"""From this length on a packet with a length has hardly room for more: a picture may go on in the
next one."""


@dataclass(frozen=True, slots=True)
class Pes:
    """One PES packet. pts, dts: 90 kHz, 33 bits, as written; None where nothing is said.

    length: PES_packet_length as written, 0 for none. damaged: TS packets are missing in it. again:
    it was given before, with its end missing.
    """

    data: bytes
    pts: int | None
    dts: int | None
    length: int = 0
    damaged: bool = False
    again: bool = False


class PesReader:
    """Takes the TS packets of one PID. pid: which, for going_on(). longest: bytes after which a
    packet is given up, LONGEST_PES by itself.
    """

    def __init__(self, pid: int = NULL_PID, longest: int | None = None) -> None:
        self.counter: int | None = None
        """The continuity counter that came last; None where the next one may be any."""
        self.lost = 0
        """PES packets of which not even the beginning came, or that never ended."""

        self._longest = longest or LONGEST_PES
        self._plain = [bytes((SYNC, pid >> 8, pid & 0xFF, 0x10 | count)) for count in range(16)]
        self._previous = b""
        self._parts: list[bytes] = []
        self._size = self._length = 0
        self._open = self._given = self._again = self._damaged = False
        self._trusts_stuffing = self._trusts_length = True

    def packet(self, data: bytes, at: int, complete: list[Pes]) -> None:
        """A TS packet, which begins at `at`; what it ends is added to `complete`."""
        control = data[at + 3]
        if not control & 0x10:
            return  # no payload
        body, stuffed = at + 4, False
        if control & 0x20:
            length = data[body]
            stuffed = length == 0 or (length > 1 and length > _used(data, body + 1))
            body += 1 + length
            if body >= at + PACKET:
                return
        begins, part = data[at + 1] & 0x40, data[body : at + PACKET]
        counter, self.counter = self.counter, control & 0x0F
        continuous = counter is None or self.counter == (counter + 1) & 0x0F
        if not continuous and self.counter == counter and part == self._previous:
            return  # a packet may come twice (2.4.3.3)
        self._previous = part
        erroneous = bool(data[at + 1] & 0x80)
        self._damaged = self._damaged or not continuous or (erroneous and not begins)
        if begins:
            self.finish(complete)
            self._begin(part)
            self._damaged = erroneous
        elif not self._goes_on(part, continuous=continuous):
            return
        self._end(complete, stuffed=stuffed)

    def going_on(self, data: bytes, at: int, last: int, stride: int) -> int:
        """Take the plain packets from `at` on that only go on with what was begun: most of a stream
        is made of them. Gives where the first one begins that packet() has to look at.
        """
        if not self._open or self._given or self.counter is None:
            return at
        whole = self._length + 6 if self._length and self._trusts_length else self._longest
        room, counter, begin = whole - self._size, (self.counter + 1) & 0x0F, at
        plain, parts = self._plain, self._parts
        while at <= last and room > PAYLOAD and data.startswith(plain[counter], at):
            parts.append(data[at + 4 : at + PACKET])
            room -= PAYLOAD
            counter = (counter + 1) & 0x0F
            at += stride
        if at > begin:
            self._previous, self.counter = parts[-1], (counter - 1) & 0x0F
            self._size = whole - room
        return at

    def finish(self, complete: list[Pes]) -> None:
        """What was begun is complete."""
        if self._open and not self._given:
            short = self._length and self._trusts_length and self._size < self._length + 6
            self._damaged = self._damaged or bool(short)
            self._give(complete)
        self._clear()

    def forget(self) -> None:
        """What was begun will never be complete."""
        self._clear()
        self.counter, self._previous = None, b""

    def _begin(self, part: bytes) -> None:
        self._length = part[4] << 8 | part[5] if len(part) >= 6 else 0
        if self._length and self._length + 6 < len(part):
            part = part[: self._length + 6]  # padded within its one packet
        self._parts, self._size, self._open = [part], len(part), True

    def _goes_on(self, part: bytes, *, continuous: bool) -> bool:
        """Take the next part of what was begun, which may have been given too early."""
        if not self._open:
            self.lost += not continuous
            return False
        if self._given and not continuous:  # the rest of one whose beginning is missing
            self.lost += 1
            self._clear()
            return False
        if self._given:
            self._given, self._again = False, True
            if self._length and self._trusts_length:
                self._trusts_length = False
            else:
                self._trusts_stuffing = False
        self._parts.append(part)
        self._size += len(part)
        return True

    def _end(self, complete: list[Pes], *, stuffed: bool) -> None:
        """Give it where this part looks like its last one."""
        if self._size > self._longest:
            self.lost += 1
            self._clear()
            return
        if self._length and self._trusts_length:
            if self._size == self._length + 6:
                self._give(complete)
            if self._size <= self._length + 6:
                return
            self._trusts_length = False  # it may be one modulo 65536
        if stuffed and self._trusts_stuffing:
            self._give(complete)

    def _give(self, complete: list[Pes]) -> None:
        data = b"".join(self._parts)
        self._parts, self._given = [data], True
        if len(data) < 9 or data[:3] != b"\x00\x00\x01":
            return
        flags, start = data[7] >> 6, 9 + data[8]
        if start >= len(data):
            return
        pts = _time(data, 9) if flags & 2 and start >= 14 else None
        dts = _time(data, 14) if flags == 3 and start >= 19 else pts
        length = self._length if self._trusts_length else 0
        complete.append(Pes(data[start:], pts, dts, length, self._damaged, self._again))

    def _clear(self) -> None:
        self._parts, self._size, self._length = [], 0, 0
        self._open = self._given = self._again = self._damaged = False


def _used(data: bytes, at: int) -> int:
    """Bytes of an adaptation field that mean something."""
    flags = data[at]
    used = 1
    if flags & 0x10:
        used += 6
    if flags & 0x08:
        used += 6
    if flags & 0x04:
        used += 1
    for flag in (0x02, 0x01):
        if flags & flag and at + used < len(data):
            used += 1 + data[at + used]
    return used


def _time(data: bytes, at: int) -> int:
    return (
        (data[at] >> 1 & 7) << 30
        | data[at + 1] << 22
        | (data[at + 2] >> 1) << 15
        | data[at + 3] << 7
        | data[at + 4] >> 1
    )
