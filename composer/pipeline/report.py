"""How Problems look: as text for a reader, as plain data for a program."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from composer.errors import Problem, Span

LINE_LIMIT: Final = 120
"""Characters of a source line that are shown; a longer line is cut around the caret."""

BEFORE_CARET: Final = 40
"""Characters left of the caret in a line that is cut."""

TAB: Final = "    "


def text(problems: Iterable[Problem], sources: Mapping[str, Sequence[str]]) -> str:
    """Every problem in the order of the files, with its source line and a caret, and a count.

    sources: the lines of each file that was read, without their line ends.
    Safe to print: what a terminal would obey or hide is written as an escape.
    """
    ordered = sorted(problems, key=Problem.order)
    lines = [line for problem in ordered for line in _lines(problem, sources)]
    return "\n".join((*lines, f"{len(ordered)} problem{'' if len(ordered) == 1 else 's'}"))


def as_json(problems: Iterable[Problem]) -> list[dict[str, Any]]:
    """The same problems in the same order; line, column and length are None without a place."""
    return [
        {
            "code": problem.code,
            "message": problem.message,
            "file": problem.file,
            "line": problem.span.line if problem.span else None,
            "column": problem.span.column if problem.span else None,
            "length": problem.span.length if problem.span else None,
            "at": problem.at,
            "hint": problem.hint,
        }
        for problem in sorted(problems, key=Problem.order)
    ]


def _lines(problem: Problem, sources: Mapping[str, Sequence[str]]) -> list[str]:
    span, source = problem.span, sources.get(problem.file, ())
    # A param patch has no file; its path stands where the place would be.
    place = problem.file or problem.at
    if span and problem.file:
        place = f"{place}:{span.line}:{span.column}"
    head = _safe(": ".join(filter(None, (place, problem.code, problem.message))))
    if span and 1 <= span.line <= len(source) and source[span.line - 1].strip():
        shown, caret = _pointed(source[span.line - 1], span)
        return [head, f"  {shown.rstrip()}", f"  {caret} {_safe(problem.hint)}".rstrip()]
    return [head, f"  {_safe(problem.hint)}"] if problem.hint else [head]


def _pointed(line: str, span: Span) -> tuple[str, str]:
    """The line as shown, and spaces and carets of the same widths."""
    first = min(max(span.column - 1, 0), len(line))
    start, end = 0, len(line)
    if len(line) > LINE_LIMIT:
        start = max(0, min(first - BEFORE_CARET, len(line) - LINE_LIMIT))
        end = min(len(line), start + LINE_LIMIT)
    cut = "…" if start else ""
    before, under = line[start:first], line[first : min(first + span.length, end)]
    shown = f"{cut}{_safe(line[start:end])}{'…' if end < len(line) else ''}"
    return shown, " " * (len(cut) + _width(before)) + "^" * max(1, _width(under))


def _safe(text: str) -> str:
    return "".join(map(_cell, text))


def _cell(char: str) -> str:
    """A character as a terminal may have it: controls, bidi overrides and the like escaped."""
    if char == "\t":
        return TAB
    if char.isprintable() or unicodedata.category(char) in ("Zs", "Co"):
        return char
    return char.encode("unicode_escape").decode()


def _width(text: str) -> int:
    """Columns that `text` fills in a terminal once it is made safe."""
    columns = 0
    for char in _safe(text):
        if unicodedata.category(char) in ("Mn", "Me"):
            continue
        columns += 2 if unicodedata.east_asian_width(char) in "WF" else 1
    return columns
