"""Pictures and sound into a file: encoders that need no container, and the containers.

PictureEncoder and SoundEncoder turn frames into packets and know no container; Writer puts packets
into one file. Times of the source travel untouched: its time base is the encoder's.
"""

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final

import av

from composer.errors import MediaError
from composer.formats import YUV_LAYOUTS
from composer.frames import Moment
from composer.media import pixels

log = logging.getLogger(__name__)


# What there is


SPEEDS: Final = (
    "ultrafast",
    "superfast",
    "veryfast",
    "faster",
    "fast",
    "medium",
    "slow",
    "slower",
    "veryslow",
)
"""Names of presets, as libx264 and libx265 know them."""

_VP9_SPEEDS: Final = (8, 7, 6, 5, 4, 3, 2, 1, 0)
_AV1_SPEEDS: Final = (12, 11, 10, 9, 8, 7, 6, 5, 4)


@dataclass(frozen=True, slots=True)
class Coder:
    """How pictures are coded. name: libavcodec's. layouts: what it takes, the usual one first.

    speeds: its own numbers for SPEEDS, empty where it takes the names. even: its pictures have
    even sides in 4:2:0.
    """

    name: str
    layouts: tuple[str, ...] = YUV_LAYOUTS
    preset: str = ""
    crf: int | None = None
    speeds: tuple[int, ...] = ()
    even: bool = False
    intra: bool = False
    full_range: bool = False


CODERS: Final[dict[str, Coder]] = {
    "h264": Coder("libx264", preset="superfast", crf=23, even=True),
    "hevc": Coder("libx265", preset="superfast", crf=28, even=True),
    "vp9": Coder("libvpx-vp9", preset="veryfast", crf=33, speeds=_VP9_SPEEDS),
    "av1": Coder("libsvtav1", ("yuv420p",), preset="veryfast", crf=35, speeds=_AV1_SPEEDS),
    "mjpeg": Coder("mjpeg", crf=3, intra=True, full_range=True),
    "png": Coder("png", ("rgb24", "rgba", "gray"), intra=True),
}
"""By the name that `codec` takes."""


@dataclass(frozen=True, slots=True)
class Container:
    """What one kind of file holds. format: libavformat's name. pictures, sound: what is written
    unless asked otherwise, the first, and what else may be.
    """

    format: str
    pictures: tuple[str, ...]
    sound: tuple[str, ...]
    options: Mapping[str, str] = field(default_factory=dict)


_FAST_START: Final = {"movflags": "+faststart"}
_MP4: Final = Container(
    "mp4",
    ("h264", "hevc", "vp9", "av1", "mjpeg"),
    ("aac", "opus", "ac3", "eac3", "mp3", "alac", "flac"),
    _FAST_START,
)
CONTAINERS: Final[dict[str, Container]] = {
    "mp4": _MP4,
    "m4v": _MP4,
    "m4a": _MP4,
    "mov": Container(
        "mov",
        ("h264", "hevc", "mjpeg", "png"),
        ("aac", "ac3", "eac3", "mp3", "alac", "pcm_s16le", "pcm_s24le"),
        _FAST_START,
    ),
    "mkv": Container(
        "matroska",
        ("h264", "hevc", "vp9", "av1", "mjpeg", "png"),
        (
            *("aac", "opus", "ac3", "eac3", "mp3", "mp2", "vorbis", "flac", "alac", "dts"),
            *("truehd", "pcm_s16le", "pcm_s24le", "pcm_f32le"),
        ),
    ),
    "ts": Container("mpegts", ("h264", "hevc"), ("aac", "opus", "ac3", "eac3", "mp3", "mp2")),
    "webm": Container("webm", ("vp9", "av1"), ("opus", "vorbis")),
}
"""By the ending of the file's name."""

STILLS: Final = {"png": "png", "jpg": "mjpeg", "jpeg": "mjpeg"}
"""Endings of files that hold one picture each, and how it is coded."""


@dataclass(frozen=True, slots=True)
class PictureSettings:
    """How pictures are to be coded. codec: a key of CODERS, or "auto" for what the file's ending
    says. bitrate: bits per second, 0 for constant quality (crf). keyframe_s: seconds.
    """

    codec: str = "auto"
    preset: str = ""
    crf: int | None = None
    bitrate: int = 0
    keyframe_s: float = 2.0
    tune: str = ""
    threads: int = 0
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def coder(self) -> Coder:
        return CODERS[self.codec]


