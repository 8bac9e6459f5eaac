"""Output of a session: C-30 segments, C-31 cadence, C-32 times, C-33 no waiting."""

import asyncio
import io
import json
import shutil
import subprocess
import threading
from fractions import Fraction
from itertools import pairwise
from typing import ClassVar

import av
import numpy as np
import pytest

from composer import YUV, Context, Node
from composer.media.coders import PictureSettings
from composer.media.live_encoder import LiveWriter
from composer.media.sound_encoder import SoundSettings
from composer.node.frames import Moment
from composer.session.egress import Cut, Egress
from composer.testing import bars, picture, sound
from tests import clocks, stubs
from tests.server.streams import numbers, pieces, ran, serving

RATE = 30


def play(egress: Egress, begin: float, seconds: float) -> None:
    """Pictures and sound from one LiveWriter."""
    writer = LiveWriter(
        egress, PictureSettings(preset="ultrafast"), SoundSettings(), expected=lambda _: True
    )
    tone = (np.sin(np.arange(1600) / 20)[None] / 8).astype(np.float32)
    for number in range(round(seconds * RATE)):
        at = begin + number / RATE
        image, block = picture(bars(64, 48), seconds=at), sound(tone, seconds=at)
        writer.picture(image, Moment(image.pts or 0, Fraction(1, 90_000)))
        writer.sound(block, Moment(block.pts or 0, Fraction(1, 48_000)))
    writer.finish()


async def read_all(egress: Egress) -> list[bytes]:
    segments: list[bytes] = []
    while (item := await egress.read()) is not None:
        if isinstance(item, Cut):
            segments.append(b"")
        else:
            segments[-1] += item
    return segments


def segments_of(*plays: tuple[float, float]) -> list[bytes]:
    egress = Egress()
    for begin, seconds in plays:
        play(egress, begin, seconds)
    egress.end()
    return asyncio.run(read_all(egress))


def pids(segment: bytes) -> list[int]:
    return [
        int.from_bytes(segment[place + 1 : place + 3]) & 0x1FFF
        for place in range(0, len(segment), 188)
    ]


@pytest.mark.fault("F-37")
def test_c30_each_segment_plays_alone() -> None:
    segments = segments_of((0, 6.5))
    assert len(segments) == 4
    for segment in segments:
        assert pids(segment)[:3] == [0, 4096, 256]
        assert set(pids(segment)) == {0, 4096, 256, 257}
        with av.open(io.BytesIO(segment), mode="r", format="mpegts") as source:
            image, heard = source.streams.video[0], source.streams.audio[0]
            assert (image.codec_context.name, image.codec_context.pix_fmt) == ("h264", "yuv420p")
            assert heard.codec_context.codec.canonical_name == "opus"
            assert (heard.sample_rate, image.id, heard.id) == (48_000, 256, 257)
            packets = [packet for packet in source.demux(image) if packet.size]
            assert packets[0].is_keyframe
            assert [packet.pts for packet in packets] == [packet.dts for packet in packets]
        with av.open(io.BytesIO(segment), mode="r", format="mpegts") as source:
            assert sum(1 for _ in source.decode(video=0)) == len(packets)


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="ffprobe is not installed")
def test_c30_ffprobe_reads_each_segment() -> None:
    for segment in segments_of((0, 4.5)):
        done = subprocess.run(
            ["ffprobe", "-v", "error", "-show_streams", "-of", "json", "-"],
            input=segment,
            capture_output=True,
            check=True,
        )
        kinds = {each["codec_name"]: each for each in json.loads(done.stdout)["streams"]}
        assert set(kinds) == {"h264", "opus"}
        assert kinds["h264"]["has_b_frames"] == 0
        assert done.stderr == b""


