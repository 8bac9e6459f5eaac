"""Pictures and sound into a file: encoders that need no container, and the containers.

PictureEncoder and SoundEncoder turn frames into packets and know no container; Writer puts packets
into one file. Times of the source travel untouched: its time base is the encoder's.
"""

import dataclasses
import logging
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, Protocol

import av

from composer import lazy
from composer.errors import MediaError
from composer.media import nvenc
from composer.media.packets import packet_of
from composer.node.formats import ALPHA_YUV, CODED_LAYOUTS, YUV_LAYOUTS, has_alpha, is_yuv
from composer.node.frames import UNTAGGED, Moment
from composer.pictures import pixels
from composer.pictures.chain import Chain

with lazy.deferred():  # only pictures with alpha need NumPy
    from composer.pictures import alpha

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
    takes: of the layouts between nodes those that it holds, the preferred one first.

    speeds: its own numbers for SPEEDS, empty where it takes the names. even: its pictures have
    even sides in 4:2:0.
    """

    name: str
    layouts: tuple[str, ...] = YUV_LAYOUTS
    takes: tuple[str, ...] = CODED_LAYOUTS
    preset: str = ""
    crf: int | None = None
    speeds: tuple[int | str, ...] = ()
    even: bool = False
    intra: bool = False
    full_range: bool = False


CODERS: Final[dict[str, Coder]] = {
    "h264": Coder("libx264", preset="superfast", crf=23, even=True),
    "hevc": Coder("libx265", preset="superfast", crf=28, even=True),
    "vp9": Coder(
        "libvpx-vp9",
        (*YUV_LAYOUTS, "yuva420p"),
        ("yuv420p", ALPHA_YUV, "rgb24", "gray"),
        preset="veryfast",
        crf=33,
        speeds=_VP9_SPEEDS,
    ),
    "av1": Coder("libsvtav1", ("yuv420p",), preset="veryfast", crf=35, speeds=_AV1_SPEEDS),
    "mjpeg": Coder(
        "mjpeg",
        takes=("yuv444p", "yuv422p", "yuv420p", "rgb24", "gray"),
        crf=3,
        intra=True,
        full_range=True,
    ),
    "png": Coder("png", ("rgb24", "rgba", "gray"), ("rgb24", "rgba", "gray"), intra=True),
    "prores": Coder(
        "prores_ks",
        ("yuv422p10le", "yuv444p10le", "yuva444p10le"),
        ("yuv422p", "yuv444p", ALPHA_YUV),
        intra=True,
    ),
    "qtrle": Coder("qtrle", ("rgb24", "argb"), ("rgb24", "rgba"), intra=True),
}
"""By the name that `codec` takes."""

ON_CARD: Final[dict[str, Coder]] = {
    codec: Coder(
        f"{codec}_nvenc",
        ("yuv420p", "yuv444p"),
        preset="superfast",
        crf=crf,
        speeds=nvenc.PRESETS,
        even=True,
    )
    for codec, crf in (("h264", 23), ("hevc", 28))
}
"""The same where a card of NVIDIA codes them."""

BETWEEN: Final = {
    "yuva420p": ALPHA_YUV,
    "yuv422p10le": "yuv422p",
    "yuv444p10le": "yuv444p",
    "yuva444p10le": ALPHA_YUV,
    "argb": "rgba",
}
"""The layout between nodes that is nearest to one that only encoders take."""


@dataclass(frozen=True, slots=True)
class Container:
    """What one kind of file holds. format: libavformat's name. pictures, sound: what is written
    unless asked otherwise, the first, and what else may be. alpha: which of them with alpha.
    """

    format: str
    pictures: tuple[str, ...]
    sound: tuple[str, ...]
    alpha: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)


_FAST_START: Final = {"movflags": "+faststart"}
_MP4: Final = Container(
    "mp4",
    ("h264", "hevc", "vp9", "av1", "mjpeg"),
    ("aac", "opus", "ac3", "eac3", "mp3", "alac", "flac"),
    options=_FAST_START,
)
CONTAINERS: Final[dict[str, Container]] = {
    "mp4": _MP4,
    "m4v": _MP4,
    "m4a": _MP4,
    "mov": Container(
        "mov",
        ("h264", "hevc", "mjpeg", "png", "prores", "qtrle"),
        ("aac", "ac3", "eac3", "mp3", "alac", "pcm_s16le", "pcm_s24le"),
        ("png", "prores", "qtrle"),
        _FAST_START,
    ),
    "mkv": Container(
        "matroska",
        ("h264", "hevc", "vp9", "av1", "mjpeg"),
        (
            *("aac", "opus", "ac3", "eac3", "mp3", "mp2", "vorbis", "flac", "alac", "dts"),
            *("truehd", "pcm_s16le", "pcm_s24le", "pcm_f32le"),
        ),
        ("vp9",),
    ),
    "ts": Container("mpegts", ("h264", "hevc"), ("aac", "opus", "ac3", "eac3", "mp3", "mp2")),
    "webm": Container("webm", ("vp9", "av1"), ("opus", "vorbis"), ("vp9",)),
}
"""By the ending of the file's name."""