@dataclass(frozen=True, slots=True)
class SoundSettings:
    """How sound is to be coded. codec: auto, copy, aac, opus or none. bitrate: bits per second."""

    codec: str = "auto"
    bitrate: int = 0


# Pictures


class PictureEncoder:
    """Pictures into packets. `context`: an encoder that is not open yet, made for
    `settings.coder.name`, of a container's track or of nobody.

    The first picture decides size, layout, colour tags and time base. Pictures given are never
    written to.
    """

    def __init__(self, context: Any, settings: PictureSettings, *, live: bool = False) -> None:
        self.context: Final = context
        self.repeated = 0
        """Pictures left out because their time had been used."""

        self._settings, self._coder, self._live = settings, settings.coder, live
        self._layout = ""
        self._size = self._cut = (0, 0)
        self._time_base = Fraction(1, 1)
        self._last = -(1 << 62)
        self._due = self._begin = 0
        self._first: av.VideoFrame | None = None
        self._resized = False

    def encode(self, image: av.VideoFrame, at: Moment) -> list[Any]:
        """Packets that are ready; the first picture waits for the second, which tells the rate."""
        if not self._layout:
            self._decide(image, at)
        pts = at.pts
        if at.time_base != self._time_base:
            pts = round(pts * at.time_base / self._time_base)
        if pts <= self._last:
            self._count_repeated()
            return []
        step, self._last = pts - self._last, pts
        picture = self._stamped(image, self._fitted(image, at), pts)
        if self.context.is_open:
            return self._encoded(picture)
        if self._first is None and not picture.duration:
            self._first = picture
            return []
        return self._begun(picture, picture.duration if self._first is None else step)

    def finish(self) -> list[Any]:
        """The packets that are still held. Nothing can be encoded afterwards."""
        if not self._layout:
            return []
        packets = [] if self.context.is_open else self._begun(None, 0)
        return packets + self._encoded(None)

    def _begun(self, picture: av.VideoFrame | None, step: int) -> list[Any]:
        self._open(step)
        first, self._first = self._first, None
        return [
            packet
            for frame in (first, picture)
            if frame is not None
            for packet in self._encoded(frame)
        ]

    def _encoded(self, picture: av.VideoFrame | None) -> list[Any]:
        try:
            return list(self.context.encode(picture))
        except av.FFmpegError as exc:
            raise MediaError(f"{self._settings.codec}: a picture cannot be encoded") from exc

    def _decide(self, image: av.VideoFrame, at: Moment) -> None:
        coder, name = self._coder, image.format.name
        self._layout = name if name in coder.layouts else coder.layouts[0]
        if coder.full_range and name not in YUV_LAYOUTS:
            self._layout = "yuv444p"
        self._size, self._time_base = (image.width, image.height), at.time_base
        right, down = pixels.CHROMA_SHIFT.get(self._layout, (0, 0)) if coder.even else (0, 0)
        width, height = self._size
        self._cut = (max(width >> right, 1) << right, max(height >> down, 1) << down)
        if self._cut != self._size:
            log.warning(
                "%s needs even sizes: pictures of %dx%d are cut to %dx%d",
                self._settings.codec,
                *self._size,
                *self._cut,
            )
        self._begin = at.pts
        self._plan_keyframe(at.pts)
        context = self.context
        tags = pixels.tags(image)
        tags = at.color if tags == pixels.UNTAGGED else tags
        if self._layout in YUV_LAYOUTS:
            context.colorspace, context.color_trc = tags.matrix, tags.transfer
            context.color_primaries = tags.primaries
            said = image.color_range if name == self._layout else pixels.LIMITED
            context.color_range = pixels.FULL if coder.full_range else min(said, pixels.LIMITED)
        context.sample_aspect_ratio = pixel_aspect(image, at.time_base)

    def _open(self, step: int) -> None:
        """Open the encoder. `step`: ticks between two pictures, for its rate control."""
        context, settings, coder = self.context, self._settings, self._coder
        context.width, context.height = self._cut
        context.pix_fmt, context.time_base = self._layout, self._time_base
        rate = 1 / (step * self._time_base) if step > 0 else Fraction(25)
        context.framerate = min(max(rate, Fraction(1)), Fraction(240)).limit_denominator(1001)
        context.thread_count = settings.threads
        context.thread_type = "SLICE" if self._live else "AUTO"
        context.flags |= av.codec.context.Flags.frame_duration
        if not coder.intra:
            context.gop_size = 1 << 20  # keyframes come by time
            if self._live:
                context.max_b_frames = 0
        if settings.bitrate:
            context.bit_rate = settings.bitrate
        elif coder.name == "mjpeg":
            context.qscale = True
            context.global_quality = 118 * (settings.crf or coder.crf or 0)  # FF_QP2LAMBDA
        context.options = coder_options(settings, live=self._live)
        try:
            context.open()
        except (av.FFmpegError, ValueError) as exc:
            width, height = self._cut
            raise MediaError(
                f"{settings.codec} cannot be encoded with these settings"
                f" (pictures of {width}x{height}; preset, crf, bitrate, tune, options)"
            ) from exc
        if unknown := sorted(set(context.options) & set(settings.options)):
            raise MediaError(f"{settings.codec} has no option {unknown[0]!r}")

    def _fitted(self, image: av.VideoFrame, at: Moment) -> av.VideoFrame:
        """The picture in the encoder's layout and size."""
        if (image.width, image.height) == self._size:
            picture = self._converted(image, at)
            return picture if self._cut == self._size else _cut(picture, *self._cut)
        if not self._resized:
            self._resized = True
            log.warning("the size of the pictures changes; they are fitted into %dx%d", *self._cut)
        return self._boxed(image, at)

    def _converted(
        self, image: av.VideoFrame, at: Moment, width: int = 0, height: int = 0
    ) -> av.VideoFrame:
        if self._coder.full_range:
            return _full_range(image, self._layout, at, width, height)
        return pixels.convert(image, self._layout, width, height, color=at.color)

    def _boxed(self, image: av.VideoFrame, at: Moment) -> av.VideoFrame:
        """The whole picture in the middle of the encoder's size, on black."""
        width, height = self._cut
        scale = min(width / image.width, height / image.height)
        right, down = pixels.CHROMA_SHIFT.get(self._layout, (0, 0))
        inner = (
            max(round(image.width * scale) >> right, 1) << right,
            max(round(image.height * scale) >> down, 1) << down,
        )
        small = self._converted(image, at, *inner)
        new = pixels.blank(small, width, height)
        new.duration = image.duration
        left = (width - inner[0]) // 2 >> right << right
        top = (height - inner[1]) // 2 >> down << down
        luma = 16 if self._layout in YUV_LAYOUTS and not self._coder.full_range else 0
        for index, (target, source) in enumerate(
            zip(pixels.planes(new), pixels.planes(small), strict=True)
        ):
            chroma = index > 0
            target[...] = 128 if chroma else luma
            if self._layout == "rgba":
                target[..., 3] = 255
            x, y = (left >> right, top >> down) if chroma else (left, top)
            target[y : y + source.shape[0], x : x + source.shape[1]] = source
        return new

    def _stamped(self, image: av.VideoFrame, picture: av.VideoFrame, pts: int) -> av.VideoFrame:
        """The picture with its time, and as a keyframe when one is due. The types that the source
        gave its pictures would become orders to this encoder.
        """
        key = pts >= self._due and not self._coder.intra
        kind = av.video.frame.PictureType.I if key else av.video.frame.PictureType.NONE
        if key:
            self._plan_keyframe(pts)
        stamp = (pts, self._time_base, kind)
        if (picture.pts, picture.time_base, picture.pict_type) == stamp:
            return picture
        if picture is image:
            picture = pixels.copy(image)
            picture.duration = image.duration
        if picture.time_base and picture.duration and picture.time_base != self._time_base:
            picture.duration = round(picture.duration * picture.time_base / self._time_base)
        picture.pts, picture.time_base, picture.pict_type = stamp
        return picture

    def _plan_keyframe(self, pts: int) -> None:
        """The next keyframe: the first picture at or after the next multiple of keyframe_s."""
        every = Fraction(self._settings.keyframe_s).limit_denominator(1000) / self._time_base
        done = math.floor((pts - self._begin + Fraction(1, 2)) / every) if every else 0
        self._due = self._begin + round((done + 1) * every)

    def _count_repeated(self) -> None:
        self.repeated += 1
        if self.repeated == 1:
            log.warning("times of pictures repeat or go back; such pictures are left out")


