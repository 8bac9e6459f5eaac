"""Sound of a session goes out as it came, or encoded, and may change between both."""

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from composer.errors import MediaError
from composer.media.live_sound import LiveSound
from composer.media.packets import SoundPacket
from composer.media.sound_encoder import SoundSettings
from composer.testing import sound
from tests.media.outlets import Sink
from tests.media.streams import elementary

TICK = Fraction(1, 90_000)
STEP = 1800
"""Ticks of a packet."""


def track(
    sink: Sink, codec: str = "auto", *, pictures: bool = True, channels: int = 0
) -> LiveSound:
    return LiveSound(
        sink,
        SoundSettings(codec),
        expected=lambda kind: pictures or kind == "audio",
        channels=lambda: channels,
    )


def packets(count: int, first: int = 0, channels: int = 2) -> list[SoundPacket]:
    coded = elementary.sound("opus" if channels == 2 else "opus-mono").coded
    return [
        SoundPacket(each.data, "opus", channels, (first + place) * STEP, TICK, STEP)
        for place, each in enumerate(coded[first : first + count])
    ]


def blocks(count: int, first: int = 0) -> list[object]:
    tone = np.sin(np.arange(960) * 0.06).astype(np.float32)[None]
    return [sound(tone, seconds=(first + place) / 50) for place in range(count)]


def bits(sink: Sink) -> list[tuple[float, bytes]]:
    return [(each.seconds, each.data) for each in sink.given]


def test_packets_go_out_bit_for_bit_at_their_times() -> None:
    sink = Sink()
    here = track(sink)
    for packet in packets(5):
        here.take(packet, pictured=True)
    here.finish()
    assert bits(sink) == [(float(each.pts * TICK), each.data) for each in packets(5)]  # type: ignore[operator]
    assert sink.tracks == [("", "opus", 2)]


@pytest.mark.parametrize("channels", [1, 2])
def test_packets_before_the_first_picture_are_held(channels: int) -> None:
    sink = Sink()
    here = track(sink)
    for number in range(110):  # 2.2 s, and 2 s are held
        packet = packets(1, 7, channels)[0]
        here.take(replace(packet, pts=number * STEP), pictured=False)
    assert sink.given == []
    assert here.begin() == ("opus", channels)
    here.send_early()
    assert sink.lost == {"early": 9}
    assert [each.seconds for each in sink.given] == [number / 50 for number in range(9, 110)]


def test_packets_alone_go_out_with_the_first() -> None:
    sink = Sink()
    here = track(sink, pictures=False)
    for packet in packets(3, channels=1):
        here.take(packet, pictured=False)
    assert sink.tracks == [("", "opus", 1)]
    assert len(sink.given) == 3


@pytest.mark.parametrize(("said", "told"), [(0, 2), (1, 1), (2, 2), (6, 2)])
def test_a_track_that_has_not_come_yet_has_the_channels_that_the_input_says(
    said: int, told: int
) -> None:
    assert track(Sink(), channels=said).begin() == ("opus", told)


def test_samples_and_packets_follow_each_other_on_one_track() -> None:
    sink = Sink()
    here = track(sink)
    for piece in (*packets(10), *blocks(10, 10), *packets(10, 20)):
        here.take(piece, pictured=True)
    here.finish()
    assert sink.tracks == [("", "opus", 2)]
    assert bits(sink)[:10] == [(float(each.pts * TICK), each.data) for each in packets(10)]  # type: ignore[operator]
    assert bits(sink)[-10:] == [(float(each.pts * TICK), each.data) for each in packets(10, 20)]  # type: ignore[operator]
    times = [each.seconds for each in sink.given]
    assert all(0 < after - before < 0.03 for before, after in pairwise(times))


def test_a_gap_between_packets_stays_one() -> None:
    sink = Sink()
    here = track(sink)
    for packet in (*packets(3), *packets(3, 50)):
        here.take(packet, pictured=True)
    assert [each.seconds for each in sink.given] == [0, 0.02, 0.04, 1, 1.02, 1.04]


def test_one_channel_and_two_follow_each_other() -> None:
    """Each packet says itself which it has, and a decoder gives those that it was told of."""
    sink = Sink()
    here = track(sink)
    for packet in (*packets(3), *packets(3, 3, channels=1)):
        here.take(packet, pictured=True)
    assert sink.tracks == [("", "opus", 2)]
    assert [each.data for each in sink.given] == [
        each.data for each in (*packets(3), *packets(3, 3, channels=1))
    ]


def test_samples_are_refused_where_packets_alone_are_asked_for() -> None:
    sink = Sink()
    here = track(sink, "copy")
    here.take(packets(1)[0], pictured=True)
    assert len(sink.given) == 1
    with pytest.raises(MediaError, match="the sound cannot be copied: a node works on it"):
        here.take(blocks(1, 1)[0], pictured=True)


def test_packets_do_not_go_out_as_another_codec() -> None:
    with pytest.raises(MediaError, match="packets of opus cannot go out as aac"):
        track(Sink(), "aac").take(packets(1)[0], pictured=True)


def test_nothing_goes_out_where_nothing_is_wanted() -> None:
    sink = Sink()
    here = track(sink, "none")
    here.take(packets(1)[0], pictured=True)
    here.finish()
    assert here.begin()[0] == ""
    assert (sink.tracks, sink.given) == ([], [])
