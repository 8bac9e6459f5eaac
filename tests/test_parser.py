"""JSON of others: what is long is read in a process of its own, which no text takes along."""

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from composer import parsing
from composer.errors import Overdue, ParserLost
from composer.limits import MIB, WireLimits
from composer.parser import Parser
from composer.parsing import TooMuch, UnreadableJson
from composer.spool import Spool
from tests.clips import ROOT
from tests.server.streams import WAIT, ran

LISTS = b"[" + b"[]," * 2_000_000 + b"1]"
LONG = b'{"logo": "' + b"x" * 4_000_000 + b'"}'
SLOW = b'{"words": "' + b'\\",' * 4_000_000 + b'"}'


@asynccontextmanager
async def parsers(**limits: Any) -> AsyncIterator[Parser]:
    made = Parser(WireLimits(**limits))
    try:
        yield made
    finally:
        made.close()


async def read(here: Parser, text: bytes) -> Any:
    return (await here.read(Spool.of(text))).value


def pid(here: Parser) -> int:
    """Of its process."""
    assert here._process is not None
    return here._process._popen.pid


def is_there(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_short_text_is_read_here_and_begins_nothing() -> None:
    async def test() -> None:
        async with parsers() as here:
            assert await here.read(Spool.of(b'{"a": NaN}')) != ({"a": 1}, False)
            assert await read(here, b'{"a": [1, 2.5, null]}') == {"a": [1, 2.5, None]}
            assert (here.begun, dict(here.read_count)) == (0, {"here": 2})

    ran(test)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(LONG, id="one string of 4 MB"),
        pytest.param(json.dumps("é\U0001f600\ud800" * 100_000).encode(), id="escapes"),
        pytest.param(("[" + '"é\U0001f600",' * 99 + f'"{"x" * 300_000}"]').encode(), id="UTF-8"),
        pytest.param(b'"' + b",[{" * 4000 + b'"', id="what looks like many values"),
        pytest.param(
            b" " * 300_000 + b'{"a": [1e400, {"b": [null, true, -1.5]}]}', id="of all kinds"
        ),
    ],
)
def test_a_long_text_is_read_apart_as_it_would_be_here(text: bytes) -> None:
    async def test() -> None:
        async with parsers() as here:
            assert await read(here, text) == parsing.parsed(text, 5000).value
            assert (here.begun, dict(here.read_count)) == (1, {"apart": 1})

    ran(test)


def test_many_values_are_refused_and_the_process_goes_on() -> None:
    async def test() -> None:
        async with parsers() as here:
            for text in (LISTS, b"[" + b'"",' * 100_000 + b"1]"):
                with pytest.raises(TooMuch, match="has more than 5000 values"):
                    await read(here, text)
            with pytest.raises(UnreadableJson, match="is not UTF-8"):
                await read(here, b"\xff" * 300_000)
            assert await read(here, LONG) == {"logo": "x" * 4_000_000}
            assert (here.begun, here.ended) == (1, 0)
            assert dict(here.refused) == {"too_much": 2, "unreadable": 1}

    ran(test)


def test_an_object_around_a_picture_is_opened_apart() -> None:
    async def test() -> None:
        text = b'{"image": "' + b"AAAA" * 1_000_000 + b'", "params": {"by": 3}}'
        async with parsers() as here:
            opened = await here.open(Spool.of(text), "image")
            assert opened == ({"params": {"by": 3}}, bytes(3_000_000))
            assert await here.open(Spool.of(b'{"image": "AAAA"}'), "image") == ({}, bytes(3))
            assert dict(here.read_count) == {"apart": 1, "here": 1}

    ran(test)


def test_texts_are_read_one_after_another() -> None:
    async def test() -> None:
        async with parsers() as here:
            texts = [b'{"n": %d, "pad": "' % n + b"x" * 300_000 + b'"}' for n in range(8)]
            read_apart = await asyncio.gather(*(read(here, text) for text in texts))
            assert [value["n"] for value in read_apart] == list(range(8))
            assert (here.begun, here.waiting) == (1, 0)

    ran(test)


def test_a_text_that_takes_too_long_is_refused_and_the_next_is_read() -> None:
    async def test() -> None:
        async with parsers(parse_s=1) as here:
            await read(here, LONG)
            os.kill(pid(here), signal.SIGSTOP)
            with pytest.raises(TooMuch, match="takes more than 1 s to read"):
                await read(here, LONG)
            here.limits = WireLimits()  # of the next process
            assert await read(here, LONG) == {"logo": "x" * 4_000_000}
            assert (here.begun, here.ended) == (2, 1)

    ran(test)