def coder_options(settings: PictureSettings, *, live: bool = False) -> dict[str, str]:
    """libavcodec's options for these settings. Raises MediaError for what the codec cannot do."""
    coder, codec = settings.coder, settings.codec
    options: dict[str, str] = {}
    preset = settings.preset or coder.preset
    if coder.speeds and preset in SPEEDS:
        preset = str(coder.speeds[SPEEDS.index(preset)])
    if not coder.preset:
        if settings.preset:
            raise MediaError(f"{codec} has no presets; leave `preset` away")
    else:
        options["cpu-used" if codec == "vp9" else "preset"] = preset
    if coder.crf is not None and codec != "mjpeg" and not settings.bitrate:
        options["crf"] = str(coder.crf if settings.crf is None else settings.crf)
    if live and settings.bitrate:
        options |= {"maxrate": str(settings.bitrate), "bufsize": str(settings.bitrate)}
    if settings.tune and codec not in ("h264", "hevc"):
        raise MediaError(f"`tune` is for h264 and hevc, not for {codec}")
    if codec in ("h264", "hevc"):
        tune = ",".join(filter(None, (settings.tune, "zerolatency" if live else "")))
        options |= {"tune": tune} if tune else {}
    if codec == "hevc":
        options |= {"forced-idr": "1", "x265-params": "log-level=error"}
    if codec == "vp9":
        options |= {"row-mt": "1", "deadline": "realtime" if live else "good"}
        options |= {"lag-in-frames": "0"} if live else {}
    if codec == "av1" and live:
        options["svtav1-params"] = "pred-struct=1"
    return options | {name: str(value) for name, value in settings.options.items()}


