"""Which tracks of a container are read, and what their containers say of them."""

import itertools
import logging
from fractions import Fraction
from typing import Any, Final

import av

from composer import lazy
from composer.errors import MediaError
from composer.node.formats import Carrier
from composer.node.frames import UNSAID

with lazy.deferred():  # it brings the encoders with it
    from composer.media import file_kinds

log = logging.getLogger(__name__)

_PART: Final = av.stream.Disposition.dependent | av.stream.Disposition.still_image
"""What belongs to another track, and is none to choose."""


class Selection:
    """The tracks of one container that are read, their decoders open; nobody else holds on to it.
    Raises MediaError, and closes the container, where none fits.

    name: what messages call the file. sound: how its samples are wanted, None for none. threads: of
    a decoder of pictures, 0 for as many as it likes.
    """

    def __init__(
        self,
        container: Any,
        name: str,
        *,
        pictures: bool,
        sound: Carrier | None,
        threads: int,
        max_pixels: int,
    ) -> None:
        self.lost: Final[list[str]] = []
        """Tracks that no decoder takes, in words."""

        self.sound_as = sound
        """How the sound comes: as samples, too, where no kind of file takes its packets."""

        self.container: Any = container
        self._name, self._threads, self._max_pixels = name, threads, max_pixels
        self.image: Any = self._pick("video") if pictures else None
        self.sound: Any = self._pick("audio", self.image) if sound is not None else None
        if (pictures and self.image is None) or not self.used:
            missing = "picture" if pictures else "sound"
            held = ", ".join(describe(stream) for stream in container.streams)
            container.close()
            raise MediaError(f"{name} has no {missing} track; it has {held or 'no track'}")

    @property
    def used(self) -> list[Any]:
        return [stream for stream in (self.image, self.sound) if stream is not None]

    @property
    def start(self) -> Fraction:
        """Seconds at which the first of the used tracks begins."""
        starts = [
            stream.start_time * stream.time_base
            for stream in self.used
            if stream.start_time is not None
        ]
        return Fraction(min(starts, default=0))

    def close(self) -> None:
        """Let go of the file. Packets that were given out keep it open until the last is gone,
        because they lead to their track's parameters.
        """
        container, self.container, self.image, self.sound = self.container, None, None, None
        if container is not None and self.sound_as != Carrier.PACKET:
            container.close()

    def check_size(self, width: int, height: int) -> None:
        """Raises MediaError, and closes the container, for pictures that are too large."""
        if width * height > self._max_pixels:
            self.container.close()
            raise MediaError(
                f"{self._name}: its pictures of {width}x{height} are too large;"
                f" {self._max_pixels} pixels are the most"
            )

    def tell(self, stream: Any, why: str) -> None:
        """Say what became of a track."""
        log.warning("%s: its %s %s", self._name, describe(stream), why)

    def _pick(self, kind: str, beside: Any = None) -> Any:
        """The first of candidates() that can be decoded; says which where there are several."""
        tracks = candidates(self.container, kind, beside)
        chosen = next((stream for stream in tracks if self._opens(stream)), None)
        for stream in itertools.takewhile(lambda stream: stream is not chosen, tracks):
            self.tell(stream, "cannot be decoded")
        if chosen is None:
            self.lost.extend(map(describe, tracks[:1]))
        whole = [track for track in tracks if not track.disposition & _PART]
        if chosen is not None and len(whole) > 1:
            log.warning(
                "%s has %d tracks of %s: number %d of the file is read, %s",
                *(self._name, len(whole), "pictures" if kind == "video" else "sound"),
                *(chosen.index, describe(chosen)),
            )
        return chosen

    def _opens(self, stream: Any) -> bool:
        """Whether there is a decoder that takes this track. It is open then."""
        context = stream.codec_context
        if context is None:
            return False
        if stream.type == "video":
            self.check_size(stream.width, stream.height)
            stream.thread_type, context.thread_count = "AUTO", self._threads
            context.options = limits(self._max_pixels)
        elif self.sound_as == Carrier.PACKET and context.codec.canonical_name in file_kinds.COPIED:
            return True
        try:
            context.open(strict=False)
        except (av.FFmpegError, ValueError) as exc:
            log.debug("%s: %s", self._name, exc)
            return False
        if stream.type == "audio":
            self.sound_as = Carrier.FRAME
        return True


def limits(max_pixels: int) -> dict[str, str]:
    """Options of libavformat and libavcodec that refuse larger pictures."""
    return {"max_pixels": str(max_pixels)}


def candidates(container: Any, kind: str, beside: Any = None) -> list[Any]:
    """The tracks of a kind (video, audio) in the order in which they are tried: libavformat's best
    one first, of the programme of `beside`. The cover of an album is not a picture.
    """
    cover = av.stream.Disposition.attached_pic
    best = container.streams.best(kind, related=beside)
    tracks = [stream for stream in container.streams if stream.type == kind]
    tracks = [stream for stream in tracks if not stream.disposition & cover]
    return sorted(tracks, key=lambda stream: stream is not best)


def choose(container: Any, kind: str, beside: Any = None) -> Any:
    """The first of candidates() that there is a decoder for, None where there is none."""
    tracks = candidates(container, kind, beside)
    return next((stream for stream in tracks if stream.codec_context), None)


def describe(stream: Any) -> str:
    """A track in words: "sound (aac, stereo, 48000 Hz)"."""
    context = stream.codec_context
    codec = context.codec.canonical_name if context else "unknown codec"
    if stream.type == "video" and context:
        return f"pictures ({codec}, {stream.width}x{stream.height})"
    if stream.type == "audio" and context:
        return f"sound ({codec}, {context.layout.name}, {context.sample_rate} Hz)"
    words = {"video": "pictures", "audio": "sound"}.get(stream.type)
    return f"{words} ({codec})" if words else str(stream.type)


def decoder_of_alpha(stream: Any) -> str:
    """The decoder that gives the alpha of a WebM, "" where the usual one does, or there is none.

    Alpha lies beside the pictures there (WebM, BlockAdditional), and libavcodec's own decoders of
    VP8 and VP9 leave it out.
    """
    if stream.metadata.get("alpha_mode") != "1":
        return ""
    return {"vp8": "libvpx", "vp9": "libvpx-vp9"}.get(stream.codec_context.name, "")


def rate_of(stream: Any, max_fps: float) -> Fraction:
    """Pictures per second that are read, as the container says; 0 for not said."""
    rate = Fraction(stream.guessed_rate or 0) if stream is not None else UNSAID
    return min(rate, Fraction(max_fps)) if max_fps else rate


def overruling_aspect(stream: Any) -> Fraction | None:
    """The shape of pixels that the container says against the coded pictures; None otherwise."""
    if stream is None:
        return None
    shown, coded = stream.sample_aspect_ratio, stream.codec_context.sample_aspect_ratio
    return shown if shown and shown != coded else None


def step_of(stream: Any) -> int:
    """Ticks from one item of a track to the next, as the container says."""
    if stream.type == "audio":
        return 1
    rate = Fraction(stream.average_rate or stream.guessed_rate or 25)
    return max(1, round(1 / (rate * Fraction(stream.time_base))))
