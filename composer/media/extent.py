"""What a clip holds, found out without decoding it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av

from composer.errors import MediaError
from composer.media.containers import open_input


@dataclass(frozen=True, slots=True)
class ClipExtent:
    """Size of its pictures (0: none), their number, and its length by the times it holds."""

    width: int
    height: int
    pictures: int
    seconds: float


def kind_of(data: bytes) -> str:
    """mp4, mkv (WebM, too) or ts by the first bytes; "" for anything else.

    libavformat would also take playlists, which name other files; so it is not asked.
    """
    if data[4:8] == b"ftyp":
        return "mov" if data[8:12] == b"qt  " else "mp4"
    if data.startswith(b"\x1aE\xdf\xa3"):
        return "webm" if b"webm" in data[:64] else "mkv"
    if data[:1] == b"G" and data[188:189] in (b"G", b""):
        return "ts"
    return ""


def measure(path: Path) -> ClipExtent:
    """Raises MediaError where it cannot be read."""
    width = height = pictures = 0
    first: float | None = None
    last = 0.0
    try:
        with open_input(str(path)) as file:
            for stream in file.streams.video:
                width, height = max(width, stream.width), max(height, stream.height)
            for packet in file.demux():
                pictures += packet.stream.type == "video" and packet.size > 0
                if (time := _seconds(packet)) is not None:
                    first = time if first is None else min(first, time)
                    last = max(last, time + float((packet.duration or 0) * (packet.time_base or 0)))
    except (av.FFmpegError, OSError, ValueError) as exc:
        raise MediaError("the clip cannot be read, or it is damaged") from exc
    return ClipExtent(width, height, pictures, max(0.0, last - (first or 0.0)))


def _seconds(packet: Any) -> float | None:
    if packet.pts is None or packet.time_base is None:
        return None
    return float(packet.pts * packet.time_base)