def times(data: bytes) -> dict[int, list[int]]:
    """DTS by pid, as they stand in the PES headers."""
    found: dict[int, list[int]] = {}
    for place in range(0, len(data), 188):
        packet = data[place : place + 188]
        pid = int.from_bytes(packet[1:3]) & 0x1FFF
        if pid not in (256, 257) or not packet[1] & 0x40:
            continue
        pes = packet[5 + packet[4] if packet[3] & 0x20 else 4 :]
        word = int.from_bytes(pes[14:19] if pes[7] & 0x40 else pes[9:14])
        ticks = (word >> 33 & 7) << 30 | (word >> 17 & 0x7FFF) << 15 | word >> 1 & 0x7FFF
        found.setdefault(pid, []).append(ticks)
    return found


def test_c31_a_segment_each_two_seconds() -> None:
    begins = [times(segment)[256][0] for segment in segments_of((0, 9))]
    assert len(begins) == 5
    for one, other in pairwise(begins):
        assert abs(other - one - 180_000) <= 90_000 // RATE


class Loads(Node):
    """It is not set up before a test lets it."""

    go: ClassVar[threading.Event]

    def setup(self, ctx: Context) -> None:
        stubs.reach(self.go)

    def process(self, image: YUV) -> YUV:
        return image


@pytest.mark.parametrize("warm", [True, False])
def test_c31_a_stream_has_a_segment_each_two_seconds_of_input_during_its_warm_up_too(
    *, warm: bool
) -> None:
    class Here(Loads):
        go: ClassVar[threading.Event] = threading.Event()

    text = (
        "nodes: {source: {type: decode}, loads: {type: loads, queue: 300, on_full: wait},"
        " out: {type: encode, queue: 300, on_full: wait}}"
    )
    if warm:
        Here.go.set()

    async def test() -> None:
        async with serving(text, {"loads": Here}) as stage:
            stream = await stage.start()
            await stream.publish(pieces(50, loops=3), speed=8)
            await stream.until(lambda: len(stream.output) == 3)
            assert Here.go.is_set() is warm
            Here.go.set()
            begins = [times(segment)[256][0] for segment in stream.output]
            for one, other in pairwise(begins):
                assert abs(other - one - 180_000) <= 90_000 // 25

    ran(test)


@pytest.mark.parametrize("again", [3.0, 0.0, 2.9, 500.0])
@pytest.mark.fault("F-31")
def test_c32_times_grow_over_a_restart_of_the_encoder(again: float) -> None:
    whole = b"".join(segments_of((0, 3), (again, 3)))
    for found in times(whole).values():
        assert all(one < other for one, other in pairwise(found))
        assert len(found) > 100
    turns: dict[int, int] = {}
    for place, pid in zip(range(0, len(whole), 188), pids(whole), strict=True):
        turn = whole[place + 3] & 15
        assert turn == (turns.get(pid, -1) + 1) & 15
        turns[pid] = turn


def test_c33_a_picture_is_readable_before_the_next_is_given() -> None:
    egress = Egress()
    writer = LiveWriter(
        egress, PictureSettings(preset="ultrafast"), SoundSettings(), expected=lambda _: True
    )

    async def watch() -> None:
        for number in range(5):  # sound was promised and does not come
            image = picture(bars(64, 48), seconds=number / RATE)
            writer.picture(image, Moment(image.pts or 0, Fraction(1, 90_000)))
            item = await egress.read()
            if isinstance(item, Cut):
                item = await egress.read()
            assert isinstance(item, bytes)
            assert times(item)[256] == [image.pts]

    asyncio.run(watch())


def test_c33_a_picture_is_in_the_open_request_before_the_next_comes_in() -> None:
    async def test() -> None:
        async with serving() as stage:
            stream = await stage.start()
            clip = pieces(8)
            async with clocks.clock().slow():
                for count, piece in enumerate(clip, 1):
                    await stream.send(piece.data, begins=piece.begins)
                    await stream.until(lambda count=count: len(numbers(stream.output)) == count)  # type: ignore[misc]
            channel = stage.orchestrator.channels.directory.find(stream.name + "-out")
            assert channel is not None
            first, ahead = channel.segment(0), channel.segment(1)
            assert first is not None
            assert ahead is not None
            assert (first.closed, len(ahead)) == (False, 0)
            await stream.stop()

    clocks.ran(test)
