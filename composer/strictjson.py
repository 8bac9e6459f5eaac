"""JSON that every reader can read: what it has no words for is neither written nor accepted.

Python writes NaN, infinities and halves of characters, and reads them, too. Others refuse the whole
text, or the stream that it belongs to.
"""

import json
import math
from collections.abc import Mapping
from typing import Any, Final

MOST_DEPTH: Final = 32
"""Deepest nesting of a value; a list of numbers has 1. As in a pipeline file."""

_MOST_DIGITS: Final = 4300
"""Of a whole number: more int() refuses. Beyond 309 digits it is no number for others, either."""


def text(value: Any, **form: Any) -> str:
    """A value as JSON, on one line of ASCII unless json.dumps is told otherwise in `form`.

    NaN and infinities are null, half of a character is U+FFFD, NumPy's values are numbers and
    lists, what is nested too deeply is null, and the unknown is its text.
    """
    try:
        made = json.dumps(value, allow_nan=False, default=_known, **form)
    except (ValueError, TypeError, RecursionError):
        return json.dumps(_plain(value, MOST_DEPTH), allow_nan=False, **form)
    if "\\ud" in made or not (made.isascii() or _is_text(made)):
        return json.dumps(_plain(value, MOST_DEPTH), allow_nan=False, **form)
    return made


def read(written: str) -> Any:
    """What JSON says, and what Python says in its place: NaN and infinities are floats. Raises
    json.JSONDecodeError, and RecursionError.
    """
    return json.loads(written, parse_int=_whole)


def is_strict(written: str) -> bool:
    """Whether something that was read is JSON to the letter, without Python's constants."""

    def refused(constant: str) -> Any:
        raise ValueError(constant)

    try:
        json.loads(written, parse_int=_whole, parse_constant=refused)
    except ValueError:
        return False
    return True


def why_not(value: Any) -> str:
    """Why JSON cannot hold a value, to be put behind its name; "" where it can."""
    waiting = [(value, 0)]
    while waiting:
        each, depth = waiting.pop()
        if isinstance(each, Mapping | list | tuple):
            if depth == MOST_DEPTH:
                return f" has more than {MOST_DEPTH} lists and mappings inside each other"
            waiting += ((inner, depth + 1) for inner in each)
            if isinstance(each, Mapping):
                waiting += ((inner, depth + 1) for inner in each.values())
        elif isinstance(each, str):
            if not _is_text(each):
                return " should be text, and holds half of a character (a lone surrogate)"
        elif isinstance(each, int | float) and not _is_finite(each):
            return " should be a finite number"
    return ""


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) <= _MOST_DIGITS else float(digits)


def _is_text(written: str) -> bool:
    try:
        written.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_finite(number: float) -> bool:
    """Whether it is a number for readers that have floating point alone."""
    try:
        return math.isfinite(number)
    except OverflowError:
        return False


def _known(value: Any) -> Any:
    """What json.dumps does not know as something that it knows."""
    if isinstance(value, Mapping):
        return dict(value)
    return value.tolist() if hasattr(value, "tolist") else str(value)


def _plain(value: Any, depth: int) -> Any:
    """The same value, of nothing but what JSON has."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return value if _is_finite(value) else None
    if depth == 0:
        return None
    if isinstance(value, Mapping):
        return {_plain(str(key), depth): _plain(each, depth - 1) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each, depth - 1) for each in value]
    return _plain(_known(value), depth - 1)
