"""What is given for a stream is what was put into it: by a session, by a run, and by FFmpeg."""

from collections.abc import Collection, Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from tests.media.streams import elementary, expected, files, matrix, seen, transport
from tests.media.streams.elementary import seed
from tests.media.streams.files import File
from tests.media.streams.matrix import Choice, Stream


def params(every: Iterable[Any], short: Collection[Any]) -> list[Any]:
    """One of each, those that are not short to be asked for."""
    return [
        pytest.param(each, id=str(each), marks=() if each in short else pytest.mark.media)
        for each in every
    ]


CHOICES = params(matrix.ALL, matrix.SHORT)
FILES = params(files.FILES, files.SHORT)


@lru_cache(maxsize=2)
def stream(choice: Choice) -> Stream:
    return matrix.build(choice)


@pytest.mark.parametrize("choice", CHOICES)
def test_a_session_gives_what_the_stream_holds(choice: Choice) -> None:
    if why := expected.session_differs(choice):
        pytest.skip(why)
    there = stream(choice)
    given = seen.by_session([there.data], seed(str(choice))).from_first()
    assert expected.differences(given, expected.wanted(there), expected.tolerance(choice)) == []


@pytest.mark.parametrize("choice", CHOICES)
def test_a_run_gives_what_the_stream_holds(choice: Choice, tmp_path: Path) -> None:
    if why := expected.run_differs(choice):
        pytest.skip(why)
    there = stream(choice)
    path = tmp_path / "stream.ts"
    path.write_bytes(there.data)
    kinds = [kind for kind in ("pictures", "sound") if getattr(choice, kind) != "none"]
    given = seen.by_run(path, kinds).from_first()
    library = seen.by_library(path)
    right = library.from_first() if expected.run_follows(choice) else expected.wanted(there)
    if choice.timing != "jump-back":
        right = expected.without_late(right, given, library)
    assert expected.differences(given, right, expected.library_tolerance(choice)) == []


@pytest.mark.parametrize("choice", CHOICES)
def test_the_library_finds_what_the_stream_holds(choice: Choice) -> None:
    """Else it is not a stream that plays elsewhere."""
    if why := expected.library_differs(choice):
        pytest.skip(why)
    there = stream(choice)
    choose = seen.first_of(*there.pictures, *there.sound)
    given = seen.by_library(there.data, choose, "mpegts").from_first()
    right = expected.wanted(there)
    assert expected.differences(given, right, expected.library_tolerance(choice), known=True) == []


@pytest.mark.parametrize("file", FILES)
def test_a_run_gives_what_the_library_finds_in_a_file(file: File, tmp_path: Path) -> None:
    if why := files.differs(file):
        pytest.skip(why)
    path = files.write(file, tmp_path)
    kinds = [kind for kind in ("pictures", "sound") if getattr(file, kind)]
    right = expected.in_time(seen.by_library(path).from_first())
    assert len(right.pictures) >= 40 if file.pictures else right.spans
    given = seen.by_run(path, kinds).from_first()
    assert expected.differences(given, right, files.tolerance(file)) == []


@pytest.mark.media
def test_a_track_that_comes_late_ends_no_run(tmp_path: Path) -> None:
    """Later than libavformat looks for tracks: 5 MB."""
    pictures = elementary.pictures("h264-big", 100)
    sound = transport.sent_before(transport.one_each(elementary.sound("aac", 1.0).coded))
    image, voice = transport.listed("h264", 256), transport.listed("aac", 257)
    late = 3 * elementary.CLOCK
    tracks = [
        transport.Track(256, 0xE0, transport.one_each(pictures.coded)),
        transport.Track(257, 0xC0, transport.moved(sound, late)),
    ]
    maps = ((0, (image,)), (late - elementary.CLOCK, (image, voice)))
    path = tmp_path / "late.ts"
    path.write_bytes(transport.mux(tracks, [transport.Program(1, transport.PMT, maps)]))
    assert path.stat().st_size > 5_500_000
    assert seen.by_run(path).numbers == list(range(100))