def pixel_aspect(image: av.VideoFrame, time_base: Fraction) -> Fraction:
    """Width of one pixel in parts of its height; 1 when the picture does not say.

    PyAV does not show AVFrame.sample_aspect_ratio, but the scale filter counts with it.
    """
    graph = av.filter.Graph()
    entry = graph.add_buffer(
        width=image.width, height=image.height, format=image.format, time_base=time_base
    )
    scale = graph.add("scale", "w=max(1\\,round(sar*4096)):h=16:eval=frame:flags=neighbor")
    end = graph.add("buffersink")
    entry.link_to(scale)
    scale.link_to(end)
    try:
        graph.configure()
        graph.push(image)
        return Fraction(graph.vpull().width, 4096).limit_denominator(100)
    except av.FFmpegError:  # too wide to be true
        return Fraction(1)


def _cut(image: av.VideoFrame, width: int, height: int) -> av.VideoFrame:
    """The upper left part of a picture, as a copy."""
    new = pixels.blank(image, width, height)
    new.duration = image.duration
    for target, source in zip(pixels.planes(new), pixels.planes(image), strict=True):
        rows, columns = (min(a, b) for a, b in zip(target.shape, source.shape, strict=False))
        target[:rows, :columns] = source[:rows, :columns]
        target[rows:] = target[rows - 1 : rows]
        target[:, columns:] = target[:, columns - 1 : columns]
    return new


def _full_range(
    image: av.VideoFrame, layout: str, at: Moment, width: int = 0, height: int = 0
) -> av.VideoFrame:
    """The picture in full-range YUV, as JPEG wants it."""
    tags = pixels.tags(image)
    tags = at.color if tags == pixels.UNTAGGED else tags
    matrix = pixels.sws_matrix(tags.matrix)
    new = image.reformat(
        width or image.width,
        height or image.height,
        layout,
        src_colorspace=matrix,
        dst_colorspace=pixels.SWS_BT601,  # JFIF
        interpolation="BICUBIC",
        src_color_range=pixels.FULL if pixels.is_full_range(image) else pixels.LIMITED,
        dst_color_range=pixels.FULL,
    )
    return pixels.with_tags(new, tags, pixels.FULL)


# Sound


_AAC_RATES: Final = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025)
_OPUS_RATES: Final = (48000,)
_AAC_LAYOUTS: Final = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1"}
_OPUS_LAYOUTS: Final = {1: "mono", 2: "stereo", 6: "5.1"}

TOLERANCE_SECONDS: Final = Fraction(20, 1000)
"""Steps in the times of sound that are believed to be rounding: less than this."""

