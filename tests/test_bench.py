"""What the bench measures with says what it should."""

import asyncio
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import pytest

from bench import (
    chain,
    chart,
    clips,
    codecs,
    contenders,
    growth,
    markdown,
    path,
    process,
    results,
    sessions,
    stream,
    works,
)
from bench.contenders import Contender
from bench.promises import MOST, P720, PROMISES, Promise
from bench.results import Spread
from bench.stream import Drive, Seen
from composer.media.mpegts.demuxer import CLOCK, Demuxer
from tests.server.streams import compiled_of

pytestmark = pytest.mark.usefixtures("bench_clip")


def patient(pipeline: Path) -> Contender:
    """The worker, with no more pictures on their way than it keeps when the machine is busy."""
    return replace(contenders.byoc(pipeline), in_flight=3)


def test_each_picture_of_a_clip_carries_its_number() -> None:
    clip = clips.make("360p", 1)
    opened: Any
    with av.open(io.BytesIO(clip.data), format="mpegts") as opened:
        assert [clips.number_of(image) for image in opened.decode(video=0)] == list(range(30))


def test_the_bytes_of_a_picture_end_where_it_is_complete() -> None:
    clip = clips.make("360p", 1)
    assert b"".join(clip.pictures) == clip.data
    assert len(clip.pictures) == 30
    demuxer = Demuxer()
    assert [len(demuxer.feed(piece)) for piece in clip.pictures] == [1] * 30


@pytest.mark.parametrize("coding", list(clips.SOUNDS))
def test_sound_comes_with_the_pictures_that_it_is_heard_with(coding: str) -> None:
    clip = clips.make("360p", 1, sound=coding)
    assert b"".join(clip.pictures) == clip.data
    demuxer = Demuxer()
    units = [demuxer.feed(piece) for piece in clip.pictures]
    assert all([unit.track.kind for unit in piece].count("video") == 1 for piece in units)
    sound = [unit for piece in units for unit in piece if unit.track.kind == "audio"]
    assert {(unit.track.codec, unit.track.channels) for unit in sound} <= {("opus", 2), ("aac", 0)}
    assert {unit.track.codec for unit in sound} == {coding}
    samples = {"opus": 960, "aac": 1024}[coding]
    assert len(sound) * samples == pytest.approx(clips.SOUND_RATE, rel=0.1)
    late = [
        unit.pts - picture.pts
        for piece in units
        for picture in piece
        for unit in piece
        if picture.track.kind == "video" and picture.pts is not None and unit.pts is not None
    ]
    assert max(abs(ticks) for ticks in late) < CLOCK / 10


@pytest.mark.slow
def test_sound_that_comes_back_is_counted_beside_the_pictures(tmp_path: Path) -> None:
    pipeline = tmp_path / "pass.yaml"
    pipeline.write_text(works.PASS)
    clip = clips.make("360p", 1, sound="opus")
    seen = asyncio.run(stream.run(patient(pipeline), clip, Drive(flat_out=True)))
    assert seen.sent == 30
    assert 0 < seen.back <= 30
    assert 0 < seen.sound <= len(clips.units(clip.data, "audio")) + 2  # the encoder's padding
    assert 0 <= seen.kept <= seen.sound


SEEN = Seen(
    sent=100,
    back=100,
    ordered=True,
    latency=(0.01, 0.02),
    cpu=0.6,
    steady=0.005,
    memory=1,
    family_memory=2,
    first=0.1,
    ready=1,
    fps=30,
    patched=0,
    sound=52,
    kept=50,
)


def test_isolation_is_set_beside_the_same_pictures_without() -> None:
    shares = ("steady cpu ms", "p50 ms", "p95 ms", "first ms", "family memory MB")
    found = {f"byoc none {share}": 4.0 for share in shares}
    found |= {f"byoc process {share}": 5.5 for share in shares}
    found |= {"byoc none lost": 0.0, "byoc process lost": 0.0}
    assert works.apart(found) == {f"{share} on top": 1.5 for share in shares}
    assert works.apart(found | {"byoc process lost": 1.0}) == {}


def test_sound_is_set_beside_the_same_pictures_without() -> None:
    silent = {"byoc lost": 0, "byoc steady cpu ms": 4}
    found = {
        "opus steady cpu ms": 5,
        "opus ms on top": 1,
        "opus lost": 0,
        "opus packets": 52,
        "opus packets as sent": 50,
    }
    assert works.on_top("opus", silent, SEEN) == pytest.approx(found)


@pytest.mark.parametrize(("without", "back"), [(1, 100), (0, 99)])
def test_sound_has_no_price_where_pictures_are_lost(without: int, back: int) -> None:
    silent = {"byoc lost": without, "byoc steady cpu ms": 4}
    found = works.on_top("opus", silent, replace(SEEN, back=back))
    assert "opus ms on top" not in found
    assert found["opus lost"] == 100 - back


@pytest.mark.slow
def test_a_run_sees_every_picture_and_when_it_came(tmp_path: Path) -> None:
    pipeline = tmp_path / "pass.yaml"
    pipeline.write_text(works.PASS)
    seen = asyncio.run(stream.run(contenders.byoc(pipeline), clips.make("360p", 1)))
    assert (seen.sent, seen.back, seen.ordered) == (30, 30, True)
    assert len(seen.latency) == 30
    assert min(seen.latency) > 0
    assert seen.cpu > 0
    assert seen.memory > 1 << 20
    assert works.numbers(seen)["lost"] == 0


