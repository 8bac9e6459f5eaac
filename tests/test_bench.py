"""What the bench measures with says what it should."""

import asyncio
import io
from pathlib import Path
from typing import Any

import av
import pytest

from bench import clips, stream
from bench.__main__ import PASS
from composer.media.mpegts import Demuxer
from tests.clips import BUNNY, ROOT, fetched


@pytest.fixture(autouse=True)
def _from_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    fetched(BUNNY)
    monkeypatch.chdir(ROOT)


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


def test_a_run_sees_every_picture_and_when_it_came(tmp_path: Path) -> None:
    pipeline = tmp_path / "pass.yaml"
    pipeline.write_text(PASS)
    seen = asyncio.run(stream.run(pipeline, clips.make("360p", 1)))
    assert (seen.sent, seen.back) == (30, 30)
    assert len(seen.latency) == 30
    assert min(seen.latency) > 0
    assert seen.cpu > 0
    assert seen.memory > 1 << 20
