"""Grade colours by a 3D table."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from pydantic import PrivateAttr

from composer import YUV, Context, Live, Node, ReadFile
from composer.media import chain, mixing, pixels

if TYPE_CHECKING:
    from composer.media.chain import Chain

LARGEST: Final = 256
"""Entries along one edge that libavfilter reads (libavfilter/lut3d.h, MAX_LEVEL)."""

MOST_BYTES: Final = 1 << 26

WORDS: Final = ("TITLE", "DOMAIN_MIN", "DOMAIN_MAX", "LUT_3D_SIZE", "LUT_3D_INPUT_RANGE")
"""Keywords a 3D .cube file may have."""


class Lut3d(Node):
    """Grade colours by a 3D table in a .cube file (Adobe Cube LUT, up to 256 entries an edge).

    The table is looked up in RGB, in floating point, and the result converted back; colours may
    differ by 2 levels for that. DOMAIN_MIN and DOMAIN_MAX are obeyed.

    image: planar YUV of any size. Gives the same layout and size; with strength 0 the very
    picture that came in.
    """

    stateless = True

    path: str = ReadFile(description=".cube file with a LUT_3D_SIZE line")
    strength: float = Live(1, ge=0, le=1, description="0 leaves the picture alone, 1 is the table")
    interp: Literal["tetrahedral", "trilinear", "nearest"] = Live(
        "tetrahedral",
        description="how values between entries are found; tetrahedral is the best and, but for"
        " nearest, the fastest",
    )

    _chain: Chain = PrivateAttr()
    _file: str = PrivateAttr()

    def setup(self, ctx: Context) -> None:
        path = ctx.path(self.path)
        check_cube(path)
        self._file = str(path)
        self._chain = chain.Chain()

    def process(self, image: YUV) -> YUV:
        if self.strength == 0:
            return image
        # Only in floating point does libavfilter have fast code for this: 8 ms instead of 23
        layout = "gbrp" if self.interp == "nearest" else "gbrpf32le"
        exact = pixels.convert(image, layout)
        graded = self._chain.run(exact, ("lut3d", {"file": self._file, "interp": self.interp}))
        new = pixels.convert(graded, image.format.name, color=pixels.tags(image))
        if self.strength < 1:
            mixing.mix(new, image, mixing.weight_of(1 - self.strength))
        return new


def check_cube(path: Path) -> None:
    """Raise ValueError, with the line, when a file is not a whole 3D .cube table.

    libavfilter says only "invalid data", and takes some broken ones as they are.
    """
    if path.suffix.lower() != ".cube":
        raise ValueError(f"{path.name} is not a .cube file")
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"{path.name} is larger than {MOST_BYTES >> 20} MB")
    size, entries = 0, 0
    for number, line in _lines(path):
        words = line.split()
        if words[0] == "LUT_3D_SIZE":
            size = _size(words[1:], f"{path.name}:{number}")
        elif words[0] == "LUT_1D_SIZE":
            raise ValueError(f"{path.name}:{number}: this is a 1D table; a 3D one is needed")
        elif words[0] not in WORDS:
            if not size:
                raise ValueError(f"{path.name}:{number}: LUT_3D_SIZE should come before {line!r}")
            entries += 1
            _numbers(words, f"{path.name}:{number}")
    if not size:
        raise ValueError(f"{path.name} has no LUT_3D_SIZE line")
    if entries != size**3:
        raise ValueError(f"{path.name} has {entries} entries; LUT_3D_SIZE {size} needs {size**3}")


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines that say something, cut to 80 letters, and their numbers from 1."""
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise ValueError(f"{path.name} is not text") from exc
    for number, line in enumerate(text.splitlines(), 1):
        if (line := line.strip()) and not line.startswith("#"):
            yield number, line[:80]


def _size(words: list[str], place: str) -> int:
    if len(words) != 1 or not words[0].isdigit() or not 2 <= int(words[0]) <= LARGEST:
        raise ValueError(f"{place}: LUT_3D_SIZE should be 2 to {LARGEST}, got {' '.join(words)!r}")
    return int(words[0])


def _numbers(words: list[str], place: str) -> None:
    try:
        values = [float(word) for word in words]
    except ValueError:
        values = []
    if len(values) != 3 or not all(map(math.isfinite, values)):
        raise ValueError(f"{place}: an entry should be three numbers, got {' '.join(words)!r}")
