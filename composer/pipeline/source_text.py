"""A text and the places in it: lines and columns, as a reader counts them."""

import bisect
import re
from typing import Any, Final

from composer.errors import Span

_BREAK: Final = re.compile(r"\r\n|\r|\n")
_RUN: Final = re.compile(r"[^\s,\[\]{}]+")


class SourceText:
    """The text of one file. lines: without their ends."""

    def __init__(self, text: str) -> None:
        self.text: Final = text
        self.lines: Final = tuple(_BREAK.split(text))
        self._starts = [0, *(match.end() for match in _BREAK.finditer(text))]

    def place(self, index: int, length: int = 1) -> Span:
        """From an index to a line and a column."""
        line = bisect.bisect_right(self._starts, index)
        return Span(line, index - self._starts[line - 1] + 1, length)

    def run_at(self, index: int) -> Span:
        """The run of letters at an index."""
        run = _RUN.match(self.text, index)
        return self.place(index, len(run[0]) if run else 1)

    def span(self, start: Any, end: Any = None) -> Span:
        """What is written from mark to mark of PyYAML, as far as it is on the first line."""
        length = 1
        if end is not None:
            same = end.line == start.line
            stop = end.column if same else len(self.lines[start.line].rstrip())
            length = max(1, stop - start.column)
        return Span(start.line + 1, start.column + 1, length)

    def word(self, mark: Any) -> Span:
        """The run of letters at a mark of PyYAML."""
        run = _RUN.match(self.lines[mark.line], mark.column)
        return Span(mark.line + 1, mark.column + 1, len(run[0]) if run else 1)


def short(text: str) -> str:
    """A text in quotes, cut where it is long."""
    return repr(text if len(text) <= 60 else f"{text[:59]}…")


_UNREADABLE: Final = re.compile(
    r"[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufdcf\ufdf0-\ufefe\uff00-\ufffd"
    r"\U00010000-\U0010ffff]"
)
"""What YAML calls not printable, and what would make its lines differ from an editor's:
U+0085, U+2028, U+2029 and a byte order mark inside. U+FDD0 to U+FDEF are kept free for
references.mask().
"""


def decoded(text: bytes | str) -> tuple[str, tuple[str, int, str] | None]:
    """The text without byte order mark; message, index and hint when it is not clean UTF-8."""
    bad: tuple[str, int, str] | None = None
    if isinstance(text, bytes):
        text = text.removeprefix(b"\xef\xbb\xbf")
        try:
            clean = text.decode()
        except UnicodeDecodeError as exc:
            clean = text.decode(errors="replace")
            index = len(text[: exc.start].decode())
            message = f"byte 0x{text[exc.start]:02x} is not UTF-8"
            bad = (message, index, "save the file as UTF-8")
    else:
        clean = text.removeprefix("\ufeff")
    unreadable = _UNREADABLE.search(clean)
    if unreadable and (bad is None or unreadable.start() < bad[1]):
        point = ord(unreadable[0])
        hint = "is this a text file?" if point == 0 else "remove it"
        bad = (f"the character U+{point:04X} cannot stand in YAML text", unreadable.start(), hint)
    return clean, bad


NO_CHARACTER: Final = re.compile(r"[\x00\ud800-\udfff]")
"""What an escape may stand for, and no text may hold."""

_PAIR: Final = re.compile(r"[\ud800-\udbff][\udc00-\udfff]")


def paired(text: str) -> str:
    """The text with each pair of surrogates as its character: JSON writes one emoji as two escapes,
    "\\ud83d\\ude00".
    """
    return _PAIR.sub(lambda pair: pair[0].encode("utf-16", "surrogatepass").decode("utf-16"), text)
