"""Pictures that are stored as tiles (HEIC and AVIF): which tracks they are, and how they join.

The boxes are those of ISO/IEC 23008-12 (HEIF), in a file as in ISO/IEC 14496-12. libavformat gives
each tile as a track of its own, whose id is that of the item.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import av
import numpy as np

from composer.errors import MediaError
from composer.pictures import pixels

Boxes: TypeAlias = dict[bytes, list[bytes]]

MOST_BYTES: Final = 1 << 24
"""Of the box that says what a file holds; one for 48 tiles has 5 kB."""

Matrix: TypeAlias = tuple[int, int, int, int]
"""a, b, c, d: (x, y) goes to (a x + c y, b x + d y), downwards and to the right."""

UPRIGHT: Final[Matrix] = (1, 0, 0, 1)
_QUARTER: Final[Matrix] = (0, -1, 1, 0)  # against the clock
_FLIPPED: Final[Sequence[Matrix]] = (1, 0, 0, -1), (-1, 0, 0, 1)  # top to bottom, left to right


@dataclass(frozen=True, slots=True)
class Grid:
    """A picture of tiles. tiles: ids of their tracks, row by row. turn: how it is to be shown."""

    rows: int
    columns: int
    width: int
    height: int
    tiles: tuple[int, ...]
    turn: Matrix = UPRIGHT

    @property
    def display_matrix(self) -> tuple[int, ...] | None:
        """The same as libavutil/display.h has it."""
        a, b, c, d = (value << 16 for value in self.turn)
        return None if self.turn == UPRIGHT else (a, b, 0, c, d, 0, 0, 0, 1 << 30)


def grid(path: Path) -> Grid | None:
    """The tiles of the picture that a file is there to show; None where it is not stored as tiles.

    Raises MediaError for a file that contradicts itself.
    """
    with path.open("rb") as file:
        while head := file.read(8):
            size, kind = int.from_bytes(head[:4]), head[4:]
            if kind == b"meta" and 12 <= size <= MOST_BYTES:
                return _grid_of(file.read(size - 8), path)
            if size < 8:
                return None
            file.seek(size - 8, 1)
    return None


def join(grid: Grid, tiles: Sequence[av.VideoFrame]) -> av.VideoFrame:
    """One picture of the tiles, which are of one size and in one of our layouts.

    Raises MediaError where they are too few or too small for it.
    """
    first = tiles[0]
    if first.width * grid.columns < grid.width or first.height * grid.rows < grid.height:
        raise MediaError(f"its tiles of {first.width}x{first.height} do not cover it")
    picture = pixels.blank(first, grid.width, grid.height)
    shift = pixels.CHROMA_SHIFT.get(first.format.name, (0, 0))
    targets = pixels.planes(picture)
    for index, tile in enumerate(tiles):
        row, column = divmod(index, grid.columns)
        for plane, (target, source) in enumerate(zip(targets, pixels.planes(tile), strict=True)):
            right, down = shift if plane else (0, 0)
            x, y = column * first.width >> right, row * first.height >> down
            room = target[y : y + source.shape[0], x : x + source.shape[1]]
            np.copyto(room, source[: room.shape[0], : room.shape[1]])
    return picture


def _grid_of(meta: bytes, path: Path) -> Grid | None:
    boxes = _boxes(meta[4:])
    try:
        primary = _primary(boxes[b"pitm"][0])
        if _kinds(boxes[b"iinf"][0]).get(primary) != b"grid":
            return None
        tiles = _references(boxes[b"iref"][0])[primary]
        payload = _payload(boxes, primary, path)
        form = _Bytes(payload, 2)
        wide = 4 if payload[1] & 1 else 2
        rows, columns = form.number(1) + 1, form.number(1) + 1
        width, height = form.number(wide), form.number(wide)
        turn = _turn(_boxes(boxes[b"iprp"][0]), primary)
    except (LookupError, ValueError) as exc:
        raise MediaError("its tiles cannot be found") from exc
    if len(tiles) != rows * columns or not width or not height:
        raise MediaError(f"it has {len(tiles)} tiles where {rows} x {columns} are meant")
    return Grid(rows, columns, width, height, tiles, turn)


class _Bytes:
    """Numbers one after another. Raises ValueError where there is nothing more."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data, self.at = data, at

    def take(self, size: int) -> bytes:
        part = self.data[self.at : self.at + size]
        if len(part) < size:
            raise ValueError("a box is too short")
        self.at += size
        return part

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size))


