"""YAML text -> data that remembers where each value was written.

A pipeline file is edited by hand and may come from a stranger. So every mistake becomes a Problem
with a place, all of them at once, and nothing in a file can make reading it slow, large or fatal.
The rules are narrower than YAML's: one mapping, text keys, YAML 1.2 scalars, no anchors, no tags.
"""

import bisect
import difflib
import math
import pathlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import yaml

from composer.errors import Problem, Span

Keys: TypeAlias = tuple[str | int, ...]
"""Where a value is: mapping keys and list indexes from the root."""

MAX_BYTES: Final = 64 * 1024
"""Largest file. PyYAML reads 0.2 to 1 MB a second; 256 KiB of short keys took 1.0 s, and hostile
text has to be refused within 0.2 s. A pipeline of 200 nodes has about 20 KB."""

MAX_NODES: Final = 5_000
"""Most keys, values, lists and mappings in one file: up to 0.16 s (as '[]'; 64 KiB of short
keys are 14 400 and take 0.26 s). A pipeline of 200 nodes has about 2 800."""

MAX_PROBLEMS: Final = 100
"""Problems after which the rest of a file is not read: nobody looks at more at once."""

MAX_DEPTH: Final = 32
"""Deepest nesting; the root mapping is 1. Far below Python's recursion limit."""

MAX_SCALAR: Final = 16 * 1024
"""Most characters of one value. A prompt or a filter graph fits; a file in disguise does not."""

MAX_KEY: Final = 128
"""Most characters of one key. Keys are repeated in the path of everything below them."""

MAX_DIGITS: Final = 40
"""Most characters of a written integer. Beyond 4300 digits int() itself refuses."""


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML file as plain data, with the place of every key and value.

    lines: the text, for carets. data: {} when the file is unusable.
    values: a block mapping is where its first key is, a block list where its first dash is.
    from_env: values that were filled from the environment. They may be secrets: show what is
    written at their span, never the value.
    A value with a problem of its own is kept as its written text, and the second of two equal
    keys is left out.
    """

    file: str
    lines: tuple[str, ...]
    data: dict[str, Any]
    keys: Mapping[Keys, Span]
    values: Mapping[Keys, Span]
    problems: tuple[Problem, ...]
    from_env: frozenset[Keys] = frozenset()

    def key(self, path: Keys) -> Span:
        """Where the key of `path` is, or the closest key around it."""
        return _nearest(self.keys, path)

    def value(self, path: Keys) -> Span:
        """Where the value of `path` is, or the closest value around it."""
        return _nearest(self.values, path)

    def problem(
        self,
        code: str,
        message: str,
        path: Keys,
        *,
        on: Literal["key", "value"] = "value",
        hint: str = "",
    ) -> Problem:
        """A Problem at the key or the value of `path`."""
        span = self.key(path) if on == "key" else self.value(path)
        return Problem(code, message, dotted(path), self.file, span, hint)


def load(path: pathlib.Path, env: Mapping[str, str], shown: str | None = None) -> Document:
    """Read and parse a file; `shown` is its name in problems. Raises OSError."""
    with path.open("rb") as file:
        text = file.read(MAX_BYTES + 1)
    return parse(text, str(path) if shown is None else shown, env)


def parse(text: bytes | str, file: str, env: Mapping[str, str]) -> Document:
    """The data of a pipeline file. Whatever is wrong with it is in .problems; nothing is raised.

    `${env:NAME}` and `${env:NAME:-default}` inside values are filled from `env`; as in a shell
    the default also stands in for an empty NAME. `$${` is a literal `${`. A plain value that is
    one reference and nothing else is read as if its text had been written there: 640 is a number.
    """
    size = len(text)
    if isinstance(text, str) and size <= MAX_BYTES:
        size = len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_BYTES:
        problem = Problem(
            "too-big",
            f"the file is larger than {MAX_BYTES // 1024} KiB",
            file=file,
            hint="move parts of it into files of their own (type: pipeline)",
        )
        return Document(file, (), {}, {}, {}, (problem,))
    decoded, problem_at = _decode(text)
    lines = tuple(_BREAK.split(decoded))
    if problem_at is not None:
        message, index, hint = problem_at
        start = _Text(decoded).place(index)
        return Document(
            file, lines, {}, {}, {}, (Problem("encoding", message, "", file, start, hint),)
        )
    return _Reading(decoded, lines, file, env).document()


def dotted(path: Keys) -> str:
    """nodes.halo.in[0]"""
    parts = (f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)
    return "".join(parts).removeprefix(".")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint with the one known word that is closest, or nothing."""
    if len(word) > MAX_KEY:
        return ""  # difflib is quadratic
    folded = {name.casefold(): name for name in known}
    close = difflib.get_close_matches(word.casefold(), folded, n=1)
    return f"did you mean {folded[close[0]]!r}?" if close else ""


