"""A source and a sink of a user's own in the place of decode and encode: those that docs show."""

import subprocess
import sys
from pathlib import Path

import av
import pytest

from composer.compiler.compile import compile_file
from composer.engine.oneshot import Job, Order
from composer.node.registry import Registry
from composer.testing.orchestrator import Stream
from tests.clips import ROOT
from tests.commands import blocks, environment
from tests.server.streams import clip_bytes, numbers, pieces, ran, serving

TEXT = """\
version: 1
nodes:
  source: {type: "./ends.py:Pictures"}
  out:    {type: "./ends.py:Packets", queue: 300, on_full: wait}
"""


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    """A pipeline of the nodes on the page, which lie beside it."""
    page = (ROOT / "docs" / "write-a-node.md").read_text()
    code = next(block for block in blocks(page, "python") if block.startswith("# ends.py"))
    (tmp_path / "ends.py").write_text(code)
    file = tmp_path / "own.yaml"
    file.write_text(TEXT)
    return file


def test_a_session_reads_and_writes_through_them(pipeline: Path) -> None:
    async def test() -> None:
        async with serving(file=pipeline) as stage:
            assert "subscribe_url" in (await stage.get("/capability"))[1]["example"]
            stream = await stage.start()
            assert stream.status == 200, stream.answer
            await stream.publish(pieces(50), speed=4)
            await stream.until(lambda: _came(stream) == 50)
            status, answer = await stream.stop()
            assert (status, answer["reason"]) == (200, "stopped")
            assert numbers(stream.output) == list(range(50))

    ran(test)


def _came(stream: Stream) -> int:
    return len(numbers(stream.output))


def test_the_end_of_the_input_is_the_end_of_the_session(pipeline: Path) -> None:
    """A source that reads the input is not asked to stop: it gives what it holds."""

    async def test() -> None:
        async with serving(file=pipeline) as stage:
            stream = await stage.start()
            session = next(iter(stage.sessions.values()))
            await stream.publish(pieces(20), speed=4)
            await stream.delete("")
            await session.over.wait()
            assert session.reason == "input_closed"
            assert numbers(stream.output) == list(range(20))

    ran(test)


def test_a_run_reads_and_writes_through_them(pipeline: Path, tmp_path: Path) -> None:
    came, went = tmp_path / "in.mp4", tmp_path / "out.h264"
    came.write_bytes(clip_bytes(20))
    done = subprocess.run(
        [sys.executable, "-m", "composer", "run", "own.yaml", "-i", str(came), "-o", str(went)],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert done.returncode == 0, done.stderr
    with av.open(str(went)) as opened:
        assert sum(1 for _ in opened.decode(video=0)) == 20


def test_a_selftest_feeds_them(pipeline: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "composer", "selftest", "own.yaml"],
        cwd=pipeline.parent,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_job_reads_and_writes_through_them(pipeline: Path) -> None:
    compiled = compile_file(pipeline, Registry.installed())
    result = Job(compiled, Order(clip_bytes(20), format="ts")).run()
    assert result.metadata["frames"] == 20
    assert result.body
