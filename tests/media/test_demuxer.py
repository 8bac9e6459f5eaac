"""Our reader of MPEG-TS beside libavformat's, on good, cut and mutated streams."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from composer.media.mpegts import demuxer as demuxers
from composer.media.mpegts import pes
from composer.media.mpegts.demuxer import (
    CHANGE_BYTES,
    EARLY_PACKETS,
    MOST_CHANGES,
    PACKET,
    Demuxer,
    Unit,
)
from composer.media.mpegts.pes import LONGEST_SOUND_PES
from composer.media.mpegts.psi import crc
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
    data = stream(audio="aac", preset="ultrafast")[: 400 * PACKET]
    for kind in ("video", "audio"):
        pieces, whole = (
            [unit for unit in units_of(data, each) if unit.track.kind == kind] for each in (size, 0)
        )
        assert pieces == whole


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
@pytest.mark.fault("F-21")
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


@pytest.mark.fault("F-23")
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


@pytest.mark.fault("F-22")
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


@pytest.mark.fault("F-22")
def test_a_stream_without_tables_gives_nothing() -> None:
    found = packets(stream(preset="ultrafast", g="10", sc_threshold="0"))
    tables = [at for at, packet in enumerate(found) if pid(packet) == 0]
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


@pytest.mark.fault("F-35")
def test_a_unit_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pes, "LONGEST_PES", 2000)
    data = stream(preset="ultrafast", crf="10")
    assert all(len(unit.data) <= 2000 + PACKET for unit in units_of(data))


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
    empty = map_of((0x06, 256))
    units = units_of(b"".join([*found[:table], empty, *found[table:]]))
    assert len(units) == 40


def map_of(*tracks: tuple[int, int], current: bool = True) -> bytes:
    """A packet with a program map of tracks: (type, PID)."""
    named = b"".join(bytes([kind, 0xE0 | pid >> 8, pid & 0xFF, 0xF0, 0]) for kind, pid in tracks)
    head = bytes([0, 1, 0xC2 | current, 0, 0, 0xE1, 0, 0xF0, 0])
    body = bytes([0x02, 0xB0, len(head) + len(named) + 4]) + head + named
    section = body + crc(body).to_bytes(4, "big")
    return (b"\x47\x50\x00\x10\x00" + section).ljust(PACKET, b"\xff")


VIDEO, FIRST, SECOND = (0x1B, 256), (0x0F, 257), (0x0F, 258)


def test_tracks_that_nothing_can_read_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    tables = [packet for packet in packets(stream(preset="ultrafast")) if pid(packet) == 0]
    demuxer = Demuxer()
    for named in ((VIDEO, (0x06, 300), (0x05, 301)), (VIDEO, (0x06, 300)), (VIDEO, (0x7F, 300))):
        demuxer.feed(tables[0] + map_of(*named))
    assert demuxer.unknown == {0x06, 0x7F}
    assert len(caplog.records) == 2


def test_a_map_marked_next_does_not_count_yet() -> None:
    found = packets(stream(preset="ultrafast"))
    table = next(at for at, packet in enumerate(found) if pid(packet) == 4096)
    found.insert(table + 1, map_of((0x24, 512), current=False))
    assert len(units_of(b"".join(found))) == 40


def test_it_stays_with_the_first_track_of_a_kind_while_the_map_names_it() -> None:
    data = stream(audio="aac", preset="ultrafast")
    found = packets(data)
    twice = [each for packet in found for each in (packet, moved(packet, 258))]
    both = b"".join(map_of(VIDEO, FIRST, SECOND) if pid(each) == 4096 else each for each in twice)
    swapped = map_of(SECOND, FIRST, VIDEO)
    units = units_of(both[: 200 * PACKET] + swapped + both[200 * PACKET :])
    assert {unit.track.pid for unit in units} == {256, 257}
    heard = [unit.data for unit in units if unit.track.kind == "audio"]
    assert heard == [unit.data for unit in units_of(data) if unit.track.kind == "audio"]


def moved(packet: bytes, to: int) -> bytes:
    """The same packet on another PID where it is of sound, else a null packet."""
    to = to if pid(packet) == 257 else 0x1FFF
    return bytes([0x47, packet[1] & 0xE0 | to >> 8, to & 0xFF]) + packet[3:]


@pytest.mark.fault("F-29")
def test_a_track_that_sends_nothing_gives_way_to_the_next() -> None:
    data = stream(audio="aac", preset="ultrafast")
    silent = b"".join(
        map_of(VIDEO, FIRST, SECOND)
        if pid(packet) == 4096
        else (moved(packet, 258) if pid(packet) == 257 else packet)
        for packet in packets(data)
    )
    units = [unit.data for unit in units_of(silent, 1000) if unit.track.kind == "audio"]
    assert units == [unit.data for unit in units_of(data) if unit.track.kind == "audio"]


def test_a_programme_may_go_before_its_tracks_send_anything() -> None:
    found = packets(stream(preset="ultrafast"))
    table = next(packet for packet in found if pid(packet) == 0)
    other = bytes([0x00, 0xB0, 13, 0, 1, 0xC3, 0, 0, 0, 2, 0xF0, 1])
    gone = b"\x47\x40\x00\x11\x00" + other + crc(other).to_bytes(4, "big")
    demuxer = Demuxer()
    demuxer.feed(table + map_of(VIDEO, FIRST) + gone.ljust(PACKET, b"\xff"))
    assert demuxer.feed(b"".join(found[3:60])) == []
    assert len(demuxer.feed(b"".join(found)) + demuxer.flush()) >= 40


def test_packets_do_not_wait_for_a_track_that_never_sends_for_ever() -> None:
    found = packets(stream(preset="ultrafast"))
    table = next(packet for packet in found if pid(packet) == 0)
    demuxer = Demuxer()
    demuxer.feed(table + map_of(VIDEO, FIRST))
    media = b"".join(packet for packet in found if pid(packet) == 256)
    other = b"".join(bytes([0x47, 0x01, 0x40, 0x10]) + bytes(184) for _ in range(EARLY_PACKETS))
    demuxer.feed(media + other)
    assert demuxer._early is None


def test_what_comes_before_the_tables_is_kept() -> None:
    found = packets(stream(preset="ultrafast"))
    tables = [packet for packet in found if pid(packet) in (0, 17, 4096)]
    media = [packet for packet in found if pid(packet) == 256]
    assert len(units_of(b"".join([*media[:50], *tables[:3], *media[50:]]))) == 40


@pytest.mark.parametrize("size", [192, 204])
def test_packets_of_other_sizes_are_read_without_damage(size: int) -> None:
    found = packets(stream(preset="ultrafast"))
    before, behind = (b"\0" * 4, b"") if size == 192 else (b"", b"\0" * 16)
    data = b"".join(before + packet + behind for packet in found)
    demuxer = Demuxer()
    units = [
        unit for at in range(0, len(data), 1000) for unit in demuxer.feed(data[at : at + 1000])
    ]
    assert len(units + demuxer.flush()) == 40
    assert demuxer.damaged == 0


def test_pictures_over_many_packets_are_told(caplog: pytest.LogCaptureFixture) -> None:
    data = stream(preset="ultrafast")
    cut = [packet for packet in packets(data) if pid(packet) != 256]
    units = [unit for unit in units_of(data) if unit.track.kind == "video"]
    body = b"".join(unit.data for unit in units)
    turn, sent = 0, []
    for at in range(0, len(body), 160):
        part = body[at : at + 160]
        head = b"\0\0\1\xe0\0\0\x80\0\0"
        room = 184 - len(head) - len(part)
        field = bytes([room - 1]) + (b"\0" + b"\xff" * (room - 2) if room > 1 else b"")
        sent.append(bytes([0x47, 0x41, 0, 0x30 | turn]) + field + head + part)
        turn = (turn + 1) & 15
    demuxer = Demuxer()
    found = demuxer.feed(b"".join([*cut[:3], *sent])) + demuxer.flush()
    assert [unit.data for unit in found] == [unit.data for unit in units]
    assert demuxer.parsed
    assert "the parser of libavcodec finds them" in caplog.text


def test_what_only_the_end_ends_is_counted_too() -> None:
    found = [each for each in packets(stream(preset="ultrafast")) if pid(each) in (0, 4096, 256)]
    starts = [at for at, each in enumerate(found) if each[1] & 0x40 and pid(each) == 256]
    del found[starts[0] + 2]
    demuxer = Demuxer()
    demuxer.feed(b"".join(found[: starts[0] + 6]))
    (unit,) = demuxer.flush()
    assert (unit.damaged, demuxer.damaged) == (True, 1)


@pytest.mark.fault("F-84")
def test_tables_that_always_differ_are_not_all_read() -> None:
    """Each costs as much as a thousand packets of media."""
    tables = [packet for packet in packets(stream(preset="ultrafast")) if pid(packet) == 0]
    maps = [map_of((0x1B, 256 + number % 2), (0x0F, 300 + number % 7)) for number in range(5000)]
    looked: list[bytes] = []
    demuxer = Demuxer()
    demuxer.feed(tables[0])
    for packet in maps:
        before = demuxer.tracks
        demuxer.feed(packet)
        if demuxer.tracks != before:
            looked.append(packet)
    most = MOST_CHANGES + len(maps) * PACKET / CHANGE_BYTES
    assert MOST_CHANGES / 2 < len(looked) <= most


def test_a_table_counts_once_more_has_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demuxers, "MOST_CHANGES", 2.0)
    tables = [packet for packet in packets(stream(preset="ultrafast")) if pid(packet) == 0]
    demuxer = Demuxer()
    demuxer.feed(tables[0])
    demuxer.feed(map_of((0x1B, 256)))
    demuxer.feed(map_of((0x1B, 257)))
    assert [track.pid for track in demuxer.tracks] == [256]
    demuxer.feed(b"\x47\x1f\xff\x10".ljust(PACKET, b"\xff") * (CHANGE_BYTES // PACKET + 1))
    demuxer.feed(map_of((0x1B, 257)))
    assert [track.pid for track in demuxer.tracks] == [257]


@pytest.mark.fault("F-83")
def test_sound_may_not_be_one_packet_without_end() -> None:
    """Eight megabytes of it could be millions of frames at once."""
    found = packets(stream(audio="aac", preset="ultrafast"))
    at = next(at for at, packet in enumerate(found) if pid(packet) == 257 and packet[1] & 0x40)
    head, lost = bytearray(found[at]), 0
    start = 5 + head[4] if head[3] & 0x20 else 4
    head[start + 4 : start + 6] = b"\0\0"
    demuxer = Demuxer()
    demuxer.feed(b"".join(found[:at]) + bytes(head))
    for number in range(2000):
        more = bytes([0x47, 0x01, 0x01, 0x10 | (head[3] + 1 + number) & 15]) + b"\xff\xf1" * 92
        lost += len(demuxer.feed(more))
        held = demuxer._readers[257].pes._size
        assert held <= LONGEST_SOUND_PES + PACKET
    assert lost == 0
    assert demuxer.damaged