def _nearest(spans: Mapping[Keys, Span], path: Keys) -> Span:
    while path and path not in spans:
        path = path[:-1]
    return spans.get(path, Span(1, 1))


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:59]}…")


_BREAK: Final = re.compile(r"\r\n|\r|\n")

_UNREADABLE: Final = re.compile(
    r"[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufdcf\ufdf0-\ufefe\uff00-\ufffd"
    r"\U00010000-\U0010ffff]"
)
"""What YAML calls not printable, and what would make its lines differ from an editor's:
U+0085, U+2028, U+2029 and a byte order mark inside. U+FDD0 to U+FDEF are kept free for _mask."""


def _decode(text: bytes | str) -> tuple[str, tuple[str, int, str] | None]:
    """The text without byte order mark; message, index and hint when it is not clean UTF-8."""
    bad: tuple[str, int, str] | None = None
    if isinstance(text, bytes):
        text = text.removeprefix(b"\xef\xbb\xbf")
        try:
            decoded = text.decode()
        except UnicodeDecodeError as exc:
            decoded = text.decode(errors="replace")
            index = len(text[: exc.start].decode())
            message = f"byte 0x{text[exc.start]:02x} is not UTF-8"
            bad = (message, index, "save the file as UTF-8")
    else:
        decoded = text.removeprefix("\ufeff")
    unreadable = _UNREADABLE.search(decoded)
    if unreadable and (bad is None or unreadable.start() < bad[1]):
        point = ord(unreadable[0])
        hint = "is this a text file?" if point == 0 else "remove it"
        bad = (f"the character U+{point:04X} cannot stand in YAML text", unreadable.start(), hint)
    return decoded, bad


class _Text:
    """Places in a text: from an index to a line and a column."""

    def __init__(self, text: str) -> None:
        self._starts = [0, *(match.end() for match in _BREAK.finditer(text))]

    def place(self, index: int, length: int = 1) -> Span:
        line = bisect.bisect_right(self._starts, index)
        return Span(line, index - self._starts[line - 1] + 1, length)


# Inside { } and [ ] PyYAML would end a plain value at the brace of ${env:NAME}. The characters that
# mean something to YAML are replaced one for one while it looks, so that no position moves.
_MARKS: Final = "{}[],?:#"
_MASK: Final = {ord(mark): 0xFDD0 + index for index, mark in enumerate(_MARKS)}
_UNMASK: Final = {masked: mark for mark, masked in _MASK.items()}
_MASKED: Final = re.compile(r"""\$\{[^{}"'\r\n]*\}""")


def _mask(text: str) -> str:
    return _MASKED.sub(lambda match: match[0].translate(_MASK), text)


class _Refused(Exception):
    """The rest of the file is not looked at."""

    def __init__(self, code: str, message: str, mark: yaml.Mark) -> None:
        super().__init__(message)
        self.code, self.message, self.mark = code, message, mark


