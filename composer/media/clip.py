"""A clip as a gateway sends it: MPEG-TS in pieces, each with its time, new segments at keyframes.

Every segment has its own PAT and PMT and continuity counters, and times go on over all of them
(contract 5.1).
"""

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, BinaryIO, Final

from composer.errors import MediaError
from composer.media.containers import open_input, open_output

SHORTEST: Final = 1.0
"""Seconds that a segment lasts at least."""

COPIED: Final = ("h264", "hevc")
SOUND: Final = ("aac", "opus", "mp2", "mp3", "ac3")


@dataclass(frozen=True, slots=True)
class Piece:
    """Some bytes that are due `seconds` after the first ones. begins: they open a segment."""

    seconds: float
    data: bytes
    begins: bool


def pieces(path: str | BinaryIO, *, loops: int = 1, shortest: float = SHORTEST) -> Iterator[Piece]:
    """The clip, `loops` times over. Raises MediaError for what cannot go into MPEG-TS as it is."""
    shift = Fraction(0)
    for _ in range(loops):
        segments = _Segments(path, shift, shortest)
        yield from segments.pieces()
        shift = segments.end


class _Segments:
    """One pass over a clip; `end`: seconds at which the next one begins."""

    def __init__(self, path: str | BinaryIO, shift: Fraction, shortest: float) -> None:
        self._path, self._shift, self._shortest = path, shift, Fraction(shortest)
        self.end = shift
        self._buffer = io.BytesIO()
        self._out: Any = None
        self._tracks: dict[int, Any] = {}

    def pieces(self) -> Iterator[Piece]:
        if not isinstance(self._path, str):
            self._path.seek(0)
        source: Any
        with open_input(self._path) as source:
            used = [track for track in (_picture(source), _sound(source)) if track is not None]
            began: Fraction | None = None
            first: Fraction | None = None
            for packet in _timed(source.demux(used)):
                if first is None:
                    first = packet.dts * packet.time_base
                at = packet.dts * packet.time_base - first + self._shift
                begins = False
                if packet.stream is used[0] and packet.is_keyframe:
                    if began is None or at - began >= self._shortest:
                        yield from self._closed(at)
                        self._open(used)
                        began, begins = at, True
                if began is None:
                    continue  # sound before the first picture
                self._write(packet, first)
                self.end = max(self.end, at + Fraction(packet.duration or 0) * packet.time_base)
                yield Piece(float(at), self._taken(), begins)
            yield from self._closed(self.end)

    def _open(self, used: list[Any]) -> None:
        self._buffer = io.BytesIO()
        options = {"flush_packets": "1", "mpegts_copyts": "1", "avoid_negative_ts": "disabled"}
        self._out = open_output(self._buffer, "mpegts", options)
        self._tracks = {track.index: self._out.add_stream_from_template(track) for track in used}

    def _write(self, packet: Any, first: Fraction) -> None:
        move = round((self._shift - first) / packet.time_base)
        packet.pts = packet.pts + move if packet.pts is not None else None
        packet.dts += move
        packet.stream = self._tracks[packet.stream.index]
        self._out.mux_one(packet)

    def _taken(self) -> bytes:
        data = self._buffer.getvalue()
        self._buffer.seek(0)
        self._buffer.truncate()
        return data

    def _closed(self, at: Fraction) -> Iterator[Piece]:
        if self._out is not None:
            self._out.close()
            if data := self._taken():
                yield Piece(float(at), data, begins=False)


def _timed(packets: Iterable[Any]) -> Iterator[Any]:
    """Packets that all have a dts: some containers leave out the first ones of a track."""
    waiting: dict[int, list[Any]] = {}
    for packet in packets:
        if not packet.size:
            continue
        early = waiting.setdefault(packet.stream.index, [])
        if packet.dts is None:
            early.append(packet)
            continue
        step = packet.duration or round(1 / (25 * packet.time_base))
        for back, waits in enumerate(reversed(early), 1):
            waits.dts = packet.dts - back * step
        yield from early
        early.clear()
        yield packet


def _picture(source: Any) -> Any:
    stream = next(iter(source.streams.video), None)
    if stream is None or stream.codec_context.codec.canonical_name not in COPIED:
        raise MediaError("a live clip should have pictures in H.264 or HEVC")
    return stream


def _sound(source: Any) -> Any:
    stream = next(iter(source.streams.audio), None)
    known = stream is not None and stream.codec_context.codec.canonical_name in SOUND
    return stream if known else None
