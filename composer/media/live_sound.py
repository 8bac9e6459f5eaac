"""Sound of a session on its way out: packets as they came, samples as Opus or AAC."""

import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import av

from composer.errors import MediaError
from composer.media.mpegts.muxer import SOUND_RATE
from composer.media.outlet import Outlet, send
from composer.media.packets import SoundPacket
from composer.media.sound_decoder import SoundDecoder
from composer.media.sound_encoder import SoundEncoder, SoundSettings

log: Final = logging.getLogger(__name__)

HELD_SECONDS: Final = 2
"""Sound before the first picture is held for so long."""

PATIENCE_SECONDS: Final = 10
"""Sound that has waited for a picture for so long goes out without."""

SOUND_CHANNELS: Final = 2
"""What WebRTC hears; sound of more channels is mixed down."""

Piece: TypeAlias = av.AudioFrame | SoundPacket


class LiveSound:
    """The track of sound of one Outlet. It may change between packets and samples on the way: what
    an encoder holds is sent before packets go on, and it begins anew with the next samples.

    Packets go out bit for bit at their times, and a gap between them stays one: Opus itself leaves
    packets out where nothing is to be heard, and whoever hears it fills the gap. In front of an
    encoder a gap becomes silence, since samples have no times of their own.

    channels: how many the input says, 0 for not known; asked where the track is told before its
    first sound. Raises MediaError for samples where packets alone are asked for (`copy`).
    """

    def __init__(
        self,
        outlet: Outlet,
        settings: SoundSettings,
        *,
        expected: Callable[[str], bool | None],
        channels: Callable[[], int],
    ) -> None:
        if settings.codec == "aac":
            log.warning("viewers by WebRTC do not hear aac; `audio: opus` reaches all")
        self.codec: Final = {"none": "", "aac": "aac"}.get(settings.codec, "opus")
        """What goes out: opus, aac, or "" for nothing."""

        self._outlet, self._settings = outlet, settings
        self._expected, self._channels_said = expected, channels
        self._channels = SOUND_CHANNELS
        self._begun = False
        self._encoder: SoundEncoder | None = None
        self._decoder: SoundDecoder | None = None
        self._early: deque[Piece] = deque()
        self._early_since: float | None = None

    def begin(self) -> tuple[str, int]:
        """With the first picture: codec and channels of the track to be told beside it, "" where no
        sound has come and none is known to come.
        """
        if self.codec and not self._begun and (self._early or self._expected("audio")):
            self._begin(self._early[0] if self._early else None)
        return self.codec if self._begun else "", self._channels

    def take(self, item: Any, *, pictured: bool) -> None:
        """item: a SoundPacket, an av.AudioFrame, or an av.Packet whose stream has the track's
        parameters. pictured: whether the first picture has gone out.
        """
        if not self.codec:
            return
        for piece in self._pieces(item):
            if not self._begun and not pictured and self._waits(piece):
                self._hold(piece)
                continue
            if not self._begun:
                self._begin(piece)
                self._outlet.open(audio=self.codec, channels=self._channels)
            self.send_early()
            self._send(piece)

    def send_early(self) -> None:
        """Send what was held; the track has been told."""
        while self._early:
            self._send(self._early.popleft())

    def finish(self) -> None:
        """Send what an encoder still holds."""
        encoder, self._encoder = self._encoder, None
        if encoder is not None:
            self._give(encoder, encoder.finish())

    def _begin(self, piece: Piece | None) -> None:
        """Decide how many channels the track is said to have."""
        channels = self._channels_said() if piece is None else _channels_of(piece)
        self._channels = min(channels or SOUND_CHANNELS, SOUND_CHANNELS)
        self._begun = True

    def _waits(self, piece: Piece) -> bool:
        """Whether sound waits for the first picture, by the time of the sound."""
        if self._expected("video") is False:
            return False
        if self._early_since is None:
            self._early_since = _seconds(piece)
        return _seconds(piece) - self._early_since < PATIENCE_SECONDS

    def _hold(self, piece: Piece) -> None:
        self._early.append(piece)
        while _seconds(piece) - _seconds(self._early[0]) > HELD_SECONDS:
            self._early.popleft()
            self._outlet.dropped("early")

    def _pieces(self, item: Any) -> list[Piece]:
        if isinstance(item, (SoundPacket, av.AudioFrame)):
            return [item]
        if self._decoder is None:
            self._decoder = SoundDecoder(item.stream)
        return list(self._decoder.decode(item))

    def _send(self, piece: Piece) -> None:
        if isinstance(piece, SoundPacket):
            self._copy(piece)
            return
        if self._settings.codec == "copy":
            raise MediaError(
                "the sound cannot be copied: a node works on it, or it is no Opus of one or two"
                " channels; use audio: auto"
            )
        if self._encoder is None:
            coder = av.CodecContext.create("libopus" if self.codec == "opus" else "aac", "w")
            self._encoder = SoundEncoder(
                coder, self._settings.bitrate, rate=SOUND_RATE, channels=self._channels
            )
        self._give(self._encoder, self._encoder.encode(piece))

    def _copy(self, packet: SoundPacket) -> None:
        if packet.codec != self.codec:
            raise MediaError(f"packets of {packet.codec} cannot go out as {self.codec}")
        self.finish()
        assert packet.pts is not None  # its reader sees to it
        self._outlet.packet(
            "audio", packet.data, packet.pts, packet.pts, packet.time_base, key=True
        )

    def _give(self, encoder: SoundEncoder, packets: list[Any]) -> None:
        send(self._outlet, "audio", encoder.context.time_base, packets)


def _channels_of(piece: Piece) -> int:
    return piece.channels if isinstance(piece, SoundPacket) else piece.layout.nb_channels


def _seconds(piece: Piece) -> float:
    if piece.pts is None or piece.time_base is None:
        return 0.0
    return float(piece.pts * piece.time_base)
