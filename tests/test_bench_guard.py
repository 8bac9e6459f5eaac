"""What the guard lets pass, and what it says of the rest."""

import pytest

from bench import guard
from bench.promises import BESIDE, FLOORS, P360, P720, PACED
from bench.results import Spread


def fine() -> dict[str, dict[str, Spread]]:
    return {
        work: {
            f"byoc {BESIDE}": Spread(limit, 1, 9),
            f"byoc {PACED}": Spread(9, guard.FFMPEG, 9),
            "byoc lost": Spread(4, 0, 9),
        }
        for work, limit in FLOORS.items()
    }


def test_the_guard_lets_pass_what_is_at_its_limits() -> None:
    assert list(guard.failures(fine())) == []
    assert [line.split(":")[0] for line in guard.lines(fine())] == list(FLOORS)


@pytest.mark.parametrize(
    ("number", "value", "said"),
    [
        (BESIDE, Spread(FLOORS[P360] + 0.01, 1, 9), "too far from the codecs alone"),
        (BESIDE, Spread(float("nan"), 1, 9), "too far from the codecs alone"),
        (PACED, Spread(9, guard.FFMPEG + 0.01, 9), "too far from FFmpeg"),
        ("lost", Spread(4, 1, 9), "pictures are lost"),
    ],
)
def test_the_guard_says_what_is_over_a_limit(number: str, value: Spread, said: str) -> None:
    found = fine()
    found[P360][f"byoc {number}"] = value
    assert list(guard.failures(found)) == [f"{P360}: {said}"]


def test_where_every_turn_loses_pictures_the_guard_has_only_that_to_say() -> None:
    found = fine()
    found[P720]["byoc lost"] = Spread(2, 1, 3)
    del found[P720][f"byoc {BESIDE}"]
    assert list(guard.failures(found)) == [f"{P720}: pictures are lost"]
    assert "codecs alone not measured" in list(guard.lines(found))[list(found).index(P720)]


def test_the_guard_measures_what_has_a_limit() -> None:
    assert guard.WORKS.keys() == FLOORS.keys()
