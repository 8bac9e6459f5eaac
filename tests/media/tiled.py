"""Pictures in tiles as phones store them (HEIC), for tests: made of tiles that libx265 coded."""

import io
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from composer.testing import picture

TILE = 64


def write_tiled(path: Path, rgb: NDArray[np.uint8], *turns: bytes) -> Path:
    """The picture in tiles of 64x64, row by row. turns: boxes `irot` and `imir` of it, in order."""
    height, width = rgb.shape[:2]
    rows, columns = -(-height // TILE), -(-width // TILE)
    room = np.zeros((rows * TILE, columns * TILE, 3), np.uint8)
    room[:height, :width] = rgb
    coded = [
        _coded(room[y : y + TILE, x : x + TILE])
        for y in range(0, rows * TILE, TILE)
        for x in range(0, columns * TILE, TILE)
    ]
    head = box(b"ftyp", b"heic", bytes(4), b"mif1heic")
    form = bytes([0, 0, rows - 1, columns - 1]) + width.to_bytes(2) + height.to_bytes(2)
    begin = len(head) + len(_meta(form, coded, 0, width, height, turns)) + 8
    meta = _meta(form, coded, begin, width, height, turns)
    path.write_bytes(head + meta + box(b"mdat", *(data for _, data in coded)))
    return path


def box(kind: bytes, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return (len(content) + 8).to_bytes(4) + kind + content


def _coded(rgb: NDArray[np.uint8]) -> tuple[bytes, bytes]:
    """The box hvcC, and the picture."""
    made = io.BytesIO()
    with av.open(made, "w", "mp4") as file:
        track: Any = file.add_stream("libx265", rate=1)
        track.codec_context.options = {"crf": "4", "x265-params": "log-level=error"}
        track.width, track.height, track.pix_fmt = TILE, TILE, "yuv420p"
        image = picture(np.ascontiguousarray(rgb))
        image.pts, image.time_base = 0, Fraction(1)
        for packet in [*track.encode(image), *track.encode(None)]:
            packet.dts = 0  # libx265 says anything for a single picture
            file.mux(packet)
    data = made.getvalue()
    at = data.index(b"hvcC") - 4
    config = data[at : at + int.from_bytes(data[at : at + 4])]
    made.seek(0)
    with av.open(made, "r") as whole:
        return config, next(bytes(packet) for packet in whole.demux() if packet.size)


def _meta(
    form: bytes,
    coded: list[tuple[bytes, bytes]],
    begin: int,
    width: int,
    height: int,
    turns: tuple[bytes, ...],
) -> bytes:
    tiles = range(2, 2 + len(coded))
    places = [(1, 1, 0, len(form))]
    for item, (_, data) in zip(tiles, coded, strict=True):
        places.append((item, 0, begin, len(data)))
        begin += len(data)
    iloc = b"".join(
        item.to_bytes(2) + inside.to_bytes(2) + bytes(2) + b"\0\1" + at.to_bytes(4) + n.to_bytes(4)
        for item, inside, at, n in places
    )
    entries = [(1, b"grid"), *((item, b"hvc1") for item in tiles)]
    iinf = [
        box(b"infe", b"\2\0\0\0", item.to_bytes(2), bytes(2), kind, b"\0") for item, kind in entries
    ]
    properties = [_size(width, height), coded[0][0], _size(TILE, TILE), *turns]
    of_grid = bytes([1, *range(4, 4 + len(turns))])
    joined = [(1, of_grid), *((item, b"\2\3") for item in tiles)]
    ipma = b"".join(item.to_bytes(2) + len(has).to_bytes(1) + has for item, has in joined)
    count = len(entries).to_bytes(2)
    made_of = b"".join(item.to_bytes(2) for item in tiles)
    return box(
        b"meta",
        bytes(4),
        box(b"hdlr", bytes(8), b"pict", bytes(13)),
        box(b"pitm", bytes(4), b"\0\1"),
        box(b"idat", form),
        box(b"iloc", b"\1\0\0\0", b"\x44\0", len(places).to_bytes(2), iloc),
        box(b"iinf", bytes(4), count, *iinf),
        box(
            b"iprp",
            box(b"ipco", *properties),
            box(b"ipma", bytes(4), len(joined).to_bytes(4), ipma),
        ),
        box(
            b"iref",
            bytes(4),
            box(b"dimg", b"\0\1", len(tiles).to_bytes(2), made_of),
        ),
    )


def _size(width: int, height: int) -> bytes:
    return box(b"ispe", bytes(4), width.to_bytes(4), height.to_bytes(4))
