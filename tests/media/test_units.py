"""Access units are pictures and frames of sound, wherever PES packets begin and end."""

import pytest

from composer.media.mpegts.pes import Pes
from composer.media.mpegts.psi import Track
from composer.media.mpegts.units import MOST_NAL_UNITS, Unit, UnitFinder, opus_samples, units_of
from tests.media import transport

H264 = Track(256, "video", "h264")


def pictures(codec: str = "libx264", **options: str) -> list[Unit]:
    data = transport.stream(codec, preset="ultrafast", **options)
    return [unit for unit in transport.units_of(data) if unit.track.kind == "video"]


def given(units: UnitFinder, packets: list[Pes]) -> list[Unit]:
    return [unit for pes in packets for unit in units.feed(pes)] + units.finish()


def whole(found: list[Unit], length: int = 0) -> list[Pes]:
    return [Pes(unit.data, unit.pts, unit.dts, length) for unit in found]


def test_a_picture_of_a_usual_muxer_waits_for_nothing() -> None:
    units = units_of(H264)
    for pes in whole(pictures()):
        assert len([*units.feed(pes), *units.ready()]) == 1
    assert not units.parsed


def test_the_first_of_an_unusual_muxer_waits_for_the_second() -> None:
    units = units_of(H264)
    first, second, third = whole(pictures()[:3], length=2000)
    assert [*units.feed(first), *units.ready()] == []
    assert len(units.feed(second)) == 2
    assert len(units.feed(third)) == 1


@pytest.mark.parametrize("each", [2, 7])
def test_several_pictures_in_one_packet_are_several_units(each: int) -> None:
    found = pictures()
    packets = [
        Pes(b"".join(unit.data for unit in found[at : at + each]), found[at].pts, found[at].dts)
        for at in range(0, len(found), each)
    ]
    units = units_of(H264)
    got = given(units, packets)
    assert [unit.data for unit in got] == [unit.data for unit in found]
    assert [unit.pts for unit in got][::each] == [unit.pts for unit in found][::each]
    assert [unit.key for unit in got] == [unit.key for unit in found]
    assert not units.parsed


@pytest.mark.parametrize("size", [50, 700])
def test_a_picture_over_several_packets_is_one_unit(size: int) -> None:
    found = pictures()
    packets = [
        Pes(unit.data[at : at + size], None if at else unit.pts, None if at else unit.dts, size)
        for unit in found
        for at in range(0, len(unit.data), size)
    ]
    units = units_of(H264)
    got = given(units, packets)
    assert [(unit.data, unit.pts, unit.dts) for unit in got] == [
        (unit.data, unit.pts, unit.dts) for unit in found
    ]
    assert units.parsed


def test_a_picture_that_went_on_is_given_again_and_whole() -> None:
    found = pictures()[:6]
    cut = whole(found)
    half = len(found[3].data) // 2
    cut[3:4] = [
        Pes(found[3].data[:half], found[3].pts, found[3].dts),
        Pes(found[3].data[half:], None, None),
    ]
    got = [unit.data for unit in given(units_of(H264), cut)]
    assert got[:4] == [*(unit.data for unit in found[:3]), found[3].data[:half]]
    assert got[4:] == [unit.data for unit in found[3:]]


@pytest.mark.parametrize(
    ("codec", "options", "keys"),
    [
        ("libx264", {"g": "10", "sc_threshold": "0"}, 4),
        ("libx264", {"g": "10", "x264-params": "intra-refresh=1"}, 4),
        ("libx264", {"x264-params": "keyint=10:open-gop=1:bframes=2:scenecut=0"}, 4),
        ("libx265", {"x265-params": "keyint=10:open-gop=1:scenecut=0:log-level=error"}, 4),
        ("mpeg2video", {"g": "10", "sc_threshold": "1000000000"}, 4),
    ],
)
def test_decoding_may_begin_at_keyframes_and_recovery_points(
    codec: str, options: dict[str, str], keys: int
) -> None:
    assert sum(unit.key for unit in pictures(codec, **options)) == keys


@pytest.mark.fault("F-83")
def test_a_packet_of_nothing_but_start_codes_is_looked_at_in_part() -> None:
    bomb = b"\0\0\1\x09\xf0\0\0\1\x65\x80" + b"\0\0\1\x61\x80" * 4 * MOST_NAL_UNITS
    units = units_of(H264)
    assert sum(len(unit.data) for unit in given(units, [Pes(bomb, 0, 0)])) == len(bomb)


@pytest.mark.parametrize(("audio", "codec"), [("aac", "aac"), ("libopus", "opus")])
@pytest.mark.parametrize("size", [10_000, 400, 61])
def test_frames_of_sound_begin_and_end_anywhere(audio: str, codec: str, size: int) -> None:
    data = transport.stream(audio=audio, preset="ultrafast")
    found = [unit for unit in transport.units_of(data) if unit.track.kind == "audio"]
    body = b"".join(headed(unit) for unit in found)
    packets = [
        Pes(body[at : at + size], None if at else found[0].pts, None)
        for at in range(0, len(body), size)
    ]
    got = given(units_of(found[0].track), packets)
    assert [unit.data for unit in got] == [unit.data for unit in found]
    assert all(
        abs((unit.pts or 0) - (right.pts or 0)) <= 2 for unit, right in zip(got, found, strict=True)
    )
    assert found[0].track.codec == codec


def headed(unit: Unit) -> bytes:
    """As it lies in a PES packet."""
    if unit.track.codec != "opus":
        return unit.data
    size = len(unit.data)
    return b"\x7f\xe0" + b"\xff" * (size // 255) + bytes([size % 255]) + unit.data


@pytest.mark.parametrize(
    ("head", "samples"),
    [(b"\x00", 480), (b"\x18", 2880), (b"\xfc", 960), (b"\xfd", 1920), (b"\xff\x03", 2880)],
)
def test_how_long_an_opus_packet_is(head: bytes, samples: int) -> None:
    assert opus_samples(head) == samples
