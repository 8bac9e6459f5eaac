"""A media file as pictures and sound, in the order in which it stores them.

Times begin near 0 (the earliest track that is used begins there), never repeat and never go back.
"""

import itertools
import logging
import os
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, TypeAlias

import av

from composer import lazy
from composer.errors import MediaError
from composer.media import rows
from composer.media.awaited import Awaited
from composer.media.containers import open_input
from composer.media.packets import packet_of
from composer.media.timeline import (
    BACK_SECONDS,
    JUMP_SECONDS,
    BestEffort,
    Pace,
    Samples,
    Timeline,
    Track,
)
from composer.node.formats import ALPHA_YUV, Carrier, has_alpha
from composer.node.frames import UNSAID
from composer.pictures import pixels
from composer.pictures.orientation import Orientation, turned

with lazy.deferred():  # only pictures that have alpha, are joined or made by Pillow need NumPy
    from composer.media import animation, heif
    from composer.pictures import alpha

with lazy.deferred():  # it brings the encoders with it
    from composer.media import file_kinds

log = logging.getLogger(__name__)

Given: TypeAlias = "av.VideoFrame | av.AudioFrame | av.Packet[Any]"

MAX_PIXELS: Final = 8192 * 8192
"""Largest picture that is decoded: 67 million pixels, 100 MB in yuv420p."""

_STILL_BRANDS: Final = ("mif1", "mif2", "heic", "avif")
"""Of files that hold pictures as items (ISO/IEC 23008-12)."""

_PART: Final = av.stream.Disposition.dependent | av.stream.Disposition.still_image
"""What belongs to another track, and is none to choose."""

CUT_SECONDS: Final = 0.3
"""So much may be missing at the end of a file that says only how long it is."""

LONGEST_TAIL: Final = 300
"""Packets from one key picture on that are kept to be decoded again."""

TAIL_ATTEMPTS: Final = 3
"""How many packets at the end may be bad, one after another, to save those before them."""

