"""Threads for work that blocks: bounded, in time, and apart from each other."""

import ast
import asyncio
import threading
from concurrent import futures
from pathlib import Path

import pytest

from composer.errors import Crowded, Overdue
from composer.threads import MOST_LEFT, Threads
from tests.server.streams import ran
from tests.stubs import reach

ROOT = Path(__file__).parent.parent


class Hanging:
    """Work that comes back when the test lets it."""

    def __init__(self) -> None:
        self.begun, self.allowed = threading.Semaphore(0), threading.Event()

    def __call__(self) -> str:
        self.begun.release()
        reach(self.allowed)
        return "back"


def test_work_gives_what_it_returns_or_raises() -> None:
    def fails() -> None:
        raise TimeoutError("its own")

    async def test() -> None:
        threads = Threads("sum", 1)
        assert await threads.run(None, sum, [1, 2]) == 3
        with pytest.raises(TimeoutError, match="its own"):
            await threads.run(10, fails)
        assert threads.left_behind == 0
        threads.close()

    ran(test)


def test_no_more_work_at_once_than_there_are_places() -> None:
    async def test() -> None:
        threads, hanging = Threads("wait", 2), Hanging()
        three = [asyncio.ensure_future(threads.run(None, hanging)) for _ in range(3)]
        for _ in range(2):
            assert await asyncio.to_thread(hanging.begun.acquire, timeout=10)
        assert not hanging.begun.acquire(blocking=False)
        hanging.allowed.set()
        assert await asyncio.gather(*three) == ["back"] * 3
        threads.close()

    ran(test)


@pytest.mark.fault("F-43")
def test_work_that_hangs_is_left_behind_and_its_place_is_free() -> None:
    async def test() -> None:
        threads, hanging = Threads("wait", 1), Hanging()
        with pytest.raises(Overdue, match=r"wait took more than 0\.01 s"):
            await threads.run(0.01, hanging)
        assert threads.left_behind == 1
        assert await threads.run(None, sum, [1, 2]) == 3
        hanging.allowed.set()
        futures.wait(threads._left)
        assert threads.left_behind == 0
        threads.close()

    ran(test)


def test_work_whose_caller_leaves_is_left_behind() -> None:
    async def test() -> None:
        threads, hanging = Threads("wait", 1), Hanging()
        waiting = asyncio.ensure_future(threads.run(None, hanging))
        assert await asyncio.to_thread(hanging.begun.acquire, timeout=10)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert threads.left_behind == 1
        hanging.allowed.set()
        threads.close()

    ran(test)


def test_where_too_much_hangs_nothing_more_is_begun_until_some_of_it_ends() -> None:
    async def test() -> None:
        threads, hanging = Threads("wait", 1), Hanging()
        for _ in range(MOST_LEFT):
            with pytest.raises(Overdue):
                await threads.run(0.01, hanging)
        assert threads.crowded
        with pytest.raises(Crowded):
            await threads.run(None, sum, [1, 2])
        hanging.allowed.set()
        futures.wait(threads._left)
        assert await threads.run(None, sum, [1, 2]) == 3
        threads.close()

    ran(test)


def test_a_thread_may_wait_itself() -> None:
    threads, hanging = Threads("wait", 1), Hanging()
    assert threads.call(None, sum, [1, 2]) == 3
    with pytest.raises(Overdue):
        threads.call(0.01, hanging)
    assert threads.left_behind == 1
    hanging.allowed.set()
    threads.close()


@pytest.mark.fault("F-44")
def test_nothing_blocks_on_the_threads_that_everything_shares() -> None:
    shared = ("asyncio.to_thread", ".run_in_executor", ".getaddrinfo")
    bad = [
        f"{path.relative_to(ROOT)}:{node.lineno} {ast.unparse(node.func)}"
        for path in sorted((ROOT / "composer").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(shared)
        if ast.unparse(node.func) != "socket.getaddrinfo"
    ]
    assert bad == []