COPIED: Final = frozenset(codec for each in CONTAINERS.values() for codec in each.sound)
"""Sound that some kind of file takes as it is coded."""

STILLS: Final = {"png": "png", "jpg": "mjpeg", "jpeg": "mjpeg"}
"""Endings of files that hold one picture each, and how it is coded."""


def held_layouts(path: str, codec: str) -> tuple[str, ...]:
    """The layouts between nodes that a file of this name holds, the preferred one first; () where
    that is not known: without a name only a codec says it. codec: a key of CODERS, or "auto".
    """
    ending = _ending(path)
    container = CONTAINERS.get(ending)
    if codec == "auto":
        codec = container.pictures[0] if container else STILLS.get(ending, "")
    if codec not in CODERS:
        return ()
    takes = CODERS[codec].takes
    clear = container is None or codec in container.alpha
    return tuple(each for each in takes if clear or not has_alpha(each))


def _ending(path: str) -> str:
    return Path(path).suffix.lower().removeprefix(".")


@dataclass(frozen=True, slots=True)
class PictureSettings:
    """How pictures are to be coded. codec: a key of CODERS, or "auto" for what the file's ending
    says. bitrate: bits per second, 0 for constant quality (crf). keyframe_s: seconds. card: the
    CUDA device whose NVENC codes them, "" for the CPU. alpha: whether the file can hold it.
    """

    codec: str = "auto"
    preset: str = ""
    crf: int | None = None
    bitrate: int = 0
    keyframe_s: float = 2.0
    tune: str = ""
    threads: int = 0
    options: Mapping[str, str] = field(default_factory=dict)
    card: str = ""
    alpha: bool = True

    @property
    def coder(self) -> Coder:
        return ON_CARD[self.codec] if self.on_card else CODERS[self.codec]

    @property
    def on_card(self) -> bool:
        """Whether a card codes them: a file's ending may ask for a codec that none knows."""
        return bool(self.card) and self.codec in ON_CARD


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
        self._step = 0  # ticks between the last two pictures
        self._due = self._begin = 0
        self._first: av.VideoFrame | None = None
        self._resized = self._refused = False
        self._references = Chain()

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
        self._step, self._last = pts - self._last, pts
        picture = self._stamped(image, self._fitted(image, at), pts)
        if self.context.is_open:
            return self._encoded(picture)
        if self._first is not None:
            return self._begun(picture)
        if self._coder.intra or (self._live and picture.duration):
            self._step = picture.duration
            return self._begun(picture)
        self._first, self._step = picture, picture.duration
        return []

    def ask_keyframe(self) -> None:
        """Make the next picture a keyframe."""
        self._due = -(1 << 62)

    def same(self, image: av.VideoFrame) -> av.VideoFrame:
        """The same pixels under another name: time and type can be set, and the caller's stay."""
        same = self._references.run(image)
        same.duration = image.duration
        return same

    def finish(self) -> list[Any]:
        """The packets that are still held. Nothing can be encoded afterwards."""
        if not self._layout or self._refused:
            return []
        packets = [] if self.context.is_open else self._begun(None)
        return packets + self._encoded(None)

    def _begun(self, picture: av.VideoFrame | None) -> list[Any]:
        self._open()
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
        except (av.FFmpegError, ValueError) as exc:
            raise MediaError(f"{self._settings.codec}: a picture cannot be encoded") from exc

    def _decide(self, image: av.VideoFrame, at: Moment) -> None:
        coder, name = self._coder, image.format.name
        self._layout = self._coded_as(name)
        if has_alpha(name) and not has_alpha(self._layout) and alpha.is_used(image):
            log.warning("%s: the pictures have alpha, which is left out", self._settings.codec)
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
        tags = at.color if tags == UNTAGGED else tags
        if is_yuv(self._layout):
            context.colorspace = JFIF_MATRIX if coder.full_range else tags.matrix
            context.color_primaries, context.color_trc = tags.primaries, tags.transfer
            said = image.color_range if name == self._layout else pixels.LIMITED
            context.color_range = pixels.FULL if coder.full_range else min(said, pixels.LIMITED)
        context.sample_aspect_ratio = pixels.aspect(image)
        if image.interlaced_frame:
            context.field_order = _FIELD_ORDERS[coder.intra, pixels.is_top_first(image)]

    def _coded_as(self, name: str) -> str:
        """The encoder's layout for pictures of a layout between nodes: the same, or one that is as
        clear or as opaque, or its usual one.
        """
        held = [each for each in self._coder.layouts if self._settings.alpha or not has_alpha(each)]
        same = [each for each in held if BETWEEN.get(each, each) == name]
        alike = [each for each in held if has_alpha(each) == has_alpha(name)]
        return (same or alike or held)[0]

    def _open(self) -> None:
        """Open the encoder. The time between two pictures tells its rate control the rate."""
        context, settings, coder = self.context, self._settings, self._coder
        context.width, context.height = self._cut
        context.pix_fmt, context.time_base = self._layout, self._time_base
        rate = 1 / (self._step * self._time_base) if self._step > 0 else Fraction(25)
        context.framerate = min(max(rate, Fraction(1)), Fraction(240)).limit_denominator(1001)
        context.thread_count = settings.threads
        context.thread_type = "SLICE" if self._live else "AUTO"
        context.flags |= av.codec.context.Flags.frame_duration
        if not coder.intra:
            context.gop_size = 1 << 20  # keyframes come by time
        if settings.bitrate:
            context.bit_rate = settings.bitrate
        elif coder.name == "mjpeg":
            context.qscale = True
            context.global_quality = 118 * (settings.crf or coder.crf or 0)  # FF_QP2LAMBDA
        context.options = coder_options(settings, live=self._live)
        try:
            context.open()
        except (av.FFmpegError, ValueError) as exc:
            self._refused = True  # libavcodec 62 crashes when such a context is opened again
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
            picture = self._converted(image, at, self._layout)
            return picture if self._cut == self._size else _cut(picture, *self._cut)
        if not self._resized:
            self._resized = True
            log.warning("the size of the pictures changes; they are fitted into %dx%d", *self._cut)
        boxed = self._boxed(image, at)
        if self._layout in BETWEEN:
            boxed = pixels.convert(boxed, self._layout)
        return boxed

    def _converted(
        self, image: av.VideoFrame, at: Moment, layout: str, width: int = 0, height: int = 0
    ) -> av.VideoFrame:
        if self._coder.full_range:
            return _full_range(image, layout, at, width, height)
        return pixels.convert(image, layout, width, height, color=at.color)

    def _boxed(self, image: av.VideoFrame, at: Moment) -> av.VideoFrame:
        """The whole picture in the middle of the encoder's size, on black."""
        width, height = self._cut
        scale = min(width / image.width, height / image.height)
        right, down = pixels.CHROMA_SHIFT.get(self._layout, (0, 0))
        inner = (
            max(round(image.width * scale) >> right, 1) << right,
            max(round(image.height * scale) >> down, 1) << down,
        )
        layout = BETWEEN.get(self._layout, self._layout)
        small = self._converted(image, at, layout, *inner)
        new = pixels.blank(small, width, height)
        new.duration = image.duration
        left = (width - inner[0]) // 2 >> right << right
        top = (height - inner[1]) // 2 >> down << down
        levels = (
            (16, 128, 128, 255) if is_yuv(layout) and not self._coder.full_range else (0, 128, 128)
        )
        for index, (target, source) in enumerate(
            zip(pixels.planes(new), pixels.planes(small), strict=True)
        ):
            chroma = index > 0
            target[...] = levels[index]
            if layout == "rgba":
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
            picture = self.same(image)
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


