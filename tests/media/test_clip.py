"""A clip as a gateway sends it."""

import io
from typing import Any

import av
import pytest

from composer.errors import MediaError
from composer.media import clip
from tests.clips import BIKES, BUNNY, fetched


def segments(path: str, **options: float) -> list[bytes]:
    found: list[bytes] = []
    for piece in clip.pieces(path, **options):  # type: ignore[arg-type]
        if piece.begins:
            found.append(b"")
        found[-1] += piece.data
    return found


def test_each_segment_opens_alone_and_times_go_on() -> None:
    times: list[int] = []
    for data in segments(str(fetched(BIKES))):
        opened: Any
        with av.open(io.BytesIO(data)) as opened:
            frames = list(opened.decode(video=0))
        assert frames[0].key_frame
        times += [frame.pts or 0 for frame in frames]
    assert len(times) == 250
    assert times == sorted(set(times))


def test_it_goes_on_when_it_begins_again() -> None:
    data = b"".join(segments(str(fetched(BUNNY)), loops=2))
    opened: Any
    with av.open(io.BytesIO(data), format="mpegts") as opened:
        times = [frame.pts or 0 for frame in opened.decode(video=0)]
    assert len(times) == 264
    assert times == sorted(set(times))


def test_pieces_are_due_in_order() -> None:
    due = [piece.seconds for piece in clip.pieces(str(fetched(BUNNY))) if piece.begins]
    assert due == sorted(due)
    assert due[0] == 0


def test_what_cannot_be_sent_as_it_is_is_told(tmp_path: object) -> None:
    path = f"{tmp_path}/a.mkv"
    with av.open(path, "w") as out:
        stream = out.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        out.mux(stream.encode(av.VideoFrame(64, 48, "yuvj420p")))
        out.mux(stream.encode(None))
    with pytest.raises(MediaError, match=r"H\.264 or HEVC"):
        list(clip.pieces(path))
