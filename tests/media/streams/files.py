"""The same pictures and tones in files of all kinds, written by libavformat."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av

from tests.media.streams import elementary
from tests.media.streams.elementary import FPS, KINDS, VOICES, Kind, Voice
from tests.media.streams.expected import EXACT, ROUGH


@dataclass(frozen=True, slots=True)
class File:
    """A file to be: its ending, libavformat's name of the container, and what it holds.

    begin: seconds of the first picture; times before 0 are kept, which edit lists then cut away.
    sound_begin: of the first sound. options: of the container.
    """

    ending: str
    form: str
    pictures: str = ""
    sound: str = ""
    begin: float = 0
    sound_begin: float = 0
    options: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        said = [self.ending, self.pictures, self.sound]
        said += [f"begin={self.begin}"] * bool(self.begin)
        said += [f"sound-begin={self.sound_begin}"] * bool(self.sound_begin)
        said += [f"{name}={value}" for name, value in self.options]
        return "+".join(each for each in said if each)


def differs(file: File) -> str:
    """Why the library's times, in one thread and without FFmpeg's command, are not the measure."""
    if str(file) in ("m1v+mpeg1", "avi+h264+mp3", "avi+h264-pyramid+ac3"):
        return "the command's first picture is at another time, as that of a run"
    if (file.form, file.pictures) == ("mpeg", "h264-b"):
        return (
            "libavformat gives the time of a pack to two pictures; a run counts one of them as late"
        )
    return ""


def tolerance(file: File) -> float:
    """Seconds by which a time may be off: of a program stream some are written, as on a DVD."""
    return ROUGH if file.form in ("mpeg", "vob", "dvd") else EXACT


def write(file: File, folder: Path) -> Path:
    """Write it."""
    path = folder / f"film.{file.ending}"
    if not file.form:
        coded = elementary.pictures(file.pictures).coded
        path.write_bytes(b"".join(each.data for each in coded))
        return path
    opened: Any
    with av.open(str(path), "w", file.form, container_options=dict(file.options)) as opened:
        tracks = []
        if file.pictures:
            tracks.append(_pictures(opened, KINDS[file.pictures], file.begin))
        if file.sound:
            tracks.append(_sound(opened, VOICES[file.sound], file.sound_begin))
        packets = [packet for track in tracks for packet in track]
        packets.sort(key=lambda packet: packet.dts * packet.time_base)
        for packet in packets:
            opened.mux(packet)
    return path


def _pictures(opened: Any, kind: Kind, begin: float) -> Iterator[Any]:
    stream = opened.add_stream(kind.encoder, rate=FPS, options=kind.options)
    stream.width, stream.height = kind.size
    stream.pix_fmt = kind.layout
    context = stream.codec_context
    context.time_base, context.thread_count = Fraction(1, FPS), 1
    context.flags |= kind.flags
    for place in range(elementary.COUNT):
        image = elementary.numbered(kind, place)
        image.pts, image.time_base = place + round(begin * FPS), Fraction(1, FPS)
        yield from stream.encode(image)
    yield from stream.encode(None)


def _sound(opened: Any, voice: Voice, begin: float) -> Iterator[Any]:
    stream = opened.add_stream(voice.encoder, rate=voice.rate, options=voice.options)
    stream.layout, stream.bit_rate = voice.layout, 128_000
    context = stream.codec_context
    elementary.choose_form(context)
    context.open()
    for block in elementary.blocks(context, 2.0, 440.0):
        block.pts = (block.pts or 0) + round(begin * voice.rate)
        yield from stream.encode(block)
    yield from stream.encode(None)


FILES: Final = (
    *(
        File("mp4", "mp4", name, "aac")
        for name in ("h264", "h264-b", "h264-pyramid", "h264-open", "hevc-b", "mpeg4-b", "av1")
    ),
    *(File("mp4", "mp4", "vp9", "opus"), File("mp4", "mp4", "h264-b", "ac3-51")),
    File("mp4", "mp4", "h264-b", "aac", sound_begin=1.0),
    File("mp4", "mp4", "h264-b", "aac", begin=1.0),
    File("mp4", "mp4", "h264-b", "aac", options=(("movflags", "frag_keyframe+empty_moov"),)),
    File("mp4", "mp4", "h264-10bit"),
    File("m4a", "mp4", "", "aac"),
    *(File("mov", "mov", name, "aac-mono") for name in ("h264-b", "hevc-b", "mpeg4-b")),
    File("mov", "mov", "h264-b", "aac", begin=-0.4, sound_begin=-0.4),
    File("mov", "mov", "h264", "aac", begin=0.5),
    *(
        File("mkv", "matroska", name, voice)
        for name, voice in (
            *(("h264-pyramid", "opus"), ("hevc-b", "ac3"), ("mpeg2-b", "mp2"), ("av1", "opus-51")),
            *(("vp9", "mp3"), ("mpeg4-b", "eac3"), ("h264-422", "aac-51"), ("mpeg1", "mp2-44")),
        )
    ),
    File("mkv", "matroska", "h264-b", "aac", begin=2.0, sound_begin=0.5),
    *(File("webm", "webm", "vp9", "opus"), File("webm", "webm", "av1", "opus-mono")),
    *(
        File("avi", "avi", name, voice)
        for name, voice in (
            *(("h264", "mp3"), ("h264-b", "mp3"), ("h264-pyramid", "ac3"), ("mpeg4", "mp3")),
            *(("mpeg4-b", "mp2"), ("mpeg2-b", "mp2"), ("h264-b", "")),
        )
    ),
    *(
        File("flv", "flv", name, voice)
        for name, voice in (
            *(("h264", "aac"), ("h264-b", "aac-44"), ("h264-pyramid", "mp3-44"), ("hevc-b", "aac")),
        )
    ),
    *(
        File("ts", "mpegts", name, voice)
        for name, voice in (
            *(("h264", "aac"), ("h264-pyramid", "latm"), ("hevc-open", "opus"), ("mpeg2-b", "ac3")),
            *(("mpeg4-b", "mp2"), ("h264-refresh", "opus-51"), ("h264-mbaff", "eac3")),
        )
    ),
    File("m2ts", "mpegts", "h264-b", "ac3", options=(("mpegts_m2ts_mode", "1"),)),
    *(
        File("mpg", "mpeg", name, voice)
        for name, voice in (("mpeg1", "mp2"), ("mpeg2-b", "mp2"), ("h264-b", "mp2"))
    ),
    *(File("vob", "vob", "mpeg2-b", "ac3"), File("vob", "dvd", "mpeg2-interlaced", "mp2")),
    *(File("h264", "", name) for name in ("h264", "h264-b", "h264-slices", "h264-refresh")),
    *(File("hevc", "", name) for name in ("hevc", "hevc-open", "hevc-slices")),
    *(File("m2v", "", "mpeg2-b"), File("m1v", "", "mpeg1"), File("m4v", "m4v", "mpeg4-b")),
    *(File("obu", "obu", "av1"), File("ivf", "ivf", "vp9"), File("ivf", "ivf", "av1")),
    *(
        File("aac", "adts", "", "aac"),
        File("loas", "latm", "", "latm"),
        File("mp2", "mp2", "", "mp2"),
    ),
    *(
        File("mp3", "mp3", "", "mp3"),
        File("ac3", "ac3", "", "ac3"),
        File("opus", "ogg", "", "opus"),
    ),
    File("eac3", "eac3", "", "eac3"),
)

SHORT: Final = tuple(
    file
    for file in FILES
    if (file.ending, file.pictures)
    in (
        *(("mp4", "hevc-b"), ("mov", "h264"), ("mkv", "av1"), ("avi", "h264-b"), ("flv", "h264-b")),
        *(("ts", "mpeg4-b"), ("mpg", "mpeg2-b"), ("h264", "h264-slices"), ("loas", "")),
    )
)
"""What is tried at each change."""
