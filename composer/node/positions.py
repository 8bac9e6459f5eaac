"""Where something sits in a picture: pixels from an edge, or a word for an edge."""

import re
from functools import lru_cache
from typing import Annotated, Any, Final, TypeAlias

from pydantic import BeforeValidator

FARTHEST: Final = 100_000
"""Most pixels a position may be away from the edge it counts from."""

_FORM: Final = re.compile(
    r"(?P<word>left|top|center|right|bottom)(?:\s*(?P<shift>[+-]\s*\d{1,6}))?"
    r"|(?P<pixels>[+-]?\d{1,6})"
)
_HALVES: Final = {"left": 0, "top": 0, "center": 1, "right": 2, "bottom": 2}
"""How many halves of the free room are in front of the thing."""


def place(position: int | str, extent: int, room: int) -> int:
    """First pixel of a thing `extent` long in a picture `room` long; negative is outside.

    Raises ValueError for a text that is not a position.
    """
    if not isinstance(position, str):
        return position
    halves, shift = _parsed(position)
    return (room - extent) * halves // 2 + shift


@lru_cache(maxsize=256)
def _parsed(text: str) -> tuple[int, int]:
    """Halves of the free room in front, and pixels to add."""
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise ValueError("is not a position; write pixels, 'right-24', 'bottom-24' or 'center'")
    shift = int((match["pixels"] or match["shift"] or "0").replace(" ", ""))
    if abs(shift) > FARTHEST:
        raise ValueError(f"is more than {FARTHEST} pixels from the edge")
    return _HALVES[match["word"] or "left"], shift


def _checked(value: Any) -> Any:
    """The position as a node holds it: an int, or a text that place() understands."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = str(value) if isinstance(value, int | str) else ""
    _, shift = _parsed(text)
    return shift if text.strip().lstrip("+-").isdigit() else value


def _along(*words: str) -> BeforeValidator:
    """The same for one direction: no `bottom` where pixels are counted from the left."""

    def checked(value: Any) -> Any:
        word = re.match(r"\s*([a-z]+)", value) if isinstance(value, str) else None
        if word is not None and word[1] in _HALVES and word[1] not in words:
            first, middle, last = words
            raise ValueError(
                f"counts along the other side; write pixels, {first!r}, {middle!r} or '{last}-24'"
            )
        return _checked(value)

    return BeforeValidator(checked)


PositionX: TypeAlias = Annotated[int | str, _along("left", "center", "right")]
"""A Position from left to right."""

PositionY: TypeAlias = Annotated[int | str, _along("top", "center", "bottom")]
"""A Position from top to bottom."""

Position: TypeAlias = Annotated[int | str, BeforeValidator(_checked)]
"""Pixels from the left or top edge; `right-24`, `bottom-24`: from the far edge; `center`.

Counted between two edges of the same side: at `right-24` a thing ends 24 pixels before the
picture does. `left+24`, `center-10` and `right+8` (outside) are understood too.
"""
