"""Framing: which bytes of a connection are the body of an answer (RFC 9112, 6, 7.1)."""

from collections.abc import Mapping
from typing import Final

LONGEST_LINE: Final = 4096
"""Of the size of a chunk and what may stand beside it, and of a trailer."""

MOST_TRAILERS: Final = 64

MOST_CHUNKS: Final = 4096
"""Of one read: they have 10 bytes each then, and a line of data has more."""

_SIZE_DIGITS: Final = frozenset(b"0123456789abcdefABCDEF")


LAST_CHUNK: Final = b"0\r\n\r\n"


class Malformed(ConnectionError):
    """What came is no answer of HTTP."""


class Framing:
    """Of a body of so many bytes, or with None of all up to the end of its connection."""

    def __init__(self, length: int | None) -> None:
        self.over = length == 0
        """Whether its last byte came."""
        self.rest = b""
        """What came behind it."""
        self.told: Final = length is not None
        """Whether its end is not just the end of its connection."""

        self._left = length

    def feed(self, data: bytes) -> bytes:
        """What of these bytes is content. Raises Malformed."""
        if self._left is None:
            return data
        content, self.rest = data[: self._left], data[self._left :]
        self._left -= len(content)
        self.over = not self._left
        return content


class Chunked(Framing):
    """Of a body in chunks."""

    def __init__(self) -> None:
        super().__init__(0)
        self.over = False
        self._line = b""
        self._left = 0
        self._closes = False  # the line behind a chunk, which is empty
        self._trailers = -1  # how many came; -1 before the last chunk

    def feed(self, data: bytes) -> bytes:
        """What of these bytes is content. Raises Malformed."""
        data, self._line = self._line + data if self._line else data, b""
        pieces: list[bytes] = []
        at = 0
        while at < len(data) and not self.over:
            if self._left:
                piece = data[at : at + self._left]
                pieces.append(piece)
                if len(pieces) > MOST_CHUNKS:
                    raise Malformed("the chunks of a body are too small")
                at += len(piece)
                self._left -= len(piece)
                self._closes = not self._left
                continue
            end = data.find(b"\r\n", at, at + LONGEST_LINE)
            if end < 0:
                self._line = data[at:]
                if len(self._line) >= LONGEST_LINE:
                    raise Malformed("a line of a body in chunks is too long")
                at = len(data)
            else:
                self._take_line(data[at:end])
                at = end + 2
        self.rest = data[at:]
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _take_line(self, line: bytes) -> None:
        if self._closes:
            if line:
                raise Malformed("a chunk is longer than it says")
            self._closes = False
        elif self._trailers < 0:
            self._left = _size_of(line)
            self._trailers = -1 if self._left else 0
        elif line:
            self._trailers += 1
            if self._trailers > MOST_TRAILERS:
                raise Malformed("a body has too many trailers")
        else:
            self.over = True


def framing_of(status: int, headers: Mapping[str, str]) -> Framing:
    """Of the body behind the head of an answer to a GET. Raises Malformed."""
    if status in (204, 304):
        return Framing(0)
    coding = headers.get("Transfer-Encoding", "").strip().lower()
    if coding == "chunked":
        return Chunked()
    length = headers.get("Content-Length")
    if coding or length is None:
        return Framing(None)
    if not (length.isascii() and length.isdigit() and len(length) <= 18):
        raise Malformed("an answer has a length that is no number")
    return Framing(int(length))


def chunk(data: bytes) -> bytes:
    """Some bytes of a body in chunks. data: not empty, or it would be the last."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def _size_of(line: bytes) -> int:
    digits = line.partition(b";")[0].strip(b" \t")
    if not digits or len(digits) > 15 or not _SIZE_DIGITS.issuperset(digits):
        raise Malformed("a chunk has a size that is no number")
    return int(digits, 16)
