"""Clips for measuring: real pictures that carry their number, cut into what is sent per picture."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, Final

import av

from composer.media.mpegts.demuxer import PACKET, Demuxer, Unit
from composer.pictures import barcode, pixels

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

SOUND_RATE: Final = 48_000
SOUNDS: Final = {"opus": "libopus", "aac": "aac"}
"""How sound may be coded -> libavcodec's encoder for it."""


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
def make(size: str, seconds: float, bits: int = 0, *, sound: str = "") -> Clip:
    """H.264 as a browser sends it: no B-frames, a keyframe every two seconds. bits: per second, as
    many all the time; 0 for constant quality. sound: a key of SOUNDS, "" for none: that of the
    source, in stereo at 48 kHz.
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
        heard = _Sound(out, SOUNDS[sound]) if sound else None
        for number, image in enumerate(_numbered(width, height, round(seconds * RATE))):
            image.pts, image.time_base, image.pict_type = number, Fraction(1, RATE), 0
            out.mux(stream.encode(image))
            if heard is not None:
                heard.reach(Fraction(number + 1, RATE))
        out.mux(stream.encode(None))
        if heard is not None:
            heard.end()
    data = buffer.getvalue()
    return Clip(size, width, height, data, _pieces(data))


class _Sound:
    """The sound of the source over and over, into one track of `out`."""

    def __init__(self, out: Any, coder: str) -> None:
        self._out = out
        self._stream: Any = out.add_stream(coder, rate=SOUND_RATE)
        self._stream.layout = "stereo"
        self._blocks = _heard()
        self._samples = 0

    def reach(self, seconds: Fraction) -> None:
        """Encode what is heard before this time."""
        while self._samples < seconds * SOUND_RATE:
            block = next(self._blocks)
            block.pts, block.time_base = self._samples, Fraction(1, SOUND_RATE)
            self._samples += block.samples
            self._out.mux(self._stream.encode(block))

    def end(self) -> None:
        self._out.mux(self._stream.encode(None))


def _heard() -> Iterator[Any]:
    """Blocks of 10 ms, in stereo."""
    resampler = av.AudioResampler("s16", "stereo", SOUND_RATE, SOUND_RATE // 100)
    while True:
        with av.open(str(SOURCE)) as opened:
            source: Any = opened
            for block in source.decode(audio=0):
                block.pts = None
                yield from resampler.resample(block)


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
    """The packets that belong to each picture: those up to where its unit is complete. Sound goes
    with the picture that ends next.
    """
    pieces: list[bytes] = []
    demuxer, start = Demuxer(), 0
    for at in range(0, len(data), PACKET):
        units = demuxer.feed(data[at : at + PACKET])
        if any(unit.track.kind == "video" for unit in units):
            pieces.append(data[start : at + PACKET])
            start = at + PACKET
    if start < len(data):
        pieces[-1] += data[start:]
    return tuple(pieces)


def number_of(image: av.VideoFrame) -> int | None:
    """The number that a picture carries, after any coding."""
    return barcode.read(pixels.planes(image)[0][:BARCODE_ROWS])