class _Loader(yaml.SafeLoader):
    """PyYAML's scanner and parser in pure Python: the C one dies of 400 KB of '['."""

    long_quote: tuple[yaml.Mark, yaml.Mark] | None = None
    """Start and end of the last quoted text that goes over several lines."""

    def fetch_flow_collection_start(self, TokenClass: Any) -> None:
        # The scanner looks up to 1024 characters ahead of its events, and each open bracket makes
        # every further character slower: 16 KB of '[' would take 26 s before the first event.
        if len(self.indents) + self.flow_level >= MAX_DEPTH:
            raise _Refused("too-deep", _TOO_DEEP, self.get_mark())
        super().fetch_flow_collection_start(TokenClass)

    def scan_flow_scalar(self, style: Any) -> Any:
        token = super().scan_flow_scalar(style)
        if token.start_mark.line != token.end_mark.line:
            self.long_quote = (token.start_mark, token.end_mark)
        return token

    def events(self) -> Iterator[yaml.Event]:
        while self.check_event():
            yield self.get_event()  # type: ignore[no-untyped-call]


_TOO_DEEP: Final = f"more than {MAX_DEPTH} lists and mappings inside each other"


class _Reading:
    """One pass over the events of one text."""

    def __init__(
        self, text: str, lines: tuple[str, ...], file: str, env: Mapping[str, str]
    ) -> None:
        self._text, self._lines, self._file, self._env = text, lines, file, env
        self._places = _Text(text)
        self._loader = _Loader(_mask(text))
        self._events = self._loader.events()
        self._nodes = self._depth = self._filled = 0
        self._keys: dict[Keys, Span] = {}
        self._values: dict[Keys, Span] = {}
        self._from_env: set[Keys] = set()
        self._problems: list[Problem] = []

    def document(self) -> Document:
        try:
            data = self._root()
        except _Refused as exc:
            data = {}
            self._report(exc.code, exc.message, self._span(exc.mark))
        except yaml.MarkedYAMLError as exc:
            data = {}
            self._report("yaml", *self._explain(exc))
        except (ValueError, OverflowError):
            # chr() of a "\UFFFFFFFF", int() of a %YAML version with thousands of digits.
            data = {}
            span = self._span(self._loader.get_mark())
            self._report("yaml", "YAML cannot use this number", span)
        return Document(
            self._file,
            self._lines,
            data,
            self._keys,
            self._values,
            tuple(sorted(self._problems, key=Problem.order)),
            frozenset(self._from_env),
        )

    def _report(self, code: str, message: str, span: Span, hint: str = "", path: Keys = ()) -> None:
        self._problems.append(Problem(code, message, dotted(path), self._file, span, hint))

    def _span(self, start: Any, end: Any = None) -> Span:
        """What is written from mark to mark, as far as it is on the first line."""
        length = 1
        if end is not None:
            same = end.line == start.line
            stop = end.column if same else len(self._lines[start.line].rstrip())
            length = max(1, stop - start.column)
        return Span(start.line + 1, start.column + 1, length)

    def _word(self, mark: Any) -> Span:
        """The run of letters at a mark."""
        run = _RUN.match(self._lines[mark.line], mark.column)
        return Span(mark.line + 1, mark.column + 1, len(run[0]) if run else 1)

    def _next(self) -> yaml.Event:
        event = next(self._events)
        if len(self._problems) >= MAX_PROBLEMS:
            raise _Refused("too-many", "the rest of the file is not checked", _start(event))
        if isinstance(event, yaml.NodeEvent):
            self._nodes += 1
            if self._nodes > MAX_NODES:
                message = f"more than {MAX_NODES} keys and values"
                raise _Refused("too-many", message, _start(event))
        if isinstance(event, yaml.CollectionStartEvent):
            self._depth += 1
            if self._depth > MAX_DEPTH:
                raise _Refused("too-deep", _TOO_DEEP, _start(event))
        if isinstance(event, yaml.CollectionEndEvent):
            self._depth -= 1
        return event

    def _skip(self, event: yaml.Event) -> None:
        """Read to the end of what `event` starts."""
        if isinstance(event, yaml.CollectionStartEvent):
            outside = self._depth - 1
            while self._depth > outside:
                self._next()

    def _root(self) -> dict[str, Any]:
        self._next()  # stream start
        if isinstance(self._next(), yaml.StreamEndEvent):
            self._report("not-a-mapping", "the file is empty", Span(1, 1), _EMPTY)
            return {}
        data: dict[str, Any] = {}
        event = self._next()
        if isinstance(event, yaml.MappingStartEvent):
            self._properties(event, ())
            data = self._mapping(event, ())
        else:
            self._skip(event)
        self._next()  # document end
        after = self._next()
        # Said only now: a syntax error further down is the better explanation.
        if not isinstance(event, yaml.MappingStartEvent):
            self._not_a_mapping(event)
        if isinstance(after, yaml.DocumentStartEvent):
            message = "a second document starts here"
            self._report("many-documents", message, self._word(after.start_mark), _ONE_DOCUMENT)
        return data

    def _not_a_mapping(self, event: yaml.Event) -> None:
        match event:
            case yaml.ScalarEvent(value="", style=None):
                self._report("not-a-mapping", "the file is empty", Span(1, 1), _EMPTY)
                return
            case yaml.SequenceStartEvent():
                found = "a list"
            case yaml.AliasEvent():
                found = "an alias"
            case _:
                found = "one value"
        message = f"the file should be a mapping of keys to values, but it is {found}"
        self._report("not-a-mapping", message, self._word(event.start_mark), _EMPTY)

    def _properties(self, event: yaml.NodeEvent, path: Keys) -> None:
        """Refuse the &anchor and the !tag of a node."""
        if event.anchor is not None and not isinstance(event, yaml.AliasEvent):
            hint = "write the value where it is used"
            self._report("alias", "anchors are not allowed", self._property(event, "&"), hint, path)
        if getattr(event, "tag", None) is not None:
            hint = "put text that starts with '!' in quotes"
            self._report("tag", "tags are not allowed", self._property(event, "!"), hint, path)

    def _property(self, event: yaml.NodeEvent, sign: str) -> Span:
        # A node may start with both, in either order and on lines of their own.
        start = _start(event).index
        index = self._text.find(sign, start)
        run = _RUN.match(self._text, index)
        return self._places.place(index, len(run[0]) if run else 1)

    def _value(self, event: yaml.Event, path: Keys) -> Any:
        assert isinstance(event, yaml.NodeEvent)
        self._properties(event, path)
        match event:
            case yaml.ScalarEvent():
                return self._scalar(event, path)
            case yaml.SequenceStartEvent():
                return self._sequence(event, path)
            case yaml.MappingStartEvent():
                return self._mapping(event, path)
            case _:
                self._alias(event, path)
                return None

    def _alias(self, event: yaml.NodeEvent, path: Keys) -> None:
        span = self._values[path] = self._span(event.start_mark, event.end_mark)
        message = f"{_short(f'*{event.anchor}')} is an alias, and aliases are not allowed"
        self._report("alias", message, span, "write the value out, or put the text in quotes", path)

    def _sequence(self, event: yaml.SequenceStartEvent, path: Keys) -> list[Any]:
        self._values[path] = self._span(event.start_mark)
        items: list[Any] = []
        while not isinstance(item := self._next(), yaml.SequenceEndEvent):
            items.append(self._value(item, (*path, len(items))))
        if event.flow_style:
            self._values[path] = self._span(event.start_mark, item.end_mark)
        return items

    def _mapping(self, event: yaml.MappingStartEvent, path: Keys) -> dict[str, Any]:
        self._values[path] = self._span(event.start_mark)
        items: dict[str, Any] = {}
        while not isinstance(key := self._next(), yaml.MappingEndEvent):
            name = self._key(key, path)
            value = self._next()
            if name is None:
                self._skip(value)
                continue
            if not items and not event.flow_style:
                self._values[path] = self._keys[(*path, name)]
            items[name] = self._value(value, (*path, name))
        if event.flow_style:
            self._values[path] = self._span(event.start_mark, key.end_mark)
        return items

    def _key(self, event: yaml.Event, path: Keys) -> str | None:
        """The name of a key that can be used, with its place kept."""
        span = self._span(event.start_mark, event.end_mark)
        if isinstance(event, yaml.AliasEvent):
            message = f"{_short(f'*{event.anchor}')} is an alias, and aliases are not allowed"
            self._report("alias", message, span, "put the text in quotes", path)
            return None
        if not isinstance(event, yaml.ScalarEvent):
            self._skip(event)
            message = "a key must be a word, not a list or a mapping"
            self._report("bad-key", message, self._span(event.start_mark), path=path)
            return None
        self._properties(event, path)
        name = self._written(event)
        if name == "<<" and event.style is None:
            message = "'<<' would merge another mapping, and merging is not allowed"
            self._report("alias", message, span, "write the fields out", path)
            return None
        if complaint := _key_complaint(name):
            self._report("bad-key", complaint, span, path=path)
            return None
        here = (*path, name)
        if first := self._keys.get(here):
            message = f"{_short(name)} is also on line {first.line}"
            self._report("duplicate-key", message, span, path=here)
            return None
        self._keys[here] = span
        return name

    def _written(self, event: yaml.ScalarEvent) -> str:
        """The text of a scalar, without what was done to it for PyYAML's sake."""
        value = event.value
        if "${" in self._text[_start(event).index : _end(event).index]:
            value = value.translate(_UNMASK)
        # JSON writes one emoji as two escapes, "\ud83d\ude00".
        return _PAIR.sub(_joined, value)

    def _scalar(self, event: yaml.ScalarEvent, path: Keys) -> Any:
        span = self._values[path] = self._span(event.start_mark, event.end_mark)
        if len(event.value) > MAX_SCALAR:
            message = f"a value can have {MAX_SCALAR} characters, this one has {len(event.value)}"
            self._report("too-big", message, span, path=path)
            return ""
        value = self._written(event)
        if _NO_CHARACTER.search(value):
            message = "an escape in this text is not a character"
            self._report("encoding", message, span, path=path)
            return ""
        plain = event.style is None and event.tag is None
        if "${" not in value:
            return self._plain(value, value, _short(value), path) if plain else value
        filled = self._fill(event, value, path)
        if filled is None:
            return value
        whole = _REFERENCE.fullmatch(value)
        if not plain or whole is None or whole["literal"]:
            return filled
        name = whole["body"].removeprefix("env:").partition(":-")[0]
        return self._plain(filled, value, f"the value of {name}", path)

    def _plain(self, text: str, written: str, subject: str, path: Keys) -> Any:
        """What a plain scalar means. `text` may be a secret, `written` is what the file says."""
        try:
            return _resolve(text)
        except _BadNumber as exc:
            hint = "put it in quotes to keep it as text"
            self._report("bad-number", f"{subject} {exc}", self._values[path], hint, path)
            return written

    def _fill(self, event: yaml.ScalarEvent, value: str, path: Keys) -> str | None:
        """`value` with its references replaced; None when one of them cannot be."""
        pieces: list[str] = []
        places = self._references(event, value)
        done, failed, filled = 0, False, False
        for match in _REFERENCE.finditer(value):
            pieces.append(value[done : match.start()])
            done = match.end()
            if match["literal"]:
                pieces.append("${")
                continue
            filled = True
            try:
                piece = _look_up(match, self._env)
                self._filled += len(piece)
                if self._filled > MAX_BYTES:
                    most = f"{MAX_BYTES // 1024} KiB"
                    raise _BadReference(f"the references in this file come to more than {most}", "")
                pieces.append(piece)
            except _BadReference as exc:
                failed = True
                span = self._values[path]
                if places:
                    index = places[value.count("${", 0, match.start())]
                    span = self._places.place(index, len(match[0].partition("\n")[0]))
                self._report("bad-env", exc.message, span, exc.hint, path)
                if len(self._problems) >= MAX_PROBLEMS:
                    break
        if failed:
            return None
        if filled:
            self._from_env.add(path)
        return "".join((*pieces, value[done:]))

    def _references(self, event: yaml.ScalarEvent, value: str) -> list[int]:
        """Where in the file each '${' of a value is; nothing when escapes hide some of them."""
        start, end = _start(event).index, _end(event).index
        if event.style in ("|", ">"):
            start = self._text.find("\n", start)  # its first line may hold a comment
        places = [match.start() for match in re.finditer(r"\$\{", self._text[start:end])]
        return [start + place for place in places] if len(places) == value.count("${") else []

    def _explain(self, exc: yaml.MarkedYAMLError) -> tuple[str, Span, str]:
        """A sentence, a place and a hint for what PyYAML says about the syntax."""
        problem = (exc.problem or "").translate(_UNMASK)
        context = exc.context or ""
        mark = exc.problem_mark or self._loader.get_mark()
        around = exc.context_mark or mark
        line = self._lines[mark.line]
        indent = line[: len(line) - len(line.lstrip())]
        if "\t" in indent and not problem.startswith("found unexpected end"):
            span = Span(mark.line + 1, indent.index("\t") + 1)
            return "a tab cannot indent YAML; use spaces", span, ""
        if line.startswith("%"):
            hint = "remove the line, or put the text in quotes"
            return "a line cannot start with '%' here", Span(mark.line + 1, 1), hint
        if context == "while scanning a quoted scalar":
            return "this quote is never closed", self._span(around), ""
        if (quote := self._loader.long_quote) and quote[1].line == mark.line:
            message = f"the text that starts here ends on line {mark.line + 1}, where more follows"
            return message, self._span(quote[0]), "is a closing quote missing?"
        if not problem.startswith("found") and (opening := self._unclosed(mark, indent)):
            return f"{self._text[opening.index]!r} is never closed", self._span(opening), ""
        if problem.startswith(("expected ',' or", "expected the node content")):
            return self._unexpected(problem, mark)
        if problem == "could not find expected ':'":
            rest = len(self._lines[around.line].rstrip()) - around.column
            span = Span(around.line + 1, around.column + 1, max(1, rest))
            return "a ':' is missing after this", span, "every line of a mapping is 'key: value'"
        if problem.startswith("expected <block end>"):
            if not line[: mark.column].strip():
                message = "this line does not fit the lines above it"
                return message, self._word(mark), "indent it exactly like its neighbours"
            message = "this cannot follow the value before it"
            return message, self._word(mark), "put the whole value in quotes"
        if problem.startswith("found character"):
            sign = self._text[mark.index : mark.index + 1]
            if sign == "\t":
                return "a tab cannot stand here; use a space", self._span(mark), ""
            return f"a value cannot start with {sign!r}", self._span(mark), "put it in quotes"
        if context.endswith((" alias", " anchor", " tag", " node")):
            sign = self._text[around.index]
            return f"a value cannot start with {sign!r}", self._word(around), "put it in quotes"
        if context == "while scanning a double-quoted scalar":
            return self._escape(problem, mark)
        for start, message, hint in _SENTENCES:
            if problem.startswith(start):
                return message, self._word(mark), hint
        return f"YAML cannot be read here: {problem}", self._word(mark), ""

    def _unclosed(self, mark: yaml.Mark, indent: str) -> yaml.Mark | None:
        """The bracket that is still open where the text ended or went back to its indentation."""
        brackets = [open_ for open_ in self._loader.marks if self._text[open_.index] in "[{"]
        if not brackets or not self._loader.flow_level:
            return None
        opening: yaml.Mark = brackets[-1]
        line = self._lines[opening.line]
        at_end = not self._text[mark.index :].strip()
        back = mark.line > opening.line and len(indent) <= len(line) - len(line.lstrip())
        closing = self._text[mark.index : mark.index + 1] in ("]", "}")
        return opening if at_end or (back and not closing) else None

    def _unexpected(self, problem: str, mark: yaml.Mark) -> tuple[str, Span, str]:
        sign = self._text[mark.index : mark.index + 1]
        if problem.startswith("expected ',' or"):
            closing = problem.partition("or ")[2][:3]
            return f"expected ',' or {closing} before this", self._word(mark), ""
        return f"expected a value, not {sign!r}", self._span(mark), "put text in quotes"

    def _escape(self, problem: str, mark: yaml.Mark) -> tuple[str, Span, str]:
        index = self._text.rfind("\\", 0, mark.index + 1)
        span = self._places.place(index, 2)
        escape = self._text[index : index + 2]
        if digits := re.search(r"sequence of (\d)", problem):
            return f"'{escape}' needs {digits[1]} hexadecimal digits after it", span, ""
        hint = "use single quotes, or write \\\\ for a backslash"
        return f"'{escape}' is not an escape", span, hint


