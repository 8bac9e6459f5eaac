"""Sizes: how large the pictures of a stream are, as its sequence parameter sets say.

A decoder that refuses pictures for their size does not say which size that is. ISO/IEC 14496-10,
7.3.2.1.1; ISO/IEC 23008-2, 7.3.2.2.
"""

from typing import Final

from composer.media.mpegts import nals

Size = tuple[int, int]

MOST_BYTES: Final = 4096
"""Of an access unit, in which a parameter set is looked for; and no set is longer."""

_LONG_PROFILES: Final = (44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244)
"""Profiles of H.264 that say more about their samples."""


def size_of(codec: str, data: bytes) -> Size | None:
    """Width and height of the pictures that begin with an access unit, in start codes; None where
    it does not say, or nothing here can read it. Cropping is not taken off.
    """
    kinds = {"h264": (0x1F, 0, 7, _h264), "hevc": (0x3F, 1, 33, _hevc)}
    if codec not in kinds:
        return None
    mask, shift, wanted, read = kinds[codec]
    for unit in nals.marked(data[:MOST_BYTES]):
        if unit[0] >> shift & mask == wanted:
            try:
                return read(_Bits(unit.replace(b"\x00\x00\x03", b"\x00\x00")))
            except IndexError:  # it is cut
                return None
    return None


class _Bits:
    """Reads bits, the first first. Raises IndexError behind the last."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, count: int) -> int:
        value = 0
        for _ in range(count):
            value = value << 1 | self._data[self._at >> 3] >> (7 - (self._at & 7)) & 1
            self._at += 1
        return value

    def skip(self, count: int) -> None:
        self._at += count

    def number(self) -> int:
        """An unsigned Exp-Golomb code (9.1)."""
        zeros = 0
        while not self.take(1):
            zeros += 1
            if zeros > 32:
                raise IndexError
        return (1 << zeros) - 1 + self.take(zeros)


def _h264(bits: _Bits) -> Size:
    bits.skip(8)
    profile = bits.take(8)
    bits.skip(16)  # constraints, level
    bits.number()  # id
    if profile in _LONG_PROFILES:
        if bits.number() == 3:  # 4:4:4
            bits.skip(1)
        bits.number()  # depth of luma
        bits.number()  # and of chroma
        bits.skip(1)
        if bits.take(1):  # scaling lists, which nobody reads for the sake of a sentence
            raise IndexError
    bits.number()  # log2_max_frame_num_minus4
    order = bits.number()
    if order == 0:
        bits.number()
    elif order == 1:
        bits.skip(1)
        bits.number()
        bits.number()
        for _ in range(min(bits.number(), 255)):
            bits.number()
    bits.number()  # reference frames
    bits.skip(1)
    columns, rows = bits.number() + 1, bits.number() + 1
    fields = 1 if bits.take(1) else 2
    return columns * 16, rows * 16 * fields


def _hevc(bits: _Bits) -> Size:
    bits.skip(16 + 4)
    layers = bits.take(3)
    bits.skip(1)
    bits.skip(88 + 8)  # general profile and level
    present = [(bits.take(1), bits.take(1)) for _ in range(layers)]
    if layers:
        bits.skip(2 * (8 - layers))
    for profile, level in present:
        bits.skip(88 * profile + 8 * level)
    bits.number()  # id
    if bits.number() == 3:
        bits.skip(1)
    return bits.number(), bits.number()
