"""Envelope: a JSON object around one picture in base64.

Python's JSON and base64 keep the interpreter for as long as a text is long, and the network of
every stream waits. So the picture is cut out of the text and read in pieces, on a thread: between
two of them the loop has its turn.
"""

import binascii
import secrets
from collections.abc import Iterator
from typing import Any, Final

from composer import strictjson

MOST_BYTES: Final = 12 << 20
"""Of an envelope: as much as a start or a change may have."""

MOST_REST: Final = 256 << 10
"""Bytes without the picture: what json reads at once, so that they bound the number of values."""

PIECE: Final = 64 << 10
"""Characters of the picture that are read at once; a multiple of 4."""

LONG: Final = 4096
"""Strings of fewer characters stay in the text."""

_NO_BASE64: Final = "the picture in the JSON is not base64"

_LONGEST_ESCAPE: Final = len(r"\u0000")


def opened(body: bytes, name: str) -> tuple[dict[str, Any], bytes]:
    """The object without the member `name`, and the bytes that it holds, b"" for none. A data:
    address serves, too. Raises ValueError: a sentence for the caller.
    """
    outside = _outside(body, name) if len(body) > MOST_REST else None
    picture, marker = b"", ""
    if outside is not None:
        begin, end = outside
        # Nobody can write the marker, so what is found there is what was cut out here.
        picture, marker = body[begin:end], secrets.token_hex(16)
        body = body[:begin] + marker.encode() + body[end:]
    if len(body) > MOST_REST:
        raise ValueError(f"beside one {name} the JSON has more than {MOST_REST >> 10} KiB")
    read = _read(body)
    held = read.pop(name, None)
    if held is None or isinstance(held, str):
        if outside is None:
            return read, decoded((held or "").encode())
        if held == marker:
            return read, decoded(picture)
        raise ValueError(f"{name} is in another member of the JSON, or is there twice")
    raise ValueError(f"{name} should be text in base64")


def _read(body: bytes) -> dict[str, Any]:
    try:
        read = strictjson.read(body.decode())
    except (ValueError, RecursionError) as exc:
        raise ValueError("the body is not JSON") from exc
    if not isinstance(read, dict):
        raise ValueError("the body should be a JSON object")
    return read


def _outside(body: bytes, name: str) -> tuple[int, int] | None:
    """Where the first long string of that name begins and ends, without its quotes; None where
    there is none.
    """
    place, key = 0, f'"{name}"'.encode()
    while (begin := body.find(b'"', place) + 1) and begin <= MOST_REST:
        end = _end(body, begin)
        before = body[max(0, begin - LONG) : begin - 1].rstrip()
        if end - begin > LONG and before.endswith(b":") and before[:-1].rstrip().endswith(key):
            return begin, end
        place = end + 1
    return None


def _end(body: bytes, begin: int) -> int:
    """Where a string ends."""
    place = begin
    while (end := body.find(b'"', place)) >= 0:
        before = body[max(begin, end - LONG) : end]
        escapes = len(before) - len(before.rstrip(b"\\"))
        if escapes % 2 == 0:
            return end
        if end - begin > MOST_REST:  # each of them would cost a search
            raise ValueError(_NO_BASE64)
        place = end + 1
    raise ValueError("the body is not JSON")


def decoded(text: bytes) -> bytes:
    """What base64 holds, as a JSON string has it. Raises ValueError."""
    marked = text.find(b"base64,", 0, LONG)
    data, held, padded = bytearray(), b"", False
    for piece in _pieces(text, marked + len(b"base64,") if marked >= 0 else 0):
        held += piece
        whole = len(held) // 4 * 4
        if padded and held:
            raise ValueError(_NO_BASE64)
        data += _bytes_of(held[:whole])
        padded, held = held[:whole].endswith(b"="), held[whole:]
    if held:
        raise ValueError(_NO_BASE64)
    return bytes(data)


def _bytes_of(text: bytes) -> bytes:
    try:
        return binascii.a2b_base64(text, strict_mode=True) if text else b""
    except binascii.Error as exc:
        raise ValueError(_NO_BASE64) from exc


def _pieces(text: bytes, place: int) -> Iterator[bytes]:
    """The characters of a JSON string from a place on; writers may escape `/` and `+`."""
    while place < len(text):
        piece = text[place : place + PIECE]
        if place + PIECE < len(text):
            escape = piece.rfind(b"\\", len(piece) - _LONGEST_ESCAPE)
            piece = piece[:escape] if escape > 0 else piece
        place += len(piece)
        yield _plain(piece) if b"\\" in piece else piece


def _plain(piece: bytes) -> bytes:
    try:
        return str(strictjson.read(f'"{piece.decode("ascii")}"')).encode("ascii")
    except ValueError as exc:
        raise ValueError(_NO_BASE64) from exc