@pytest.mark.slow
def test_changes_of_params_are_driven_too(tmp_path: Path) -> None:
    pipeline = tmp_path / "steered.yaml"
    pipeline.write_text(growth.STEERED)
    drive = Drive(flat_out=True, patches=50, patch=growth.PATCH)
    seen = asyncio.run(stream.run(patient(pipeline), clips.make("360p", 1), drive))
    assert seen.sent == 30
    assert 0 < seen.back <= 30  # a worker that is held up leaves out what is late
    assert seen.fps > 0
    assert seen.patched > 2


def test_ffmpeg_does_the_same_work(tmp_path: Path) -> None:
    clip = clips.make("360p", 1)
    ran = codecs.ffmpeg(clip, works.TINTED, tmp_path, threads=2)
    assert ran.cpu > 0
    opened: Any
    with av.open(str(tmp_path / "out.ts")) as opened:
        assert [clips.number_of(image) for image in opened.decode(video=0)] == list(range(30))


def test_the_pipelines_that_are_measured_are_fine() -> None:
    texts = [works.PASS, works.TINT, works.CAPTION]
    texts += [point.text for curve in growth.CURVES for point in curve.points]
    for text in dict.fromkeys(texts):
        compiled_of(text)


def test_a_chain_has_as_many_nodes_as_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain, "FRAMES", 5)
    assert chain.seconds_per_frame(3, apart=False) > 0
    assert chain.seconds_per_frame(3, apart=True) > 0


@pytest.mark.parametrize(
    ("measured", "at_most", "kept"),
    [(0.9, True, True), (1.1, True, False), (0.9, False, False), (1.1, False, True)],
)
def test_a_promise_is_kept_on_the_right_side_of_its_limit(
    *, measured: float, at_most: bool, kept: bool
) -> None:
    promise = Promise("", "work", "x", 1.0, at_most=at_most)
    assert promise.kept({"work": {"byoc x": Spread(measured, 0, 9)}}) is kept


def test_a_clip_has_as_many_bits_as_asked() -> None:
    clip = clips.make("360p", 1, 4_000_000)
    assert len(clip.data) * 8 == pytest.approx(4_000_000, rel=0.2)


@pytest.mark.slow
def test_the_parts_of_the_path_are_told_apart() -> None:
    found = path.measured("360p", works.PASS, 1)
    assert set(found) == {*path.PARTS, "together", "beside codecs"}
    codecs_alone = found["decode"] + found["encode"]
    assert found["beside codecs"] == pytest.approx(found["together"] - codecs_alone)
    assert all(value > 0 for value in found.values())
    assert max(path.PARTS, key=lambda part: found[part]) == "encode"


def test_charts_are_drawn_from_what_was_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    one = Spread(2, 1, 3)
    ours = {f"byoc {name}": one for name in ("cpu ms", "p50 ms", "memory MB", "fps")}
    results.save("table", {P720: ours, MOST: ours}, runs=1)
    points = [growth.name_of(curve, point) for curve in growth.CURVES for point in curve.points]
    lines = {**dict.fromkeys(("cpu ms", "p50 ms", "p95 ms"), one), "lost": Spread(1, 0, 3)}
    results.save("growth", dict.fromkeys(points, lines), runs=1, seconds=2.0)
    for drawn in (chart.table(), chart.growth()):
        assert drawn.read_text().startswith("<?xml")
    said = "\n".join(markdown.growth())
    assert said.count("| 2 | 2 | 2 | 1 |") == len(points)


def test_every_promise_is_of_a_work_that_is_measured() -> None:
    assert {promise.work for promise in PROMISES} <= works.WORKS.keys()


def test_what_is_saved_is_what_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    runs = [{"a": 1.0, "b": 5.0}, {"a": 3.0}, {"a": 2.0}]
    results.save("table", {"work": results.spreads(runs)}, runs=3)
    body = results.load("table")
    assert body["found"] == {"work": {"a": Spread(2, 1, 3), "b": Spread(5, 5, 5)}}
    assert (body["runs"], body["machine"]["cores"]) == (3, process.cores())


def test_results_of_before_a_promise_say_nothing_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    promise = Promise("", P720, "new", 1)
    assert not promise.measured({P720: {"byoc old": Spread(2, 1, 3)}})
    assert not promise.measured({})
    assert promise.measured({P720: {"byoc new": Spread(1, 1, 1)}})
    assert promise.kept({P720: {"byoc new": Spread(1, 1, 1)}})
    assert not promise.kept({P720: {"byoc old": Spread(2, 1, 3)}})
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    old = next(each for each in PROMISES if each.number == "memory MB")
    results.save("table", {old.work: {f"byoc {old.number}": Spread(2, 1, 3)}}, runs=1, seconds=1.0)
    assert [line for line in markdown.table() if line.startswith("| ")][1:] == [
        f"| {old.said} | <= {old.limit:g} | {Spread(2, 1, 3)} |  |"
    ]


def test_only_what_was_measured_has_a_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    assert list(markdown.saved()) == []
    numbers = {f"byoc {name}": Spread(2, 1, 3) for name in sessions.COLUMNS}
    results.save("sessions", {"8 sessions, 360p": numbers}, runs=2, seconds=3.0)
    head, _, row, _, where, _ = markdown.saved()
    assert head.startswith("| | lost | delay p50, ms |")
    assert row.startswith("| 8 sessions, 360p | 2 (1-3) |")
    assert where.startswith("`make bench-sessions` (here with --runs 2 --seconds 3)")