_FIELD_ORDERS: Final = {(True, True): 2, (True, False): 3, (False, True): 4, (False, False): 5}
"""(each picture alone?, top first?) -> AVFieldOrder, as the ffmpeg command says it."""

JFIF_MATRIX: Final = 5
"""AVCOL_SPC_BT470BG: the matrix of every JPEG (libavutil/pixfmt.h)."""


def coder_options(settings: PictureSettings, *, live: bool = False) -> dict[str, str]:
    """libavcodec's options for these settings. Raises MediaError for what the codec cannot do."""
    coder, codec = settings.coder, settings.codec
    options: dict[str, str] = {}
    preset = settings.preset or coder.preset
    if coder.speeds and preset in SPEEDS:
        preset = str(coder.speeds[SPEEDS.index(preset)])
    if settings.on_card:
        crf = coder.crf or 0 if settings.crf is None else settings.crf
        found = nvenc.options(crf, settings.bitrate, preset, settings.card, live=live)
        return found | {name: str(value) for name, value in settings.options.items()}
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
        fast = live or preset in ("6", "7", "8")  # beyond 5 "good" gets no faster
        options |= {"row-mt": "1", "deadline": "realtime" if fast else "good"}
        options |= {"lag-in-frames": "0"} if live else {}
    if codec == "png":
        options |= {"compression_level": "1", "pred": "up"}  # a sixth of the time, 4 % larger
    if codec == "av1" and live:
        options["svtav1-params"] = "pred-struct=1"
    return options | {name: str(value) for name, value in settings.options.items()}


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
    tags = at.color if tags == UNTAGGED else tags
    matrix = pixels.sws_matrix(tags.matrix)
    new = image.reformat(
        width or image.width,
        height or image.height,
        layout,
        src_colorspace=matrix,
        dst_colorspace=pixels.sws_matrix(JFIF_MATRIX),
        interpolation="BICUBIC",
        src_color_range=pixels.FULL if pixels.is_full_range(image) else pixels.LIMITED,
        dst_color_range=pixels.FULL,
    )
    return pixels.with_tags(new, dataclasses.replace(tags, matrix=JFIF_MATRIX), pixels.FULL)


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
    """Samples into packets of AAC or Opus. `context`: an encoder that is not open yet. rate,
    channels: what to encode, 0 for what is nearest to the first block; later ones are made alike.

    Gaps of more than 20 ms become silence, overlaps are cut; everything between is one run of
    samples, counted, so that rounded times do not add up.
    """

    def __init__(self, context: Any, bitrate: int = 0, *, rate: int = 0, channels: int = 0) -> None:
        self.context: Final = context
        self._bitrate, self._rate, self._channels = bitrate, rate, channels
        self._resampler: Any = None
        self._source: tuple[Any, ...] = ()
        self._next = Fraction(0)  # seconds at which the samples taken so far end
        self._pts = 0

    def encode(self, block: av.AudioFrame) -> list[Any]:
        """Packets that are ready. The block is taken at its own pts; without one, it follows."""
        if not block.samples:
            return []
        begin = self._next
        if block.pts is not None and block.time_base is not None:
            begin = block.pts * Fraction(block.time_base)
        if not self._source:
            self._open(block)
            self._next = begin
            self._pts = round(begin * self.context.sample_rate)
        gap = begin - self._next
        if abs(gap) <= TOLERANCE_SECONDS or gap > LONGEST_SILENCE_SECONDS:
            return self._taken(block)
        if gap > 0:
            silence = _silence(block, round(gap * block.sample_rate))
            return [packet for each in (*silence, block) for packet in self._taken(each)]
        rest = _without_start(block, round(-gap * block.sample_rate))
        return self._taken(rest) if rest is not None else []

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
        channels = self._channels or block.layout.nb_channels
        wanted = self._rate or block.sample_rate
        rate = min(rates, key=lambda rate: (rate < wanted, abs(rate - wanted)))
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
        packets: list[Any] = []
        source = (block.format.name, block.layout.name, block.sample_rate)
        if source != self._source:
            packets = self._encoded(self._resampled(None))
            self._resampler, self._source = None, source
        self._next += Fraction(block.samples, block.sample_rate)
        return packets + self._encoded(self._resampled(block))

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
        return list(self._resampler.resample(block))

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


