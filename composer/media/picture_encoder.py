"""Pictures into packets. Times of the source travel untouched: its time base is the encoder's."""

import dataclasses
import logging
import math
from fractions import Fraction
from typing import Any, Final

import av

from composer import lazy
from composer.errors import MediaError
from composer.media.coders import BETWEEN, PictureSettings, coder_options
from composer.node.formats import YUV_LAYOUTS, has_alpha, is_yuv
from composer.node.frames import UNTAGGED, Moment
from composer.pictures import pixels
from composer.pictures.chain import Chain

with lazy.deferred():  # only pictures with alpha need NumPy
    from composer.pictures import alpha

log = logging.getLogger(__name__)


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

    @property
    def time_base(self) -> Fraction:
        """Of the packets; known with the first picture. PyAV makes a new one when it is asked."""
        return self._time_base

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
