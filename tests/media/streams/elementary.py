"""Coded pictures, each with its number in it, and coded tones: what streams are made of."""

import io
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cache
from typing import Any, Final

import av
import numpy as np

from composer.pictures import barcode, pixels

CLOCK: Final = 90_000
FPS: Final = 25
STEP: Final = CLOCK // FPS
"""Ticks from one picture to the next."""

COUNT: Final = 50


@dataclass(frozen=True, slots=True)
class Coded:
    """One coded picture or block of sound. pts, dts: in 90 kHz."""

    data: bytes
    pts: int
    dts: int
    key: bool = True


@dataclass(frozen=True, slots=True)
class Pictures:
    """A coded track of pictures, in the order of decoding. codec: of libavcodec's decoder.

    numbers: what can be seen, and when, in 90 kHz.
    """

    codec: str
    coded: tuple[Coded, ...]
    numbers: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Sound:
    """A coded track of one tone. each: ticks that a block lasts."""

    codec: str
    coded: tuple[Coded, ...]
    tone: float
    rate: int
    channels: int
    each: float


# pictures


@dataclass(frozen=True, slots=True)
class Kind:
    """How pictures are coded. change: of each coded picture, by its place."""

    encoder: str
    codec: str
    options: dict[str, str] = field(default_factory=dict)
    layout: str = "yuv420p"
    size: tuple[int, int] = (160, 96)
    noise: int = 0
    flags: int = 0
    interlaced: bool = False
    change: Callable[[int, bytes], bytes] | None = None


def _h264(*more: str, change: Callable[[int, bytes], bytes] | None = None, **fields: Any) -> Kind:
    """x264 with an IDR picture a second, and what `more` says."""
    params = ":".join(("keyint=25", "min-keyint=25", "scenecut=0", *more))
    tune = {} if any("bframes" in each for each in more) else {"tune": "zerolatency"}
    options = {"preset": "ultrafast", "crf": "22", "x264-params": params, **tune}
    return Kind("libx264", "h264", options, change=change, **fields)


def _hevc(*more: str, change: Callable[[int, bytes], bytes] | None = None, **fields: Any) -> Kind:
    params = (
        *("log-level=none", "pools=1", "frame-threads=1", "keyint=25", "min-keyint=25"),
        *("scenecut=0", *more),
    )
    options = {"preset": "ultrafast", "crf": "22", "x265-params": ":".join(params)}
    return Kind("libx265", "hevc", options, change=change, **fields)


def _mpeg(encoder: str, *, b: int = 0, **fields: Any) -> Kind:
    options = {"g": "25", "bf": str(b), "qscale": "3", "b": "4000000"}
    return Kind(encoder, encoder, options, **fields)


def start_codes(data: bytes) -> Iterator[bytes]:
    """The pieces of a stream that begin with a start code, each with it."""
    starts = []
    at = data.find(b"\0\0\1")
    while at >= 0:
        starts.append(at - (at > 0 and data[at - 1] == 0))
        at = data.find(b"\0\0\1", at + 3)
    for begin, end in zip(starts, [*starts[1:], len(data)], strict=True):
        yield data[begin:end]


def _code(piece: bytes) -> int:
    """The byte behind a start code."""
    return piece[piece.index(b"\1") + 1]


def h264_type(piece: bytes) -> int:
    return _code(piece) & 0x1F


def hevc_type(piece: bytes) -> int:
    return _code(piece) >> 1 & 0x3F


def without(types: set[int], kind: Callable[[bytes], int], data: bytes) -> bytes:
    """The same without units of these types."""
    return b"".join(piece for piece in start_codes(data) if kind(piece) not in types)


def _h264_sets_once(place: int, data: bytes) -> bytes:
    return data if place == 0 else without({7, 8}, h264_type, data)


def _hevc_sets_once(place: int, data: bytes) -> bytes:
    return data if place == 0 else without({32, 33, 34}, hevc_type, data)


def _h264_no_extra(place: int, data: bytes) -> bytes:
    """Not a word beside parameter sets and slices."""
    return without({6, 9}, h264_type, data)


