"""Sound into packets of AAC or Opus: one run of samples, counted."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import av

from composer.errors import MediaError


@dataclass(frozen=True, slots=True)
class SoundSettings:
    """How sound is to be coded. codec: auto, copy, aac, opus or none. bitrate: bits per second."""

    codec: str = "auto"
    bitrate: int = 0


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
            return [packet for part in (*silence, block) for packet in self._taken(part)]
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
        per_channel = 48_000 if opus else 64_000
        context.bit_rate = self._bitrate or per_channel * context.layout.nb_channels
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
