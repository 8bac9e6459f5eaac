"""The life of `byoc serve` as a container sees it: signals, exit codes, and the end of streams."""

import asyncio
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from composer.testing import bars
from composer.testing.orchestrator import Orchestrator, Stream, event_of
from composer.trickle.http import Http, open_http
from tests import stubs
from tests.server.streams import Stage, numbers, pieces, ran, serving

BYOC = str(Path(sys.executable).with_name("byoc"))

PASS = """
version: 1
capability: cap
nodes:
  source: {type: decode}
  out: {type: encode, keyframe_s: 0.4, queue: 300, on_full: wait}
"""

HELD = """
version: 1
capability: cap
nodes:
  source: {type: decode}
  hold: {type: "./hold.py:Hold", queue: 300, on_full: wait}
  out: {type: encode, keyframe_s: 0.4, queue: 300, on_full: wait}
"""

NODE = '''
"""A node that waits for its test, at a place of the test's choice."""

import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from composer import YUV, Context, Node


def wait(at: str) -> None:
    if at == "WHERE":
        print(f"at {at}", flush=True)
        threading.Event().wait()


wait("import")


class Hold(Node):
    """Waits."""

    shared: ClassVar[bool] = True

    def setup(self, ctx: Context) -> None:
        wait("setup")

    def process(self, image: YUV) -> YUV:
        if Path("lost").exists():
            raise RuntimeError("CUDA error: device-side assert triggered\\nand so on")
        return image

    def flush(self) -> Iterable[YUV]:
        if "WHERE" == "flush":
            Path("go").open().close()  # a pipe that the test opens at its other end
        return ()
'''


def encoded() -> bytes:
    """A picture as the body of a job."""
    buffer = io.BytesIO()
    Image.fromarray(bars(64, 32)).save(buffer, "png")
    return buffer.getvalue()


PICTURE = encoded()
JOB = "nodes: {source: {type: decode}, call: {type: call}, out: {type: encode}}"


def write(folder: Path, where: str) -> None:
    (folder / "p.yaml").write_text(HELD)
    (folder / "hold.py").write_text(NODE.replace("WHERE", where))


