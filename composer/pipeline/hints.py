"""What somebody may have meant by a word that nobody knows."""

import difflib
from collections.abc import Iterable
from typing import Final

MAX_WORD: Final = 128
"""Longest word that is compared: difflib is quadratic."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint with the one known word that is closest, or nothing."""
    if len(word) > MAX_WORD:
        return ""
    folded = {name.casefold(): name for name in known}
    close = difflib.get_close_matches(word.casefold(), folded, n=1)
    return f"did you mean {folded[close[0]]!r}?" if close else ""