READ_ATTEMPTS: Final = 8
"""Errors in a row after which the rest of a container is given up."""


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
    ) -> None:
        self.damaged = 0
        """Packets that could not be read or decoded, and pictures decoded in part."""

        self.lost_tracks: list[str] = []
        """Tracks that were asked for and of which nothing came, in words: known in the end."""

        self._name = source if "://" in source else Path(source).name
        self._layout = layout
        self._carrier = sound
        self._limits = {"max_pixels": str(max_pixels)}
        self._max_pixels = max_pixels
        self._row = rows.find(source)
        self._container: Any = opened(source, self._name, self._limits, row=self._row)
        self._threads = threads
        self._image = self._pick("video") if layout else None
        self._sound = self._pick("audio", self._image) if sound is not None else None
        self._check_tracks()
        self._grid = self._tiles_of(source)
        for stream in self._container.streams:
            if stream not in (self._image, self._sound) and self._grid is None:
                stream.discard = av.stream.Discard.all
        jumps = self._has(av.format.Flags.ts_discont)
        back = BACK_SECONDS if jumps else JUMP_SECONDS
        self._timeline = Timeline(self._start(), wraps=jumps, back=back)
        self._guessed, self._sounding = BestEffort(), Samples()
        self._counted = self._row is None and self._has(av.format.Flags.no_timestamps)
        self.rate = _rate(self._image, max_fps)
        """Pictures per second, as the container says of those that are taken; 0 for not said."""

        self._aspect = _overruling_aspect(self._image)
        self._orientation = Orientation(lasts=self._row is None)
        self._pace = Pace(max_fps) if max_fps else None
        if self._row is not None and self._row.missing:
            row = self._row
            log.warning(
                "%s: %d of the numbers from %d to %d have no file, the first of them is %d;"
                " the picture before a gap is shown until the next",
                *(self._name, row.missing, row.first, row.numbers[-1], row.gap),
            )
        self._decoder = self._opened_for_alpha(threads) if has_alpha(layout) else None
        self._seen, self._told_of_alpha = "", False
        self._tracks: dict[int, Track] = {}
        self._had: set[int] = set()
        step = _step(self._image) if self._image is not None else 1
        self._awaited, self._silent, self._cut = Awaited(step), 0, 0
        self._demuxed_pictures, self._promised_pictures = 0, self._promised()
        self._tail = Tail()

    def read(self) -> Iterator[Given]:
        """Pictures, and sound samples or packets. Raises MediaError when there is not one."""
        came: set[type] = set()
        for item in self._items():
            came.add(type(item))
            yield item
        if not came:
            raise MediaError(f"{self._name} holds nothing that can be decoded")
        self._account(came)

    @property
    def lost(self) -> dict[str, int]:
        """What the file has and nobody was given, by reason.

        before_key: pictures before the first that could be decoded. damaged: pictures and packets
        of sound that could not be. time: what repeats a time or goes back. missing: numbers of a
        row without a file. cut: pictures that the file says it holds, behind its end.
        """
        awaited = self._awaited
        found = {
            "before_key": awaited.late,
            "damaged": awaited.damaged + self._silent,
            "time": sum(track.repeated for track in self._tracks.values()),
            "missing": self._row.missing if self._row is not None else 0,
            "cut": self._cut,
        }
        return {reason: count for reason, count in found.items() if count}

    def close(self) -> None:
        """Let go of the file. Packets that were given out keep it open until the last is gone,
        because they lead to their track's parameters.
        """
        container, self._container, self._image, self._sound = self._container, None, None, None
        if container is not None and self._carrier != Carrier.PACKET:
            container.close()

    def _items(self) -> Iterator[Given]:
        packets = self._packets()
        if self._grid is not None:
            yield from self._pictures([self._joined(self._grid)], self._track(self._image))
            return
        image = self._image
        if image is not None and image.name == "webp" and self._row is None:
            first = next(packets)
            if animation.is_animated(bytes(first)):
                track = self._timeline.track(animation.TIME_BASE, 1, self._name)
                self._tracks[image.index] = track
                yield from self._animated(bytes(first), track)
                return
            packets = itertools.chain([first], packets)
        tracks = {stream.index: self._track(stream) for stream in self._used()}
        hides = self._image is not None and self._image.name == "vp8"
        for packet in packets:
            track = tracks[packet.stream.index]
            if packet.stream is self._image:
                if packet.size and not (hides and _is_hidden(packet)):
                    self._awaited.sent(packet)
                images = self._decode(packet) if packet.size else self._drained(packet)
                yield from self._pictures(images, track)
                self._tail.add(packet)
            elif self._carrier == Carrier.PACKET:
                yield from _coded(packet, track)
            else:
                yield from self._samples(packet, track)

    def _track(self, stream: Any) -> Track:
        base, coded = stream.time_base, self._carrier == Carrier.PACKET
        if stream.type == "audio" and not coded:
            base = Fraction(1, stream.sample_rate or 48_000)
        track = self._timeline.track(base, _step(stream), self._name)
        track.may_repeat = stream is self._sound and coded
        self._tracks[stream.index] = track
        return track

    def _account(self, came: set[type]) -> None:
        """Say what was lost, now that everything was read."""
        self._awaited.end()
        self._cut = self._behind_the_end()
        if self._cut:
            log.warning(
                "%s is cut short: it says that it holds %d more pictures", self._name, self._cut
            )
        heard: type = av.Packet if self._carrier == Carrier.PACKET else av.AudioFrame
        for stream in self._used():
            kind = av.VideoFrame if stream is self._image else heard
            if kind not in came and stream.index in self._had:
                self.lost_tracks.append(_describe(stream))
                self._tell(stream, "came to nothing")

    def _tell(self, stream: Any, why: str) -> None:
        log.warning("%s: its %s %s", self._name, _describe(stream), why)

    def _promised(self) -> int:
        """Pictures that the file says it holds, 0 where it does not say."""
        form = self._container.format.name
        if self._image is None or self._row is not None:
            return 0
        if form.startswith("mov"):
            return len(self._image.index_entries)
        return int(self._image.frames) if form == "avi" else 0

    def _behind_the_end(self) -> int:
        """Pictures that the file says it holds, and does not."""
        image, container = self._image, self._container
        if image is None or self._grid is not None:
            return 0
        form, each = container.format.name, Fraction(_step(image)) * image.time_base
        if form.startswith("matroska"):
            missing = int(self._seconds_behind_the_end() / each)
        else:
            missing = max(0, self._promised_pictures - self._demuxed_pictures)
        # only an index says it to the picture
        return missing if form.startswith("mov") or missing * each > CUT_SECONDS else 0

    def _seconds_behind_the_end(self) -> Fraction:
        container = self._container
        others = {stream.type for stream in container.streams if stream not in self._used()}
        if container.duration is None or others - {"attachment"}:  # one of them may be longer
            return Fraction(0)
        length = Fraction((container.start_time or 0) + container.duration, 1_000_000)
        return length - max(track.end for track in self._tracks.values()) - self._start()

    def _animated(self, data: bytes, track: Track) -> Iterator[av.VideoFrame]:
        try:
            yield from self._pictures(animation.pictures(data, self._max_pixels), track)
        except MediaError as exc:
            raise MediaError(f"{self._name}: {exc}") from exc

    def _tiles_of(self, source: str) -> "heif.Grid | None":
        """How the pictures of this file join, where it holds one in tiles (HEIC, AVIF)."""
        about = self._container.metadata
        brands = about.get("major_brand", "") + about.get("compatible_brands", "")
        if self._image is None or not any(brand in brands for brand in _STILL_BRANDS):
            return None
        if "://" in source:
            tiled = av.stream.Disposition.dependent & self._image.disposition
            if tiled:
                raise MediaError(f"{self._name} is a picture in tiles: save it as a file first")
            return None
        try:
            grid = heif.grid(Path(source))
        except MediaError as exc:
            raise MediaError(f"{self._name}: {exc}") from exc
        if grid is not None:
            self._check_size(grid.width, grid.height)
        return grid

    def _joined(self, grid: "heif.Grid") -> av.VideoFrame:
        tiles: dict[int, av.VideoFrame] = {}
        for packet in self._container.demux():
            if packet.stream.id in grid.tiles:
                for image in self._decode(packet):
                    tiles[packet.stream.id] = pixels.convert(image, self._layout)
        if missing := set(grid.tiles) - tiles.keys():
            raise MediaError(f"{self._name}: {len(missing)} of its {len(grid.tiles)} tiles are bad")
        try:
            return heif.join(grid, [tiles[tile] for tile in grid.tiles])
        except MediaError as exc:
            raise MediaError(f"{self._name}: {exc}") from exc

    def _has(self, flag: Any) -> bool:
        """Whether this kind of file is of a sort: libavformat's flags of its demuxer."""
        return bool(self._container.format.flags & flag.value)

    def _used(self) -> list[Any]:
        return [stream for stream in (self._image, self._sound) if stream is not None]

    def _pick(self, kind: str, beside: Any = None) -> Any:
        """The first of candidates() that can be decoded; says which where there are several."""
        tracks = candidates(self._container, kind, beside)
        chosen = next((stream for stream in tracks if self._opens(stream)), None)
        for stream in itertools.takewhile(lambda stream: stream is not chosen, tracks):
            self._tell(stream, "cannot be decoded")
        if chosen is None:
            self.lost_tracks += map(_describe, tracks[:1])
        whole = [each for each in tracks if not each.disposition & _PART]
        if chosen is not None and len(whole) > 1:
            log.warning(
                "%s has %d tracks of %s: number %d of the file is read, %s",
                *(self._name, len(whole), "pictures" if kind == "video" else "sound"),
                *(chosen.index, _describe(chosen)),
            )
        return chosen

    def _opens(self, stream: Any) -> bool:
        """Whether there is a decoder that takes this track. It is open then."""
        context = stream.codec_context
        if context is None:
            return False
        if stream.type == "video":
            self._check_size(stream.width, stream.height)
            stream.thread_type, context.thread_count = "AUTO", self._threads
            context.options = self._limits
        elif self._carrier == Carrier.PACKET and context.codec.canonical_name in file_kinds.COPIED:
            return True
        try:
            context.open(strict=False)
        except (av.FFmpegError, ValueError) as exc:
            log.debug("%s: %s", self._name, exc)
            return False
        if stream.type == "audio":
            self._carrier = Carrier.FRAME
        return True

    def _check_size(self, width: int, height: int) -> None:
        if width * height > self._max_pixels:
            self._container.close()
            raise MediaError(
                f"{self._name}: its pictures of {width}x{height} are too large;"
                f" {self._max_pixels} pixels are the most"
            )

    def _check_tracks(self) -> None:
        image = self._image
        if (self._layout and image is None) or not self._used():
            missing = "picture" if self._layout else "sound"
            found = ", ".join(_describe(stream) for stream in self._container.streams)
            self._container.close()
            raise MediaError(f"{self._name} has no {missing} track; it has {found or 'no track'}")

    def _start(self) -> Fraction:
        """Seconds at which the first of the used tracks begins."""
        starts = [
            stream.start_time * stream.time_base
            for stream in self._used()
            if stream.start_time is not None
        ]
        return Fraction(min(starts, default=0))

    def _opened_for_alpha(self, threads: int) -> Any:
        """A decoder that gives alpha, where the usual one of the pictures does not."""
        name = _decoder_of_alpha(self._image)
        if not name:
            return None
        decoder = av.CodecContext.create(name, "r")
        decoder.options, decoder.thread_count = dict(self._limits), threads
        return decoder

    def _packets(self) -> Iterator[Any]:
        """Every packet of the used tracks, then an empty one each, which drains the decoder."""
        yield from self._demuxed() if self._row is None else self._numbered(self._row)
        for stream in self._used():
            last: Any = av.Packet()
            last.stream, last.time_base = stream, stream.time_base
            yield last

    def _demuxed(self) -> Iterator[Any]:
        failed = 0
        while failed < READ_ATTEMPTS:
            try:
                for packet in self._container.demux(self._used()):
                    failed = 0
                    if packet.stream is self._image and (packet.size or packet.dts is not None):
                        self._demuxed_pictures += 1
                    if packet.size:  # else the decoder would take it for the end
                        self._had.add(packet.stream.index)
                        yield packet
            except IndexError:  # PyAV: a packet of a track that was found only after opening
                continue
            except av.FFmpegError as exc:
                failed += 1
                self.damaged += 1
                log.debug("%s: %s", self._name, exc)
            else:
                return
        log.warning("%s is damaged: the rest of it is left out", self._name)

    def _numbered(self, row: rows.Row) -> Iterator[Any]:
        """The files of a row, each at the time that its number stands for."""
        image: Any = self._image
        for number in row.numbers:
            try:
                packet: Any = packet_of(row.path(number).read_bytes())
            except OSError as exc:
                raise MediaError(f"{row.path(number)} may not be read") from exc
            packet.stream, packet.time_base = image, image.time_base
            packet.pts = packet.dts = number - row.first
            packet.duration, packet.is_keyframe = 1, True
            if packet.size:
                yield packet
            else:
                self._count_damaged()

    def _decode(self, packet: Any) -> list[Any]:
        try:
            if self._decoder is not None and packet.stream is self._image:
                return list(self._decoder.decode(packet))
            return list(packet.decode())
        except av.FFmpegError as exc:
            if not isinstance(exc, EOFError):  # the decoder was drained already
                self._count_damaged()
            return []

    def _drained(self, last: Any) -> list[Any]:
        """The pictures that the decoder still held.

        With threads a bad one ends this, and hides what the others hold: then the last stretch is
        decoded again, without the packets at its end.
        """
        images = self._decode(last)
        if self._awaited.due <= len(images):
            return images
        context = last.stream.codec_context
        for packets in self._tail.shortened(TAIL_ATTEMPTS):
            context.flush_buffers()
            try:
                again = [image for packet in packets for image in packet.decode()]
                again += last.decode()
            except av.FFmpegError:
                continue
            images = max(images, [each for each in again if self._tail.is_new(each)], key=len)
        return images

    def _count_damaged(self) -> None:
        self.damaged += 1
        if self.damaged == 1:
            log.warning("%s is damaged: what cannot be decoded is left out", self._name)

    def _pictures(self, images: Iterable[av.VideoFrame], track: Track) -> Iterator[av.VideoFrame]:
        for image in images:
            self._awaited.came(image)
            self._tail.came(image)
            if image.is_corrupt:
                self._count_damaged()
            if image.format.name != self._seen:
                self._seen = image.format.name
                self._tell_of_alpha(image)
            guessed = None if self._counted else self._guessed.time(image.pts, image.dts)
            said = None if image.pts is None else guessed
            pts = track.place(said, guessed, image.duration)
            if pts is None:
                continue
            if self._pace is not None:
                if not self._pace.takes(pts * track.seconds):
                    continue
                image.duration = 0  # it is shown for longer than it says
            image.pts = pts
            if self._aspect is not None:
                image = pixels.shaped(image, self._aspect)
            grid = self._grid
            yield (
                self._orientation.upright(image, self._layout)
                if grid is None
                else turned(image, self._layout, grid.display_matrix)
            )

    @property
    def stored(self) -> str:
        """The pixel layout between two nodes that is nearest to how the pictures are stored; "" for
        no pictures.
        """
        if self._image is None or self._image.codec_context.format is None:
            return ""
        if _decoder_of_alpha(self._image):
            return ALPHA_YUV
        context = self._image.codec_context
        nearest = pixels.nearest(context.format)
        if not has_alpha(nearest) or not (context.format.has_palette or context.name in _ROOMY):
            return nearest
        first = next((image for image in self.read() if isinstance(image, av.VideoFrame)), None)
        return nearest if first is not None and alpha.is_used(first) else "rgb24"

    def _tell_of_alpha(self, image: av.VideoFrame) -> None:
        """Say once that the plan has no room for the alpha of the pictures."""
        if self._told_of_alpha or has_alpha(self._layout):
            return
        if _decoder_of_alpha(self._image) or alpha.is_used(image):
            self._told_of_alpha = True
            log.warning("%s: its pictures have alpha, which is left out", self._name)

    def _samples(self, packet: Any, track: Track) -> Iterator[av.AudioFrame]:
        damaged = self.damaged
        blocks = self._decode(packet)
        self._silent += self.damaged - damaged
        for block in blocks:
            length = round(block.samples / block.sample_rate / track.seconds)
            pts = track.place(self._sounding.time(block, track.seconds, length), None, length)
            if pts is not None:
                block.pts, block.time_base = pts, track.time_base
                yield block


