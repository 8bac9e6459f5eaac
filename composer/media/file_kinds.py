"""Kinds of files: what each holds, by the ending of its name."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from composer.media.coders import CODERS
from composer.node.formats import has_alpha


@dataclass(frozen=True, slots=True)
class FileKind:
    """What one kind of file holds. format: libavformat's name. pictures, sound: what is written
    unless asked otherwise, the first, and what else may be. alpha: which of them with alpha.
    """

    format: str
    pictures: tuple[str, ...]
    sound: tuple[str, ...]
    alpha: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)


_FAST_START: Final = {"movflags": "+faststart"}

_MP4: Final = FileKind(
    "mp4",
    ("h264", "hevc", "vp9", "av1", "mjpeg"),
    ("aac", "opus", "ac3", "eac3", "mp3", "alac", "flac"),
    options=_FAST_START,
)

CONTAINERS: Final[dict[str, FileKind]] = {
    "mp4": _MP4,
    "m4v": _MP4,
    "m4a": _MP4,
    "mov": FileKind(
        "mov",
        ("h264", "hevc", "mjpeg", "png", "prores", "qtrle"),
        ("aac", "ac3", "eac3", "mp3", "alac", "pcm_s16le", "pcm_s24le"),
        ("png", "prores", "qtrle"),
        _FAST_START,
    ),
    "mkv": FileKind(
        "matroska",
        ("h264", "hevc", "vp9", "av1", "mjpeg"),
        (
            *("aac", "opus", "ac3", "eac3", "mp3", "mp2", "vorbis", "flac", "alac", "dts"),
            *("truehd", "pcm_s16le", "pcm_s24le", "pcm_f32le"),
        ),
        ("vp9",),
    ),
    "ts": FileKind("mpegts", ("h264", "hevc"), ("aac", "opus", "ac3", "eac3", "mp3", "mp2")),
    "webm": FileKind("webm", ("vp9", "av1"), ("opus", "vorbis"), ("vp9",)),
}
"""By the ending of the file's name."""

COPIED: Final = frozenset(codec for kind in CONTAINERS.values() for codec in kind.sound)
"""Sound that some kind of file takes as it is coded."""

STILLS: Final = {"png": "png", "jpg": "mjpeg", "jpeg": "mjpeg"}
"""Endings of files that hold one picture each, and how it is coded."""


def held_layouts(path: str, codec: str) -> tuple[str, ...]:
    """The layouts between nodes that a file of this name holds, the preferred one first; () where
    that is not known: without a name only a codec says it. codec: a key of CODERS, or "auto".
    """
    ending = ending_of(path)
    container = CONTAINERS.get(ending)
    if codec == "auto":
        codec = container.pictures[0] if container else STILLS.get(ending, "")
    if codec not in CODERS:
        return ()
    takes = CODERS[codec].takes
    clear = container is None or codec in container.alpha
    return tuple(layout for layout in takes if clear or not has_alpha(layout))


def ending_of(path: str) -> str:
    return Path(path).suffix.lower().removeprefix(".")
