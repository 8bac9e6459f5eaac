"""Packets of sound that stand for themselves."""

from dataclasses import replace
from fractions import Fraction

import pytest

from composer.media.packets import SoundPacket, samples_of
from tests.media.streams import elementary


def packet(channels: int) -> SoundPacket:
    coded = elementary.sound("opus" if channels == 2 else "opus-mono").coded
    return SoundPacket(coded[10].data, "opus", channels, 18_000, Fraction(1, 90_000), 1800)


@pytest.mark.parametrize("channels", [1, 2])
def test_one_packet_becomes_its_samples(channels: int) -> None:
    block = samples_of(packet(channels))
    assert block is not None
    assert (block.samples, block.sample_rate) == (960, 48_000)
    assert block.layout.nb_channels == channels
    assert (block.pts, block.time_base) == (18_000, Fraction(1, 90_000))


def test_what_is_no_sound_becomes_nothing() -> None:
    assert samples_of(replace(packet(2), data=b"\xff\xff\xff")) is None