def _h264_short(place: int, data: bytes) -> bytes:
    """Start codes of three bytes."""
    return b"".join(piece[piece.index(b"\0\0\1") :] for piece in start_codes(data))


def _h264_zeros(place: int, data: bytes) -> bytes:
    """Zeros behind the last unit of a picture (trailing_zero_8bits)."""
    return data + bytes(place % 5)


def _h264_fill(place: int, data: bytes) -> bytes:
    """Filler data behind the slices, as encoders of a constant rate write it."""
    return data + b"\0\0\0\1\x0c" + b"\xff" * 300 + b"\x80"


def _h264_end(place: int, data: bytes) -> bytes:
    """An end of sequence before each IDR picture but the first."""
    return data + (b"\0\0\0\1\x0a" if place % 25 == 24 else b"")


KINDS: Final[dict[str, Kind]] = {
    "h264": _h264(),
    "h264-aud": _h264("aud=1"),
    "h264-bare": _h264(change=_h264_no_extra),
    "h264-short-codes": _h264(change=_h264_short),
    "h264-zeros": _h264(change=_h264_zeros),
    "h264-filler": _h264(change=_h264_fill),
    "h264-end-of-seq": _h264(change=_h264_end),
    "h264-once": _h264("keyint=infinite", "min-keyint=1000"),
    "h264-sets-once": _h264(change=_h264_sets_once),
    "h264-b": _h264("bframes=2", "b-adapt=0", "b-pyramid=none"),
    "h264-pyramid": _h264("bframes=3", "b-adapt=0", "b-pyramid=normal", "ref=4"),
    "h264-open": _h264("bframes=2", "b-adapt=0", "open-gop=1", "aud=1"),
    "h264-open-no-aud": _h264("bframes=2", "b-adapt=0", "open-gop=1"),
    "h264-refresh": _h264("intra-refresh=1", "keyint=20"),
    "h264-slices": _h264("slices=4"),
    "h264-slices-aud": _h264("slices=4", "aud=1"),
    "h264-slices-b": _h264("slices=3", "bframes=2", "b-adapt=0"),
    "h264-mbaff": _h264("tff=1", interlaced=True),
    "h264-fake-interlaced": _h264("fake-interlaced=1"),
    "h264-main-cabac": _h264("cabac=1", "8x8dct=1", "bframes=2"),
    "h264-intra": _h264("keyint=1", "min-keyint=1"),
    "h264-10bit": _h264(layout="yuv420p10le"),
    "h264-422": _h264(layout="yuv422p"),
    "h264-444": _h264(layout="yuv444p"),
    "h264-cbr": _h264("nal-hrd=cbr", "vbv-maxrate=400", "vbv-bufsize=400", "bitrate=400"),
    "h264-pic-struct": _h264("pic-struct=1", "aud=1"),
    "h264-big": _h264(size=(640, 368), noise=90),
    "h264-odd": _h264(size=(170, 98)),
    "hevc": _hevc("bframes=0", "open-gop=0", "repeat-headers=1"),
    "hevc-aud": _hevc("bframes=0", "open-gop=0", "aud=1", "repeat-headers=1"),
    "hevc-once": _hevc("bframes=0", "keyint=-1"),
    "hevc-sets-once": _hevc("bframes=0", "open-gop=0", change=_hevc_sets_once),
    "hevc-b": _hevc("bframes=2", "b-adapt=0", "b-pyramid=0", "open-gop=0"),
    "hevc-pyramid": _hevc("bframes=4", "b-adapt=0", "b-pyramid=1", "open-gop=0"),
    "hevc-open": _hevc("bframes=3", "b-adapt=0", "open-gop=1", "repeat-headers=1"),
    "hevc-open-aud": _hevc("bframes=3", "b-adapt=0", "open-gop=1", "repeat-headers=1", "aud=1"),
    "hevc-refresh": _hevc("bframes=0", "intra-refresh=1", "keyint=20"),
    "hevc-slices": _hevc("bframes=0", "slices=2", "open-gop=0", size=(160, 192)),
    "hevc-10bit": _hevc("bframes=0", "open-gop=0", layout="yuv420p10le"),
    "hevc-422": _hevc("bframes=0", "open-gop=0", layout="yuv422p"),
    "hevc-hrd": _hevc("bframes=0", "hrd=1", "vbv-maxrate=400", "vbv-bufsize=400", "bitrate=300"),
    "mpeg2": _mpeg("mpeg2video"),
    "mpeg2-b": _mpeg("mpeg2video", b=2),
    "mpeg2-interlaced": _mpeg("mpeg2video", b=2, interlaced=True, flags=1 << 29 | 1 << 18),
    "mpeg2-422": _mpeg("mpeg2video", layout="yuv422p"),
    "mpeg1": _mpeg("mpeg1video", b=2),
    "mpeg4": _mpeg("mpeg4", b=0),
    "mpeg4-b": _mpeg("mpeg4", b=2),
    "av1": Kind("libsvtav1", "av1", {"preset": "13", "g": "25", "svtav1-params": "lp=1"}),
    "vp9": Kind("libvpx-vp9", "vp9", {"g": "25", "deadline": "realtime", "cpu-used": "8"}),
}


