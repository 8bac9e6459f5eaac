"""A worker is replaced by a new process, and its streams do not notice."""

import asyncio
import contextlib
import os
import re
import signal
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from composer.testing.orchestrator import Stream
from composer.trickle.http import open_http
from tests.server.streams import ran
from tests.server.test_lifecycle import BYOC
from tests.server.test_resume import PASS, Place, both, came, lost, place, sending, told


async def upgraded(here: Place) -> str:
    """What a new process is said to be, or what is said in its place."""
    process = await asyncio.create_subprocess_exec(
        *(BYOC, "upgrade", "--state", str(here.state)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    heir = re.search(rb"process (\d+) goes on", said)
    if heir is not None:
        here.heirs.append(int(heir[1]))
    assert process.returncode == (0 if heir is not None else 1), said
    return said.decode()


@asynccontextmanager
async def asking(here: Place, stream: Stream) -> AsyncIterator[list[int]]:
    """Changes of a stream meanwhile, one after another: each over a new connection, and each over
    the same one.
    """
    answers: list[int] = []

    async def ask(*, new: bool) -> None:
        async with open_http() as kept:
            while True:
                async with contextlib.AsyncExitStack() as stack:
                    http = await stack.enter_async_context(open_http()) if new else kept
                    url, headers = f"{here.url}/stream/params", {"X-Stream-Id": stream.name}
                    async with http.post(url, json={}, headers=headers) as answer:
                        answers.append(answer.status)
                        await answer.read()

    tasks = [asyncio.ensure_future(ask(new=new)) for new in (True, False)]
    try:
        yield answers
        assert not any(task.done() for task in tasks), [task.exception() for task in tasks]
    finally:
        for task in tasks:
            task.cancel()


async def streaming(here: Place, count: int = 1) -> list[Stream]:
    await here.up()
    await here.orchestrator.has("cap")
    return [await here.orchestrator.start("cap", params={"level": 0.5}) for _ in range(count)]


@pytest.mark.slow
@both
def test_no_picture_is_lost_none_comes_twice_and_no_request_is_refused(
    tmp_path: Path, text: str
) -> None:
    async def test() -> None:
        async with place(tmp_path, text) as here:
            first, second = await streaming(here, 2)
            async with sending(first, 400), sending(second, 400):
                await came(first, 20)
                assert (await first.params({"level": 0.25}))[0] == 200
                async with asking(here, first) as answers:
                    await upgraded(here)
                    assert await asyncio.to_thread(here.process.wait, 30) == 0
                    assert (await here.again(second, params={"level": 0.5}))[0] == 200
                    assert (await second.params({"level": 0.75}))[0] == 200
                assert set(answers) == {200}
                assert len(here.kept()) == 2
                await came(first, 399)
                await came(second, 399)
            assert (lost(first, 400), lost(second, 400)) == (0, 0)
            assert here.orchestrator.removed == []
            for stream, level in ((first, 0.25), (second, 0.75)):
                assert [each["restarts"] for each in told(stream, "stream_resumed")] == [0]
                assert "stream_stopped" not in stream.kinds()
                assert (await stream.params({}))[1]["params"] == {"level": level}
                assert (await stream.stop())[0] == 200
            assert here.kept() == []

    ran(test, 58)


@pytest.mark.slow
def test_where_the_new_process_does_not_come_up_the_old_one_goes_on(tmp_path: Path) -> None:
    """Once since the pipeline is wrong now, once since it never gets ready; then it may."""

    async def test() -> None:
        async with place(tmp_path) as here:
            (stream,) = await streaming(here)
            async with sending(stream, 500):
                await came(stream, 20)
                (tmp_path / "p.yaml").write_text(PASS.replace("color", "colour"))
                said = await upgraded(here)
                assert "the new process ended with 2; its log says why" in said
                assert "unknown-node" in here.log()
                (tmp_path / "p.yaml").write_text(PASS)
                await upgraded(here)
                assert await asyncio.to_thread(here.process.wait, 30) == 0
                await came(stream, 499)
            assert lost(stream, 500) == 0
            assert here.orchestrator.removed == []

    ran(test, 58)


@pytest.mark.slow
@pytest.mark.timeout(150)
def test_one_that_never_gets_ready_is_killed(tmp_path: Path) -> None:
    hangs = "import threading\n\nthreading.Event().wait()\n"
    text = PASS.replace("  out:", '  mine: {type: "./mine.py:Mine"}\n  out:')
    works = "from composer import YUV, Node\n\n\nclass Mine(Node):\n"
    works += '    """Mine."""\n\n    def process(self, image: YUV) -> YUV:\n        return image\n'
    (tmp_path / "mine.py").write_text(works)

    async def test() -> None:
        async with place(tmp_path, text) as here:
            await here.up(BYOC_UPGRADE_S="6")
            await here.orchestrator.has("cap")
            stream = await here.orchestrator.start("cap")
            async with sending(stream, 500):
                await came(stream, 20)
                (tmp_path / "mine.py").write_text(hangs)
                said = await upgraded(here)
                pid = re.search(r"the new process \((\d+)\) was not ready in 6 s", said)
                assert pid is not None, said
                with pytest.raises(ProcessLookupError):
                    os.kill(int(pid[1]), 0)
                await came(stream, 499)
            assert (lost(stream, 500), here.process.poll()) == (0, None)
            assert (await stream.stop())[0] == 200

    ran(test, 140)


@pytest.mark.slow
@pytest.mark.timeout(150)
def test_a_signal_asks_for_one_too_and_needs_no_folder(tmp_path: Path) -> None:
    async def test() -> None:
        async with place(tmp_path) as here:
            with socket.create_server(("127.0.0.1", 0)) as free:
                figures = free.getsockname()[1]
            await here.up(BYOC_STATE="", BYOC_METRICS_PORT=str(figures))
            await here.orchestrator.has("cap")
            stream = await here.orchestrator.start("cap")
            async with sending(stream, 400):
                await came(stream, 20)
                assert await here.down(signal.SIGHUP) == 0
                found = re.search(r"process (\d+) goes on, and this one ends", here.log())
                assert found is not None, here.log()
                here.heirs.append(int(found[1]))
                async with here.http.get(f"http://127.0.0.1:{figures}/metrics") as answer:
                    assert "byoc_sessions" in await answer.text()
                await came(stream, 399)
            assert lost(stream, 400) == 0

    ran(test, 140)


@pytest.mark.slow
@pytest.mark.timeout(150)
def test_a_new_process_that_dies_on_its_way_leaves_all_to_the_old_one(tmp_path: Path) -> None:
    """Killed when it has been told to accept requests: what was handed over comes back."""

    async def test() -> None:
        async with place(tmp_path) as here:
            (stream,) = await streaming(here)
            async with sending(stream, 600):
                await came(stream, 20)
                asked = asyncio.ensure_future(upgraded(here))
                registrations = here.orchestrator.registrations
                await here.orchestrator.until(lambda: len(registrations) > 1)  # it accepts
                heir = re.search(r"process (\d+) begins", here.log())
                assert heir is not None
                os.kill(int(heir[1]), signal.SIGKILL)
                said = await asked
                assert "ended with -9" in said
                await came(stream, 599)
            assert (await stream.params({"level": 0.5}))[0] == 200
            assert lost(stream, 600) == 0
            assert here.process.poll() is None
            assert (await stream.stop())[0] == 200

    ran(test, 140)


@pytest.mark.slow
@pytest.mark.timeout(150)
def test_an_old_process_that_dies_on_the_way_leaves_all_to_the_new_one(tmp_path: Path) -> None:
    async def test() -> None:
        async with place(tmp_path) as here:
            (stream,) = await streaming(here)
            async with sending(stream, 600):
                await came(stream, 20)
                asked = asyncio.ensure_future(upgraded(here))
                registrations = here.orchestrator.registrations
                await here.orchestrator.until(lambda: len(registrations) > 1)
                heir = re.search(r"process (\d+) begins", here.log())
                assert heir is not None
                here.heirs.append(int(heir[1]))
                assert await here.down() == -signal.SIGKILL
                assert "the worker came to its end" in await asked
                await came(stream, 599)
            assert (await stream.params({}))[1]["params"] == {"level": 0.5}
            assert lost(stream, 600) < 75
            assert (await stream.stop())[0] == 200
            assert here.kept() == []

    ran(test, 140)


@pytest.mark.slow
@pytest.mark.timeout(150)
def test_a_stream_that_cannot_go_on_there_keeps_all_where_they_are(tmp_path: Path) -> None:
    async def test() -> None:
        async with place(tmp_path) as here:
            first, second = await streaming(here, 2)
            async with sending(first, 400), sending(second, 400):
                await came(first, 20)
                (tmp_path / "p.yaml").write_text(PASS.replace("capability: cap", "capability: x"))
                said = await upgraded(here)
                assert "the capability 'cap' is not served any more" in said
                await came(second, 399)
            assert (lost(first, 400), lost(second, 400)) == (0, 0)
            assert here.process.poll() is None
            assert not first.closed | second.closed

    ran(test, 140)


def test_where_no_worker_is_there_it_says_so(tmp_path: Path) -> None:
    done = subprocess.run(
        [BYOC, "upgrade", "--state", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "no worker keeps its streams there (No such file or directory)" in done.stderr
