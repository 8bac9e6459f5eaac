"""JSON that every reader can read: what it has no words for is neither written nor accepted.

Python writes NaN, infinities and halves of characters, and reads them, too. Others refuse the whole
text, or the stream that it belongs to.
"""

import json
import math
import zlib
from collections.abc import Mapping
from typing import Any, Final

from composer import parsing

MOST_DEPTH: Final = 32
"""Deepest nesting of a value; a list of numbers has 1. As in a pipeline file."""

MOST_TOLD: Final = 32 << 10
"""Characters of a value up to which others are told all of it."""

_SHOWN: Final = 64
"""Of one that is longer."""

_NESTED: Final = (dict, list, tuple, Mapping)

_TOO_DEEP: Final = f" has more than {MOST_DEPTH} lists and mappings inside each other"


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
    return json.loads(written, parse_int=parsing.whole)


def why_not(value: Any) -> str:
    """Why JSON cannot hold a value, to be put behind its name; "" where it can."""
    level, depth = [value], 0
    while level:
        nested: list[Any] = []
        for held in level:
            kind = type(held)
            if kind is str or kind is float or kind is int:  # as most of thousands are
                said = _why_not_plain(held)
            elif isinstance(held, _NESTED):
                said = _TOO_DEEP if depth == MOST_DEPTH else ""
                nested += held
                nested += held.values() if isinstance(held, Mapping) else ()
            else:
                said = _why_not_plain(held)
            if said:
                return said
        level, depth = nested, depth + 1
    return ""


def brief(value: Any) -> Any:
    """The same value; of one that is long a text that says how it begins, and tells it apart."""
    if not _is_longer(value, MOST_TOLD):
        return value
    mark = f"crc32 {_mark(value):08x}"
    if isinstance(value, str):
        return f"{value[:_SHOWN]}... ({len(value)} characters, {mark})"
    kind = "mapping" if isinstance(value, Mapping) else "list"
    return f"a {kind} ({len(value)} values, {mark})"


def _is_longer(value: Any, most: int) -> bool:
    """Whether it has more characters than so many; a number counts as 8."""
    waiting = [value]
    while waiting and most >= 0:
        held = waiting.pop()
        if isinstance(held, str):
            most -= len(held)
        elif not isinstance(held, _NESTED):
            most -= 8
        else:
            most -= 2
            waiting += held
            waiting += held.values() if isinstance(held, Mapping) else ()
    return most < 0


def _mark(value: Any) -> int:
    """A number that tells values of JSON apart."""
    mark, waiting = 0, [value]
    while waiting:
        held = waiting.pop()
        if isinstance(held, str):
            mark = zlib.crc32(held.encode("utf-8", "surrogatepass"), mark)
        elif not isinstance(held, _NESTED):
            mark = zlib.crc32(repr(held).encode(), mark)
        else:
            mark = zlib.crc32(b"%d" % len(held), mark)
            waiting += held
            waiting += held.values() if isinstance(held, Mapping) else ()
    return mark


def _why_not_plain(value: Any) -> str:
    if isinstance(value, str):
        wrong = " should be text, and holds half of a character (a lone surrogate)"
        return "" if _is_text(value) else wrong
    if isinstance(value, int | float) and not _is_finite(value):
        return " should be a finite number"
    return ""


def _is_text(written: str) -> bool:
    if written.isascii():  # which a text knows of itself
        return True
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