def numbered(kind: Kind, number: int) -> av.VideoFrame:
    """A picture that moves, with its number as a bar code over its upper half."""
    width, height = kind.size
    image = av.VideoFrame(width, height, "yuv420p")
    luma, *others = pixels.planes(image)
    luma[...] = np.linspace(60, 190, width, dtype=np.uint8)
    if kind.noise:
        random = np.random.default_rng(number)
        rows = luma[height // 2 :]
        rows[...] = 128 + random.integers(-kind.noise, kind.noise, rows.shape)
    left = number * 4 % (width - 30)
    luma[height * 5 // 8 : height * 7 // 8, left : left + 30] = 220
    barcode.write(luma[: height // 2], number)
    for plane in others:
        plane[...] = 110 + number % 30
    return image.reformat(format=kind.layout)


@cache
def pictures(name: str, count: int = COUNT, first: int = 0) -> Pictures:
    """`count` pictures at 25 a second, numbered from `first` on."""
    kind = KINDS[name]
    packets = _encoded(kind, range(first, first + count))
    coded = []
    for place, packet in enumerate(packets):
        data = bytes(packet)
        if kind.change is not None:
            data = kind.change(place, data)
        pts, dts = packet.pts * STEP, packet.dts * STEP
        coded.append(Coded(data, pts, dts, packet.is_keyframe))
    numbers = tuple((first + place, place * STEP) for place in range(count))
    return Pictures(kind.codec, tuple(coded), numbers)


def _encoded(kind: Kind, numbers: range) -> list[Any]:
    context: Any = av.CodecContext.create(kind.encoder, "w")
    context.width, context.height = kind.size
    context.pix_fmt = kind.layout
    context.time_base, context.framerate = Fraction(1, FPS), Fraction(FPS, 1)
    context.options = kind.options
    context.thread_count = 1
    context.flags |= kind.flags
    found = []
    for place, number in enumerate(numbers):
        image = numbered(kind, number)
        image.pts, image.time_base = place, context.time_base
        found += context.encode(image)
    return found + list(context.encode(None))


# sound


@dataclass(frozen=True, slots=True)
class Voice:
    """How a tone is coded. muxer: of libavformat, which puts headers before the blocks."""

    encoder: str
    codec: str
    layout: str = "stereo"
    rate: int = 48_000
    muxer: str = ""
    options: dict[str, str] = field(default_factory=dict)


VOICES: Final[dict[str, Voice]] = {
    "aac": Voice("aac", "aac", muxer="adts"),
    "aac-mono": Voice("aac", "aac", "mono", muxer="adts"),
    "aac-51": Voice("aac", "aac", "5.1", muxer="adts"),
    "aac-44": Voice("aac", "aac", rate=44_100, muxer="adts"),
    "aac-22": Voice("aac", "aac", "mono", 22_050, muxer="adts"),
    "latm": Voice("aac", "aac_latm", muxer="latm"),
    "latm-44": Voice("aac", "aac_latm", "mono", 44_100, muxer="latm"),
    "mp2": Voice("mp2", "mp2"),
    "mp2-44": Voice("mp2", "mp2", "mono", 44_100),
    "mp3": Voice("libmp3lame", "mp3"),
    "mp3-44": Voice("libmp3lame", "mp3", "mono", 44_100),
    "ac3": Voice("ac3", "ac3"),
    "ac3-51": Voice("ac3", "ac3", "5.1"),
    "eac3": Voice("eac3", "eac3"),
    "eac3-51": Voice("eac3", "eac3", "5.1"),
    "opus": Voice("libopus", "opus"),
    "opus-mono": Voice("libopus", "opus", "mono"),
    "opus-51": Voice("libopus", "opus", "5.1", options={"mapping_family": "1"}),
    "opus-short": Voice("libopus", "opus", options={"frame_duration": "5"}),
    "opus-long": Voice("libopus", "opus", options={"frame_duration": "60"}),
}


@cache
def sound(name: str, seconds: float = 2.0, tone: float = 440.0) -> Sound:
    """One tone. Blocks begin at 0, where an encoder's delay would have them begin before."""
    voice = VOICES[name]
    packets, written = _sounded(voice, seconds, tone)
    begin = packets[0].pts
    channels = av.AudioLayout(voice.layout).nb_channels
    each = Fraction(packets[1].pts - begin) * packets[0].time_base * CLOCK
    coded = tuple(
        Coded(data, round(place * each), round(place * each)) for place, data in enumerate(written)
    )
    return Sound(voice.codec, coded, tone, voice.rate, channels, float(each))


def _sounded(voice: Voice, seconds: float, tone: float) -> tuple[list[Any], list[bytes]]:
    """The packets of an encoder, and the bytes that stand for them in a stream."""
    buffer, packets = io.BytesIO(), []
    with av.open(buffer, "w", voice.muxer or "null") as file:
        stream: Any = file.add_stream(voice.encoder, rate=voice.rate, options=voice.options)
        stream.layout, stream.bit_rate = voice.layout, 128_000
        context = stream.codec_context
        choose_form(context)
        context.open()
        for block in (*blocks(context, seconds, tone), None):
            for packet in stream.encode(block):
                packets.append(packet)
                if voice.muxer:
                    file.mux(packet)
    if voice.muxer == "adts":
        return packets, list(_cut(buffer.getvalue(), _adts_length))
    if voice.muxer == "latm":
        return packets, list(_cut(buffer.getvalue(), _loas_length))
    return packets, [bytes(packet) for packet in packets]


def choose_form(context: Any) -> None:
    """A form of samples that NumPy has too."""
    forms = {each.name: each for each in context.codec.audio_formats}
    context.format = forms.get("fltp") or forms.get("flt") or forms["s16"]


def blocks(context: Any, seconds: float, tone: float) -> Iterator[av.AudioFrame]:
    rate, size = context.sample_rate, context.frame_size
    layout, form = context.layout, context.format
    channels = layout.nb_channels
    for begin in range(0, round(seconds * rate), size):
        wave = 0.3 * np.sin(2 * np.pi * tone * np.arange(begin, begin + size) / rate)
        samples = np.repeat(wave[None], channels, axis=0).astype(np.float32)
        if form.name.startswith("s16"):
            samples = (samples * 32767).astype(np.int16)
        if not form.is_planar:
            samples = np.ascontiguousarray(samples.T.reshape(1, -1))
        block = av.AudioFrame.from_ndarray(samples, form.name, layout.name)
        block.sample_rate, block.pts, block.time_base = rate, begin, Fraction(1, rate)
        yield block


def _cut(data: bytes, length: Callable[[bytes], int]) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        size = length(data[at : at + 8])
        yield data[at : at + size]
        at += size


def _adts_length(head: bytes) -> int:
    return (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5


def _loas_length(head: bytes) -> int:
    return ((head[1] & 0x1F) << 8 | head[2]) + 3


def seed(name: str) -> int:
    """The same number for the same name, everywhere."""
    return zlib.crc32(name.encode())


def moved(coded: tuple[Coded, ...], ticks: int) -> tuple[Coded, ...]:
    """The same, later."""
    return tuple(replace(each, pts=each.pts + ticks, dts=each.dts + ticks) for each in coded)
