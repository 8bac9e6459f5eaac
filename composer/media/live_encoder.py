"""Pictures and sound of a session into packets, none of which waits for another."""

import dataclasses
import logging
from collections import deque
from collections.abc import Callable
from contextlib import nullcontext
from fractions import Fraction
from typing import Any, Final, Protocol

import av

from composer.errors import MediaError
from composer.media import cores
from composer.media.cores import ENCODING
from composer.media.writer import (
    PictureEncoder,
    PictureSettings,
    SoundDecoder,
    SoundEncoder,
    SoundSettings,
)
from composer.node.frames import Moment
from composer.pictures import pixels

log: Final = logging.getLogger(__name__)

HELD_SECONDS: Final = 2
"""Sound before the first picture is held for so long."""

PATIENCE_SECONDS: Final = 10
"""Sound that has waited for a picture for so long goes out without."""

SOUND_RATE: Final = 48_000
SOUND_CHANNELS: Final = 2
"""What WebRTC hears; sound of more channels is mixed down."""

LONGEST_KEYFRAME_SECONDS: Final = 4.0
"""Each segment begins with a keyframe, and readers give up on segments that last too long."""

BITS_PER_PIXEL: Final = 2.5
"""Of one second: 2.3 Mbit/s at 1280x720."""


class Outlet(Protocol):
    """Where packets go: see composer.session.egress.Egress."""

    @property
    def refusal(self) -> str: ...

    def open(self, *, video: str = "", audio: str = "", channels: int = 2) -> None: ...

    def packet(
        self, kind: str, data: bytes, pts: int, dts: int, time_base: Fraction, *, key: bool
    ) -> None: ...

    def dropped(self, reason: str) -> None: ...


