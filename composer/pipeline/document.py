"""What was read of a file: plain data, and where each part of it is written."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from composer.errors import Problem, Span

Keys: TypeAlias = tuple[str | int, ...]
"""Where a value is: mapping keys and list indexes from the root."""


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


def dotted(path: Keys) -> str:
    """nodes.halo.in[0]"""
    parts = (f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)
    return "".join(parts).removeprefix(".")


def _nearest(spans: Mapping[Keys, Span], path: Keys) -> Span:
    while path and path not in spans:
        path = path[:-1]
    return spans.get(path, Span(1, 1))
