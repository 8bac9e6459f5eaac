"""What no change may reach, on however bad a machine: a short run that fails there."""

from collections.abc import Iterator
from functools import partial
from typing import Final

from bench.promises import BESIDE, FLOORS, P360, P720, PACED, Found
from bench.works import Work, near

FFMPEG: Final = 1.6
"""CPU of a picture beside FFmpeg's at the same pace."""

TURNS: Final = 5
SECONDS: Final = 4.0
"""Of each clip; the worker, FFmpeg and the codecs alone take turns at it."""

WORKS: Final[dict[str, Work]] = {
    P360: partial(near, "360p"),
    P720: partial(near, "720p"),
}


def lines(found: Found) -> Iterator[str]:
    """What was measured, beside its limit."""
    for work, numbers in found.items():
        beside = numbers.get(f"byoc {BESIDE}", "not measured")
        yield (
            f"{work}: CPU per picture / codecs alone {beside}, limit {FLOORS[work]:g};"
            f" / FFmpeg at the same pace {numbers[f'byoc {PACED}']}, limit {FFMPEG:g};"
            f" lost {numbers['byoc lost'].least:.0f}"
        )


def failures(found: Found) -> Iterator[str]:
    """What is over its limit. The codecs alone: by the median of the turns that lost no picture;
    FFmpeg, and pictures lost: in every turn.
    """
    for work, numbers in found.items():
        beside = numbers.get(f"byoc {BESIDE}")
        if beside is not None and not beside.median <= FLOORS[work]:
            yield f"{work}: too far from the codecs alone"
        if not numbers[f"byoc {PACED}"].least <= FFMPEG:
            yield f"{work}: too far from FFmpeg"
        if numbers["byoc lost"].least > 0:
            yield f"{work}: pictures are lost"