def _silence(like: av.AudioFrame, samples: int) -> Iterator[av.AudioFrame]:
    """Blocks of silence of the same kind, at most a second each."""
    level = b"\x80" if like.format.name.startswith("u8") else b"\x00"
    packed = like.format.packed.name  # PyAV miscounts eight planes, 18 and 19 each in its way
    while samples > 0:
        block = av.AudioFrame(packed, like.layout.name, min(samples, like.sample_rate))
        block.sample_rate, block.time_base, block.pts = like.sample_rate, like.time_base, like.pts
        block.planes[0].update(level * block.planes[0].buffer_size)
        samples -= block.samples
        yield block


def _without_start(block: av.AudioFrame, samples: int) -> av.AudioFrame | None:
    """The block without its first samples; None when nothing is left."""
    if samples >= block.samples:
        return None
    graph = av.filter.Graph()
    entry = graph.add_abuffer(
        sample_rate=block.sample_rate,
        format=block.format,
        layout=block.layout.name,
        time_base=block.time_base,
    )
    trim = graph.add("atrim", f"start_sample={samples}")
    end = graph.add("abuffersink")
    entry.link_to(trim)
    trim.link_to(end)
    graph.configure()
    graph.push(block)
    rest = graph.pull()
    assert isinstance(rest, av.AudioFrame)
    return rest


