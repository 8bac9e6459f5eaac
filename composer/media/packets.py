"""Coded bytes as packets."""

import av


def packet_of(data: bytes) -> "av.Packet[av.stream.Stream]":
    """A packet with a copy of these bytes and the zeroes that decoders may read behind them.

    PyAV would take the bytes as they are, and whatever lies behind them in memory.
    """
    packet: av.Packet[av.stream.Stream] = av.Packet(len(data))
    packet.update(data)
    return packet
