"""Threads for work that blocks: bounded, in time, and apart from each other."""

import ast
import asyncio
import gc
import threading
import weakref
from collections.abc import Callable
from concurrent import futures
from pathlib import Path

import pytest

from composer import threads as threads_module
from composer.errors import Crowded, Overdue
from composer.threads import LEFT_BEHIND, Threads
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

    ran(test)


def test_six_hundred_that_hang_delay_nothing_that_comes_behind_them() -> None:
    async def test() -> None:
        threads, hanging, before = Threads("wait", 600), Hanging(), len(LEFT_BEHIND)
        late = [asyncio.ensure_future(threads.run(0.01, hanging)) for _ in range(600)]
        outcomes = await asyncio.gather(*late, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {Overdue}
        assert (threads.left_behind, len(LEFT_BEHIND) - before) == (600, 600)
        assert LEFT_BEHIND.why_anew.endswith("threads hang and cannot be ended")
        assert await threads.run(None, sum, [1, 2]) == 3
        hanging.allowed.set()
        futures.wait(threads._left)
        assert threads.left_behind == 0

    ran(test)


def test_where_too_much_hangs_nothing_more_is_begun_until_some_of_it_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(threads_module, "MOST_LEFT", 2)

    async def test() -> None:
        threads, hanging = Threads("wait", 1), Hanging()
        for _ in range(2):
            with pytest.raises(Overdue):
                await threads.run(0.01, hanging)
        assert threads.crowded
        with pytest.raises(Crowded):
            await threads.run(None, sum, [1, 2])
        hanging.allowed.set()
        futures.wait(threads._left)
        assert await threads.run(None, sum, [1, 2]) == 3

    ran(test)


def test_where_the_machine_gives_no_thread_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def test() -> None:
        monkeypatch.setattr(threading.Thread, "start", refused)
        with pytest.raises(Crowded, match="gives no thread for 'wait'"):
            await Threads("wait", 1).run(None, sum, [1, 2])

    ran(test)


@pytest.mark.parametrize(
    "raised",
    [
        SystemExit(3),
        KeyboardInterrupt(),
        asyncio.CancelledError(),
        GeneratorExit(),
        StopIteration(),
    ],
    ids=lambda raised: type(raised).__name__,
)
def test_what_would_end_the_loop_ends_only_who_waits_for_it(raised: BaseException) -> None:
    def work() -> None:
        raise raised

    async def test() -> None:
        with pytest.raises(RuntimeError, match=f"{type(raised).__name__} in a thread"):
            await Threads("wait", 1).run(10, work)

    ran(test)


class Kept(Exception):
    """What can be pointed to, returned and raised."""


def raises() -> Kept:
    raise Kept


@pytest.mark.parametrize("work", [Kept, raises])
def test_a_thread_ends_with_its_work_and_keeps_nothing_of_it(work: Callable[[], Kept]) -> None:
    async def reference(threads: Threads) -> "weakref.ref[Kept]":
        try:
            return weakref.ref(await threads.run(10, work))
        except Kept as exc:
            return weakref.ref(exc)

    async def test() -> None:
        kept = await reference(Threads("wait", 1))
        for thread in threading.enumerate():
            if thread.name == "blocking wait":
                await asyncio.to_thread(thread.join)
        await asyncio.sleep(0)  # what woke this task is behind it then
        assert kept() is None

    gc.disable()
    try:
        ran(test)
    finally:
        gc.enable()


def test_a_thread_may_wait_itself() -> None:
    threads, hanging = Threads("wait", 1), Hanging()
    assert threads.call(None, sum, [1, 2]) == 3
    with pytest.raises(Overdue):
        threads.call(0.01, hanging)
    assert threads.left_behind == 1
    hanging.allowed.set()


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
