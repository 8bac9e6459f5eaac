"""What is fuzzed: for each kind of bytes that others choose, what has to hold whatever they are.

A target takes bytes, and returns where all is well. It raises AssertionError, or whatever should
not have been raised.
"""

import asyncio
import hashlib
import random
import ssl
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final

from composer import parsing, strictjson
from composer.compiler.build import build
from composer.errors import ParamRejected
from composer.limits import WireLimits
from composer.media.mpegts.demuxer import Demuxer
from composer.node.registry import Registry
from composer.parsing import UnreadableJson
from composer.pipeline import report, source, spec
from composer.pipeline.document import Document
from composer.session import control
from composer.testing.exchange import Exchange
from composer.testing.peer import Peer
from composer.trickle.client import Client
from composer.trickle.resolver import Resolver

Target = Callable[[bytes], None]

MOST_SECONDS: Final = 2.0
"""CPU for one input: all are small."""

ANSWER_SECONDS: Final = 20.0

NOWHERE: Final = Path("/nowhere")

KNOWN: Final = ("caption", "opacity", "size", "width")


def streams(data: bytes) -> None:
    """A transport stream, in pieces of any size: no more comes out than went in."""
    chance = random.Random(hashlib.sha256(data).digest())
    demuxer, at, given = Demuxer(), 0, 0
    while at < len(data):
        size = chance.choice((1, 100, 188, 1316, 65_536))
        given += sum(len(unit.data) for unit in demuxer.feed(data[at : at + size]))
        at += size
    given += sum(len(unit.data) for unit in demuxer.flush())
    assert given <= len(data)


def answers(data: bytes) -> None:
    """An answer to a GET: it is read to its end, or refused as a connection that failed."""
    asyncio.run(_answered(data))


async def _answered(data: bytes) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.say(data)
        exchange.finish()

    client = Client(Resolver(), _untrusting)
    try:
        async with Peer(get=script).serving() as address, asyncio.timeout(ANSWER_SECONDS):
            await _read(client, f"{address}/in/0", len(data))
    finally:
        client.close()


async def _read(client: Client, address: str, most: int) -> None:
    try:
        answer = await client.get(address)
    except OSError:
        return
    size = 0
    try:
        while piece := await answer.read():
            size += len(piece)
    except OSError:
        pass
    finally:
        answer.close()
    assert size <= most
    assert 200 <= answer.status <= 999


def _untrusting() -> ssl.SSLContext:
    raise AssertionError("nothing is encrypted here")


def pipelines(data: bytes) -> None:
    """A pipeline: a graph, or problems that can be shown, each in a line that there is."""
    document = source.parse(data, "p.yaml", {})
    pipeline, problems = spec.read(document)
    _, more = build(pipeline, NOWHERE, _registry(), _absent)
    for problem in (*problems, *more):
        assert problem.span is None or 1 <= problem.span.line <= max(1, len(document.lines))
    assert report.text([*problems, *more], {"p.yaml": document.lines}).encode()


def _absent(path: Path, shown: str) -> Document:
    return source.parse(b"version: 1\n", shown, {})


@cache
def _registry() -> Registry:
    return Registry.installed()


def messages(data: bytes) -> None:
    """A change of params: values that JSON can hold, or a refusal with its fields."""
    try:
        change = parsing.parsed(data, WireLimits().values).value
        held = control.values(change, KNOWN)
    except UnreadableJson:
        return
    except ParamRejected as exc:
        refused = [problem.message for problem in exc.problems]
    else:
        assert all(isinstance(name, str) for name in held)
        return
    assert refused
    assert strictjson.text(refused)


TARGETS: Final[dict[str, Target]] = {
    "streams": streams,
    "answers": answers,
    "pipelines": pipelines,
    "messages": messages,
}
"""By the name of their folder in tests/corpus."""


def tried(kind: str, data: bytes) -> None:
    """Give a target its input, and hold it to its time."""
    began = time.thread_time()
    TARGETS[kind](data)
    spent = time.thread_time() - began
    assert spent < MOST_SECONDS, f"it took {spent:.1f} s of CPU"
