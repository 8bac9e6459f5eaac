"""Packets of sound into samples, apart from the file that they are read from."""

import logging
from typing import Any

import av

log = logging.getLogger(__name__)


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