_RUN: Final = re.compile(r"[^\s,\[\]{}]+")
_EMPTY: Final = "a pipeline starts with 'version: 1' and has 'nodes:'"
_ONE_DOCUMENT: Final = "a file holds one pipeline; remove the '---' or make two files"
_NO_CHARACTER: Final = re.compile(r"[\x00\ud800-\udfff]")
_PAIR: Final = re.compile(r"[\ud800-\udbff][\udc00-\udfff]")


def _joined(pair: re.Match[str]) -> str:
    return pair[0].encode("utf-16", "surrogatepass").decode("utf-16")


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


def _start(event: yaml.Event) -> yaml.Mark:
    mark = event.start_mark
    assert isinstance(mark, yaml.Mark)
    return mark


def _end(event: yaml.Event) -> yaml.Mark:
    mark = event.end_mark
    assert isinstance(mark, yaml.Mark)
    return mark


def _key_complaint(name: str) -> str:
    if not name:
        return "a key cannot be empty"
    if len(name) > MAX_KEY:
        return f"a key can have {MAX_KEY} characters, this one has {len(name)}"
    if not name.isprintable():
        return "a key cannot hold line breaks or characters that do not print"
    return ""


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


class _BadNumber(Exception):
    """What is wrong with it; the sentence starts with the number."""


