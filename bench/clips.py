"""Clips for measuring: real pictures that carry their number, cut into what is sent per picture."""

import io
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, Final

import av

from composer.media import barcode, pixels
from composer.media.mpegts import PACKET, Demuxer, Unit

SOURCE: Final = Path(".clips/bigbuckbunny.mp4")
RATE: Final = 30
GOP_SECONDS: Final = 2
BARCODE_ROWS: Final = 16
SIZES: Final = {
    "360p": (640, 360),
    "540p": (960, 540),
    "720p": (1280, 720),
    "1080p": (1920, 1080),
}


@dataclass(frozen=True)
class Clip:
    """One clip. data: all of it, MPEG-TS. pictures: the bytes of each, as a gateway sends them."""

    name: str
    width: int
    height: int
    data: bytes
    pictures: tuple[bytes, ...]

    def write(self, folder: Path) -> Path:
        """All of it as a file."""
        path = folder / f"{self.name}.ts"
        path.write_bytes(self.data)
        return path


def units(data: bytes, kind: str) -> list[Unit]:
    """The "video" or "audio" of a transport stream as it is coded."""
    demuxer = Demuxer()
    found = (*demuxer.feed(data), *demuxer.flush())
    return [unit for unit in found if unit.track.kind == kind]


@cache
def make(size: str, seconds: float, bits: int = 0) -> Clip:
    """H.264 as a browser sends it: no B-frames, a keyframe every two seconds. bits: per second, as
    many all the time; 0 for constant quality.
    """
    width, height = SIZES[size]
    buffer = io.BytesIO()
    with av.open(buffer, "w", "mpegts") as out:
        stream: Any = out.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.gop_size = RATE * GOP_SECONDS
        stream.options = {"preset": "superfast", "tune": "zerolatency", "crf": "23"}
        if bits:
            stream.bit_rate = bits
            stream.options = {**stream.options, "crf": "-1", "nal-hrd": "cbr"} | dict.fromkeys(
                ("minrate", "maxrate", "bufsize"), str(bits)
            )
        for number, image in enumerate(_numbered(width, height, round(seconds * RATE))):
            image.pts, image.time_base, image.pict_type = number, Fraction(1, RATE), 0
            out.mux(stream.encode(image))
        out.mux(stream.encode(None))
    data = buffer.getvalue()
    return Clip(size, width, height, data, _pieces(data))


def _numbered(width: int, height: int, count: int) -> Any:
    """The source over and over, each picture with its number in the first rows."""
    number = 0
    while True:
        with av.open(str(SOURCE)) as opened:
            source: Any = opened
            for frame in source.decode(video=0):
                if number == count:
                    return
                image = pixels.copy(frame.reformat(width, height, "yuv420p"))
                barcode.write(pixels.planes(image)[0][:BARCODE_ROWS], number)
                yield image
                number += 1


def _pieces(data: bytes) -> tuple[bytes, ...]:
    """The packets that belong to each picture: those up to where its unit is complete."""
    pieces: list[bytes] = []
    demuxer, start = Demuxer(), 0
    for at in range(0, len(data), PACKET):
        if demuxer.feed(data[at : at + PACKET]):
            pieces.append(data[start : at + PACKET])
            start = at + PACKET
    if start < len(data):
        pieces[-1] += data[start:]
    return tuple(pieces)


def number_of(image: av.VideoFrame) -> int | None:
    """The number that a picture carries, after any coding."""
    return barcode.read(pixels.planes(image)[0][:BARCODE_ROWS])