def _coded(packet: Any, track: Track) -> Iterator[Any]:
    if not packet.size:  # the last one
        return
    before = packet.dts if packet.pts is None else packet.pts
    pts = track.place(packet.pts, packet.dts, packet.duration)
    if pts is None:
        return
    if packet.dts is not None:
        packet.dts += pts - before
    packet.pts = pts
    yield packet


def candidates(container: Any, kind: str, beside: Any = None) -> list[Any]:
    """The tracks of a kind (video, audio) in the order in which they are tried: libavformat's best
    one first, of the programme of `beside`. The cover of an album is not a picture.
    """
    cover = av.stream.Disposition.attached_pic
    best = container.streams.best(kind, related=beside)
    tracks = [each for each in container.streams if each.type == kind]
    tracks = [each for each in tracks if not each.disposition & cover]
    return sorted(tracks, key=lambda each: each is not best)


def choose(container: Any, kind: str, beside: Any = None) -> Any:
    """The first of candidates() that there is a decoder for, None where there is none."""
    tracks = candidates(container, kind, beside)
    return next((each for each in tracks if each.codec_context), None)


def opened(
    source: str,
    name: str,
    limits: dict[str, str],
    *,
    row: rows.Row | None = None,
    timeout: float | None = None,
) -> Any:
    """The container at a path or URL, or the first picture of a row. Raises MediaError.

    name: what errors call it. timeout: seconds that a URL may say nothing, None for ever.
    """
    options, form = limits, None
    if row is not None:
        source, form = str(row.path(row.first)), "image2"
        options = limits | {"pattern_type": "none"}
    try:
        container = open_input(source, format=form, options=options, timeout=timeout)
        container.flags &= ~av.container.Flags.gen_pts.value  # PyAV asks for made up ones
        return container
    except FileNotFoundError:
        raise MediaError(f"{name}: there is no such file") from None
    except PermissionError as exc:
        raise MediaError(f"{name} may not be read") from exc
    except IsADirectoryError:
        raise MediaError(f"{name} is a folder, not a media file") from None
    except (av.FFmpegError, OSError) as exc:
        if "://" in source:
            raise MediaError(f"{name} cannot be opened: nothing there can be read") from exc
        raise MediaError(
            f"{name} is not a media file that can be read, or it is damaged,"
            " or its pictures are too large"
        ) from exc


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