class SoundDecoder:
    """Packets of a track into samples, with a decoder of its own: several may read one track.

    Only for codecs in COPIED: others need what PyAV does not show of a track (block_align), and are
    decoded where they are read.
    """

    def __init__(self, stream: Any) -> None:
        theirs = stream.codec_context
        self.damaged = 0
        """Packets that could not be decoded."""

        self._context = av.CodecContext.create(theirs.name, "r")
        self._context.extradata = theirs.extradata
        self._context.sample_rate, self._context.layout = theirs.sample_rate, theirs.layout
        # without it the times of the first samples ignore the encoder's delay that is cut off
        self._context.options = {"pkt_timebase": str(stream.time_base)}

    def decode(self, packet: Any) -> list[av.AudioFrame]:
        try:
            return list(self._context.decode(packet))
        except av.FFmpegError as exc:
            self.damaged += 1
            if self.damaged == 1:
                log.warning("the sound is damaged: what cannot be decoded is left out (%s)", exc)
            return []


# Files


class Target(Protocol):
    """Where packets go: a container, or a row of picture files.

    unwritten: packets that came when it was full.
    """

    unwritten: int

    def add_pictures(self, settings: PictureSettings) -> Any:
        """The encoder's context for the pictures, not open."""

    def add_sound(self, codec: str) -> Any:
        """The encoder's context for the sound, not open."""

    def add_copy(self, stream: Any) -> None:
        """A track for packets of this one."""

    def write(self, track: str, packets: list[Any]) -> None: ...

    def close(self) -> None: ...

    @property
    def full(self) -> bool:
        """Whether it takes no more pictures."""


class ContainerFile:
    """One file of any kind in CONTAINERS. It is made when the first packet is written."""

    full, unwritten = False, 0

    def __init__(self, path: str, container: Container) -> None:
        self._path = path
        self._tracks: dict[str, Any] = {}
        self._file: Any = av.open(
            path, "w", container.format, container_options=dict(container.options)
        )

    def add_pictures(self, settings: PictureSettings) -> Any:
        self._tracks["image"] = self._file.add_stream(settings.coder.name)
        return self._tracks["image"].codec_context

    def add_sound(self, codec: str) -> Any:
        self._tracks["audio"] = self._file.add_stream("libopus" if codec == "opus" else codec)
        return self._tracks["audio"].codec_context

    def add_copy(self, stream: Any) -> None:
        self._tracks["audio"] = self._file.add_stream_from_template(stream)

    def write(self, track: str, packets: list[Any]) -> None:
        stream = self._tracks[track]
        try:
            for packet in packets:
                packet.stream = stream
                self._file.mux_one(packet)
        except OSError as exc:
            raise _unwritable(self._path, exc) from exc
        except av.FFmpegError as exc:
            raise MediaError(f"{self._path}: this kind of file cannot hold the {track}") from exc

    def close(self) -> None:
        try:
            self._file.close()
        except OSError as exc:
            raise _unwritable(self._path, exc) from exc


