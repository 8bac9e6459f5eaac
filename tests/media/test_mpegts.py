"""Our reader of MPEG-TS beside libavformat's, on good, cut and mutated streams."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from composer.media import mpegts
from composer.media.mpegts import PACKET, Demuxer, Track, Unit, crc, opus_samples
from tests.media.transport import expected, packets, pid, stream, times, units_of

STREAMS = [
    pytest.param({"video": "libx264", "preset": "ultrafast"}, id="h264"),
    pytest.param({"video": "libx264", "bf": "3", "preset": "superfast"}, id="b-frames"),
    pytest.param({"video": "libx264", "audio": "aac", "preset": "ultrafast"}, id="aac"),
    pytest.param({"video": "libx264", "audio": "libopus", "preset": "ultrafast"}, id="opus"),
    pytest.param(
        {"video": "libx265", "preset": "ultrafast", "x265-params": "log-level=error"}, id="hevc"
    ),
]


@pytest.mark.parametrize("options", STREAMS)
def test_units_are_those_of_libavformat(options: dict[str, str]) -> None:
    data = stream(**options)
    units = units_of(data)
    assert times(units) == expected(data)
    assert not any(unit.damaged for unit in units)
    first = next(unit for unit in units if unit.track.kind == "video")
    assert first.key


def test_only_pictures_where_decoding_may_begin_are_keys() -> None:
    data = stream(preset="ultrafast", g="10", sc_threshold="0")
    video = [unit for unit in units_of(data) if unit.track.kind == "video"]
    assert [place for place, unit in enumerate(video) if unit.key] == [0, 10, 20, 30]


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 5000))
def test_any_pieces_give_the_same_units(size: int) -> None:
    data = stream(audio="aac", preset="ultrafast")
    assert units_of(data[: 400 * PACKET], size) == units_of(data[: 400 * PACKET])


def test_a_unit_is_given_with_its_last_byte() -> None:
    """All but those whose last packet is full by chance: there is no sign then."""
    data = stream(preset="ultrafast")
    demuxer, waiting, late, count = Demuxer(), 0, 0, 0
    for packet in packets(data):
        begins = pid(packet) == 256 and packet[1] & 0x40
        if begins and waiting:
            late += 1
        waiting = 1 if begins else waiting
        if demuxer.feed(packet):
            count += 1
            waiting = 0 if not begins or count else 1
    assert count >= 39
    assert late <= 2


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1 << 32), st.sampled_from(["flip", "drop", "double", "swap", "cut"]))
def test_no_mutation_raises(seed: int, how: str) -> None:
    chance = random.Random(seed)
    found = packets(stream(audio="aac", preset="ultrafast")[: 300 * PACKET])
    for _ in range(chance.randrange(1, 20)):
        at = chance.randrange(len(found))
        if how == "flip":
            packet = bytearray(found[at])
            packet[chance.randrange(PACKET)] ^= 1 << chance.randrange(8)
            found[at] = bytes(packet)
        elif how == "drop":
            del found[at]
        elif how == "double":
            found.insert(at, found[at])
        elif how == "swap":
            other = chance.randrange(len(found))
            found[at], found[other] = found[other], found[at]
        else:
            found[at] = found[at][: chance.randrange(PACKET)]
    units = units_of(b"".join(found), chance.randrange(1, 1000))
    assert all(isinstance(unit, Unit) for unit in units)


def test_random_bytes_are_nothing() -> None:
    assert units_of(random.Random(1).randbytes(300_000)) == []
    assert units_of(b"\x47" * 100_000) == []
    assert units_of(b"") == []


def test_a_packet_that_came_twice_counts_once() -> None:
    data = stream(preset="ultrafast")
    found = packets(data)
    middle = next(at for at, packet in enumerate(found) if at > 20 and not packet[1] & 0x40)
    found.insert(middle, found[middle])
    assert units_of(b"".join(found)) == units_of(data)


def test_a_packet_that_is_missing_damages_one_unit() -> None:
    found = packets(stream(preset="ultrafast"))
    middle = next(at for at, packet in enumerate(found) if at > 40 and not packet[1] & 0x40)
    del found[middle]
    units = [unit for unit in units_of(b"".join(found)) if unit.track.kind == "video"]
    assert len(units) == 40
    assert [unit.damaged for unit in units].count(True) == 1


def test_counters_that_begin_anew_at_a_table_are_no_damage() -> None:
    """Each segment of a gateway comes from a muxer of its own (contract 5.1)."""
    data = stream(preset="ultrafast")
    units = units_of(data + data + data)
    assert len(units) == 120
    assert not any(unit.damaged for unit in units)


def test_garbage_between_packets_is_gone_over() -> None:
    data = stream(preset="ultrafast")
    middle = 100 * PACKET
    units = units_of(data[:middle] + b"garbage without the byte" * 20 + data[middle:])
    assert len(units) == 40


def test_a_stream_that_is_joined_in_the_middle_begins_with_its_next_table() -> None:
    found = packets(stream(preset="ultrafast", g="10", sc_threshold="0"))
    tables = [at for at, packet in enumerate(found) if pid(packet) == 0]
    units = units_of(b"".join(found[tables[0] + 2 :]))
    assert 0 < len(units) < 40
    assert units_of(b"".join(found[tables[-1] + 2 :])) == []


def test_a_reset_forgets_what_was_begun() -> None:
    data = stream(preset="ultrafast")
    demuxer = Demuxer()
    first = demuxer.feed(data[: 60 * PACKET + 50])
    demuxer.reset()
    rest = demuxer.feed(data[120 * PACKET :]) + demuxer.flush()
    assert 0 < len(first) + len(rest) < 40
    assert not any(unit.damaged for unit in rest)


def test_a_change_of_codec_is_a_new_track() -> None:
    first, second = stream(preset="ultrafast"), stream("libx265", preset="ultrafast")
    units = units_of(first + second)
    assert [unit.track.codec for unit in units] == ["h264"] * 40 + ["hevc"] * 40


def test_a_unit_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mpegts, "LONGEST_UNIT", 2000)
    data = stream(preset="ultrafast", crf="10")
    assert all(len(unit.data) <= 2000 + PACKET for unit in units_of(data))


def test_opus_says_its_channels() -> None:
    tracks = {unit.track for unit in units_of(stream(audio="libopus", preset="ultrafast"))}
    sound = next(track for track in tracks if track.kind == "audio")
    assert (sound.codec, sound.channels, sound.extradata[:8]) == ("opus", 2, b"OpusHead")


@pytest.mark.parametrize(
    ("head", "samples"),
    [(b"\x00", 480), (b"\x18", 2880), (b"\xfc", 960), (b"\xfd", 1920), (b"\xff\x03", 2880)],
)
def test_how_long_an_opus_packet_is(head: bytes, samples: int) -> None:
    assert opus_samples(head) == samples


def test_the_check_sum_of_a_section_is_0_over_itself() -> None:
    section = b"\x00\xb0\x0d\x00\x01\xc1\x00\x00\x00\x01\xf0\x00"
    whole = section + crc(section).to_bytes(4, "big")
    assert crc(whole) == 0
    assert crc(whole[:-1] + bytes([whole[-1] ^ 1])) != 0


def test_tracks_are_values() -> None:
    assert Track(256, "video", "h264") == Track(256, "video", "h264")


def given_at_once(found: list[bytes]) -> int:
    """How many units come before the packet that begins the next one of their track."""
    demuxer, count = Demuxer(), 0
    for packet in found:
        begins = pid(packet) == 256 and packet[1] & 0x40
        units = demuxer.feed(packet)
        count += 0 if begins and len(units) == 1 and packet[3] & 0x20 == 0 else len(units)
    return count


@pytest.mark.parametrize("what", ["start missing", "start twice", "end twice"])
def test_units_go_on_at_once_behind_a_packet_that_is_missing_or_came_twice(what: str) -> None:
    found = [each for each in packets(stream(preset="ultrafast")) if pid(each) in (0, 4096, 256)]
    starts = [at for at, each in enumerate(found) if pid(each) == 256 and each[1] & 0x40]
    start, end = starts[10], starts[11] - 1
    end -= next(back for back in range(9) if pid(found[end - back]) == 256)
    before = given_at_once(found)
    if what == "start missing":
        del found[start]
    else:
        at = start if what == "start twice" else end
        found.insert(at, found[at])
    demuxer = Demuxer()
    units = [unit for each in found for unit in demuxer.feed(each)] + demuxer.flush()
    lost = what == "start missing"
    assert len(units) == 40 - lost
    assert demuxer.damaged == lost
    assert given_at_once(found) >= before - 2


def test_a_map_that_holds_nothing_known_is_looked_at_again() -> None:
    found = packets(stream(preset="ultrafast"))
    table = next(at for at, packet in enumerate(found) if pid(packet) == 4096)
    empty = map_of(0x06)
    units = units_of(b"".join([*found[:table], empty, *found[table:]]))
    assert len(units) == 40


def map_of(kind: int) -> bytes:
    """A packet with a program map of one track."""
    body = bytes([0x02, 0xB0, 18, 0, 1, 0xC1 | 2, 0, 0, 0xE1, 0, 0xF0, 0, kind, 0xE1, 0, 0xF0, 0])
    section = body + crc(body).to_bytes(4, "big")
    return (b"\x47\x50\x00\x10\x00" + section).ljust(PACKET, b"\xff")


def test_what_only_the_end_ends_is_counted_too() -> None:
    found = [each for each in packets(stream(preset="ultrafast")) if pid(each) in (0, 4096, 256)]
    starts = [at for at, each in enumerate(found) if each[1] & 0x40 and pid(each) == 256]
    del found[starts[0] + 2]
    demuxer = Demuxer()
    demuxer.feed(b"".join(found[: starts[0] + 6]))
    (unit,) = demuxer.flush()
    assert (unit.damaged, demuxer.damaged) == (True, 1)