def _boxes(data: bytes) -> Boxes:
    """What boxes hold, by kind."""
    boxes: Boxes = {}
    for kind, content in _each(data):
        boxes.setdefault(kind, []).append(content)
    return boxes


def _each(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4])
        if size < 8:
            return
        yield data[at + 4 : at + 8], data[at + 8 : at + size]
        at += size


def _full(box: bytes) -> tuple[int, int, _Bytes]:
    """Version, flags and what follows of a FullBox."""
    return box[0], int.from_bytes(box[1:4]), _Bytes(box, 4)


def _primary(box: bytes) -> int:
    version, _, rest = _full(box)
    return rest.number(4 if version else 2)


def _kinds(box: bytes) -> Mapping[int, bytes]:
    """The kind of each item."""
    version, _, rest = _full(box)
    rest.number(4 if version else 2)
    kinds = {}
    for _, entry in _each(box[rest.at :]):
        version, _, fields = _full(entry)
        item = fields.number(4 if version == 3 else 2)
        fields.number(2)  # how it is protected
        kinds[item] = fields.take(4)
    return kinds


def _references(box: bytes) -> Mapping[int, tuple[int, ...]]:
    """The items of which each derived one is made, in order."""
    version, _, rest = _full(box)
    wide = 4 if version else 2
    references = {}
    for kind, content in _each(box[rest.at :]):
        if kind == b"dimg":
            fields = _Bytes(content)
            item, count = fields.number(wide), fields.number(2)
            references[item] = tuple(fields.number(wide) for _ in range(count))
    return references


def _payload(boxes: Boxes, wanted: int, path: Path) -> bytes:
    """The bytes of an item, by the box `iloc`."""
    version, _, rest = _full(boxes[b"iloc"][0])
    sizes = rest.number(2)
    offset, length, base, index = ((sizes >> shift) & 15 for shift in (12, 8, 4, 0))
    for _ in range(rest.number(4 if version == 2 else 2)):
        item = rest.number(4 if version == 2 else 2)
        inside = rest.number(2) & 15 if version else 0
        rest.number(2)  # where the data is: this file
        begin = rest.number(base)
        extents = []
        for _ in range(rest.number(2)):
            rest.number(index if version else 0)
            extents.append((begin + rest.number(offset), rest.number(length)))
        if item == wanted:
            if inside == 1:
                data = boxes[b"idat"][0]
                return b"".join(data[at : at + size] for at, size in extents)
            with path.open("rb") as file:
                return b"".join(_read(file, *extent) for extent in extents)
    raise LookupError(wanted)


def _read(file: Any, at: int, size: int) -> bytes:
    file.seek(at)
    return bytes(file.read(min(size, MOST_BYTES)))


def _turn(properties: Boxes, wanted: int) -> Matrix:
    """What `irot` and `imir` of an item come to, one after the other."""
    held = list(_each(properties[b"ipco"][0]))
    turn = UPRIGHT
    for box in properties[b"ipma"]:
        version, flags, rest = _full(box)
        wide = 2 if flags & 1 else 1
        for _ in range(rest.number(4)):
            item = rest.number(4 if version else 2)
            count = rest.number(1)
            places = [rest.number(wide) & ((1 << 8 * wide - 1) - 1) for _ in range(count)]
            for kind, content in (held[place - 1] for place in places if item == wanted and place):
                if kind == b"irot":
                    for _ in range(content[0] & 3):
                        turn = _after(turn, _QUARTER)
                elif kind == b"imir":
                    turn = _after(turn, _FLIPPED[content[0] & 1])
    return turn


def _after(one: Matrix, other: Matrix) -> Matrix:
    """What both do, one after the other."""
    a, b, c, d = one
    e, f, g, h = other
    return e * a + g * b, f * a + h * b, e * c + g * d, f * c + h * d