@contextmanager
def served(folder: Path, *words: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """`byoc serve p.yaml` in a folder; it is killed where a test leaves it running."""
    with subprocess.Popen(
        [BYOC, "serve", "p.yaml", *words],
        cwd=folder,
        env={**os.environ, "BYOC_PORT": "0", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Its exit code and what it said, once it is over."""
    _, said = process.communicate(timeout=20)
    return process.returncode, said


@pytest.mark.parametrize("where", ["import", "setup"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.fault("F-63")
def test_a_signal_during_the_start_is_not_kept_waiting(
    tmp_path: Path, where: str, number: int
) -> None:
    """Not by a node's file that is being imported, and not by a model that loads."""
    write(tmp_path, where)
    with served(tmp_path) as process:
        assert line(process) == f"at {where}\n"
        began = time.monotonic()
        process.send_signal(number)
        code, said = ended(process)
        assert (code, "Traceback" in said) == (0, False)
        assert time.monotonic() - began < 2


# exit codes


@pytest.mark.fault("F-60")
def test_what_an_operator_can_mend_is_2(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("version: 1\nnodes: {a: {type: bluor}}\n")
    with served(tmp_path) as process:
        code, said = ended(process)
        assert (code, "unknown-node" in said) == (2, True)
    with served(tmp_path / "..") as process:
        assert ended(process)[0] == 2
    (tmp_path / "p.yaml").write_text(PASS)
    with socket.create_server(("127.0.0.1", 0)) as other:
        with served(tmp_path, BYOC_PORT=str(other.getsockname()[1])) as process:
            code, said = ended(process)
            assert (code, "address already in use" in said) == (2, True)
    with served(tmp_path, BYOC_DRAIN_S="soon") as process:
        code, said = ended(process)
        assert (code, "--drain-s (BYOC_DRAIN_S)" in said) == (2, True)


@pytest.mark.fault("F-49")
def test_what_the_machine_does_not_have_is_3(tmp_path: Path) -> None:
    address = f"https://models.test/m.onnx#sha256={'0' * 64}"
    model = f"  m: {{type: onnx, model: '{address}', post: image}}\n"
    (tmp_path / "p.yaml").write_text(PASS.replace("  out:", f"{model}  out:"))
    with served(tmp_path, BYOC_CACHE=str(tmp_path)) as process:
        code, said = ended(process)
        assert (code, "not-fetched" in said) == (3, True), said
    write(tmp_path, "")
    text = (
        (tmp_path / "hold.py").read_text().replace('wait("setup")', 'raise OSError("no weights")')
    )
    (tmp_path / "hold.py").write_text(text)
    with served(tmp_path) as process:
        code, said = ended(process)
        assert (code, said) == (3, "byoc: node 'hold' failed in setup(): OSError: no weights\n")


def test_a_mistake_of_ours_is_70_and_one_record(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(PASS)
    broken = "from composer.server import worker\nworker.offers = lambda *_: [][0]\n"
    program = f"{broken}import sys\nfrom composer.command.cli import main\nmain()\n"
    done = subprocess.run(
        [sys.executable, "-c", program, "serve", "p.yaml", "--log", "json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 70
    (record,) = done.stderr.splitlines()
    assert "IndexError: list index out of range" in record


# the end of streams


@asynccontextmanager
async def streaming(
    folder: Path, count: int, **environment: str
) -> AsyncIterator[tuple[subprocess.Popen[str], str, Orchestrator, list[Stream], Http]]:
    """A worker that is registered and has streams in the middle of their input."""
    async with Orchestrator().serving() as orchestrator, open_http() as http:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        address = f"http://127.0.0.1:{port}"
        known = {
            "BYOC_PORT": str(port),
            "CAPABILITY_URL": address,
            "CAPABILITY_CAPACITY": str(count + 1),
            "ORCH_URL": orchestrator.url,
            "ORCH_SECRET": "secret",
        }
        with served(folder, **{**known, **environment}) as process:
            await orchestrator.has("cap")
            streams = [await orchestrator.start("cap") for _ in range(count)]
            async with asyncio.TaskGroup() as group:
                sending = [group.create_task(each.publish(pieces(50))) for each in streams]
                for each in streams:
                    await each.until(lambda each=each: len(numbers(each.output)) >= 10)  # type: ignore[misc]
                yield process, address, orchestrator, streams, http
                for task in sending:
                    task.cancel()


def stopped(stream: Stream) -> bool:
    """Whether the last that was heard of it is its end."""
    return stream.kinds()[-2:] == ["stream_stopped", "status"]


def whole(stream: Stream) -> bool:
    """Whether what came back are pictures without a hole, in segments that can be read alone."""
    each = [numbers([segment]) for segment in stream.output]
    found = [number for segment in each for number in segment]
    return all(each) and len(found) >= 10 and found == list(range(len(found)))


LOUD = '''
"""A node that says much about each picture."""

import logging
import sys

from composer import YUV, Node


class Hold(Node):
    """Prints and logs."""

    def process(self, image: YUV) -> YUV:
        for stream in (sys.stdout, sys.stderr):
            print("x" * 9999, file=stream, flush=True)
        for number in range(100):
            logging.getLogger(str(number)).warning("y" * 999)
        return image
'''


def test_a_log_that_nobody_reads_holds_neither_a_frame_nor_the_end(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(HELD)
    (tmp_path / "hold.py").write_text(LOUD)

    async def test() -> None:
        async with streaming(tmp_path, 1) as (process, address, _, (stream,), http):
            await stream.until(lambda: len(numbers(stream.output)) >= 40)
            async with http.get(f"{address}/live") as answer:
                assert answer.status == 200
            process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(process.wait, 20) == 0
            assert whole(stream)

    ran(test, 40)


@pytest.mark.fault("F-61")
def test_sigterm_in_the_middle_of_four_streams_ends_them_in_order(tmp_path: Path) -> None:
    write(tmp_path, "flush")
    os.mkfifo(tmp_path / "go")

    async def test() -> None:
        async with streaming(tmp_path, 4) as (process, address, orchestrator, streams, http):
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            await orchestrator.until(lambda: "cap" in orchestrator.removed)
            assert not [each for each in streams if "stream_stopped" in each.kinds()]
            async with http.get(f"{address}/ready") as answer:
                assert (answer.status, (await answer.json())["ok"]) == (503, False)
            async with http.get(f"{address}/live") as answer:
                assert answer.status == 200
            body = {"gateway_request_id": "late", "control_url": address, "events_url": address}
            async with http.post(f"{address}/stream/start", json=body) as answer:
                assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
            with await asyncio.to_thread((tmp_path / "go").open, "w"):
                code, said = await asyncio.to_thread(ended, process)
            assert (code, "did not end" in said) == (0, False), said
            assert time.monotonic() - began < 20
            for each in streams:
                await each.until(partial(stopped, each))
                told = event_of(each.events[-2])
                assert (told["reason"], told["error"]) == ("shutdown", None)
                # Closed by the worker, so that the gateway takes another one at once.
                await each.until(partial(each.closed.__contains__, "-out"))
                assert whole(each)

    ran(test, 40)


@pytest.mark.fault("F-61")
def test_a_second_signal_does_not_wait_for_streams(tmp_path: Path) -> None:
    write(tmp_path, "flush")
    os.mkfifo(tmp_path / "go")

    async def test() -> None:
        async with streaming(tmp_path, 1) as (process, _, orchestrator, _, _):
            process.send_signal(signal.SIGTERM)
            await orchestrator.until(lambda: "cap" in orchestrator.removed)
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert (await asyncio.to_thread(ended, process))[0] == 143
            assert time.monotonic() - began < 1

    ran(test, 40)


def test_streams_that_do_not_end_are_left_behind_in_time_with_what_they_have(
    tmp_path: Path,
) -> None:
    """Their nodes never end; what was encoded before is a whole segment all the same."""
    write(tmp_path, "flush")
    os.mkfifo(tmp_path / "go")

    async def test() -> None:
        async with streaming(tmp_path, 2, BYOC_DRAIN_S="2") as (process, _, _, streams, _):
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            code, said = await asyncio.to_thread(ended, process)
            assert (code, "left behind: stage " in said) == (0, True), said
            assert time.monotonic() - began < 3
            for each in streams:
                await each.until(partial(stopped, each))
                assert whole(each)

    ran(test, 40)


@pytest.mark.fault("F-48")
def test_a_lost_gpu_ends_all_streams_and_the_process_with_4(tmp_path: Path) -> None:
    """Though frames may go by a node that fails, and though the others' nodes did not fail."""
    write(tmp_path, "")

    async def test() -> None:
        async with streaming(tmp_path, 2) as (process, _, orchestrator, streams, _):
            (tmp_path / "lost").touch()
            code, said = await asyncio.to_thread(ended, process)
            assert code == 4, said
            assert said.count("a GPU is lost") == 1
            assert orchestrator.removed == ["cap"]
            for each in streams:
                await each.until(partial(stopped, each))
                told = event_of(each.events[-2])
                assert told["reason"] == "failed"
                assert "CUDA error: device-side assert triggered" in told["error"]

    ran(test, 40)


@pytest.mark.parametrize("accept", ["*/*", "text/event-stream"])
@pytest.mark.fault("F-48")
def test_a_gpu_that_a_job_has_lost_is_lost_to_all(accept: str) -> None:
    def fails(image: object) -> object:
        raise RuntimeError("CUDA error: unspecified launch failure")

    async def test() -> None:
        async with serving(JOB, {"call": stubs.calling(fails)}) as stage:
            address = f"{stage.worker.address}/process"
            async with stage.http.post(address, data=PICTURE, headers={"Accept": accept}) as answer:
                assert answer.status == 500
            assert "unspecified launch failure" in stage.worker.lost
            assert await stage.get("/health") == (200, {"status": "ERROR"})
            async with stage.http.post(address, data=PICTURE) as answer:
                assert (answer.status, answer.headers["Retry-After"]) == (503, "5")

    ran(test)


def test_a_job_that_runs_at_the_end_is_done_before_it() -> None:
    reached, allowed = threading.Event(), threading.Event()

    def waits(image: object) -> object:
        reached.set()
        stubs.reach(allowed)
        return image

    async def post(stage: Stage) -> int:
        async with stage.http.post(f"{stage.worker.address}/process", data=PICTURE) as answer:
            return answer.status

    async def test() -> None:
        async with asyncio.TaskGroup() as group:
            async with serving(JOB, {"call": stubs.calling(waits)}) as stage:
                job = group.create_task(post(stage))
                await asyncio.to_thread(stubs.reach, reached)
                # Longer than the server waits for requests that are not jobs.
                asyncio.get_running_loop().call_later(2.5, allowed.set)
            assert await job == 200

    ran(test)


def test_the_log_says_of_which_session_node_and_frame_and_is_bounded(tmp_path: Path) -> None:
    """Every frame of two streams is complained of, and fails; each line is accounted for."""
    write(tmp_path, "")
    complaining = 'logging.getLogger("mine").warning("dark")\n        raise ValueError("no")'
    text = NODE.replace("import sys\n", "import logging\nimport sys\n")
    (tmp_path / "hold.py").write_text(text.replace("return image", complaining))

    async def test() -> None:
        async with streaming(tmp_path, 2, BYOC_LOG="json") as (process, _, there, streams, _):
            process.send_signal(signal.SIGTERM)
            code, said = await asyncio.to_thread(ended, process)
            assert (code, there.trickle in said, "/ai/trickle" in said) == (0, False, False)
            records = [json.loads(each) for each in said.splitlines()]
            for stream in streams:
                await stream.until(partial(stopped, stream))
                own = [each for each in records if each.get("session") == stream.name]
                dark = [each for each in own if each["message"] == "dark"]
                failed = [each for each in own if each["message"].endswith("on_error: pass")]
                assert [each["level"] for each in dark + failed][:1] == ["warning"]
                assert {each["node"] for each in dark + failed} == {"hold"}
                times = [each["pts"] for each in dark]
                frames = len(numbers(stream.output))
                assert times == sorted(set(times))
                assert len(times) < frames / 2
                (rest,) = [each for each in own if each["message"].endswith("were left out")]
                left_out = sum(each.get("left_out", 0) for each in dark + failed)
                left_out += int(rest["message"].split()[0])
                assert left_out + len(dark) + len(failed) == 2 * frames
                (end,) = [each for each in own if each["message"] == "ends: shutdown"]
                assert "node" not in end
            assert not [each for each in records if stream.name in each["message"]]

    ran(test, 40)


@pytest.mark.fault("F-74")
def test_a_worker_serves_before_its_orchestrator_is_there(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(PASS)

    async def test() -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        known = {"ORCH_URL": f"http://127.0.0.1:{port}", "ORCH_SECRET": "secret"}
        with served(tmp_path, **known, CAPABILITY_URL="http://worker.test") as process:
            address = (await asyncio.to_thread(line, process)).split()[-1]
            async with open_http() as http, http.get(f"{address}/health") as answer:
                assert await answer.json() == {"status": "IDLE"}
            async with Orchestrator().serving(port) as orchestrator:
                await orchestrator.has("cap")

    ran(test)
