"""YAML text -> data that remembers where each value was written.

A pipeline file is edited by hand and may come from a stranger. So every mistake becomes a Problem
with a place, all of them at once, and nothing in a file can make reading it slow, large or fatal.
The rules are narrower than YAML's: one mapping, text keys, YAML 1.2 scalars, no anchors, no tags.
"""

import pathlib
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import yaml

from composer.errors import Problem, Span
from composer.pipeline.document import Document, Keys, dotted
from composer.pipeline.hints import MAX_WORD
from composer.pipeline.references import REFERENCE, BadReference, looked_up, mask, name_of, unmasked
from composer.pipeline.scalars import BadNumber, resolved
from composer.pipeline.source_text import NO_CHARACTER, SourceText, decoded, paired, short
from composer.pipeline.syntax import Stop

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

MAX_KEY: Final = MAX_WORD
"""Most characters of one key. Keys are repeated in the path of everything below them."""


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
    clean, problem_at = decoded(text)
    source = SourceText(clean)
    if problem_at is not None:
        message, index, hint = problem_at
        problem = Problem("encoding", message, "", file, source.place(index), hint)
        return Document(file, source.lines, {}, {}, {}, (problem,))
    return _Pass(source, file, env).document()


class _Abandoned(Exception):
    """The rest of the file is not looked at."""

    def __init__(self, code: str, message: str, mark: yaml.Mark) -> None:
        super().__init__(message)
        self.code, self.message, self.mark = code, message, mark


class _BoundedLoader(yaml.SafeLoader):
    """PyYAML's scanner and parser in pure Python: the C one dies of 400 KB of '['."""

    long_quote: tuple[yaml.Mark, yaml.Mark] | None = None
    """Start and end of the last quoted text that goes over several lines."""

    def fetch_flow_collection_start(self, TokenClass: Any) -> None:
        # The scanner looks up to 1024 characters ahead of its events, and each open bracket makes
        # every further character slower: 16 KB of '[' would take 26 s before the first event.
        if len(self.indents) + self.flow_level >= MAX_DEPTH:
            raise _Abandoned("too-deep", _TOO_DEEP, self.get_mark())
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