def test_a_turn_that_does_not_come_is_said() -> None:
    async def test() -> None:
        async with parsers() as here:
            await read(here, LONG)
            os.kill(pid(here), signal.SIGSTOP)
            first = asyncio.ensure_future(read(here, LONG))
            await asyncio.sleep(0)
            here.limits = WireLimits(parse_s=0.1)
            with pytest.raises(Overdue, match=r"has not left a turn in 0\.1 s"):
                await read(here, LONG)
            os.kill(pid(here), signal.SIGCONT)
            assert await first == {"logo": "x" * 4_000_000}
            assert dict(here.refused) == {"turn": 1}

    ran(test)


def test_a_caller_who_leaves_holds_nobody_up() -> None:
    async def test() -> None:
        async with parsers() as here:
            leaving = [asyncio.ensure_future(read(here, SLOW)) for _ in range(3)]
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            for task in leaving:
                task.cancel()
            assert await read(here, LONG) == {"logo": "x" * 4_000_000}
            assert (here.begun, here.ended, here.waiting) == (1, 0, 0)

    ran(test)


def test_a_process_that_dies_is_begun_anew() -> None:
    async def test() -> None:
        async with parsers() as here:
            await read(here, LONG)
            os.kill(pid(here), signal.SIGKILL)
            with pytest.raises(ParserLost, match=r"has ended \(SIGKILL\)"):
                await read(here, LONG)
            assert await read(here, LONG) == {"logo": "x" * 4_000_000}
            assert (here.begun, here.ended, dict(here.refused)) == (2, 1, {"lost": 1})

    ran(test)


def test_where_no_process_can_be_begun_short_texts_are_still_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")

    async def test() -> None:
        async with parsers() as here:
            with pytest.raises(ParserLost, match="no process that reads JSON can be begun"):
                await read(here, LONG)
            assert await read(here, b"[1]") == [1]

    ran(test)


def test_its_memory_is_bounded() -> None:
    async def test() -> None:
        text = b'"' + b"x" * 100_000_000 + "\U0001f600".encode() + b'"'  # 400 MB of characters
        async with parsers(parse_memory=256 * MIB) as here:
            with pytest.raises((TooMuch, ParserLost)):
                await read(here, text)
            assert await read(here, LONG) == {"logo": "x" * 4_000_000}

    ran(test)


def test_it_has_no_port_no_channel_and_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAPABILITY_TOKEN", "hidden")

    async def test() -> None:
        server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
        for listening in server.sockets:
            os.set_inheritable(listening.fileno(), True)  # noqa: FBT003 - it takes no name
        async with server, parsers() as here:
            await read(here, LONG)
            about = Path(f"/proc/{pid(here)}")
            files = {file.name: os.readlink(file) for file in (about / "fd").iterdir()}
            assert files.keys() == {"0", "1", "2"}
            assert files["0"].startswith("socket:")
            assert files["1"] == "/dev/null"
            assert b"hidden" not in (about / "environ").read_bytes()
            assert os.getsid(pid(here)) == pid(here)  # no Ctrl-C of ours reaches it

    ran(test)


def test_it_comes_to_its_end_with_the_parser() -> None:
    async def test() -> None:
        async with parsers() as here:
            await read(here, LONG)
            number = pid(here)
            slow = asyncio.ensure_future(read(here, SLOW))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert not is_there(number)
        with pytest.raises(ParserLost):
            await slow
        with pytest.raises(ParserLost):
            await read(here, LONG)
        assert await read(here, b"1") == 1

    ran(test)


KILLED = """
import asyncio, sys, threading
from composer.parser import Parser
from composer.spool import Spool

async def main():
    here = Parser()
    await here.read(Spool.of(b'"' + b"x" * 300_000 + b'"'))
    print(here._process._popen.pid, flush=True)
    threading.Event().wait()

asyncio.run(main())
"""


def test_it_is_gone_when_its_worker_is_killed() -> None:
    worker = subprocess.Popen(
        [sys.executable, "-c", KILLED], stdout=subprocess.PIPE, cwd=ROOT, text=True
    )
    assert worker.stdout is not None
    with worker.stdout as told:
        number = int(told.readline())
    status = os.pidfd_open(number)  # says when it has ended, though it is nobody's child here
    worker.kill()
    worker.wait()
    assert select.select([status], [], [], WAIT)[0]
    os.close(status)