LONGEST_SILENCE_SECONDS: Final = 3600
"""A gap beyond this is not filled: time goes on where it begins."""


class SoundEncoder:
    """Samples into packets of AAC or Opus. `context`: an encoder that is not open yet.

    Gaps of more than 20 ms become silence, overlaps are cut; everything between is one run of
    samples, counted, so that rounded times do not add up.
    """

    def __init__(self, context: Any, bitrate: int = 0) -> None:
        self.context: Final = context
        self._bitrate = bitrate
        self._resampler: Any = None
        self._source: tuple[Any, ...] = ()
        self._next = Fraction(0)  # seconds at which the samples taken so far end
        self._pts = 0

    def encode(self, block: av.AudioFrame) -> list[Any]:
        """Packets that are ready. The block is taken at its own pts."""
        pts, time_base = block.pts, block.time_base
        source = (block.format.name, block.layout.name, block.sample_rate)
        if not block.samples or pts is None or time_base is None:
            return []
        begin = pts * time_base
        packets = []
        if not self._source:
            self._open(block)
            self._next = begin
            self._pts = round(begin * self.context.sample_rate)
        if source != self._source:
            packets += self._encoded(self._resampled(None))
            self._resampler, self._source = None, source
        gap = begin - self._next
        if abs(gap) <= TOLERANCE_SECONDS or gap > LONGEST_SILENCE_SECONDS:
            return packets + self._taken(block)
        if gap > 0:
            for quiet in _silence(block, round(gap * block.sample_rate)):
                packets += self._taken(quiet)
            return packets + self._taken(block)
        rest = _without_start(block, round(-gap * block.sample_rate))
        return packets + (self._taken(rest) if rest is not None else [])

    def finish(self) -> list[Any]:
        """The packets that are still held. Nothing can be encoded afterwards."""
        if not self._source:
            return []
        packets = self._encoded(self._resampled(None))
        return packets + self._packets(None)

    def _open(self, block: av.AudioFrame) -> None:
        context = self.context
        opus = context.name == "libopus"
        rates, layouts = (_OPUS_RATES, _OPUS_LAYOUTS) if opus else (_AAC_RATES, _AAC_LAYOUTS)
        channels = block.layout.nb_channels
        rate = min(rates, key=lambda rate: (rate < block.sample_rate, abs(rate - block.sample_rate)))
        context.sample_rate, context.time_base = rate, Fraction(1, rate)
        context.layout = layouts.get(channels, layouts[6] if channels > 6 else layouts[2])
        context.format = "flt" if opus else "fltp"
        each = 48_000 if opus else 64_000
        context.bit_rate = self._bitrate or each * context.layout.nb_channels
        try:
            context.open()
        except (av.FFmpegError, ValueError) as exc:
            raise MediaError(
                f"{'opus' if opus else 'aac'} cannot be encoded with these settings"
                f" ({context.layout.name}, {rate} Hz, {context.bit_rate} bits per second)"
            ) from exc

    def _taken(self, block: av.AudioFrame) -> list[Any]:
        self._next += Fraction(block.samples, block.sample_rate)
        self._source = (block.format.name, block.layout.name, block.sample_rate)
        return self._encoded(self._resampled(block))

    def _resampled(self, block: av.AudioFrame | None) -> list[av.AudioFrame]:
        """Blocks of the encoder's size, layout and rate. Its own times are not used: we count."""
        if self._resampler is None:
            if block is None:
                return []
            self._resampler = av.AudioResampler(
                self.context.format.name,
                self.context.layout.name,
                self.context.sample_rate,
                self.context.frame_size,
            )
            self._taken_samples = 0
        if block is None:
            return list(self._resampler.resample(None))
        counted = _renumbered(block, self._taken_samples)
        self._taken_samples += block.samples
        return list(self._resampler.resample(counted))

    def _encoded(self, blocks: list[av.AudioFrame]) -> list[Any]:
        packets = []
        for block in blocks:
            block.pts, block.time_base = self._pts, self.context.time_base
            self._pts += block.samples
            packets += self._packets(block)
        return packets

    def _packets(self, block: av.AudioFrame | None) -> list[Any]:
        try:
            return list(self.context.encode(block))
        except (av.FFmpegError, ValueError) as exc:
            raise MediaError("the sound cannot be encoded") from exc
