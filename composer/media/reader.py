"""A media file as pictures and sound, in the order in which it stores them.

Times begin near 0 (the earliest track that is used begins there), never repeat and never go back.
"""

import itertools
import logging
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, TypeAlias

import av

from composer import lazy
from composer.errors import MediaError
from composer.media import rows
from composer.media.containers import MAX_PIXELS, SILENCE_SECONDS, opened
from composer.media.ending import FileEnding
from composer.media.presentation import Presentation
from composer.media.reading import Damage, Packets
from composer.media.selection import (
    Selection,
    decoder_of_alpha,
    describe,
    limits,
    rate_of,
    step_of,
)
from composer.media.tiles import tiles_of
from composer.media.timeline import BACK_SECONDS, JUMP_SECONDS, Samples, Timeline, TrackClock
from composer.node.formats import ALPHA_YUV, Carrier, has_alpha
from composer.pictures import pixels

with lazy.deferred():  # only pictures that have alpha, or are made by Pillow, need NumPy
    from composer.media import animation
    from composer.pictures import alpha

log = logging.getLogger(__name__)

Given: TypeAlias = "av.VideoFrame | av.AudioFrame | av.Packet[Any]"

TAIL_ATTEMPTS: Final = 3
"""How many packets at the end may be bad, one after another, to save those before them."""


