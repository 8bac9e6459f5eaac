"""A stream that breaks on its way gives what the library makes of it, and never less for long."""

import itertools
import random
from collections.abc import Iterable
from itertools import pairwise
from typing import Any, Final

import pytest

from tests.media.streams import broken, matrix, seen
from tests.media.streams.broken import WAYS, Broken
from tests.media.streams.elementary import COUNT, seed
from tests.media.streams.matrix import Choice
from tests.media.streams.seen import Gap, Seen

KINDS: Final = (
    *(
        "h264",
        "h264-b",
        "h264-once",
        "h264-refresh",
        "h264-open",
        "h264-slices",
        "h264-fields-bare",
    ),
    *("hevc-b", "hevc-open", "mpeg2-b"),
)
SEEDS: Final = 5
SHORT: Final = ("h264-b", "h264-refresh", "hevc-open")
"""Kinds that are tried at each change, with the first seed."""

REORDERED: Final = 4
"""How far the order of decoding is from that of showing."""

REFRESHED: Final = 25
"""Pictures after which an intra refresh has been once over all of a picture."""


def cases() -> Iterable[Any]:
    for way, kind, number in itertools.product(WAYS, KINDS, range(SEEDS)):
        marks = () if kind in SHORT and number == 0 else pytest.mark.media
        yield pytest.param(way, kind, number, id=f"{way}-{kind}-{number}", marks=marks)


@pytest.mark.parametrize(("way", "kind", "number"), list(cases()))
@pytest.mark.fault("F-21")
def test_what_is_left_is_given(way: str, kind: str, number: int) -> None:
    choice = Choice(
        pictures=kind,
        pes="cut" if number % 3 == 2 else "picture",
        sound="aac" if number % 2 else "mp2",
        tables="often",
    )
    data = matrix.build(choice).data
    source = random.Random(seed(f"{way} {kind} {number}"))
    parts = WAYS[way].broken(data, source)
    given = seen.by_session(parts, number)
    right = by_library(parts)

    assert goes_on(given)
    assert len(given.pictures) <= 2 * COUNT
    places = WAYS[way].places
    assert steps_back(given) <= steps_back(right) + places
    missing = readable(right) - readable(given) - told_to_be_left_out(kind, data, parts)
    assert len(missing) <= places, sorted(missing)
    assert given.seconds > min(right.seconds, 2.0) - 0.05 - 0.1 * places
    if way == "joined":
        assert given.damaged == 0


def by_library(parts: Broken) -> Seen:
    whole = b"".join(part for part in parts if not isinstance(part, Gap))
    return seen.by_library(whole, seen.first_of(256, 257), "mpegts")


def readable(given: Seen) -> set[int]:
    return {number for number in given.numbers if number is not None}


def goes_on(given: Seen) -> bool:
    """Whether each picture is later than the one before it."""
    times = [at for _, at in given.pictures]
    known = [at for at in times if at is not None]
    return known == times and all(here < there for here, there in pairwise(known))


def steps_back(given: Seen) -> int:
    """Pictures that show what one before them did: libavcodec fills what is missing with that."""
    newest, found = -1, 0
    for number in given.numbers:
        if number is not None:
            found += number <= newest
            newest = max(newest, number)
    return found


def told_to_be_left_out(kind: str, data: bytes, parts: Broken) -> set[int]:
    """Numbers that need not come: from a gap that was told up to the next place to begin, and what
    comes before the first parameter sets, which the library has read before it gives anything.
    """
    begins = broken.begun(data)
    first = len(data) - len(parts[0]) if len(parts) == 1 and isinstance(parts[0], bytes) else 0
    holes = [(part.begin, part.end) for part in parts if isinstance(part, Gap)] or [(0, first)]
    found: set[int] = set()
    for hole_begin, hole_end in holes:
        from_here = max((at for at, _ in begins if at <= hole_begin), default=0)
        next_ones = [number for at, number in begins if at >= hole_end]
        keys = [number for number in next_ones if number % COUNT in key_numbers(kind)]
        until = (keys[0] if keys else COUNT) + (REFRESHED if "refresh" in kind else 0)
        begun = [number for at, number in begins if from_here <= at]
        if hole_end:
            found |= set(range(min(begun, default=COUNT) - REORDERED, until + REORDERED))
    return found


def key_numbers(kind: str) -> set[int]:
    """Where decoding may begin."""
    coded = matrix.coded_pictures(kind).coded
    return {each.pts // 3600 for each in coded if each.key}
