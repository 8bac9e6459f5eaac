"""What is given for a stream is what was put into it: by a session, by a run, and by FFmpeg."""

from functools import lru_cache
from pathlib import Path

import pytest

from tests.media.streams import expected, matrix, seen
from tests.media.streams.elementary import seed
from tests.media.streams.matrix import Choice, Stream

CHOICES = [
    pytest.param(choice, id=str(choice), marks=() if choice in matrix.SHORT else pytest.mark.media)
    for choice in matrix.ALL
]


@lru_cache(maxsize=2)
def stream(choice: Choice) -> Stream:
    return matrix.build(choice)


@pytest.mark.parametrize("choice", CHOICES)
def test_a_session_gives_what_the_stream_holds(choice: Choice) -> None:
    there = stream(choice)
    given = seen.by_session([there.data], seed(str(choice))).from_first()
    assert expected.differences(given, expected.wanted(there), expected.tolerance(choice)) == []


@pytest.mark.parametrize("choice", CHOICES)
def test_a_run_gives_what_the_stream_holds(choice: Choice, tmp_path: Path) -> None:
    if expected.run_differs(choice):
        return
    there = stream(choice)
    path = tmp_path / "stream.ts"
    path.write_bytes(there.data)
    kinds = [kind for kind in ("pictures", "sound") if getattr(choice, kind) != "none"]
    given = seen.by_run(path, kinds).from_first()
    right = expected.wanted(there)
    if expected.run_follows(choice):
        right = seen.by_library(path).from_first()
    assert expected.differences(given, right, expected.library_tolerance(choice)) == []


@pytest.mark.parametrize("choice", CHOICES)
def test_the_library_finds_what_the_stream_holds(choice: Choice) -> None:
    """Else it is not a stream that plays elsewhere."""
    if expected.library_differs(choice):
        return
    there = stream(choice)
    choose = seen.first_of(*there.pictures, *there.sound)
    given = seen.by_library(there.data, choose, "mpegts").from_first()
    right = expected.wanted(there)
    assert expected.differences(given, right, expected.library_tolerance(choice), known=True) == []
