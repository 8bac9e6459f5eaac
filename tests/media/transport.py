"""Transport streams for tests, made by libavformat, and packets to tamper with."""

import io
from functools import cache
from pathlib import Path
from typing import Any

import av

from composer.media.mpegts.demuxer import PACKET, Demuxer, Unit
from tests.clips import BUNNY, fetched

Times = list[tuple[int | None, int | None, int]]


@cache
def stream(video: str = "libx264", audio: str = "", frames: int = 40, **options: str) -> bytes:
    """A clip encoded anew and muxed by libavformat; options: of the video encoder."""
    buffer = io.BytesIO()
    with av.open(str(fetched(BUNNY))) as source, av.open(buffer, "w", "mpegts") as out:
        image: Any = out.add_stream(video, rate=25)
        image.width, image.height, image.pix_fmt = 320, 180, "yuv420p"
        image.options = options
        sound: Any = None
        if audio:
            sound = out.add_stream(audio, rate=48_000)
            sound.layout = "stereo"
        resampler = av.AudioResampler("fltp" if audio == "aac" else "s16", "stereo", 48_000)
        seen = 0
        for frame in source.decode(video=0, audio=0):
            if isinstance(frame, av.VideoFrame):
                seen += 1
                if seen > frames:
                    break
                small = frame.reformat(320, 180, "yuv420p")
                small.pict_type = 0
                out.mux(image.encode(small))
            elif isinstance(frame, av.AudioFrame) and sound is not None:
                for block in resampler.resample(frame):
                    out.mux(sound.encode(block))
        out.mux(image.encode(None))
        if sound is not None:
            out.mux(sound.encode(None))
    return buffer.getvalue()


def units_of(data: bytes, size: int = 0) -> list[Unit]:
    """What our demuxer makes of it, fed in pieces of `size` bytes."""
    demuxer = Demuxer()
    units: list[Unit] = []
    size = size or max(len(data), 1)
    for at in range(0, len(data), size):
        units += demuxer.feed(data[at : at + size])
    return units + demuxer.flush()


def pieces_of(data: bytes) -> list[bytes]:
    """The packets up to the end of each unit, as a live sender has them."""
    demuxer, pieces, begin = Demuxer(), [], 0
    for end in range(PACKET, len(data) + 1, PACKET):
        if demuxer.feed(data[end - PACKET : end]):
            pieces.append(data[begin:end])
            begin = end
    return pieces


def expected(data: bytes) -> dict[str, Times]:
    """(pts, dts, size) of each packet by kind, as libavformat sees them."""
    found: dict[str, Times] = {}
    opened: Any
    with av.open(io.BytesIO(data), format="mpegts") as opened:
        for packet in opened.demux():
            if packet.size:
                found.setdefault(packet.stream.type, []).append(
                    (packet.pts, packet.dts, packet.size)
                )
    return found


def times(units: list[Unit]) -> dict[str, Times]:
    found: dict[str, Times] = {}
    for unit in units:
        found.setdefault(unit.track.kind, []).append((unit.pts, unit.dts, len(unit.data)))
    return found


def packets(data: bytes) -> list[bytes]:
    return [data[at : at + PACKET] for at in range(0, len(data), PACKET)]


def pid(packet: bytes) -> int:
    return (packet[1] & 0x1F) << 8 | packet[2]


def clip_path() -> Path:
    return fetched(BUNNY)
