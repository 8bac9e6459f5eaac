"""A worker that is killed comes back and goes on with its streams."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from composer.media.mpegts.demuxer import Demuxer
from composer.testing.orchestrator import Orchestrator, Stream, event_of
from composer.trickle.http import Http, open_http
from tests.server.streams import numbers, pieces, ran
from tests.server.test_lifecycle import BYOC

PASS = """
version: 1
capability: cap
params: {level: tint.red}
nodes:
  source: {type: decode}
  tint: {type: color, queue: 300, on_full: wait}
  out: {type: encode, keyframe_s: 0.4, queue: 300, on_full: wait}
"""


ISOLATED = PASS + "isolation: process\n"

both = pytest.mark.parametrize(
    "text",
    [pytest.param(PASS, id="none"), pytest.param(ISOLATED, id="process", marks=pytest.mark.slow)],
)


class Place:
    """A folder with a pipeline, a port, and the workers that come and go there."""

    def __init__(self, folder: Path, orchestrator: Orchestrator, http: Http) -> None:
        self.folder, self.orchestrator, self.http = folder, orchestrator, http
        self.state = folder / "state"
        self.processes: list[subprocess.Popen[str]] = []
        self.heirs: list[int] = []
        """Processes that came by an upgrade, and are not our children."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    @property
    def process(self) -> subprocess.Popen[str]:
        return self.processes[-1]

    def log(self, index: int = -1) -> str:
        """What a worker has said so far."""
        return (self.folder / f"log{range(len(self.processes))[index]}").read_text()

    async def up(self, **more: str) -> None:
        """Another worker, until it listens."""
        self.processes.append(self._begun(more))
        assert self.process.stdout is not None
        assert await asyncio.to_thread(self.process.stdout.readline), self.log()

    def _begun(self, more: dict[str, str]) -> subprocess.Popen[str]:
        known = {
            "BYOC_PORT": str(self.port),
            "BYOC_STATE": str(self.state),
            "CAPABILITY_URL": self.url,
            "CAPABILITY_CAPACITY": "4",
            "ORCH_URL": self.orchestrator.url,
            "ORCH_SECRET": "secret",
        }
        with (self.folder / f"log{len(self.processes)}").open("w") as log:
            return subprocess.Popen(
                [BYOC, "serve", "p.yaml"],
                cwd=self.folder,
                env={**os.environ, **known, **more},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    async def down(self, number: int = signal.SIGKILL) -> int:
        self.process.send_signal(number)
        return await asyncio.to_thread(self.process.wait, 30)

    async def post(self, path: str, body: object, name: str) -> tuple[int, object]:
        headers = {"X-Stream-Id": name}
        async with self.http.post(self.url + path, json=body, headers=headers) as answer:
            return answer.status, await answer.json()

    async def again(self, stream: Stream, **more: object) -> tuple[int, object]:
        """The same start once more, as go-livepeer may post it."""
        keys = {"control_url": "-control", "events_url": "-events", "subscribe_url": ""}
        keys["publish_url"] = "-out"
        body: dict[str, object] = {key: stream.channel(end) for key, end in keys.items()}
        body |= {"gateway_request_id": stream.name, "params": None, **more}
        return await self.post("/stream/start", body, stream.name)

    def kept(self) -> list[Path]:
        return list(self.state.glob("*.json"))


@asynccontextmanager
async def place(folder: Path, text: str = PASS) -> AsyncIterator[Place]:
    (folder / "p.yaml").write_text(text)
    async with Orchestrator().serving() as orchestrator, open_http() as http:
        here = Place(folder, orchestrator, http)
        try:
            yield here
        finally:
            for pid in here.heirs:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            for process in here.processes:
                process.kill()
                process.wait()
                assert process.stdout is not None
                process.stdout.close()


@asynccontextmanager
async def sending(stream: Stream, frames: int = 100) -> AsyncIterator[None]:
    """Its input comes meanwhile, at its pace: pictures that count from 0, in segments of 2 s."""
    work = asyncio.ensure_future(stream.publish(pieces(frames, gop=50)))
    try:
        yield
        await work
    finally:
        work.cancel()


async def came(stream: Stream, number: int) -> None:
    """Return when this picture is there, or a later one: the last segments say it alone."""

    def there() -> bool:
        newest = [each for each in numbers(stream.output[-2:]) if each is not None]
        return max(newest, default=-1) >= number

    await stream.until(there)


def lost(stream: Stream, frames: int) -> int:
    """How many pictures did not come; none comes twice or early, and their times grow."""
    found = [number for number in numbers(stream.output) if number is not None]
    assert found == sorted(set(found))
    assert times(stream) == sorted(set(times(stream)))
    return frames - len(found)


def told(stream: Stream, kind: str) -> list[dict[str, Any]]:
    """The events of a kind."""
    return [dict(event_of(each)) for each in stream.events if event_of(each)["type"] == kind]


def times(stream: Stream) -> list[int]:
    """The times of all that came out, in order."""

    demuxer = Demuxer()
    units = demuxer.feed(b"".join(stream.output))
    return [unit.dts or 0 for unit in (*units, *demuxer.flush()) if unit.track.kind == "video"]


@both
def test_a_stream_outlives_its_process(tmp_path: Path, text: str) -> None:
    """Killed in mid-stream, and started again: what is lost is what nobody could still read."""

    async def test() -> None:
        async with place(tmp_path, text) as here:
            await here.up()
            await here.orchestrator.has("cap")
            stream = await here.orchestrator.start("cap", params={"level": 0.5})
            async with sending(stream, 250):
                await came(stream, 60)
                assert (await stream.params({"level": 0.25}))[0] == 200
                assert await here.down() == -signal.SIGKILL
                assert len(here.kept()) == 1
                await here.up()
                answers = [await here.again(stream, params={"level": 0.5}) for _ in range(2)]
                assert [status for status, _ in answers] == [200, 200]
                await came(stream, 249)
            assert lost(stream, 250) < 75
            (resumed,) = told(stream, "stream_resumed")
            assert (resumed["restarts"], resumed["params_left_out"]) == (1, [])
            restarted = [
                each["inference_status"]
                for each in told(stream, "status")
                if each["inference_status"]["restart_count"]
            ]
            assert restarted[0]["last_params"]["level"] == 0.25
            assert (await stream.stop())[0] == 200
            assert await here.down(signal.SIGTERM) == 0
            assert here.kept() == []
            assert here.orchestrator.trickle not in here.log()

    ran(test, 55)


POISON = '''
"""A node that takes its process down when a caller wants it."""

import ctypes
import os

from composer import YUV, Live, Node


class Poison(Node):
    """Works, until it is armed."""

    armed: str = Live("")

    def process(self, image: YUV) -> YUV:
        if self.armed == "fault":
            ctypes.string_at(0)
        if self.armed == "exit":
            os._exit(3)
        return image
'''

POISONED = """
version: 1
capability: cap
params: {armed: poison.armed}
nodes:
  source: {type: decode}
  poison: {type: "./poison.py:Poison", queue: 300, on_full: wait}
  out: {type: encode, keyframe_s: 0.4, queue: 300, on_full: wait}
"""


@pytest.mark.slow
@pytest.mark.timeout(150)
@pytest.mark.parametrize("armed", ["fault", "exit"])
def test_one_that_takes_its_process_down_twice_is_given_up_and_the_others_go_on(
    tmp_path: Path, armed: str
) -> None:
    (tmp_path / "poison.py").write_text(POISON)

    async def test() -> None:
        async with place(tmp_path, POISONED) as here:
            await here.up()
            await here.orchestrator.has("cap")
            quiet = await here.orchestrator.start("cap", stream_id="quiet")
            poison = await here.orchestrator.start(
                "cap", stream_id="poison", params={"armed": armed}
            )
            async with sending(quiet, 500), sending(poison, 500):
                for _ in range(2):
                    await asyncio.to_thread(here.process.wait, 30)
                    await here.up()
                await poison.until(lambda: "-out" in poison.closed)
                await came(quiet, 499)
                assert here.process.poll() is None
            (stopped,) = told(poison, "stream_stopped")
            assert stopped["error"] == "it took its process down twice within 60 s"
            assert "session poison]: it is given up" in here.log()
            assert "in session_" in here.log()  # the stack of the process before
            assert told(quiet, "stream_resumed")[-1]["restarts"] == 2
            assert not quiet.closed
            assert len(here.kept()) == 1

    ran(test, 140)


@pytest.mark.slow
def test_a_machine_that_is_slow_to_start_loses_what_the_channel_no_longer_has(
    tmp_path: Path,
) -> None:
    """Away for longer than the window of the channel: it goes on with the oldest segment there."""

    async def test() -> None:
        async with place(tmp_path) as here:
            await here.up()
            await here.orchestrator.has("cap")
            stream = await here.orchestrator.start("cap")
            async with sending(stream, 700):
                await came(stream, 20)
                await here.down()
                await asyncio.sleep(12)
                await here.up()
                await came(stream, 699)
            assert 75 < lost(stream, 700) < 600

    ran(test, 55)
