"""Coded bytes as packets."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av


@dataclass(frozen=True, slots=True)
class SoundPacket:
    """Sound of a live stream, still coded: an av.Packet gets its codec from the file that it is of,
    and a stream has none.

    codec: libavcodec's name of the decoder. channels: what the stream says that it has. pts,
    duration: in time_base seconds; its reader alone meets packets that say no time.
    """

    data: bytes
    codec: str
    channels: int
    pts: int | None
    time_base: Fraction
    duration: int


def packet_of(data: bytes) -> "av.Packet[av.stream.Stream]":
    """A packet with a copy of these bytes and the zeroes that decoders may read behind them.

    PyAV would take the bytes as they are, and whatever lies behind them in memory.
    """
    packet: av.Packet[av.stream.Stream] = av.Packet(len(data))
    packet.update(data)
    return packet


def samples_of(packet: SoundPacket) -> av.AudioFrame | None:
    """What a decoder that knows nothing of the packets before makes of one; None for nothing."""
    context: Any = av.CodecContext.create(packet.codec, "r")
    context.sample_rate, context.layout = 48_000, "mono" if packet.channels == 1 else "stereo"
    try:
        block: av.AudioFrame | None = next(iter(context.decode(packet_of(packet.data))), None)
    except av.FFmpegError:
        return None
    if block is not None:
        block.pts, block.time_base = packet.pts, packet.time_base
    return block
