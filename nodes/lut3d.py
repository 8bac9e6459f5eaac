"""Grade colours by a 3D table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final, Literal

from pydantic import PrivateAttr

from composer import YUVA, Context, Live, Node, ReadFile
from composer.pictures import alpha, boxes, chain, mixing, pixels

if TYPE_CHECKING:
    import av

    from composer.pictures.chain import Chain

LARGEST: Final = 256
"""Entries along one edge that libavfilter reads (libavfilter/lut3d.h, MAX_LEVEL)."""

MOST_BYTES: Final = 1 << 26

FARTHEST: Final = 1000.0
"""Largest number an entry may have; 1 is full brightness."""

LANES: Final = 16
"""Widths that libavfilter's fast code takes: it reads whole registers, and where the end of a row
holds something that is no number it crashes (libavfilter/x86/vf_lut3d.asm, seen in FFmpeg 8)."""


class Lut3d(Node):
    """Grade colours by a 3D table in a .cube file (Adobe Cube LUT, up to 256 entries an edge).

    The table is looked up in RGB, in floating point, and the result converted back; colours may
    differ by 2 levels for that. The table's domain begins at 0 and ends at 1 or above
    (DOMAIN_MIN, DOMAIN_MAX or LUT_3D_INPUT_RANGE).

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
    _folder: TemporaryDirectory[str] | None = PrivateAttr(default=None)
    _file: Path = PrivateAttr()

    def setup(self, ctx: Context) -> None:
        text = plain_cube(ctx.path(self.path))
        self._folder = TemporaryDirectory(prefix="lut3d-")
        self._file = Path(self._folder.name) / "table.cube"
        self._file.write_text(text)
        self._chain = chain.Chain()

    def process(self, image: YUVA) -> YUVA:
        if self.strength == 0:
            return image
        new = self._graded(image)
        if self.strength < 1:
            mixing.mix(new, image, mixing.weight_of(1 - self.strength))
        return new

    def close(self) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    def _graded(self, image: av.VideoFrame) -> av.VideoFrame:
        if over := image.width % LANES:
            wide = boxes.padded(image, image.width + LANES - over, image.height)
            here = boxes.PixelBox(0, 0, image.width, image.height)
            return boxes.cut(self._graded(wide), here)
        # Only in floating point does libavfilter have fast code for this: 8 ms instead of 23
        layout = "gbrp" if self.interp == "nearest" else "gbrpf32le"
        exact = pixels.convert(image, layout)
        graded = self._chain.run(exact, ("lut3d", {"file": str(self._file), "interp": self.interp}))
        new = pixels.convert(graded, image.format.name, color=pixels.tags(image))
        return alpha.taken(new, image)


def plain_cube(path: Path) -> str:
    """The table of a .cube file with nothing in it that libavfilter would stumble over.

    That is a byte order mark, indentation, and the LUT_3D_INPUT_RANGE that grading programs write.
    Raises ValueError, with the line, when it is not a whole 3D table.
    """
    if path.suffix.lower() != ".cube":
        raise ValueError(f"{path.name} is not a .cube file")
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"{path.name} is larger than {MOST_BYTES >> 20} MB")
    size, low, high = 0, "0 0 0", "1 1 1"
    entries: list[str] = []
    for place, word, rest in _lines(path):
        if word == "LUT_3D_SIZE":
            size = _size(rest, place)
        elif word == "LUT_1D_SIZE":
            raise ValueError(f"{place}: this is a 1D table; a 3D one is needed")
        elif word == "DOMAIN_MIN":
            low = _numbers(rest, 3, f"{place}: {word}")
        elif word == "DOMAIN_MAX":
            high = _numbers(rest, 3, f"{place}: {word}")
        elif word == "LUT_3D_INPUT_RANGE":
            first, last = _numbers(rest, 2, f"{place}: {word}").split()
            low, high = " ".join([first] * 3), " ".join([last] * 3)
        elif word != "TITLE":
            entries.append(_numbers([word, *rest], 3, f"{place}: an entry"))
    if not size:
        raise ValueError(f"{path.name} has no LUT_3D_SIZE line")
    if len(entries) != size**3:
        raise ValueError(
            f"{path.name} has {len(entries)} entries; LUT_3D_SIZE {size} needs {size**3}"
        )
    if any(map(float, low.split())) or any(float(value) < 1 for value in high.split()):
        raise ValueError(
            f"{path.name} is for colours from ({low}) to ({high});"
            " it should begin at 0 and reach at least 1"
        )
    return "\n".join([f"LUT_3D_SIZE {size}", f"DOMAIN_MAX {high}", *entries, ""])


def _lines(path: Path) -> Iterator[tuple[str, str, list[str]]]:
    """Lines that say something: their place, first word and other words."""
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise ValueError(f"{path.name} is not text") from exc
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if words and not words[0].startswith("#"):
            yield f"{path.name}:{number}", words[0], words[1:]


def _size(words: list[str], place: str) -> int:
    if len(words) != 1 or not words[0].isdecimal() or not 2 <= int(words[0][:9]) <= LARGEST:
        raise ValueError(f"{place}: LUT_3D_SIZE should be 2 to {LARGEST}, got {_shown(words)}")
    return int(words[0])


def _numbers(words: list[str], count: int, what: str) -> str:
    try:
        values = [float(word) for word in words]
    except ValueError:
        values = []
    if len(values) != count or not all(abs(value) <= FARTHEST for value in values):
        raise ValueError(
            f"{what} should be {count} numbers up to {FARTHEST:g}, got {_shown(words)}"
        )
    return " ".join(f"{value:.9g}" for value in values)


def _shown(words: list[str]) -> str:
    return repr(" ".join(words)[:80])