class LiveWriter:
    """Encodes for one Outlet, which it does not end: another LiveWriter may go on after it.

    expected: whether "video" or "audio" will come, None while nobody knows. Both are told with the
    first picture; where no picture is to be expected, with the first sound. A track that comes
    later is told then. sessions: how many share the cores. Raises MediaError for codecs that cannot
    be sent.
    """

    def __init__(
        self,
        egress: Outlet,
        pictures: PictureSettings,
        sound: SoundSettings,
        *,
        expected: Callable[[str], bool | None],
        sessions: int = 1,
    ) -> None:
        codec = "h264" if pictures.codec == "auto" else pictures.codec
        if codec not in ("h264", "hevc"):
            raise MediaError(f"a session cannot send {codec}; write `codec: h264`")
        if sound.codec not in ("auto", "opus", "aac", "none"):
            raise MediaError(f"a session cannot send `audio: {sound.codec}`; write `audio: opus`")
        if sound.codec == "aac":
            log.warning("viewers by WebRTC do not hear aac; `audio: opus` reaches all")
        self._egress, self._sessions = egress, sessions
        self._settings = dataclasses.replace(pictures, codec=codec)
        self._audio = "opus" if sound.codec == "auto" else sound.codec.replace("none", "")
        self._bitrate, self._expected = sound.bitrate, expected
        self._pictures: PictureEncoder | None = None
        self._sound: SoundEncoder | None = None
        self._channels = SOUND_CHANNELS
        self._decoder: SoundDecoder | None = None
        self._early: deque[av.AudioFrame] = deque()
        self._early_since: float | None = None
        self._skipped = self._closed = False

    @property
    def threads(self) -> int:
        """Threads of the encoder of pictures, 0 before the first one."""
        return self._pictures.context.thread_count if self._pictures is not None else 0

    def picture(self, image: av.VideoFrame, at: Moment) -> None:
        if refusal := self._egress.refusal:
            self._egress.dropped(refusal)
            self._skipped = True
            return
        fitted = pixels.convert(image, "yuv420p", color=at.color)
        if self._pictures is None:
            fitted = self._begun(fitted, image, at)
        assert self._pictures is not None
        if self._skipped:
            self._skipped = False
            self._pictures.ask_keyframe()
        with nullcontext() if self._settings.card else ENCODING:
            packets = self._pictures.encode(fitted, at)
        self._give("video", packets)
        self._hear_early()

    def sound(self, item: Any, at: Moment) -> None:
        """item: an av.AudioFrame, or an av.Packet whose stream has the track's parameters."""
        if not self._audio:
            return
        for block in self._blocks(item):
            if self._sound is None and self._waits(block):
                self._hold(block)
                continue
            if self._sound is None:
                self._begin_sound(block)
                self._egress.open(audio=self._audio, channels=self._channels)
            self._hear_early()
            self._hear(block)

    def finish(self) -> None:
        """Send what the encoders still hold."""
        if self._closed:
            return
        self._closed = True
        if self._pictures is not None:
            self._give("video", self._pictures.finish())
        if self._sound is not None:
            self._give("audio", self._sound.finish())

    def close(self) -> None:
        """The same after something went wrong."""
        try:
            self.finish()
        except MediaError as exc:
            log.debug("%s", exc)

    def _begun(self, fitted: av.VideoFrame, image: av.VideoFrame, at: Moment) -> av.VideoFrame:
        """Open the output. The first picture gets a duration, so that it need not wait for the
        second one to tell the rate.
        """
        context = av.CodecContext.create(self._settings.coder.name, "w")
        settings = live_settings(self._settings, image.width, image.height)
        if not settings.threads:
            threads = cores.slices(image.width * image.height, self._sessions, cores.count())
            settings = dataclasses.replace(settings, threads=threads)
        self._pictures = PictureEncoder(context, settings, live=True)
        if self._audio and self._sound is None and (self._early or self._expected("audio")):
            self._begin_sound(self._early[0] if self._early else None)
        self._egress.open(
            video=self._settings.codec,
            audio=self._audio if self._sound is not None else "",
            channels=self._channels,
        )
        if not image.duration:
            fitted = self._pictures.same(fitted) if fitted is image else fitted
            fitted.pts, fitted.time_base = at.pts, at.time_base
            fitted.duration = max(round(Fraction(1, 30) / at.time_base), 1)
        return fitted

    def _begin_sound(self, block: av.AudioFrame | None) -> None:
        if block is not None:
            self._channels = min(block.layout.nb_channels, SOUND_CHANNELS)
        coder = av.CodecContext.create("libopus" if self._audio == "opus" else "aac", "w")
        self._sound = SoundEncoder(coder, self._bitrate, rate=SOUND_RATE, channels=self._channels)

    def _waits(self, block: av.AudioFrame) -> bool:
        """Whether sound waits for the first picture, by the time of the sound."""
        if self._pictures is not None or self._expected("video") is False:
            return False
        if self._early_since is None:
            self._early_since = _seconds(block)
        return _seconds(block) - self._early_since < PATIENCE_SECONDS

    def _hold(self, block: av.AudioFrame) -> None:
        self._early.append(block)
        while _seconds(block) - _seconds(self._early[0]) > HELD_SECONDS:
            self._early.popleft()
            self._egress.dropped("early")

    def _hear_early(self) -> None:
        while self._early:
            self._hear(self._early.popleft())

    def _blocks(self, item: Any) -> list[av.AudioFrame]:
        if isinstance(item, av.AudioFrame):
            return [item]
        if self._decoder is None:
            self._decoder = SoundDecoder(item.stream)
        return self._decoder.decode(item)

    def _hear(self, block: av.AudioFrame) -> None:
        if self._sound is not None:
            self._give("audio", self._sound.encode(block))

    def _give(self, kind: str, packets: list[Any]) -> None:
        encoder = self._pictures if kind == "video" else self._sound
        assert encoder is not None
        base = encoder.context.time_base
        for packet in packets:
            if packet.pts is None:
                continue
            dts = packet.pts if packet.dts is None else packet.dts
            key = kind == "audio" or packet.is_keyframe
            self._egress.packet(kind, bytes(packet), packet.pts, dts, base, key=key)


def live_settings(settings: PictureSettings, width: int, height: int) -> PictureSettings:
    """The settings with what a stream needs: bounded bits, planned keyframes, no B-frames."""
    most = str(settings.bitrate or min(max(round(width * height * BITS_PER_PIXEL), 300_000), 10**7))
    options = {"maxrate": most, "bufsize": most, "bf": "0", "forced-idr": "1"}
    if settings.card:
        options = {"maxrate": most, "bufsize": most}  # the rest is in nvenc.options()
    elif settings.codec == "hevc":
        options["x265-params"] = "log-level=error:scenecut=0:bframes=0:open-gop=0"
    else:
        options["sc_threshold"] = "0"
    return dataclasses.replace(
        settings,
        keyframe_s=min(settings.keyframe_s or 2.0, LONGEST_KEYFRAME_SECONDS),
        options=options | dict(settings.options),
    )


def _seconds(block: av.AudioFrame) -> float:
    if block.pts is None or block.time_base is None:
        return 0.0
    return float(block.pts * block.time_base)
