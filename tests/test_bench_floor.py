"""The floor does what the worker's codecs do, and nothing else."""

import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from bench import clips, floor, works
from bench.floor import Codecs, Floor
from composer.media import coders, sound_encoder
from composer.media import live_encoder as cast
from composer.media import live_reader as live
from composer.media.mpegts.demuxer import Unit
from composer.node.frames import Moment

pytestmark = pytest.mark.usefixtures("bench_clip")


class Outlet:
    """Keeps the packets that a session would send."""

    refusal = ""

    def __init__(self) -> None:
        self.packets: list[tuple[bytes, int]] = []

    def open(self, *, video: str = "", audio: str = "", channels: int = 2) -> None:
        pass

    def packet(
        self, kind: str, data: bytes, pts: int, dts: int, time_base: Fraction, *, key: bool
    ) -> None:
        self.packets.append((data, pts))

    def repeats(self, pts: int, time_base: Fraction) -> bool:
        return False

    def dropped(self, reason: str) -> None:
        raise AssertionError(reason)


def by_the_worker(pictures: list[Unit]) -> list[tuple[bytes, int]]:
    outlet = Outlet()
    sender = cast.LiveWriter(
        outlet,
        coders.PictureSettings(threads=1),
        sound_encoder.SoundSettings(),
        expected=lambda kind: kind == "video",
    )
    for image in live.LiveReader(pictures, layout="yuv420p").read():
        pts, time_base = image.pts, image.time_base
        assert pts is not None
        assert time_base is not None
        picture: Any = image
        sender.picture(picture, Moment(pts, time_base))
    sender.finish()
    return outlet.packets


def test_the_floor_makes_bit_for_bit_what_the_worker_makes() -> None:
    """Past the first planned keyframe: the settings are the same, and so are the keyframes."""
    pictures = clips.units(clips.make("360p", 2.2).data, "video")
    codecs = Codecs()
    packets = [packet for unit in pictures for packet in codecs.picture(unit)]
    assert sum(packet.is_keyframe for packet in packets) == 2
    assert [(bytes(packet), packet.pts) for packet in packets] == by_the_worker(pictures)


def test_the_floor_is_measured_in_a_process_of_its_own(tmp_path: Path) -> None:
    ran = floor.measured(clips.make("360p", 1.5), tmp_path)
    assert ran.pictures == len(ran.seconds) == 45
    assert 0 < ran.steady < ran.cpu
    assert min(ran.seconds) > 0
    assert ran.memory > 1 << 20


def test_a_clip_of_a_second_says_nothing_of_what_comes_after() -> None:
    pictures = clips.units(clips.make("360p", 1).data, "video")
    assert math.isnan(floor.paced(pictures[:3]).steady)


def test_cpu_and_delay_are_set_beside_the_floor() -> None:
    ran = Floor(4, 0.04, 0.008, (0.01, 0.01, 0.01, 0.03), 1_000_000)
    seen = {"cpu ms": 14, "steady cpu ms": 12, "p50 ms": 12, "p95 ms": 36, "lost": 0}
    found = works.beside(ran, {f"byoc {name}": value for name, value in seen.items()})
    assert found == pytest.approx(
        {
            "floor cpu ms": 10,
            "floor steady cpu ms": 8,
            "floor p50 ms": 10,
            "floor p95 ms": 30,
            "floor memory MB": 1,
            "byoc CPU / floor": 1.5,
            "byoc p50 ms over the floor": 2,
            "byoc p95 ms over the floor": 6,
        }
    )


def test_the_cpu_of_a_run_that_lost_pictures_is_not_compared() -> None:
    ran = Floor(4, 0.04, 0.008, (0.01,) * 4, 1_000_000)
    seen = {"cpu ms": 14, "steady cpu ms": 12, "p50 ms": 12, "p95 ms": 36, "lost": 1}
    found = works.beside(ran, {f"byoc {name}": value for name, value in seen.items()})
    assert "byoc p50 ms over the floor" in found
    assert "byoc CPU / floor" not in found
