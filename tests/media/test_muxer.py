"""What the muxer writes reads back byte for byte, by our own eyes and by libavformat."""

import io
from dataclasses import dataclass, field

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from composer.media.mpegts.muxer import AUDIO_PID, PMT_PID, VIDEO_PID, Muxer

AUD = b"\0\0\0\1\x09\xf0"
SETS = b"\0\0\0\1\x67\x01\x02" + b"\0\0\0\1\x68\x03"
IDR = b"\0\0\1\x65"


@dataclass
class Parsed:
    """The PES packets and clocks by pid, and the counters in the order they came."""

    pes: dict[int, list[bytes]] = field(default_factory=dict)
    turns: dict[int, list[int]] = field(default_factory=dict)
    clocks: list[int] = field(default_factory=list)
    flags: list[int] = field(default_factory=list)
    stuffed: list[bool] = field(default_factory=list)


def parse(data: bytes) -> Parsed:
    found = Parsed()
    assert len(data) % 188 == 0
    for place in range(0, len(data), 188):
        packet = data[place : place + 188]
        assert packet[0] == 0x47
        pid = (packet[1] & 0x1F) << 8 | packet[2]
        found.turns.setdefault(pid, []).append(packet[3] & 15)
        begin = 4
        if packet[3] & 0x20:
            begin = 5 + packet[4]
            if packet[4]:
                found.flags.append(packet[5])
                if packet[5] & 0x10:
                    found.clocks.append(int.from_bytes(packet[6:12]) >> 15)
        assert begin < 188, "a packet without payload"
        found.stuffed.append(bool(packet[3] & 0x20))
        if packet[1] & 0x40:
            found.pes.setdefault(pid, []).append(b"")
        found.pes[pid][-1] += packet[begin:]
    return found


def ticks(five: bytes) -> int:
    word = int.from_bytes(five)
    return (word >> 33 & 7) << 30 | (word >> 17 & 0x7FFF) << 15 | word >> 1 & 0x7FFF


@settings(deadline=None)
@given(sizes=st.lists(st.integers(1, 70_000), min_size=1, max_size=4))
def test_pictures_of_any_size_come_back(sizes: list[int]) -> None:
    muxer = Muxer(video="h264")
    units = [AUD + b"\0\0\1\x41" + b"\xaa" * size for size in sizes]
    data = b"".join(muxer.video(unit, 9, 9, key=False) for unit in units)
    found = parse(data)
    assert [each[14:] for each in found.pes[VIDEO_PID]] == units
    assert found.turns[VIDEO_PID] == [turn % 16 for turn in range(len(data) // 188)]


@pytest.mark.parametrize("size", range(1, 800))
def test_the_last_packet_is_stuffed(size: int) -> None:
    unit = AUD + b"\0\0\1\x41" + b"\xaa" * size
    found = parse(Muxer(video="h264").video(unit, 9, 9, key=False))
    assert found.stuffed[-1]
    assert found.pes[VIDEO_PID] == [found.pes[VIDEO_PID][0][:14] + unit]


@settings(deadline=None)
@given(size=st.integers(1, 60_000))
def test_sound_of_any_size_comes_back(size: int) -> None:
    packet = b"\x55" * size
    pes = parse(Muxer(video="h264", audio="opus").audio(packet, 9)).pes[AUDIO_PID][0]
    assert pes[:4] == b"\0\0\1\xbd"
    assert int.from_bytes(pes[4:6]) == len(pes) - 6
    assert pes[14:] == b"\x7f\xe0" + b"\xff" * (size // 255) + bytes([size % 255]) + packet


def test_times_wrap_and_the_clock_is_behind() -> None:
    muxer = Muxer(video="h264")
    whole = 1 << 33
    data = muxer.video(AUD + IDR, 3000, 0, key=True)
    data += muxer.video(AUD + IDR, whole + 3000, whole + 10, key=False)
    found = parse(data)
    first, second = found.pes[VIDEO_PID]
    assert (ticks(first[9:14]), ticks(first[14:19])) == (3000, 0)
    assert (ticks(second[9:14]), ticks(second[14:19])) == (3000, 10)
    assert found.clocks == [whole - 9000, whole - 8990]
    assert found.flags == [0x50, 0x10]


@pytest.mark.parametrize(
    ("given", "written"),
    [
        pytest.param(SETS + IDR, AUD + SETS + IDR, id="no delimiter"),
        pytest.param(AUD + SETS + IDR, AUD + SETS + IDR, id="complete"),
        pytest.param(AUD + IDR, AUD + SETS + IDR, id="no parameter sets"),
        pytest.param(IDR, AUD + SETS + IDR, id="neither"),
    ],
)
def test_keyframes_are_complete(given: bytes, written: bytes) -> None:
    muxer = Muxer(video="h264")
    muxer.parameter_sets = SETS
    assert parse(muxer.video(given, 0, 0, key=True)).pes[VIDEO_PID][0][14:] == written


def test_parameter_sets_are_remembered() -> None:
    muxer = Muxer(video="h264")
    muxer.video(SETS + IDR, 0, 0, key=True)
    assert parse(muxer.video(IDR, 1, 1, key=True)).pes[VIDEO_PID][0][14:] == AUD + SETS + IDR


def test_tables_are_the_same_each_time_but_for_their_turn() -> None:
    muxer = Muxer(video="h264", audio="opus")
    found = parse(b"".join(muxer.tables() for _ in range(20)))
    assert found.turns[0] == found.turns[PMT_PID] == [turn % 16 for turn in range(20)]
    assert len(set(found.pes[PMT_PID])) == 1


@pytest.mark.parametrize(("audio", "channels"), [("opus", 1), ("opus", 2), ("aac", 2)])
def test_libavformat_knows_the_tracks(audio: str, channels: int) -> None:
    coder = av.CodecContext.create("libopus" if audio == "opus" else "aac", "w")
    coder.sample_rate, coder.layout = 48_000, "mono" if channels == 1 else "stereo"
    coder.format = "flt" if audio == "opus" else "fltp"
    muxer = Muxer(audio=audio, channels=channels)
    data, packets = muxer.tables(), []
    coder.open()
    for number in range(40):
        block = av.AudioFrame(coder.format.name, coder.layout.name, coder.frame_size)
        block.sample_rate, block.pts = 48_000, number * block.samples
        for plane in block.planes:
            plane.update(bytes(plane.buffer_size))
        packets += [bytes(packet) for packet in coder.encode(block)]
    for number, packet in enumerate(packets):
        data += muxer.audio(packet, 90_000 + number * 1800)
    with av.open(io.BytesIO(data), mode="r", format="mpegts") as source:
        track = source.streams.audio[0]
        assert track.codec_context.codec.canonical_name == audio
        assert track.codec_context.layout.nb_channels == channels
        seen = [packet for packet in source.demux(track) if packet.size]
    assert [packet.pts for packet in seen][:2] == [90_000, 91_800]
    assert len(seen) == len(packets)