def _decoder_of_alpha(stream: Any) -> str:
    """The decoder that gives the alpha of a WebM, "" where the usual one does, or there is none.

    Alpha lies beside the pictures there (WebM, BlockAdditional), and libavcodec's own decoders of
    VP8 and VP9 leave it out.
    """
    if stream.metadata.get("alpha_mode") != "1":
        return ""
    return {"vp8": "libvpx", "vp9": "libvpx-vp9"}.get(stream.codec_context.name, "")


def _describe(stream: Any) -> str:
    """A track in words: "sound (aac, stereo, 48000 Hz)"."""
    context = stream.codec_context
    codec = context.codec.canonical_name if context else "unknown codec"
    if stream.type == "video" and context:
        return f"pictures ({codec}, {stream.width}x{stream.height})"
    if stream.type == "audio" and context:
        return f"sound ({codec}, {context.layout.name}, {context.sample_rate} Hz)"
    said = {"video": "pictures", "audio": "sound"}.get(stream.type)
    return f"{said} ({codec})" if said else str(stream.type)


def _is_hidden(packet: Any) -> bool:
    """Whether a picture of VP8 is only there for others to refer to (RFC 6386, 9.1)."""
    return not memoryview(packet)[0] & 0x10


def _rate(stream: Any, max_fps: float) -> Fraction:
    said = Fraction(stream.guessed_rate or 0) if stream is not None else UNSAID
    return min(said, Fraction(max_fps)) if max_fps else said


