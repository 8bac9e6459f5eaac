"""What PyYAML says about the syntax of a file, as a sentence, a place and a hint for its writer."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import yaml

from composer.errors import Span
from composer.pipeline.references import unmasked
from composer.pipeline.source_text import SourceText

Explanation = tuple[str, Span, str]
"""A sentence, its place and a hint."""


@dataclass(frozen=True)
class Stop:
    """Where PyYAML stopped. here: the mark it had come to. open: where brackets begin that are
    still open. long_quote: start and end of the last quoted text that goes over several lines.
    """

    text: SourceText
    here: yaml.Mark
    open: Sequence[yaml.Mark] = ()
    long_quote: tuple[yaml.Mark, yaml.Mark] | None = None

    def explained(self, exc: yaml.MarkedYAMLError) -> Explanation:
        """What it says about the syntax."""
        problem = unmasked(exc.problem or "")
        mark = exc.problem_mark or self.here
        return (
            self._indented(problem, mark)
            or self._unended(problem, exc.context or "", mark, exc.context_mark or mark)
            or self._misplaced(problem, exc.context or "", mark, exc.context_mark or mark)
        )

    def _indented(self, problem: str, mark: yaml.Mark) -> Explanation | None:
        """What is wrong with the beginning of the line."""
        line = self.text.lines[mark.line]
        indent = _indent(line)
        if "\t" in indent and not problem.startswith("found unexpected end"):
            span = Span(mark.line + 1, indent.index("\t") + 1)
            return "a tab cannot indent YAML; use spaces", span, ""
        if line.startswith("%"):
            hint = "remove the line, or put the text in quotes"
            return "a line cannot start with '%' here", Span(mark.line + 1, 1), hint
        return None

    def _unended(
        self, problem: str, context: str, mark: yaml.Mark, around: yaml.Mark
    ) -> Explanation | None:
        """A quote or a bracket that is closed too late, or never."""
        text = self.text
        if context == "while scanning a quoted scalar":
            return "this quote is never closed", text.span(around), ""
        if (quote := self.long_quote) and quote[1].line == mark.line:
            message = f"the text that starts here ends on line {mark.line + 1}, where more follows"
            return message, text.span(quote[0]), "is a closing quote missing?"
        if not problem.startswith("found") and (opening := self._unclosed(mark)):
            return f"{text.text[opening.index]!r} is never closed", text.span(opening), ""
        return None

    def _unclosed(self, mark: yaml.Mark) -> yaml.Mark | None:
        """The bracket that is still open where the text ended or went back to its indentation."""
        brackets = [opening for opening in self.open if self.text.text[opening.index] in "[{"]
        if not brackets:
            return None
        opening = brackets[-1]
        indent = len(_indent(self.text.lines[mark.line]))
        at_end = not self.text.text[mark.index :].strip()
        back = mark.line > opening.line and indent <= len(_indent(self.text.lines[opening.line]))
        closing = self.text.text[mark.index : mark.index + 1] in ("]", "}")
        return opening if at_end or (back and not closing) else None

    def _misplaced(
        self, problem: str, context: str, mark: yaml.Mark, around: yaml.Mark
    ) -> Explanation:
        """What cannot stand where it stands."""
        text = self.text
        if problem.startswith(("expected ',' or", "expected the node content")):
            return self._unexpected(problem, mark)
        if problem == "could not find expected ':'":
            rest = len(text.lines[around.line].rstrip()) - around.column
            span = Span(around.line + 1, around.column + 1, max(1, rest))
            return "a ':' is missing after this", span, "every line of a mapping is 'key: value'"
        if problem.startswith("expected <block end>"):
            return self._after_block(mark)
        if problem.startswith("found character"):
            return self._bad_start(mark)
        if context.endswith((" alias", " anchor", " tag", " node")):
            sign = text.text[around.index]
            return f"a value cannot start with {sign!r}", text.word(around), "put it in quotes"
        if context == "while scanning a double-quoted scalar":
            return self._escape(problem, mark)
        for start, message, hint in _SENTENCES:
            if problem.startswith(start):
                return message, text.word(mark), hint
        return f"YAML cannot be read here: {problem}", text.word(mark), ""

    def _after_block(self, mark: yaml.Mark) -> Explanation:
        if not self.text.lines[mark.line][: mark.column].strip():
            message = "this line does not fit the lines above it"
            return message, self.text.word(mark), "indent it exactly like its neighbours"
        message = "this cannot follow the value before it"
        return message, self.text.word(mark), "put the whole value in quotes"

    def _bad_start(self, mark: yaml.Mark) -> Explanation:
        sign = self.text.text[mark.index : mark.index + 1]
        if sign == "\t":
            return "a tab cannot stand here; use a space", self.text.span(mark), ""
        return f"a value cannot start with {sign!r}", self.text.span(mark), "put it in quotes"

    def _unexpected(self, problem: str, mark: yaml.Mark) -> Explanation:
        if problem.startswith("expected ',' or"):
            closing = problem.partition("or ")[2][:3]
            return f"expected ',' or {closing} before this", self.text.word(mark), ""
        sign = self.text.text[mark.index : mark.index + 1]
        return f"expected a value, not {sign!r}", self.text.span(mark), "put text in quotes"

    def _escape(self, problem: str, mark: yaml.Mark) -> Explanation:
        index = self.text.text.rfind("\\", 0, mark.index + 1)
        span = self.text.place(index, 2)
        escape = self.text.text[index : index + 2]
        if digits := re.search(r"sequence of (\d)", problem):
            return f"'{escape}' needs {digits[1]} hexadecimal digits after it", span, ""
        hint = "use single quotes, or write \\\\ for a backslash"
        return f"'{escape}' is not an escape", span, hint


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


_SENTENCES: Final = (
    (
        "mapping values are not allowed",
        "a ':' cannot stand here",
        "put the text in quotes, or indent the line like its neighbours",
    ),
    ("sequence entries are not allowed", "a list item starts on a line of its own", ""),
    ("mapping keys are not allowed", "a '?' cannot stand here", "put the text in quotes"),
    ("expected chomping or", "text starts on the line below '|' or '>'", ""),
    ("expected indentation indicator", "text cannot be indented by 0", ""),
    ("expected a comment or", "nothing else can stand on this line", ""),
    ("expected '<document start>'", "this cannot follow the value before it", ""),
)
"""What PyYAML's message starts with, what it means, what to do."""
