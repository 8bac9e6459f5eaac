"""Pictures and sound of a session into packets, none of which waits for another."""

import dataclasses
import logging
from collections.abc import Callable
from contextlib import nullcontext
from fractions import Fraction
from typing import Any, Final

import av

from composer.errors import MediaError
from composer.media import cores
from composer.media.coders import PictureSettings
from composer.media.cores import ENCODING
from composer.media.live_sound import LiveSound
from composer.media.outlet import Outlet, send
from composer.media.picture_encoder import PictureEncoder
from composer.media.sound_encoder import SoundSettings
from composer.node.frames import Moment
from composer.pictures import pixels

log: Final = logging.getLogger(__name__)

LONGEST_KEYFRAME_SECONDS: Final = 4.0
"""Each segment begins with a keyframe, and readers give up on segments that last too long."""

BITS_PER_PIXEL: Final = 2.5
"""Of one second: 2.3 Mbit/s at 1280x720."""


class LiveWriter:
    """Encodes for one Outlet, which it does not end: another LiveWriter may go on after it.

    expected: whether "video" or "audio" will come, None while nobody knows. Both are told with the
    first picture; where no picture is to be expected, with the first sound. A track that comes
    later is told then. channels: of the sound that will come, 0 for not known. sessions: how many
    share the cores. Raises MediaError for codecs that cannot be sent.
    """

    def __init__(
        self,
        egress: Outlet,
        pictures: PictureSettings,
        sound: SoundSettings,
        *,
        expected: Callable[[str], bool | None],
        channels: Callable[[], int] = lambda: 0,
        sessions: int = 1,
    ) -> None:
        codec = "h264" if pictures.codec == "auto" else pictures.codec
        if codec not in ("h264", "hevc"):
            raise MediaError(f"a session cannot send {codec}; write `codec: h264`")
        self._egress, self._sessions = egress, sessions
        self._settings = dataclasses.replace(pictures, codec=codec)
        self._pictures: PictureEncoder | None = None
        self._sound = LiveSound(egress, sound, expected=expected, channels=channels)
        self._skipped = self._closed = False

    @property
    def threads(self) -> int:
        """Threads of the encoder of pictures, 0 before the first one."""
        return self._pictures.context.thread_count if self._pictures is not None else 0

    def picture(self, image: av.VideoFrame, at: Moment) -> None:
        if self._egress.repeats(at.pts, at.time_base):
            self._egress.dropped("repeated")
            return
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
        self._give(self._pictures, packets)
        self._sound.send_early()

    def sound(self, item: Any, at: Moment) -> None:
        """item: what LiveSound takes."""
        self._sound.take(item, pictured=self._pictures is not None)

    def finish(self) -> None:
        """Send what the encoders still hold."""
        if self._closed:
            return
        self._closed = True
        if self._pictures is not None:
            self._give(self._pictures, self._pictures.finish())
        self._sound.finish()

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
        audio, channels = self._sound.begin()
        self._egress.open(video=self._settings.codec, audio=audio, channels=channels)
        if not image.duration:
            fitted = self._pictures.same(fitted) if fitted is image else fitted
            fitted.pts, fitted.time_base = at.pts, at.time_base
            fitted.duration = max(round(Fraction(1, 30) / at.time_base), 1)
        return fitted

    def _give(self, encoder: PictureEncoder, packets: list[Any]) -> None:
        send(self._egress, "video", encoder.time_base, packets)


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