def _overruling_aspect(stream: Any) -> Fraction | None:
    """The shape of pixels that the container says against the coded pictures; None otherwise."""
    if stream is None:
        return None
    said, coded = stream.sample_aspect_ratio, stream.codec_context.sample_aspect_ratio
    return said if said and said != coded else None


def _step(stream: Any) -> int:
    """Ticks from one item of a track to the next, as the container says."""
    if stream.type == "audio":
        return 1
    rate = Fraction(stream.average_rate or stream.guessed_rate or 25)
    return max(1, round(1 / (rate * Fraction(stream.time_base))))


class Tail:
    """What went into a decoder since the last key picture, and the newest that came out."""

    def __init__(self) -> None:
        self._packets: list[Any] = []
        self._newest = -(1 << 63)

    def add(self, packet: Any) -> None:
        if packet.is_keyframe or len(self._packets) >= LONGEST_TAIL:
            self._packets.clear()
        self._packets.append(packet)

    def came(self, image: Any) -> None:
        time = image.dts if image.pts is None else image.pts
        if time is not None:
            self._newest = time

    def is_new(self, image: Any) -> bool:
        """Whether a picture that came again did not come before."""
        time = image.dts if image.pts is None else image.pts
        return time is not None and time > self._newest

    def shortened(self, most: int) -> Iterator[list[Any]]:
        """Without its last packet, without the last two..."""
        if self._packets and self._packets[0].is_keyframe:
            count = len(self._packets)
            for end in range(count - 1, max(count - 1 - most, 0), -1):
                yield self._packets[:end]
