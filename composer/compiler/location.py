"""Where something was written, to say there what is wrong with it."""

from dataclasses import dataclass
from typing import Any

from composer.errors import Problem
from composer.pipeline import spec
from composer.pipeline.document import Document, Keys, dotted


@dataclass(frozen=True)
class Location:
    """A document and the path of a value in it."""

    doc: Document
    path: Keys

    @property
    def name(self) -> str:
        """The path as a reader knows it: nodes.halo.in[0]"""
        return dotted(self.path)

    def problem(self, code: str, message: str, *, key: bool = False, hint: str = "") -> Problem:
        """A Problem at the value here, or at its key."""
        return self.doc.problem(code, message, self.path, on="key" if key else "value", hint=hint)

    def below(self, *keys: str | int) -> "Location":
        return Location(self.doc, (*self.path, *keys))

    @property
    def is_mapping(self) -> bool:
        """Whether a mapping is written here: what is wrong with all of it is said at its key."""
        value: Any = self.doc.data
        for key in self.path:
            value = value.get(key) if isinstance(value, dict) else None
        return isinstance(value, dict)

    @property
    def hidden(self) -> bool:
        """Whether the value here came from the environment: it may be a secret."""
        return self.path in self.doc.from_env

    def as_written(self, message: str, value: object) -> str:
        """The message, with what is written here in place of a hidden value."""
        if not self.hidden:
            return message
        span = self.doc.value(self.path)
        line = self.doc.lines[span.line - 1]
        written = line[span.column - 1 :][: span.length]
        return message.replace(repr(value), written).replace(spec.shown(value), written)