def _resolve(text: str) -> str | int | float | bool | None:
    """A plain scalar by the core schema of YAML 1.2.2, section 10.3.2; raises _BadNumber."""
    if text in _WORDS:
        return _WORDS[text]
    if _LEADING_ZERO.fullmatch(text):
        raise _BadNumber("starts with 0, which some programs read as octal")
    if _INTEGER.fullmatch(text):
        if len(text) > MAX_DIGITS:
            raise _BadNumber("is too long for a number")
        return int(text, 0)
    if _INFINITY.fullmatch(text):
        return float(text.replace(".", ""))
    if text in _NAN:
        raise _BadNumber("is not a number")
    if not _FLOAT.fullmatch(text):
        return text
    number = float(text)
    if math.isinf(number):
        raise _BadNumber("is too large for a number")
    return number


_REFERENCE: Final = re.compile(r"\$(?P<literal>\$\{)|\$\{(?P<body>[^}]*)(?P<end>\}?)")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class _BadReference(Exception):
    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


def _look_up(reference: re.Match[str], env: Mapping[str, str]) -> str:
    """What a reference stands for; raises _BadReference."""
    body, literal = reference["body"], "write $${ for a plain ${"
    if not reference["end"]:
        raise _BadReference("'${' is never closed", literal)
    if "${" in body:
        raise _BadReference("a reference cannot hold another one", literal)
    scheme, colon, rest = body.partition(":")
    if scheme != "env" or not colon:
        raise _BadReference(
            f"{_short(f'${{{body}}}')} is not a reference; they look like ${{env:NAME}}", literal
        )
    name, default, instead = rest.partition(":-")
    if not _NAME.fullmatch(name):
        raise _BadReference(f"{_short(name)} is not the name of an environment variable", "")
    value = env.get(name)
    if default:
        value = value or instead
    if value is None:
        hint = f"set it, or write ${{env:{name}:-default}}"
        raise _BadReference(f"the environment has no {name}", hint)
    if _NO_CHARACTER.search(value):
        raise _BadReference(f"what the environment has as {name} is not UTF-8", "")
    return value
