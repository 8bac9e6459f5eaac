"""Processes that are forked, with a program of the test in the place of a session's."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from composer.errors import Stalled
from composer.isolation.processes import Processes, SessionProcess
from tests.isolation.crashes import gone
from tests.server.streams import ran


@asynccontextmanager
async def ready() -> AsyncIterator[Processes]:
    here = Processes()
    try:
        await here.start()
        yield here
    finally:
        here.close()


def test_a_process_ends_when_its_worker_says_nothing_more() -> None:
    async def test() -> None:
        async with ready() as here:
            process = await here.fork()
            assert process.memory() > 1_000_000
            process.control.close()
            assert await process.exited == 0
            assert process.memory() == 0
            process.close()

    ran(test)


def test_one_is_killed_and_the_others_go_on() -> None:
    async def test() -> None:
        async with ready() as here:
            one, other = await here.fork(), await here.fork()
            one.signal(signal.SIGKILL)
            assert await one.exited == -signal.SIGKILL
            one.signal(signal.SIGKILL)  # nobody: its number may be another one's by now
            assert not other.exited.done()
            other.signal(signal.SIGTERM)  # as systemd sends to all processes of a worker
            other.control.close()
            assert await other.exited == 0
            one.close()
            other.close()

    ran(test)


def test_processes_end_with_what_they_come_from_and_another_is_made() -> None:
    async def test() -> None:
        async with ready() as here:
            one = await here.fork()
            os.kill(_parent(one), signal.SIGKILL)
            assert await one.exited == -signal.SIGKILL
            await gone(one.pid)
            other = await here.fork()
            assert other.pid != one.pid
            one.close()
            other.close()

    ran(test, 60)


def test_all_end_when_they_are_closed() -> None:
    async def test() -> None:
        async with ready() as here:
            several = [await here.fork() for _ in range(3)]
            here.close()
            for each in several:
                assert await each.exited == -signal.SIGKILL
                await gone(each.pid)
                each.close()

    ran(test)


def _parent(process: SessionProcess) -> int:
    return int(Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_no_process_can_be_begun_where_what_it_needs_is_not_there() -> None:
    async def test() -> None:
        here = Processes(["no_such_module_at_all"])
        try:
            with pytest.raises(Stalled, match="has ended"):
                await here.start()
        finally:
            here.close()

    ran(test)
