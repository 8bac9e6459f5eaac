"""H.264 of fields, which no encoder at hand makes: each sample is written as it is (I_PCM).

After ISO/IEC 14496-10, 7.3. Such pictures show where one ends: two fields are one picture, though
each begins with a slice whose first macroblock is 0.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Final

from composer.pictures import pixels
from tests.media.streams.elementary import STEP, Coded, Kind, Pictures, numbered

WIDTH: Final = 64
HEIGHT: Final = 64

NAMES: Final = (
    *("h264-fields", "h264-fields-bare", "h264-fields-slices-bare", "h264-fields-apart"),
    *("h264-fields-apart-bare", "h264-fields-once", "h264-fields-once-bare"),
    *("h264-fields-frames", "h264-fields-frames-bare-slices"),
)


@dataclass(slots=True)
class _Bits:
    """Bits in the order of their writing."""

    bits: list[int] = field(default_factory=list)

    def u(self, value: int, width: int = 1) -> "_Bits":
        self.bits += [value >> place & 1 for place in reversed(range(width))]
        return self

    def ue(self, *values: int) -> "_Bits":
        """Exp-Golomb codes (9.1)."""
        for value in values:
            width = (value + 1).bit_length()
            self.u(0, width - 1).u(value + 1, width)
        return self

    def align(self, bit: int = 0) -> "_Bits":
        self.bits += [bit] * (-len(self.bits) % 8)
        return self

    def bytes(self) -> bytes:
        """Of whole bytes."""
        text = "".join(map(str, self.bits))
        return int(text or "0", 2).to_bytes(len(text) // 8, "big")


def _unit(head: int, body: bytes) -> bytes:
    """A unit behind its start code, escaped (7.3.1)."""
    found, zeros = bytearray(), 0
    for byte in body:
        if zeros == 2 and byte <= 3:
            found.append(3)
            zeros = 0
        found.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return b"\0\0\0\1" + bytes([head]) + bytes(found)


def _ended(bits: _Bits) -> bytes:
    return bits.u(1).align().bytes()


def _sets() -> bytes:
    columns, rows = WIDTH // 16, HEIGHT // 32
    sequence = _Bits().u(77, 8).u(0, 8).u(30, 8).ue(0, 4, 2, 1).u(0).ue(columns - 1, rows - 1)
    sequence.u(0).u(0).u(1).u(0).u(0)  # fields, no MBAFF, direct_8x8_inference
    picture = _Bits().ue(0, 0).u(0).u(0).ue(0, 0, 0).u(0).u(0, 2).ue(0, 0, 0).u(1).u(0).u(0)
    return _unit(0x67, _ended(sequence)) + _unit(0x68, _ended(picture))


def _recovery_point() -> bytes:
    payload = _Bits().ue(0).u(1).u(0).u(0, 2).u(1).align().bytes()
    return _unit(0x06, bytes([6, len(payload)]) + payload + b"\x80")


def _slices(rows: list[bytes], frame: int, count: int, *, key: bool, parity: int | None) -> bytes:
    """A frame (parity None) or a field as `count` slices. rows: of macroblocks, as they are."""
    columns, found = WIDTH // 16, b""
    step = -(-len(rows) // count)
    for first in range(0, len(rows), step):
        head = _Bits().ue(first * columns, 7, 0).u(frame % 256, 8)
        head.u(parity is not None)
        if parity is not None:
            head.u(parity)
        if key:
            head.ue(0).u(0).u(0)
        else:
            head.u(0)
        head.ue(0, 1)
        body = b""
        for index, row in enumerate(rows[first : first + step]):
            for at in range(0, len(row), 384):
                if index == at == 0:
                    body += head.ue(25).align().bytes()
                else:
                    body += _Bits().ue(25).align().bytes()
                body += row[at : at + 384]
        found += _unit(0x65 if key else 0x61, body + b"\x80")
    return found


def _rows(kind: Kind, number: int, parity: int | None) -> Iterator[bytes]:
    """The samples of a picture or of one of its fields, a row of macroblocks each."""
    planes = [
        plane if parity is None else plane[parity::2]
        for plane in pixels.planes(numbered(kind, number))
    ]
    for top in range(0, planes[0].shape[0], 16):
        row = b""
        for left in range(0, WIDTH, 16):
            row += planes[0][top : top + 16, left : left + 16].tobytes()
            for plane in planes[1:]:
                row += plane[top // 2 : top // 2 + 8, left // 2 : left // 2 + 8].tobytes()
        yield row


@cache
def pictures(name: str, count: int, first: int = 0) -> Pictures:
    """`name` says how: `frames` between fields, several `slices`, `apart` with a time each, `once`
    with recovery points instead of IDR pictures, `bare` without delimiters.
    """
    kind = Kind("", "h264", size=(WIDTH, HEIGHT))
    slices = 2 if "slices" in name else 1
    coded = []
    for place in range(count):
        key = place == 0 or (place % 25 == 0 and "once" not in name)
        frame = place if "once" in name else place % 25
        head = b"" if "bare" in name else b"\0\0\0\1\x09\x10"
        begin = head
        if place % 25 == 0:
            begin += _sets() + (b"" if key else _recovery_point())
        ticks = place * STEP
        if "frames" in name and place % 2:
            rows = list(_rows(kind, first + place, None))
            data = begin + _slices(rows, frame, slices, key=key, parity=None)
            coded.append(Coded(data, ticks, ticks, key))
            continue
        top, bottom = (
            _slices(
                list(_rows(kind, first + place, parity)),
                frame,
                slices,
                key=key and parity == 0,
                parity=parity,
            )
            for parity in (0, 1)
        )
        if "apart" in name:
            coded.append(Coded(begin + top, ticks, ticks, key))
            later = ticks + STEP // 2
            coded.append(Coded(head + bottom, later, later, key=False))
        else:
            coded.append(Coded(begin + top + head + bottom, ticks, ticks, key))
    numbers = tuple((first + place, place * STEP) for place in range(count))
    return Pictures("h264", tuple(coded), numbers)
