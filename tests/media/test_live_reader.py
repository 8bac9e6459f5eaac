"""Units of a live stream as pictures and sound, whatever happens to the stream."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from typing import Any

import av
import numpy as np
import pytest

from composer.device import lanes
from composer.media import live_reader, packets
from composer.media.live_reader import MOST_NALS, LiveReader
from composer.media.mpegts.demuxer import CLOCK, Unit
from composer.media.mpegts.psi import Track, opus_head
from composer.media.mpegts.units import LONGEST_OPUS
from composer.media.packets import SoundPacket
from composer.node.formats import Carrier
from composer.pictures import pixels
from composer.session.ingress import Gap
from tests.media.streams import elementary
from tests.media.transport import stream, units_of

KEYED = {"preset": "ultrafast", "g": "10", "sc_threshold": "0"}


@pytest.fixture
def decoder(device: str) -> str:
    """A device as LiveReader takes it, "" for none; ready to decode there."""
    if device == "cpu":
        return ""
    pytest.importorskip("torch", reason="torch is not installed")
    lanes.enter(device)
    return device


def read(
    units: Iterable[object], **options: float | str | bool
) -> tuple[list[av.VideoFrame], list[av.AudioFrame]]:
    reader = LiveReader(units, **{"layout": "yuv420p", "sound": Carrier.FRAME, **options})  # type: ignore[arg-type]
    pictures, sound = [], []
    for item in reader.read():
        if isinstance(item, av.VideoFrame):
            pictures.append(item)
        elif isinstance(item, av.AudioFrame):
            sound.append(item)
    return pictures, sound


def pts(frames: Iterable[av.VideoFrame | av.AudioFrame | SoundPacket]) -> list[int]:
    return [frame.pts or 0 for frame in frames]


def moved(units: Iterable[Unit], ticks: int) -> list[Unit]:
    """The same units at other times, as a clock of 33 bits writes them."""
    return [
        replace(
            unit,
            pts=None if unit.pts is None else (unit.pts + ticks) % (1 << 33),
            dts=None if unit.dts is None else (unit.dts + ticks) % (1 << 33),
        )
        for unit in units
    ]


@pytest.mark.parametrize(
    "options",
    [
        {"preset": "ultrafast"},
        {"preset": "superfast", "bf": "3"},
        {"video": "libx265", "preset": "ultrafast", "x265-params": "log-level=error"},
    ],
)
@pytest.mark.fault("F-32")
def test_every_picture_comes_out_in_order_at_its_own_time(options: dict[str, str]) -> None:
    units = units_of(stream(**options))
    pictures, _ = read(units)
    assert pts(pictures) == sorted(unit.pts or 0 for unit in units)
    assert {(image.format.name, image.width) for image in pictures} == {("yuv420p", 320)}


def test_the_rate_is_that_of_the_parameter_sets() -> None:
    for max_fps, rate in ((0, 25), (10, 0)):
        units = units_of(stream(preset="ultrafast"))
        reader = LiveReader(units, layout="yuv420p", max_fps=max_fps)
        assert reader.rate == 0
        next(iter(reader.read()))
        assert reader.rate == rate


@pytest.mark.cuda
@pytest.mark.parametrize(
    "options",
    [
        {"preset": "ultrafast"},
        {"preset": "superfast", "bf": "3"},
        {"video": "libx265", "preset": "ultrafast", "x265-params": "log-level=error"},
    ],
)
def test_a_device_decodes_every_picture_and_keeps_it(options: dict[str, str]) -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    from composer.device import tensors

    lanes.enter("cuda:0")
    units = units_of(stream(**options))
    there, _ = read(units, device="cuda:0")
    here, _ = read(units)
    assert pts(there) == pts(here)
    assert {image.format.name for image in there} == {"cuda"}
    pool = lanes.Pinned("cuda:0")
    for image, wanted in zip(there, here, strict=True):
        given = tensors.download(tensors.from_hardware(image), "yuv420p", pixels.tags(wanted), pool)
        luma, other = (pixels.planes(each)[0].astype(int) for each in (given, wanted))
        assert abs(luma - other).mean() < 1


@pytest.mark.parametrize("codec", ["aac", "libopus"])
def test_sound_comes_as_samples_that_follow_each_other(codec: str) -> None:
    units = units_of(stream(audio=codec, preset="ultrafast"))
    _, sound = read(units)
    assert len(sound) >= len([unit for unit in units if unit.track.kind == "audio"]) - 1
    for before, after in pairwise(sound):
        length = before.samples * CLOCK / before.sample_rate
        assert abs((after.pts or 0) - (before.pts or 0) - length) <= 2


def copied(
    units: Iterable[object], **options: float | str | bool
) -> tuple[LiveReader, list[SoundPacket | av.AudioFrame]]:
    """The sound of units, as packets where they can be copied."""
    reader = LiveReader(units, sound=Carrier.PACKET, **options)  # type: ignore[arg-type]
    return reader, [each for each in reader.read() if not isinstance(each, av.VideoFrame)]


def sounds(codec: str = "libopus") -> list[Unit]:
    return [unit for unit in units_of(stream(audio=codec)) if unit.track.kind == "audio"]


def test_opus_is_given_as_it_came() -> None:
    units = sounds()
    reader, given = copied(units_of(stream(audio="libopus")), layout="yuv420p")
    assert given == [
        SoundPacket(unit.data, "opus", 2, unit.pts, Fraction(1, CLOCK), CLOCK // 50)
        for unit in units
    ]
    assert (reader.lost, reader.recoded) == ({}, "")


def test_it_is_where_its_samples_would_be() -> None:
    """A clock that wraps, one that jumps, and times that come again."""
    units = units_of(stream(audio="libopus", g="10"))
    turned = moved(units, (1 << 33) - CLOCK)
    again = [*turned, *turned[-20:], *moved(units, 3600 * CLOCK)]
    _, given = copied(again, layout="yuv420p")
    _, decoded = read(again)
    assert [each.pts for each in given] == [each.pts for each in decoded]


@pytest.mark.parametrize("codec", ["aac", "opus-51"])
def test_sound_that_viewers_do_not_hear_is_decoded_and_told(
    codec: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    units = sounds("aac")
    if codec == "opus-51":
        track = Track(257, "audio", "opus", 6, opus_head(6))
        coded = elementary.sound(codec).coded
        units = [Unit(track, each.data, each.pts, each.pts, key=True) for each in coded]
    reader, given = copied(units)
    assert {type(each) for each in given} == {av.AudioFrame}
    name = codec.partition("-")[0]
    assert reader.recoded == name
    said = [each.getMessage() for each in caplog.records if "coded anew" in each.getMessage()]
    assert len(said) == 1
    assert f"({name}, PID 257)" in said[0]


def test_packets_that_are_damaged_or_none_are_left_out_and_counted() -> None:
    units = sounds()
    units[3] = replace(units[3], damaged=True)
    units[5] = replace(units[5], data=b"\xff\x3f")  # 63 frames of 20 ms
    units[7] = replace(units[7], data=b"\xff")  # a number of frames that is not there
    units[9] = replace(units[9], data=units[9].data + bytes(LONGEST_OPUS))
    reader, given = copied(units)
    assert pts(given) == [unit.pts for place, unit in enumerate(units) if place not in (3, 5, 7, 9)]
    assert reader.lost == {"damaged": 4}
    assert reader.damaged == 4


def test_packets_without_a_time_count_back_from_the_first_that_has_one() -> None:
    units = [
        replace(unit, pts=None, dts=None) if place < 3 else unit
        for place, unit in enumerate(sounds())
    ]
    _, given = copied(units)
    assert pts(given) == [unit.pts for unit in sounds()]


def test_sound_changes_between_packets_and_samples_on_the_way() -> None:
    units = sounds()
    reader = LiveReader(units, sound=Carrier.PACKET)
    given = []
    for piece in reader.read():
        given.append(piece)
        reader.sound = Carrier.FRAME if 10 <= len(given) < 20 else Carrier.PACKET
    kinds = [type(piece) for piece in given]
    assert kinds == [SoundPacket] * 10 + [av.AudioFrame] * 10 + [SoundPacket] * (len(units) - 20)
    assert pts(given) == [unit.pts for unit in units]


def test_another_codec_on_the_way_is_decoded_and_opus_behind_it_copied() -> None:
    opus, aac = sounds(), sounds("aac")
    again = [*opus, *moved(aac, 4 * CLOCK), *moved(opus, 8 * CLOCK)]
    reader, given = copied(again)
    kinds = [type(piece) for piece in given]
    assert kinds[: len(opus)] == kinds[-len(opus) :] == [SoundPacket] * len(opus)
    assert set(kinds[len(opus) : -len(opus)]) == {av.AudioFrame}
    assert reader.recoded == ""


def test_a_picture_comes_out_of_the_unit_that_holds_it(decoder: str) -> None:
    units = units_of(stream(preset="ultrafast", tune="zerolatency"))
    taken = 0

    def counting() -> Iterable[Unit]:
        nonlocal taken
        for unit in units:
            taken += 1
            yield unit

    for number, _ in enumerate(LiveReader(counting(), layout="yuv420p", device=decoder).read(), 1):
        assert taken == number


@pytest.mark.fault("F-33")
def test_nothing_comes_before_the_first_key_picture(decoder: str) -> None:
    units = [unit for unit in units_of(stream(**KEYED)) if unit.track.kind == "video"]
    pictures, _ = read(units[3:], device=decoder)
    assert pts(pictures) == [unit.pts for unit in units[10:]]


def test_behind_a_gap_it_begins_anew_at_a_key_picture(decoder: str) -> None:
    units = [unit for unit in units_of(stream(**KEYED)) if unit.track.kind == "video"]
    pictures, _ = read([*units[:15], Gap(), *units[17:]], device=decoder)
    assert pts(pictures) == [unit.pts for unit in (*units[:15], *units[20:])]


@pytest.mark.fault("F-35")
def test_units_that_cannot_be_decoded_are_counted_and_left_out(decoder: str) -> None:
    units = [unit for unit in units_of(stream(**KEYED)) if unit.track.kind == "video"]
    units[12] = replace(units[12], data=b"\x00\x00\x00\x01\x65" + b"\xff" * 50)
    reader = LiveReader(units, layout="yuv420p", device=decoder)
    pictures = list(reader.read())
    assert reader.damaged >= 1
    assert pts(pictures)[-20:] == [unit.pts for unit in units[20:]]


@pytest.mark.fault("F-83")
def test_a_picture_in_very_many_pieces_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    units = [unit for unit in units_of(stream(**KEYED)) if unit.track.kind == "video"]
    bomb = b"\x00\x00\x01\x09\xf0\x00" * (MOST_NALS + 1)
    units[12] = replace(units[12], data=bomb)
    decoded: list[int] = []

    def packet_of(data: bytes) -> Any:
        decoded.append(len(data))
        return packets.packet_of(data)

    monkeypatch.setattr(live_reader, "packet_of", packet_of)
    reader = LiveReader(units, layout="yuv420p")
    pictures = list(reader.read())
    assert len(bomb) not in decoded
    assert (len(decoded), reader.damaged >= 1, reader.lost["damaged"] >= 1) == (39, True, True)
    assert pts(pictures)[-20:] == [unit.pts for unit in units[20:]]


@pytest.mark.fault("F-26")
def test_another_size_and_another_codec_go_on(decoder: str) -> None:
    first = units_of(stream(**KEYED))
    second = units_of(stream("libx265", preset="ultrafast", **{"x265-params": "log-level=error"}))
    pictures, _ = read([*first, *moved(second, 2 * CLOCK)], device=decoder)
    assert len(pictures) == 80
    assert pts(pictures) == sorted(pts(pictures))


@pytest.mark.parametrize("audio", ["", "aac"])
@pytest.mark.fault("F-31")
def test_a_clock_that_wraps_goes_on(audio: str) -> None:
    units = units_of(stream(audio=audio, preset="ultrafast"))
    start = (1 << 33) - CLOCK
    pictures, sound = read(moved(units, start))
    straight, heard = read(units)
    shift = (pictures[0].pts or 0) - (straight[0].pts or 0)
    assert [each - shift for each in pts(pictures)] == pts(straight)
    assert all(abs(a - shift - b) <= 1 for a, b in zip(pts(sound), pts(heard), strict=True))


@pytest.mark.parametrize("jump", [3600 * CLOCK, -CLOCK * 20, CLOCK * 3600 * 20])
@pytest.mark.fault("F-31")
def test_a_clock_that_jumps_goes_on_and_keeps_sound_with_its_picture(jump: int) -> None:
    units = moved(units_of(stream(audio="aac", preset="ultrafast", g="10")), 100 * CLOCK)
    again = moved(units, jump)
    pictures, sound = read([*units, *again])
    assert len(pictures) == 80
    assert pts(pictures) == sorted(set(pts(pictures)))
    before, behind = read(units)
    seen = (pictures[-1].pts or 0) - (before[-1].pts or 0)
    heard = (sound[-1].pts or 0) - (behind[-1].pts or 0)
    assert abs(seen - heard) < 0.04 * CLOCK


@pytest.mark.fault("F-28")
def test_at_most_so_many_pictures_a_second() -> None:
    pictures, _ = read(units_of(stream(preset="ultrafast")), max_fps=12.5)
    assert len(pictures) == 20


@pytest.mark.fault("F-27")
def test_a_picture_that_is_too_large_is_not_decoded() -> None:
    reader = LiveReader(units_of(stream(preset="ultrafast")), layout="yuv420p", max_pixels=1000)
    assert list(reader.read()) == []
    assert reader.damaged == 40


@pytest.mark.fault("F-66")
def test_one_track_with_wild_times_does_not_move_the_other() -> None:
    units = units_of(stream(audio="aac", preset="ultrafast"))
    wild = [
        moved([unit], 1 << 32)[0] if unit.track.kind == "audio" and place % 7 == 3 else unit
        for place, unit in enumerate(units)
    ]
    pictures, _ = read(wild)
    straight, _ = read(units)
    assert pts(pictures) == pts(straight)


@pytest.mark.parametrize(
    ("units", "lost"),
    [
        (lambda units: units, {}),
        (lambda units: units[5:], {"before_key": 5}),
        (lambda units: [*units[:15], Gap(), *units[18:]], {"before_key": 2}),
        (lambda units: [*units[:15], *units[10:]], {"time": 5}),
        (lambda units: [replace(units[0], data=b"no picture"), *units[1:]], {"before_key": 10}),
    ],
    ids=["none", "begins late", "a gap", "times again", "a bad key picture"],
)
def test_every_picture_is_accounted_for(
    units: Callable[[list[Unit]], list[Unit | Gap]], lost: dict[str, int]
) -> None:
    sent = units(units_of(stream(g="10", sc_threshold="0", preset="ultrafast")))
    reader = LiveReader(sent, layout="yuv420p")
    given = len(list(reader.read()))
    reader.close()
    assert reader.lost == lost
    assert given + sum(lost.values()) == sum(isinstance(unit, Unit) for unit in sent)


@pytest.mark.parametrize(("quarters", "size"), [(0, (320, 180)), (1, (180, 320)), (2, (320, 180))])
@pytest.mark.fault("F-34")
def test_pictures_are_turned_as_the_first_one_says(quarters: int, size: tuple[int, int]) -> None:
    """A coder may say it once, and it holds."""
    plain = units_of(stream(preset="ultrafast", g="10", sc_threshold="0"))
    first = replace(plain[0], data=turned(plain[0].data, quarters))
    pictures, _ = read([first, *plain[1:]])
    assert [(image.width, image.height) for image in pictures] == [size] * 40
    for before, after in zip(read(plain)[0], pictures, strict=True):
        wanted = np.rot90(pixels.planes(before)[0], quarters)
        assert np.array_equal(pixels.planes(after)[0], wanted)


def turned(data: bytes, quarters: int) -> bytes:
    """A picture with a message of how it is to be turned, anticlockwise (H.264, D.1.26)."""
    bits = f"000{quarters * 16384:016b}01010000"  # not cancelled, no flips; it persists
    message = bytes([6, 47, 3, *int(bits[:24].ljust(24, "0"), 2).to_bytes(3), 0x80])
    at = data.index(b"\0\0\1\x65")
    return data[:at] + b"\0\0\1" + message + data[at:]
