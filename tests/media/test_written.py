"""What is written of a stream is read off its last segment as its muxer knows it."""

import pytest

from composer.media.mpegts.muxer import AUDIO_PID, PMT_PID, VIDEO_PID, Muxer
from composer.media.mpegts.written import LAST_BYTES, Written, written
from tests.media.test_muxer import IDR, SETS, parse

KEY = SETS + IDR


def segment(muxer: Muxer, begin: int = 90_000, size: int = 400) -> bytes:
    """Tables, then three pictures and six packets of sound."""
    parts = [muxer.tables()]
    for number in range(3):
        at = begin + 3600 * number
        parts.append(muxer.video(KEY + b"\xaa" * size, at + 1800, at, key=not number))
        parts += [muxer.audio(b"\xfc\x01", at + 1800 * half) for half in range(2)]
    return b"".join(parts)


def test_it_says_what_the_muxer_knows() -> None:
    muxer = Muxer(video="h264", audio="opus", channels=1)
    muxer.add(audio="opus")  # a version more
    last = {"video": 97_200, "audio": 99_000}
    assert written(segment(muxer)) == muxer.written(last)
    hevc = Muxer(video="hevc")
    found = written(hevc.tables() + hevc.video(b"\0\0\0\1\x26\x01", 5, 5, key=True))
    assert found == Written("hevc", last={"video": 5}, turns={0: 1, PMT_PID: 1, VIDEO_PID: 1})


@pytest.mark.parametrize("cut", [1, 187, 188, 189])
def test_a_segment_may_be_cut_off_anywhere(cut: int) -> None:
    whole = Muxer(video="h264")
    data = segment_of_pictures(whole, 3)
    found = written(data[:-cut])
    assert found is not None
    assert found.last == {"video": 7200}
    assert found.turns[VIDEO_PID] == (whole.written({}).turns[VIDEO_PID] - 1 - (cut > 188)) % 16


def segment_of_pictures(muxer: Muxer, count: int, size: int = 2000) -> bytes:
    parts = [muxer.tables()]
    for number in range(count):
        at = 3600 * number
        parts.append(muxer.video(KEY + b"\xaa" * size, at, at, key=not number))
    return b"".join(parts)


def test_of_a_long_segment_the_begin_and_the_end_are_read() -> None:
    muxer = Muxer(video="h264")
    data = segment_of_pictures(muxer, 40, size=LAST_BYTES // 10)
    assert len(data) > 3 * LAST_BYTES
    found, known = written(data), muxer.written({"video": 39 * 3600})
    assert found is not None
    assert found.last == known.last
    assert found.turns == {pid: known.turns[pid] for pid in (0, PMT_PID, VIDEO_PID)}


def test_what_holds_nothing_says_nothing() -> None:
    muxer = Muxer(video="h264")
    for data in (b"", b"\x47", muxer.tables(), bytes(4000), b"x" * 4000):
        assert written(data) is None


def test_a_muxer_goes_on_where_another_one_was() -> None:
    first = Muxer(video="h264", audio="opus")
    before = segment(first)
    found = written(before)
    second = Muxer(video="h264", audio="opus", after=found)
    turns = parse(before + segment(second, 200_000)).turns
    for pid in (0, PMT_PID, VIDEO_PID, AUDIO_PID):
        assert turns[pid] == [number % 16 for number in range(len(turns[pid]))]
    assert second.written({}).version == first.written({}).version


def test_another_map_has_another_version() -> None:
    first = Muxer(video="h264")
    found = written(segment_of_pictures(first, 1))
    assert Muxer(video="hevc", after=found).written({}).version == 1
    assert Muxer(video="h264", audio="opus", after=found).written({}).version == 1
