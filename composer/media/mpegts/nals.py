"""NAL units of H.264 and HEVC, as far as they say where decoding may begin.

ISO/IEC 14496-10, 7.3.1 and annex D; ISO/IEC 23008-2, 7.3.1 and annex D.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

CODECS: Final = ("h264", "hevc")

_RECOVERY_POINT: Final = 6
"""payload_type of the SEI message that says from where on pictures are right."""


@dataclass(frozen=True, slots=True)
class Head:
    """What stands before the first slice of an access unit.

    start: "idr", "bla" or "cra" by its first slice, "recovery" by an SEI message, "" where decoding
    cannot begin. sets: whether a sequence parameter set stands there.
    """

    start: str = ""
    sets: bool = False


def length_size(codec: str, extradata: bytes) -> int:
    """Bytes of the length before each unit as MP4 and Matroska have it; 0 for start codes."""
    at = {"h264": 4, "hevc": 21}[codec]
    return (extradata[at] & 3) + 1 if len(extradata) > at and extradata[0] == 1 else 0


def head(codec: str, data: bytes, size: int) -> Head:
    """codec: one of CODECS. data: an access unit. size: what length_size() gave."""
    kinds = _h264 if codec == "h264" else _hevc
    recovers = sets = False
    for unit in _measured(data, size) if size else marked(data):
        what = kinds(unit)
        if what == "sets":
            sets = True
        elif what == "sei":
            recovers = recovers or is_recovery_point(unit[1 if codec == "h264" else 2 :])
        elif what is not None:
            return Head(what or ("recovery" if recovers else ""), sets)
    return Head("", sets)


def _h264(unit: bytes) -> str | None:
    kind = unit[0] & 0x1F
    if 1 <= kind <= 5:
        return "idr" if kind == 5 else ""
    return {6: "sei", 7: "sets"}.get(kind)


def _hevc(unit: bytes) -> str | None:
    kind = unit[0] >> 1 & 0x3F
    if kind < 32:
        named = {16: "bla", 17: "bla", 18: "bla", 19: "idr", 20: "idr", 21: "cra"}
        return named.get(kind, "")
    return {33: "sets", 39: "sei"}.get(kind)


def is_recovery_point(messages: bytes) -> bool:
    """Whether one of the messages of a SEI unit, behind its header, says that pictures are right
    from here on, or some pictures later (H.264, D.2.8; HEVC, D.3.8).
    """
    at = 0
    while at + 2 <= len(messages) and messages[at] != 0x80:
        kind, at = _sum(messages, at)
        size, at = _sum(messages, at)
        if kind == _RECOVERY_POINT:
            return True
        at += size
    return False


def _sum(data: bytes, at: int) -> tuple[int, int]:
    """A number written as bytes of 255 and a last one, and where it ends."""
    value = 0
    while at < len(data) and data[at] == 0xFF:
        value, at = value + 255, at + 1
    return value + (data[at] if at < len(data) else 0), at + 1


def marked(data: bytes) -> Iterator[bytes]:
    """The units of an access unit that are set apart by start codes, with their headers."""
    at = data.find(b"\x00\x00\x01")
    while at >= 0:
        end = data.find(b"\x00\x00\x01", at + 3)
        if unit := data[at + 3 : end if end >= 0 else len(data)]:
            yield unit
        at = end


def _measured(data: bytes, size: int) -> Iterator[bytes]:
    at = 0
    while at + size < len(data):
        length = int.from_bytes(data[at : at + size], "big")
        if unit := data[at + size : at + size + length]:
            yield unit
        at += size + length
