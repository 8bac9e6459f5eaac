"""What users wrote, made safe and short. Widths are generous: nobody knows the font."""

import unicodedata
from typing import Final

NAME_SIZE: Final = 13.0

TYPE_SIZE: Final = 11.0

SMALL_SIZE: Final = 10.0

LABEL_SIZE: Final = 10.5

TITLE_SIZE: Final = 15.0

WIDEST_TEXT: Final = 210.0

WIDEST_TITLE: Final = 640.0


def clean(text: str) -> str:
    """One line of printable characters; XML 1.0 has no way to write the others."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def em(character: str) -> float:
    if unicodedata.east_asian_width(character) in "WF":
        return 1.05
    if character in "ijlI.,:;|!' ":
        return 0.36
    if character in "mwMW@%" or not character.isascii():
        return 0.98
    return 0.74 if character.isupper() else 0.63


def text_width(text: str, size: float) -> float:
    return sum(map(em, text)) * size


def fit(text: str, size: float, limit: float = WIDEST_TEXT) -> str:
    """The text cleaned, and cut with an ellipsis where it is wider than `limit`."""
    text = clean(text)
    if text_width(text, size) <= limit:
        return text
    room = limit - text_width("…", size)
    for length, character in enumerate(text):
        room -= em(character) * size
        if room < 0:
            return text[:length].rstrip() + "…"
    return text


def label_size(label: str) -> tuple[float, float]:
    return text_width(fit(label, LABEL_SIZE), LABEL_SIZE) + 8, LABEL_SIZE + 5
