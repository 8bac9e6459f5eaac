"""Mutations of bytes by a seed: the same seed gives the same bytes."""

import random
from collections.abc import Mapping, Sequence
from typing import Final

PACKET: Final = 188
LONGEST: Final = 60_000

TOKENS: Final[Mapping[str, Sequence[bytes]]] = {
    "streams": (
        b"\x47\x40\x00\x10\x00",
        b"\x00\x00\x01\xe0\x00\x00\x80\xc0\x0a",
        b"\x00\x00\x01\x65",
        b"\x00\x00\x01\x09\xf0",
        b"\xff\xf1\x50\x80",
        b"\x7f\xe0\x01\x04",
        b"\xff\xff\xff\xff",
        bytes(PACKET),
    ),
    "answers": (
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.0 470 \r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Content-Length: 5\r\n",
        b"Content-Length: -1\r\n",
        b"Connection: close\r\n",
        b"\r\n\r\n",
        b"0\r\n\r\n",
        b"ffffffffffffffff\r\n",
        b"5;a=b\r\n",
        b": \r\n",
        b"\x00",
    ),
    "pipelines": (
        b"nodes:\n",
        b"  a: {type: decode}\n",
        b"  b: {type: encode, in: a}\n",
        b"params:\n",
        b"version: 1\n",
        b"&a [*a, *a]",
        b"!!python/object:os.system ",
        b"<<: *a\n",
        b"${HOME}",
        b"- ",
        b"{",
        b"[[[[",
        b"when: params.x > 1\n",
        b"\t",
        b"? ",
        b"include: p.yaml\n",
        "\u2028\U0001f600".encode(),
    ),
    "messages": (
        b'{"params": ',
        b'"caption": "x"',
        b"NaN",
        b"1e999",
        b"-0",
        b"[" * 200,
        b'{"a":' * 50,
        b"\\ud800",
        b'"__class__"',
        b"null",
        b"},{",
        b"\xff\xfe",
        b"9" * 400,
    ),
}
"""What each kind is made of: pieces that mean something to whoever reads it."""


def mutated(chance: random.Random, kind: str, seeds: Sequence[bytes]) -> bytes:
    """One of the seeds, changed in some places."""
    data = chance.choice(seeds)
    for _ in range(chance.choice((1, 1, 2, 3, 8, 30))):
        data = chance.choice(CHANGES)(chance, data, kind, seeds)
    return data[:LONGEST]


def _flip(chance: random.Random, data: bytes, kind: str, seeds: Sequence[bytes]) -> bytes:
    if not data:
        return data
    at = chance.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]


def _drop(chance: random.Random, data: bytes, kind: str, seeds: Sequence[bytes]) -> bytes:
    at, size = _piece(chance, data, kind)
    return data[:at] + data[at + size :]


def _repeat(chance: random.Random, data: bytes, kind: str, seeds: Sequence[bytes]) -> bytes:
    at, size = _piece(chance, data, kind)
    times = chance.choice((2, 2, 3, 50))
    return data[:at] + data[at : at + size] * times + data[at + size :]


def _move(chance: random.Random, data: bytes, kind: str, seeds: Sequence[bytes]) -> bytes:
    at, size = _piece(chance, data, kind)
    rest = data[:at] + data[at + size :]
    to, _ = _piece(chance, rest, kind)
    return rest[:to] + data[at : at + size] + rest[to:]


def _put(chance: random.Random, data: bytes, kind: str, seeds: Sequence[bytes]) -> bytes:
    at, _ = _piece(chance, data, "")
    over = chance.choice((0, 1))
    token = chance.choice(TOKENS[kind])
    return data[:at] + token + data[at + over * len(token) :]


def _splice(chance: random.Random, data: bytes, kind: str, seeds: Sequence[bytes]) -> bytes:
    other = chance.choice(seeds)
    at, _ = _piece(chance, data, kind)
    begin, _ = _piece(chance, other, kind)
    return data[:at] + other[begin:]


def _cut(chance: random.Random, data: bytes, kind: str, seeds: Sequence[bytes]) -> bytes:
    return data[: chance.randrange(len(data) + 1)]


def _piece(chance: random.Random, data: bytes, kind: str) -> tuple[int, int]:
    """Where a piece begins, and its length: packets of streams, any bytes of others."""
    if kind == "streams" and chance.random() < 0.7:
        return PACKET * chance.randrange(len(data) // PACKET + 1), PACKET * chance.randrange(1, 4)
    return chance.randrange(len(data) + 1), chance.choice((1, 2, 5, 20, 100))


CHANGES: Final = (_flip, _flip, _drop, _repeat, _move, _put, _put, _splice, _cut)
