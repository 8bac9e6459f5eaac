"""Write pictures and sound to a file."""

import logging
import os
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self

from pydantic import field_validator, model_validator

from composer import Context, Fixed, Layouts, Moment, Node, Picture, Role, Sound
from composer.errors import MediaError
from composer.media import coders, file_kinds, live_encoder, nvenc, sound_encoder, writer
from composer.node.formats import ALPHA_YUV, CODED_LAYOUTS, EVERY_LAYOUT, Carrier

if TYPE_CHECKING:  # pydantic evaluates annotations, which would load the module
    from composer.media.live_encoder import LiveWriter
    from composer.media.writer import Writer

log: Final = logging.getLogger(__name__)

_BITRATE = re.compile(r"(?P<number>\d{1,9}(\.\d{1,6})?)(?P<unit>[kKmM]?)")
_UNITS = {"": 1, "k": 1_000, "m": 1_000_000}


def bits_per_second(written: int | str) -> int:
    """A bit rate as written in a pipeline: "2M", "800k" or a number. Raises ValueError."""
    match = _BITRATE.fullmatch(str(written).strip())
    if match is None:
        raise ValueError("a bit rate is written 2M, 800k or 2000000")
    bits = round(float(match["number"]) * _UNITS[match["unit"].lower()])
    if not 1_000 <= bits <= 1_000_000_000:
        raise ValueError("a bit rate is between 1k and 1000M")
    return bits


