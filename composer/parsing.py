"""JSON as it comes from others: how many values it may hold, and then what they are.

Reading keeps Python's lock for all of a text, and six million empty lists are a text that is soon
sent. So values are counted before they are read, and what is long is read in a process of its own:
this file, which imports nothing of the package and starts fast (see parser.Parser).
"""

import binascii
import contextlib
import gc
import json
import marshal
import os
import re
import socket
import struct
import sys
import traceback
from typing import Any, Final, NamedTuple

HEAD: Final = struct.Struct(">QQH")
"""Of a question, which comes with a file: bytes of the text in it, most values, and bytes of the
member's name that follows.
"""

REPLY: Final = struct.Struct(">BBQ")
"""Of an answer: what came of it, whether the file holds it now, and its bytes in marshal's form."""

READ, UNREADABLE, TOO_MUCH, BROKEN = range(4)
"""What came of it: the values, or a sentence that says why there are none."""

INLINE: Final = 64 << 10
"""Bytes of an answer that follow its head; more are in the file."""

NICE: Final = 10
"""How far the process stands back behind whoever codes pictures."""

_MOST_DIGITS: Final = 4300
"""Of a whole number: more int() refuses. Beyond 309 digits it is no number for others, either."""

_DATA_ADDRESS: Final = 4096
"""Characters in which `base64,` ends the head of a data: address."""

_STRING: Final = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
"""A string behind its first quote."""

_CONSTANTS: Final = {name: float(name) for name in ("NaN", "Infinity", "-Infinity")}


class UnreadableJson(ValueError):
    """A text that is not JSON, or not what was asked for: why, to be put behind its name."""


class TooMuch(UnreadableJson):
    """A text with more values than may be, or one that takes too much to read."""


class ParsedJson(NamedTuple):
    """What a text holds. strict: whether it is JSON to the letter, without Python's NaN and
    infinities, which are floats here.
    """

    value: Any
    strict: bool = True


def parsed(text: bytes | bytearray, most: int) -> ParsedJson:
    """What it says. most: values that it may hold. Raises UnreadableJson and TooMuch."""
    if not may_hold(text, most) and not holds(text, most):
        raise TooMuch(f"has more than {most} values")
    strict = True

    def constant(name: str) -> float:
        nonlocal strict
        strict = False
        return _CONSTANTS[name]

    try:
        value = json.loads(text.decode(), parse_int=whole, parse_constant=constant)
    except UnicodeDecodeError:
        raise UnreadableJson("is not UTF-8") from None
    except RecursionError:
        raise UnreadableJson("is nested too deeply") from None
    except json.JSONDecodeError as exc:
        raise UnreadableJson(f"is not JSON: {exc.msg} at character {exc.pos}") from None
    return ParsedJson(value, strict)


def whole(digits: str) -> int | float:
    """A whole number; one with more digits than int() takes is a float, or infinite."""
    return int(digits) if len(digits) <= _MOST_DIGITS else float(digits)


def may_hold(text: bytes | bytearray, most: int) -> bool:
    """Whether it is plain at a glance that there are no more values than `most`."""
    return text.count(b",") + text.count(b"[") + text.count(b"{") < most


def holds(text: bytes | bytearray, most: int) -> bool:
    """The same to the letter: what commas and brackets outside of strings say. Names of members do
    not count, an empty list counts twice. The work for it is bounded by `most`.
    """
    values, place = 1, 0
    for _ in range(2 * most + 2):  # strings: each is a value or a name
        quote = text.find(b'"', place)
        end = quote if quote >= 0 else len(text)
        values += sum(text.count(sign, place, end) for sign in (b",", b"[", b"{"))
        if values > most:
            return False
        string = _STRING.match(text, quote + 1) if quote >= 0 else None
        if string is None:  # the end, or a string without one, at which reading ends, too
            return True
        place = string.end()
    return False


def opened(text: bytes | bytearray, name: str, most: int) -> tuple[dict[str, Any], bytes]:
    """The object without its member `name`, and the bytes that this holds in base64, b"" for none.
    A data: address serves, too. Raises UnreadableJson and TooMuch.
    """
    value = parsed(text, most).value
    if not isinstance(value, dict):
        raise UnreadableJson("should be a JSON object")
    held = value.pop(name, None)
    if held is not None and not isinstance(held, str):
        raise UnreadableJson(f"should hold text in base64 as {name!r}")
    try:
        return value, _decoded(held or "")
    except ValueError as exc:
        raise UnreadableJson(f"holds what is not base64 as {name!r}") from exc


def _decoded(held: str) -> bytes:
    """Raises ValueError."""
    marked = held.find("base64,", 0, _DATA_ADDRESS)
    data = held[marked + len("base64,") :] if marked >= 0 else held
    return binascii.a2b_base64(data, strict_mode=True) if data else b""


# the process that reads


def answered(text: bytes, most: int, name: str) -> tuple[int, bytes]:
    """What came of a text, and the answer in marshal's form. With a name it is opened()."""
    try:
        found: Any = opened(text, name, most) if name else tuple(parsed(text, most))
        return READ, marshal.dumps(found)
    except TooMuch as exc:
        return TOO_MUCH, marshal.dumps(str(exc))
    except MemoryError:
        return TOO_MUCH, marshal.dumps("takes too much memory to read")
    except ValueError as exc:  # marshal has a limit for what is nested, too
        said = str(exc) if isinstance(exc, UnreadableJson) else "is nested too deeply"
        return UNREADABLE, marshal.dumps(said)
    except Exception:  # noqa: BLE001 - a bug is told to the process that asked, which logs it
        return BROKEN, marshal.dumps(traceback.format_exc())


def serve(peer: socket.socket) -> None:
    """Answer what is asked until there is no more."""
    while True:
        head, files, _, _ = socket.recv_fds(peer, HEAD.size, 1)
        if len(head) < HEAD.size or not files:
            return
        size, most, length = HEAD.unpack(head)
        name = peer.recv(length, socket.MSG_WAITALL).decode() if length else ""
        try:
            outcome, answer = answered(os.pread(files[0], size, 0), most, name)
            if len(answer) > INLINE:
                _write(files[0], answer)
        finally:
            os.close(files[0])
        peer.sendall(REPLY.pack(outcome, len(answer) > INLINE, len(answer)))
        if len(answer) <= INLINE:
            peer.sendall(answer)


def _write(file: int, data: bytes) -> None:
    place = 0
    while place < len(data):
        place += os.pwrite(file, memoryview(data)[place:], place)


def _confined(memory: int) -> None:
    """Take no more memory than that, and stand back behind others."""
    import resource  # not on every system

    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(NICE)


if __name__ == "__main__":
    gc.disable()  # nothing that JSON makes holds itself
    _confined(int(sys.argv[1]))
    with contextlib.suppress(ConnectionError), socket.socket(fileno=0) as asking:
        serve(asking)
