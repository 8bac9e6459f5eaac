"""What a plain scalar means, by the core schema of YAML 1.2.2 (section 10.3.2)."""

import math
import re
from typing import Final

MAX_DIGITS: Final = 40
"""Most characters of a written integer. Beyond 4300 digits int() itself refuses."""

_WORDS: Final[dict[str, bool | None]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER: Final = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_LEADING_ZERO: Final = re.compile(r"[-+]?0[0-9]+")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITY: Final = re.compile(r"[-+]?\.(inf|Inf|INF)")
_NAN: Final = (".nan", ".NaN", ".NAN")


class BadNumber(Exception):
    """What is wrong with it; the sentence starts with the number."""


def resolved(text: str) -> str | int | float | bool | None:
    """The value of a plain scalar. Raises BadNumber."""
    if text in _WORDS:
        return _WORDS[text]
    if _LEADING_ZERO.fullmatch(text):
        raise BadNumber("starts with 0, which some programs read as octal")
    if _INTEGER.fullmatch(text):
        if len(text) > MAX_DIGITS:
            raise BadNumber("is too long for a number")
        return int(text, 0)
    if _INFINITY.fullmatch(text):
        return float(text.replace(".", ""))
    if text in _NAN:
        raise BadNumber("is not a number")
    if not _FLOAT.fullmatch(text):
        return text
    number = float(text)
    if math.isinf(number):
        raise BadNumber("is too large for a number")
    return number