class Encode(Node):
    """Write the pictures and the sound to a file; the ending of its name says which kind.

    image: pictures of any size; those of the first stay. Times, colour tags and the shape of pixels
    are those of the source, so a variable frame rate stays one. H.264 and HEVC in 4:2:0 need even
    sizes: an odd last column or row is cut off. Pictures of another size later are fitted into the
    first one's, on black. audio: packets are copied where the file can hold them; otherwise sound
    is encoded, gaps of more than 20 ms become silence, and overlaps are cut.

    Alpha is kept by png, by vp9 in webm and mkv, and in mov by prores (4444 then, 422 without),
    qtrle (QuickTime Animation) and png. png and jpg keep the colour of each pixel, as qtrle does:
    between such a file and a picture that is read there is no 4:2:0.

    Endings: mp4 (and m4v, m4a), mkv, mov, ts, webm; png and jpg for single pictures, one file each
    with a number in the name: `out/%03d.png`. A track that comes 10 seconds late is left out.

    A session without a `path` of its own streams: h264 or hevc in yuv420p without B-frames, sound
    as opus (aac cannot be heard by WebRTC viewers), a keyframe at least each 4 seconds. Packets of
    Opus that no node takes go out bit for bit, gaps between them too; what came coded otherwise is
    encoded. `audio: opus` with an `audio_bitrate` always encodes, `copy` sends no other sound.

    On CUDA h264 and hevc are coded by the card's own encoder where it has one that works and no
    `tune` is asked for, else by the CPU, with a warning.
    """

    role = Role.OUTPUT
    merges = adapts = True
    devices = ("cpu", "cuda")

    codec: Literal["auto", "h264", "hevc", "vp9", "av1", "mjpeg", "png", "prores", "qtrle"] = Fixed(
        "auto",
        description="how pictures are coded; auto: h264 in mp4, mkv, mov and ts, vp9 in webm",
    )
    preset: str = Fixed(
        "",
        pattern="^(ultrafast|superfast|veryfast|faster|fast|medium|slow|slower|veryslow"
        r"|1[0-3]|\d)?$",
        description="speed against size, ultrafast to veryslow, or the codec's own number (vp9:"
        " 8 fast to 0 slow, av1: 13 to 0); empty: superfast, veryfast for vp9 and av1",
    )
    crf: int | None = Fixed(
        None,
        ge=0,
        le=63,
        description="constant quality, less is better (h264 and hevc 0..51, vp9 and av1 0..63,"
        " mjpeg 2..31); default 23, hevc 28, vp9 33, av1 35, mjpeg 3",
    )
    bitrate: int | str | None = Fixed(
        None, description="bits per second on average instead of crf: 2M, 800k or a number"
    )
    keyframe_s: float = Fixed(
        2.0, ge=0, le=3600, description="seconds from keyframe to keyframe, by the pictures' times"
    )
    tune: str = Fixed(
        "", pattern="^[a-z,]*$", max_length=64, description="what h264 and hevc are tuned for"
    )
    threads: int = Fixed(
        0,
        ge=0,
        le=64,
        description="threads of the encoder; 0: as many as suit, in a session by size and cores",
    )
    options: dict[str, str | int | float] = Fixed(
        {}, max_length=64, description="more options of the codec, by FFmpeg's names"
    )
    audio: Literal["auto", "copy", "aac", "opus", "none"] = Fixed(
        "auto",
        description="how sound is coded; auto copies what the file can hold, and encodes the rest",
    )
    audio_bitrate: int | str | None = Fixed(
        None, description="bits per second of encoded sound: 128k; default 64k a channel, opus 48k"
    )
    path: str = Fixed(
        "", description="file to write, below the pipeline's folder, when the run names no output"
    )

    _writer: "Writer | LiveWriter | None" = None
    _card: str = ""

    @field_validator("bitrate", "audio_bitrate")
    @classmethod
    def _as_number(cls, written: int | str | None) -> int | str | None:
        return None if written is None else bits_per_second(written)

    @model_validator(mode="after")
    def _one_quality(self) -> Self:
        if self.crf is not None and self.bitrate is not None:
            raise ValueError("crf and bitrate exclude each other; leave one of them away")
        return self

    def plays_role(self) -> bool:
        return not self.path

    def as_still(self) -> "Encode":
        return Encode(codec="png")

    def port_layouts(self, port: str) -> tuple[str, ...]:
        return ("yuv420p", "rgb24", "rgba", "gray", ALPHA_YUV) if port == "image" else ()

    def live_layouts(self, port: str) -> tuple[str, ...]:
        if port != "audio":
            return ()
        asked = self.audio == "opus" and self.audio_bitrate is not None
        if self.path or self.audio == "aac" or asked:
            return ("samples",)
        return ("coded",) if self.audio == "copy" else ()

    def held_layouts(self, sink: str, *, live: bool) -> tuple[str, ...]:
        streams = live and not self.path
        if streams or self.codec in ("h264", "hevc", "av1"):
            return CODED_LAYOUTS
        if self.codec == "auto" and not sink and not self.path:
            return ()
        return file_kinds.held_layouts(sink or self.path, self.codec)

    def setup(self, ctx: Context) -> None:
        self._card = self._card_of(ctx.device)
        if ctx.egress is not None and not self.path:
            self._writer = live_encoder.LiveWriter(
                ctx.egress,
                self._pictures(),
                self._sounds(),
                expected=lambda kind: _expected(ctx, kind),
                channels=lambda: _channels(ctx),
                sessions=ctx.sessions,
            )
            return
        sink = ctx.sink or self._own_path(ctx)
        if not sink:
            raise MediaError("there is no file to write: give --output FILE")
        if ctx.source and os.path.exists(sink) and os.path.exists(ctx.source):
            if os.path.samefile(ctx.source, sink):
                raise MediaError(f"{sink} is the input, too; give another --output")
        self._writer = writer.Writer(
            sink,
            self._pictures(),
            self._sounds(),
            image="image" in ctx.inputs,
            audio="audio" in ctx.inputs,
            live=ctx.live,
        )

    def _card_of(self, device: str) -> str:
        """The device whose encoder is used, "" for the CPU: also where the card has none."""
        codec = "h264" if self.codec == "auto" else self.codec
        if device == "cpu" or codec not in nvenc.NAMES or self.tune:
            return ""
        if why := nvenc.missing(codec, device):
            log.warning("%s is encoded on the CPU: %s", codec, why)
            return ""
        return device

    def lost(self) -> Mapping[str, int]:
        return self._writer.lost if isinstance(self._writer, writer.Writer) else {}

    def lost_tracks(self) -> Sequence[str]:
        return self._writer.lost_tracks if isinstance(self._writer, writer.Writer) else ()

    def _pictures(self) -> "coders.PictureSettings":
        return coders.PictureSettings(
            codec=self.codec,
            preset=self.preset,
            crf=self.crf,
            bitrate=int(self.bitrate or 0),
            keyframe_s=self.keyframe_s,
            tune=self.tune,
            threads=self.threads,
            options={name: str(value) for name, value in self.options.items()},
            card=self._card,
        )

    def _sounds(self) -> "sound_encoder.SoundSettings":
        return sound_encoder.SoundSettings(self.audio, int(self.audio_bitrate or 0))

    def _own_path(self, ctx: Context) -> str:
        path = ctx.path(self.path)
        if self.path and not path.resolve().is_relative_to(ctx.folder.resolve()):
            raise MediaError(f"{self.path} is outside the pipeline's folder")
        return str(path) if self.path else ""

    def process(
        self,
        image: Annotated[Picture, Layouts(*EVERY_LAYOUT)] | None = None,
        audio: Sound | None = None,
        *,
        at: Moment,
    ) -> None:
        assert self._writer is not None  # setup() made it
        if image is not None:
            self._writer.picture(image, at)
        if audio is not None:
            self._writer.sound(audio, at)

    def flush(self) -> Any:
        if self._writer is not None:
            self._writer.finish()
        return iter(())

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


def _expected(ctx: Context, kind: str) -> bool | None:
    """Whether a session will have "video" or "audio" to write; None while nobody knows."""
    if {"video": "image", "audio": "audio"}[kind] not in ctx.inputs:
        return False
    return ctx.ingress.has(kind) if ctx.ingress is not None else True


def _channels(ctx: Context) -> int:
    """Channels that the sound of a session will have, where it is that of the input; else 0."""
    coded = ctx.inputs["audio"].carrier is Carrier.PACKET if "audio" in ctx.inputs else False
    return ctx.ingress.channels if coded and ctx.ingress is not None else 0