class Reader:
    """What one file or URL holds, decoded. Raises MediaError when it cannot be opened.

    layout: the pixel layout of the pictures, "" for none. sound: samples (FRAME), packets as they
    were coded (PACKET; samples where no kind of file takes them so), or None. max_fps: 0 for all
    pictures; the rest are left out by their time.
    Pictures that it gives are the caller's to write into.
    """

    def __init__(
        self,
        source: str,
        *,
        layout: str = "",
        sound: Carrier | None = None,
        max_fps: float = 0,
        threads: int = 0,
        max_pixels: int = MAX_PIXELS,
        silence: float = SILENCE_SECONDS,
    ) -> None:
        """silence: seconds that it may say nothing."""
        self._name = source if "://" in source else Path(source).name
        self._layout, self._max_pixels = layout, max_pixels
        self._row = rows.find(source)
        limited = limits(max_pixels)
        container = opened(source, self._name, limited, row=self._row, timeout=silence)
        self._selection = Selection(
            container,
            self._name,
            pictures=bool(layout),
            sound=sound,
            threads=threads,
            max_pixels=max_pixels,
        )
        self._carrier = self._selection.sound_as
        self._tiles = tiles_of(self._selection, source, self._name)
        self._leave_out_the_rest()
        self.rate = rate_of(self._image, max_fps)
        """Pictures per second, as the container says of those that are taken; 0 for not said."""

        self._damage = Damage(self._name)
        self._packets = Packets(self._selection, self._name, self._row, self._damage)
        self._presentation = self._presented(max_fps)
        self._decoder = self._opened_for_alpha(threads) if has_alpha(layout) else None
        jumps = self._has(av.format.Flags.ts_discont)
        back = BACK_SECONDS if jumps else JUMP_SECONDS
        self._timeline = Timeline(self._selection.start, wraps=jumps, back=back)
        self._tracks: dict[int, TrackClock] = {}
        self._sounding, self._silent = Samples(), 0
        self._ending, self._cut = FileEnding(self._selection), 0

    def read(self) -> Iterator[Given]:
        """Pictures, and sound samples or packets. Raises MediaError when there is not one."""
        came: set[type] = set()
        for item in self._items():
            came.add(type(item))
            yield item
        if not came:
            raise MediaError(f"{self._name} holds nothing that can be decoded")
        self._account(came)

    def close(self) -> None:
        """Let go of the file. Packets that were given out keep it open until the last is gone,
        because they lead to their track's parameters.
        """
        self._selection.close()

    @property
    def damaged(self) -> int:
        """Packets that could not be read or decoded, and pictures decoded in part."""
        return self._damage.count

    @property
    def lost_tracks(self) -> list[str]:
        """Tracks that were asked for and of which nothing came, in words: known in the end."""
        return self._selection.lost

    @property
    def lost(self) -> dict[str, int]:
        """What the file has and nobody was given, by reason.

        before_key: pictures before the first that could be decoded. damaged: pictures and packets
        of sound that could not be. time: what repeats a time or goes back. missing: numbers of a
        row without a file. cut: pictures that the file says it holds, behind its end.
        """
        awaited = self._presentation.awaited
        counts = {
            "before_key": awaited.late,
            "damaged": awaited.damaged + self._silent,
            "time": sum(track.repeated for track in self._tracks.values()),
            "missing": self._row.missing if self._row is not None else 0,
            "cut": self._cut,
        }
        return {reason: count for reason, count in counts.items() if count}

    @property
    def stored(self) -> str:
        """The pixel layout between two nodes that is nearest to how the pictures are stored; "" for
        no pictures.
        """
        if self._image is None or self._image.codec_context.format is None:
            return ""
        if decoder_of_alpha(self._image):
            return ALPHA_YUV
        context = self._image.codec_context
        nearest = pixels.nearest(context.format)
        if not has_alpha(nearest) or not (context.format.has_palette or context.name in _ROOMY):
            return nearest
        first = next((image for image in self.read() if isinstance(image, av.VideoFrame)), None)
        return nearest if first is not None and alpha.is_used(first) else "rgb24"

    # opening

    @property
    def _image(self) -> Any:
        return self._selection.image

    def _leave_out_the_rest(self) -> None:
        """Have no packets of tracks that nobody reads; and say what a row of files lacks."""
        for stream in self._selection.container.streams:
            if stream not in self._selection.used and self._tiles is None:
                stream.discard = av.stream.Discard.all
        if self._row is not None and self._row.missing:
            row = self._row
            log.warning(
                "%s: %d of the numbers from %d to %d have no file, the first of them is %d;"
                " the picture before a gap is shown until the next",
                *(self._name, row.missing, row.first, row.numbers[-1], row.gap),
            )

    def _presented(self, max_fps: float) -> Presentation:
        return Presentation(
            self._image,
            name=self._name,
            layout=self._layout,
            max_fps=max_fps,
            damage=self._damage,
            counted=self._row is None and self._has(av.format.Flags.no_timestamps),
            lasts=self._row is None,
            tiles=self._tiles,
        )

    def _has(self, flag: Any) -> bool:
        """Whether this kind of file is of a sort: libavformat's flags of its demuxer."""
        return bool(self._selection.container.format.flags & flag.value)

    def _opened_for_alpha(self, threads: int) -> Any:
        """A decoder that gives alpha, where the usual one of the pictures does not."""
        name = decoder_of_alpha(self._image)
        if not name:
            return None
        decoder = av.CodecContext.create(name, "r")
        decoder.options, decoder.thread_count = limits(self._max_pixels), threads
        return decoder

    # reading

    def _items(self) -> Iterator[Given]:
        if self._tiles is not None:
            packets = self._selection.container.demux()
            image = self._tiles.joined(packets, self._decode, self._layout)
            yield from self._presentation.shown([image], self._track(self._image))
            return
        packets, stream = iter(self._packets), self._image
        if stream is not None and stream.name == "webp" and self._row is None:
            first = next(packets)
            if animation.is_animated(bytes(first)):
                track = self._timeline.track(animation.TIME_BASE, 1, self._name)
                self._tracks[stream.index] = track
                yield from self._animated(bytes(first), track)
                return
            packets = itertools.chain([first], packets)
        tracks = {stream.index: self._track(stream) for stream in self._selection.used}
        for packet in packets:
            track = tracks[packet.stream.index]
            if packet.stream is self._image:
                yield from self._pictures(packet, track)
            elif self._carrier == Carrier.PACKET:
                yield from _coded(packet, track)
            else:
                yield from self._samples(packet, track)

    def _track(self, stream: Any) -> TrackClock:
        base, coded = stream.time_base, self._carrier == Carrier.PACKET
        if stream.type == "audio" and not coded:
            base = Fraction(1, stream.sample_rate or 48_000)
        track = self._timeline.track(base, step_of(stream), self._name)
        track.may_repeat = stream is self._selection.sound and coded
        self._tracks[stream.index] = track
        return track

    def _animated(self, data: bytes, track: TrackClock) -> Iterator[av.VideoFrame]:
        try:
            images = animation.pictures(data, self._max_pixels)
            yield from self._presentation.shown(images, track)
        except MediaError as exc:
            raise MediaError(f"{self._name}: {exc}") from exc

    def _pictures(self, packet: Any, track: TrackClock) -> Iterator[av.VideoFrame]:
        presentation = self._presentation
        if not packet.size:
            images = self._drained(packet)
        else:
            if not (self._image.name == "vp8" and _is_hidden(packet)):
                presentation.awaited.sent(packet)
            images = self._decode(packet)
        yield from presentation.shown(images, track)
        presentation.tail.add(packet)

    def _decode(self, packet: Any) -> list[Any]:
        try:
            if self._decoder is not None and packet.stream is self._image:
                return list(self._decoder.decode(packet))
            return list(packet.decode())
        except av.FFmpegError as exc:
            if not isinstance(exc, EOFError):  # the decoder was drained already
                self._damage.add()
            return []

    def _drained(self, last: Any) -> list[Any]:
        """The pictures that the decoder still held.

        With threads a bad one ends this, and hides what the others hold: then the last stretch is
        decoded again, without the packets at its end.
        """
        images, tail = self._decode(last), self._presentation.tail
        if self._presentation.awaited.due <= len(images):
            return images
        context = last.stream.codec_context
        for packets in tail.shortened(TAIL_ATTEMPTS):
            context.flush_buffers()
            try:
                again = [image for packet in packets for image in packet.decode()]
                again += last.decode()
            except av.FFmpegError:
                continue
            images = max(images, [image for image in again if tail.is_new(image)], key=len)
        return images

    def _samples(self, packet: Any, track: TrackClock) -> Iterator[av.AudioFrame]:
        damaged = self.damaged
        blocks = self._decode(packet)
        self._silent += self.damaged - damaged
        for block in blocks:
            length = round(block.samples / block.sample_rate / track.seconds)
            pts = track.place(self._sounding.time(block, track.seconds, length), None, length)
            if pts is not None:
                block.pts, block.time_base = pts, track.time_base
                yield block

    def _account(self, came: set[type]) -> None:
        """Say what was lost, now that everything was read."""
        self._presentation.awaited.end()
        if self._tiles is None:
            ends = [track.end for track in self._tracks.values()]
            self._cut = self._ending.cut(self._packets.pictures, ends)
        if self._cut:
            log.warning(
                "%s is cut short: it says that it holds %d more pictures", self._name, self._cut
            )
        heard: type = av.Packet if self._carrier == Carrier.PACKET else av.AudioFrame
        for stream in self._selection.used:
            kind = av.VideoFrame if stream is self._image else heard
            if kind not in came and stream.index in self._packets.tracks:
                self.lost_tracks.append(describe(stream))
                self._selection.tell(stream, "came to nothing")