class PictureFiles:
    """One file per picture; `%03d` in the path is its number from 1. Without one: the first."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._written = self.unwritten = 0

    def add_pictures(self, settings: PictureSettings) -> Any:
        return av.CodecContext.create(settings.coder.name, "w")

    def add_sound(self, codec: str) -> Any:
        raise NotImplementedError

    def add_copy(self, stream: Any) -> None:
        raise NotImplementedError

    def write(self, track: str, packets: list[Any]) -> None:
        for packet in packets:
            if self.full:  # the encoder may hold some when the first comes
                self.unwritten += 1
                continue
            path = self._numbered(self._written + 1)
            try:
                Path(path).write_bytes(bytes(packet))
            except OSError as exc:
                raise _unwritable(path, exc) from exc
            self._written += 1

    def close(self) -> None:
        """Every file is closed already."""

    @property
    def full(self) -> bool:
        return self._written > 0 and not _NUMBER.search(self._path)

    def _numbered(self, number: int) -> str:
        return _NUMBER.sub(lambda match: match[0] % number, self._path, count=1)


_NUMBER: Final = re.compile(r"%0?\d{0,2}d")


def _unwritable(path: str, exc: OSError) -> MediaError:
    return MediaError(f"{path} cannot be written: {exc.strerror or exc}")


class Writer:
    """Pictures and sound into one file. Raises MediaError for what the file cannot hold.

    image, audio: whether this track is to be expected. The header names every track, so packets
    wait until both are there; one that is PATIENCE_SECONDS late is left out.
    """

    def __init__(
        self,
        path: str,
        pictures: PictureSettings,
        sound: SoundSettings,
        *,
        image: bool = True,
        audio: bool = True,
        live: bool = False,
    ) -> None:
        self._path, self._live = path, live
        self._ending = _ending(path)
        self._container = CONTAINERS.get(self._ending)
        self._settings = self._resolved(pictures)
        self._sound_settings = self._checked(sound)
        audio = audio and sound.codec != "none" and self._container is not None
        self._expected = {name for name, wanted in (("image", image), ("audio", audio)) if wanted}
        self._audio = audio
        self._target = self._opened()
        self._pictures: PictureEncoder | None = None
        self._sound: Sound | None = None
        self._early: list[tuple[Any, Moment]] = []  # sound that came before the first picture
        self._waiting: list[tuple[str, list[Any]]] = []  # packets before the header
        self._since: float | None = None
        self._started = self._closed = False
        self._told: set[str] = set()
        self._full = self._late = 0
        self.lost_tracks: list[str] = []
        """Tracks that came and of which nothing was written, in words: known in the end."""

    @property
    def lost(self) -> dict[str, int]:
        """Pictures and pieces of sound that were given and not written, by reason.

        full: the file holds a picture already. late: the header was written without the track.
        time: they repeat one, or go back. damaged: sound that could not be decoded.
        """
        found = {
            "full": self._full + self._target.unwritten,
            "late": self._late,
            "time": sum(track.repeated for track in (self._pictures, self._sound) if track),
            "damaged": self._sound.damaged if self._sound is not None else 0,
        }
        return {reason: count for reason, count in found.items() if count}

    def picture(self, image: av.VideoFrame, at: Moment) -> None:
        if self._target.full:
            self._full += 1
            if "full" not in self._told:
                self._told.add("full")
                log.warning("%s holds one picture; put %%03d in its name for all", self._path)
            return
        if self._pictures is None:
            if self._left_out("image"):
                return
            context = self._target.add_pictures(self._settings)
            self._pictures = PictureEncoder(context, self._settings, live=self._live)
        packets = self._pictures.encode(image, at)
        self._warn_of_shape(self._pictures.context.sample_aspect_ratio)
        early, self._early = self._early, []
        for item, moment in early:
            self._hear(item, moment)
        self._give("image", packets, at)

    def sound(self, item: Any, at: Moment) -> None:
        """item: an av.AudioFrame, or an av.Packet whose stream has the track's parameters."""
        if not self._audio or (self._sound is None and self._left_out("audio")):
            return
        if self._pictures is None and "image" in self._expected and not self._patience_over(at):
            self._early.append((item, at))
            return
        early, self._early = self._early, []
        for one, moment in (*early, (item, at)):
            self._hear(one, moment)

    def finish(self) -> None:
        """Write what is still held, and the end of the file."""
        if self._closed:
            return
        self._closed = True
        try:
            for item, moment in self._early:
                self._hear(item, moment)
            if self._pictures is not None:
                self._give("image", self._pictures.finish())
            if self._sound is not None:
                self._give("audio", self._sound.finish())
                self._check_sound(self._sound)
            self._start()
        finally:
            self._target.close()
        if self._pictures is None and self._sound is None:
            raise MediaError(f"no picture or sound reached {self._path}; nothing was written")

    def close(self) -> None:
        """The same after something went wrong: what was given is written as far as it can be."""
        try:
            self.finish()
        except MediaError as exc:
            log.debug("%s", exc)

    def _resolved(self, settings: PictureSettings) -> PictureSettings:
        """The settings with a codec that the file can hold."""
        codec = settings.codec
        if self._container is None and self._ending not in STILLS:
            known = ", ".join((*CONTAINERS, *STILLS))
            raise MediaError(f"{self._path}: no kind of file is known by this ending; use {known}")
        held = self._container.pictures if self._container else (STILLS[self._ending],)
        if codec != "auto" and codec not in held:
            other = next((name for name, one in CONTAINERS.items() if codec in one.pictures), "mkv")
            raise MediaError(
                f".{self._ending} files cannot hold {codec} pictures;"
                f" use codec: {held[0]}, or a name that ends in .{other}"
            )
        codec = held[0] if codec == "auto" else codec
        clear = self._container is None or codec in self._container.alpha
        settings = dataclasses.replace(settings, codec=codec, alpha=clear)
        coder_options(settings)
        return settings

    def _checked(self, settings: SoundSettings) -> SoundSettings:
        held = self._container.sound if self._container else ()
        if held and settings.codec in ("aac", "opus") and settings.codec not in held:
            raise MediaError(
                f".{self._ending} files cannot hold {settings.codec} sound; use audio: {held[0]}"
            )
        return settings

    def _opened(self) -> Target:
        folder = Path(self._path).parent
        if not folder.is_dir():
            raise MediaError(f"{self._path} cannot be written: there is no folder {str(folder)!r}")
        if Path(self._path).is_dir():
            raise MediaError(f"{self._path} is a folder; name a file")
        if self._container is None:
            return PictureFiles(self._path)
        return ContainerFile(self._path, self._container)

    def _hear(self, item: Any, at: Moment) -> None:
        if self._sound is None:
            self._sound = self._sound_for(item)
        self._give("audio", self._sound.encode(item, at), at)

    def _sound_for(self, item: Any) -> "Sound":
        assert self._container is not None  # `audio` is false otherwise
        held, asked = self._container.sound, self._sound_settings.codec
        if isinstance(item, av.Packet):
            codec = item.stream.codec_context.codec.canonical_name
            if codec in held and asked in ("auto", "copy"):
                self._target.add_copy(item.stream)
                return CopiedSound(repeats=self._container.format == "matroska")
            if asked == "copy":
                raise MediaError(
                    f".{self._ending} files cannot hold {codec} sound; use audio: {held[0]}"
                )
        elif asked == "copy":
            raise MediaError(
                "the sound cannot be copied: a node works on it, or no kind of file takes it as"
                " it is; use audio: auto"
            )
        codec = asked if asked in ("aac", "opus") else held[0]
        return CodedSound(SoundEncoder(self._target.add_sound(codec), self._sound_settings.bitrate))

    def _warn_of_shape(self, aspect: Fraction) -> None:
        """PyAV cannot say the shape of pixels to Matroska, and these codecs cannot say it."""
        coded = self._settings.codec in ("vp9", "av1")
        if aspect == 1 or not coded or self._ending not in ("mkv", "webm") or "shape" in self._told:
            return
        self._told.add("shape")
        log.warning(
            "%s cannot say with %s that pixels are %d:%d, and they are shown as squares;"
            " write an mp4, or resize with `fit: stretch` to the shape that is shown",
            self._path,
            self._settings.codec,
            *(aspect.numerator, aspect.denominator),
        )

    def _check_sound(self, sound: "Sound") -> None:
        if not sound.heard:
            self.lost_tracks.append("sound")
            log.warning("%s: the sound came to nothing", self._path)

    def _left_out(self, track: str) -> bool:
        """Whether a track comes too late for the header."""
        self._late += self._started
        if self._started and track not in self._told:
            self._told.add(track)
            self.lost_tracks.append("pictures" if track == "image" else "sound")
            said = "pictures" if track == "image" else "sound"
            log.warning("%s: the %s came too late and is left out", self._path, said)
        return self._started

    def _patience_over(self, at: Moment) -> bool:
        """Whether a missing track has been waited for long enough, by the time of the media."""
        if self._since is None:
            self._since = at.seconds
        held = len(self._waiting) + len(self._early)
        return abs(at.seconds - self._since) > PATIENCE_SECONDS or held > PATIENCE_ITEMS

    def _give(self, track: str, packets: list[Any], at: Moment | None = None) -> None:
        if self._started:
            self._target.write(track, packets)
            return
        self._waiting.append((track, packets))
        encoder = self._pictures
        ready = encoder is None or encoder.context.is_open
        complete = not self._missing()
        if ready and (complete or (at is not None and self._patience_over(at))):
            self._start()

    def _missing(self) -> set[str]:
        here = {"image": self._pictures, "audio": self._sound}
        return {track for track in self._expected if here[track] is None}

    def _start(self) -> None:
        if self._started:
            return
        self._started = True
        waiting, self._waiting = self._waiting, []
        for track, packets in waiting:
            self._target.write(track, packets)


