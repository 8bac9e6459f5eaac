"""Form: the parts of multipart/form-data (RFC 7578), as they come.

A caller decides how many lines and parts there are, so nothing is done for each line, and more
than a few parts are not taken.
"""

import re
from email.message import Message
from typing import Final

from composer.spool import Spool

MOST_PARTS: Final = 16
"""Most parts of a form."""

MOST_HEAD: Final = 2 << 10
"""Bytes of the head of a part."""

MOST_BOUNDARY: Final = 70
"""Characters (RFC 2046, 5.1.1)."""

_LINE: Final = b"\r\n"

_PARAMETER: Final = re.compile(r';\s*([^\s;="]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;]*)')
"""One behind the kind of a disposition, with its value as it is written."""


class FormRefused(ValueError):
    """A form that cannot be taken apart: a sentence for whoever sent it."""


class MultipartForm:
    """Takes a form apart: feed() it, end() it, and close() it. content_type: of the request. All of
    it raises FormRefused.
    """

    def __init__(self, content_type: str) -> None:
        self.parts: dict[str, Spool] = {}
        """What has come of each part."""

        self._delimiter = _LINE + b"--" + _boundary(content_type)
        self._held = _LINE  # the first delimiter needs no line before it
        self._name = ""
        self._in_head = self._over = False

    def feed(self, data: bytes) -> None:
        """The next bytes of the body."""
        self._held += data
        while not self._over and self._went_on():
            pass
        if self._over:
            self._held = b""

    def end(self) -> None:
        """Nothing more comes."""
        if not self._over:
            raise FormRefused("the form has no end")

    def close(self) -> None:
        """Let go of all parts that nobody has taken out."""
        for part in self.parts.values():
            part.close()

    def _went_on(self) -> bool:
        """Whether enough was there to come one step further."""
        return self._head_came() if self._in_head else self._delimiter_came()

    def _delimiter_came(self) -> bool:
        place = self._held.find(self._delimiter)
        if place < 0:
            self._add(max(0, len(self._held) - len(self._delimiter) + 1))
            return False
        self._add(place)
        self._held = self._held[len(self._delimiter) :]
        self._in_head = True
        return True

    def _add(self, count: int) -> None:
        """So many of the bytes belong to the part; those before the first one to none."""
        if self._name and count:
            self.parts[self._name].add(self._held[:count])
        self._held = self._held[count:]

    def _head_came(self) -> bool:
        """What is behind a delimiter: the end, or the head of a part."""
        if self._held.startswith(b"--"):
            self._over = True
            return True
        end = self._held.find(_LINE + _LINE)
        if max(end, 0) > MOST_HEAD or (end < 0 and len(self._held) > MOST_HEAD):
            raise FormRefused(f"the head of a part has more than {MOST_HEAD >> 10} KiB")
        if end < 0:
            return False
        name = _name(self._held[:end])
        if name in self.parts:
            raise FormRefused(f"the form has the part {name[:60]!r} twice")
        if len(self.parts) == MOST_PARTS:
            raise FormRefused(f"the form has more than {MOST_PARTS} parts")
        self.parts[name], self._name = Spool(), name
        self._held, self._in_head = self._held[end + 2 * len(_LINE) :], False
        return True


def _boundary(content_type: str) -> bytes:
    message = Message()
    message["Content-Type"] = content_type
    boundary = message.get_boundary() or ""
    if not boundary.isascii() or not 0 < len(boundary) <= MOST_BOUNDARY:
        raise FormRefused("the form says no boundary that can be used")
    return boundary.encode()


def _name(head: bytes) -> str:
    """The name of a part."""
    for line in head.decode("utf-8", "replace").split("\r\n"):
        key, _, disposition = line.partition(":")
        if key.strip().lower() != "content-disposition":
            continue
        for parameter, value in _PARAMETER.findall(disposition):
            if parameter.lower() == "name" and (name := _unquoted(value.strip())):
                return name
    raise FormRefused("every part of the form needs a name")


def _unquoted(value: str) -> str:
    quoted = len(value) > 1 and value.startswith('"') and value.endswith('"')
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if quoted else value