def _coded(packet: Any, track: TrackClock) -> Iterator[Any]:
    """A packet of sound as it was coded, at its time; nothing for the last one, which is empty."""
    if not packet.size:
        return
    before = packet.dts if packet.pts is None else packet.pts
    pts = track.place(packet.pts, packet.dts, packet.duration)
    if pts is None:
        return
    if packet.dts is not None:
        packet.dts += pts - before
    packet.pts = pts
    yield packet


def _is_hidden(packet: Any) -> bool:
    """Whether a picture of VP8 is only there for others to refer to (RFC 6386, 9.1)."""
    return not memoryview(packet)[0] & 0x10


def stored_layout(source: str) -> str:
    """The pixel layout between two nodes that is nearest to how a file, or a row of picture files,
    holds its pictures. "" for what cannot be read, and for what is no file here: a pipe or an
    address would have to be read twice.
    """
    if not os.path.isfile(source) and ("%" not in source or "://" in source):
        return ""
    try:
        reader = Reader(source, layout="rgba")
    except MediaError:  # said when it is really to be read
        return ""
    try:
        return reader.stored
    except MediaError:
        return ""
    finally:
        reader.close()


_ROOMY: Final = ("webp", "mjpeg")
"""Codecs whose pictures have room for alpha in libavcodec, used or not."""