PATIENCE_SECONDS: Final = 10
"""How much media may wait for a track that was announced."""

PATIENCE_ITEMS: Final = 2048
"""How many pictures and blocks of sound may wait for it."""


class Sound(Protocol):
    """What becomes of the sound on its way into the file.

    heard: whether anything came of it. repeated, damaged: what was left out, see Writer.lost.
    """

    heard: bool
    repeated: int

    @property
    def damaged(self) -> int: ...

    def encode(self, item: Any, at: Moment) -> list[Any]: ...

    def finish(self) -> list[Any]: ...


class CopiedSound:
    """Packets as they are. Each is copied, because writing changes it and others may hold it.

    repeats: whether packets may have one time in this kind of file.
    """

    def __init__(self, *, repeats: bool = False) -> None:
        self.repeated = 0
        """Packets left out because their time had been used."""

        self.heard, self.damaged = False, 0
        self._repeats = repeats
        self._last: int | None = None

    def encode(self, item: Any, at: Moment) -> list[Any]:
        time = item.pts if item.dts is None else item.dts
        if time is None or (self._last is not None and time < self._last + (not self._repeats)):
            self.repeated += 1
            return []
        self._last, self.heard = time, True
        new = packet_of(bytes(item))
        new.time_base, new.pts, new.dts = item.time_base, item.pts, time
        new.duration, new.is_keyframe = item.duration, item.is_keyframe
        for extra in item.iter_sidedata():
            extra.to_packet(new)
        return [new]

    def finish(self) -> list[Any]:
        return []


class CodedSound:
    """Samples, or packets that the file cannot hold, encoded anew."""

    repeated = 0  # what overlaps is cut

    def __init__(self, encoder: SoundEncoder) -> None:
        self.heard = False
        self._encoder = encoder
        self._decoder: SoundDecoder | None = None
        self._stream: Any = None

    @property
    def damaged(self) -> int:
        return self._decoder.damaged if self._decoder is not None else 0

    def encode(self, item: Any, at: Moment) -> list[Any]:
        if isinstance(item, av.AudioFrame):
            return self._blocks([item])
        if self._decoder is None:
            self._decoder, self._stream = SoundDecoder(item.stream), item.stream
        return self._blocks(self._decoder.decode(item))

    def finish(self) -> list[Any]:
        packets = []
        if self._decoder is not None:
            last: Any = av.Packet()
            last.time_base = self._stream.time_base
            packets = self._blocks(self._decoder.decode(last))
        return packets + self._encoder.finish()

    def _blocks(self, blocks: list[av.AudioFrame]) -> list[Any]:
        self.heard = self.heard or bool(blocks)
        return [packet for block in blocks for packet in self._encoder.encode(block)]