class _Pass:
    """One pass over the events of one text."""

    def __init__(self, text: SourceText, file: str, env: Mapping[str, str]) -> None:
        self._text, self._file, self._env = text, file, env
        self._loader = _BoundedLoader(mask(text.text))
        self._events = self._loader.events()
        self._nodes = self._depth = self._filled = 0
        self._keys: dict[Keys, Span] = {}
        self._values: dict[Keys, Span] = {}
        self._from_env: set[Keys] = set()
        self._problems: list[Problem] = []

    def document(self) -> Document:
        try:
            data = self._root()
        except _Abandoned as exc:
            data = {}
            self._report(exc.code, exc.message, self._text.span(exc.mark))
        except yaml.MarkedYAMLError as exc:
            data = {}
            self._report("yaml", *self._stop().explained(exc))
        except (ValueError, OverflowError):
            # chr() of a "\UFFFFFFFF", int() of a %YAML version with thousands of digits.
            data = {}
            span = self._text.span(self._loader.get_mark())
            self._report("yaml", "YAML cannot use this number", span)
        return Document(
            self._file,
            self._text.lines,
            data,
            self._keys,
            self._values,
            tuple(sorted(self._problems, key=Problem.order)),
            frozenset(self._from_env),
        )

    def _stop(self) -> Stop:
        loader = self._loader
        brackets = loader.marks if loader.flow_level else ()
        return Stop(self._text, loader.get_mark(), brackets, loader.long_quote)

    def _report(self, code: str, message: str, span: Span, hint: str = "", path: Keys = ()) -> None:
        self._problems.append(Problem(code, message, dotted(path), self._file, span, hint))

    def _next(self) -> yaml.Event:
        event = next(self._events)
        if len(self._problems) >= MAX_PROBLEMS:
            raise _Abandoned("too-many", "the rest of the file is not checked", _start(event))
        if isinstance(event, yaml.NodeEvent):
            self._nodes += 1
            if self._nodes > MAX_NODES:
                message = f"more than {MAX_NODES} keys and values"
                raise _Abandoned("too-many", message, _start(event))
        if isinstance(event, yaml.CollectionStartEvent):
            self._depth += 1
            if self._depth > MAX_DEPTH:
                raise _Abandoned("too-deep", _TOO_DEEP, _start(event))
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
            self._report(
                "many-documents", message, self._text.word(after.start_mark), _ONE_DOCUMENT
            )
        return data

    def _not_a_mapping(self, event: yaml.Event) -> None:
        match event:
            case yaml.ScalarEvent(value="", style=None):
                self._report("not-a-mapping", "the file is empty", Span(1, 1), _EMPTY)
                return
            case yaml.SequenceStartEvent():
                kind = "a list"
            case yaml.AliasEvent():
                kind = "an alias"
            case _:
                kind = "one value"
        message = f"the file should be a mapping of keys to values, but it is {kind}"
        self._report("not-a-mapping", message, self._text.word(event.start_mark), _EMPTY)

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
        return self._text.run_at(self._text.text.find(sign, start))

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
        span = self._values[path] = self._text.span(event.start_mark, event.end_mark)
        message = f"{short(f'*{event.anchor}')} is an alias, and aliases are not allowed"
        self._report("alias", message, span, "write the value out, or put the text in quotes", path)

    def _sequence(self, event: yaml.SequenceStartEvent, path: Keys) -> list[Any]:
        self._values[path] = self._text.span(event.start_mark)
        items: list[Any] = []
        while not isinstance(item := self._next(), yaml.SequenceEndEvent):
            items.append(self._value(item, (*path, len(items))))
        if event.flow_style:
            self._values[path] = self._text.span(event.start_mark, item.end_mark)
        return items

    def _mapping(self, event: yaml.MappingStartEvent, path: Keys) -> dict[str, Any]:
        self._values[path] = self._text.span(event.start_mark)
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
            self._values[path] = self._text.span(event.start_mark, key.end_mark)
        return items

    def _key(self, event: yaml.Event, path: Keys) -> str | None:
        """The name of a key that can be used, with its place kept."""
        span = self._text.span(event.start_mark, event.end_mark)
        if isinstance(event, yaml.AliasEvent):
            message = f"{short(f'*{event.anchor}')} is an alias, and aliases are not allowed"
            self._report("alias", message, span, "put the text in quotes", path)
            return None
        if not isinstance(event, yaml.ScalarEvent):
            self._skip(event)
            message = "a key must be a word, not a list or a mapping"
            self._report("bad-key", message, self._text.span(event.start_mark), path=path)
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
            message = f"{short(name)} is also on line {first.line}"
            self._report("duplicate-key", message, span, path=here)
            return None
        self._keys[here] = span
        return name

    def _written(self, event: yaml.ScalarEvent) -> str:
        """The text of a scalar, without what was done to it for PyYAML's sake."""
        value = event.value
        if "${" in self._text.text[_start(event).index : _end(event).index]:
            value = unmasked(value)
        return paired(value)

    def _scalar(self, event: yaml.ScalarEvent, path: Keys) -> Any:
        span = self._values[path] = self._text.span(event.start_mark, event.end_mark)
        if len(event.value) > MAX_SCALAR:
            message = f"a value can have {MAX_SCALAR} characters, this one has {len(event.value)}"
            self._report("too-big", message, span, path=path)
            return ""
        value = self._written(event)
        if NO_CHARACTER.search(value):
            message = "an escape in this text is not a character"
            self._report("encoding", message, span, path=path)
            return ""
        plain = event.style is None and event.tag is None
        if "${" not in value:
            return self._plain(value, value, short(value), path) if plain else value
        filled = self._fill(event, value, path)
        if filled is None:
            return value
        whole = REFERENCE.fullmatch(value)
        if not plain or whole is None or whole["literal"]:
            return filled
        return self._plain(filled, value, f"the value of {name_of(whole)}", path)

    def _plain(self, text: str, written: str, subject: str, path: Keys) -> Any:
        """What a plain scalar means. `text` may be a secret, `written` is what the file says."""
        try:
            return resolved(text)
        except BadNumber as exc:
            hint = "put it in quotes to keep it as text"
            self._report("bad-number", f"{subject} {exc}", self._values[path], hint, path)
            return written

    def _fill(self, event: yaml.ScalarEvent, value: str, path: Keys) -> str | None:
        """`value` with its references replaced; None when one of them cannot be."""
        pieces: list[str] = []
        places = self._references(event, value)
        done, failed, filled = 0, False, False
        for match in REFERENCE.finditer(value):
            pieces.append(value[done : match.start()])
            done = match.end()
            if match["literal"]:
                pieces.append("${")
                continue
            filled = True
            try:
                piece = looked_up(match, self._env)
                self._filled += len(piece)
                if self._filled > MAX_BYTES:
                    most = f"{MAX_BYTES // 1024} KiB"
                    raise BadReference(f"the references in this file come to more than {most}", "")
                pieces.append(piece)
            except BadReference as exc:
                failed = True
                span = self._values[path]
                if places:
                    index = places[value.count("${", 0, match.start())]
                    span = self._text.place(index, len(match[0].partition("\n")[0]))
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
            start = self._text.text.find("\n", start)  # its first line may hold a comment
        places = [match.start() for match in re.finditer(r"\$\{", self._text.text[start:end])]
        return [start + place for place in places] if len(places) == value.count("${") else []


_EMPTY: Final = "a pipeline starts with 'version: 1' and has 'nodes:'"
_ONE_DOCUMENT: Final = "a file holds one pipeline; remove the '---' or make two files"


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
