"""What a session's own process does to itself is that session's alone."""

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.process import family_of
from composer.testing.orchestrator import Orchestrator, Stream
from tests.clips import ROOT
from tests.isolation import crashes
from tests.isolation.crashes import gone
from tests.server.streams import QUICK, Stage, numbers, pieces, ran, serving

CRASH = (
    "params: {how: bad.how, at: bad.at, seconds: bad.seconds}\n"
    "nodes: {source: {type: decode}, bad: {type: crash, queue: 300, on_full: wait},"
    " out: {type: encode, keyframe_s: 0.4, queue: 300, on_full: wait}}"
)

PICTURES = 50


def isolated(text: str, **options: Any) -> AbstractAsyncContextManager[Stage]:
    """A worker whose sessions have processes of their own."""
    return serving(text, dict(crashes.NODES), isolation="process", **options)


async def beside(stage: Stage, how: str, **params: Any) -> tuple[Stream, Any, Stream]:
    """A session that is as bad as it is told, and a quiet one beside it that loses nothing: the
    first one, what the worker has of it, and the other one.
    """
    quiet = await stage.start()
    bad = await stage.start(params={"how": how, **params})
    assert (quiet.status, bad.status) == (200, 200), (quiet.answer, bad.answer)
    session = stage.sessions[bad.name]
    async with asyncio.TaskGroup() as group:
        for stream in (quiet, bad):
            group.create_task(stream.publish(pieces(PICTURES), speed=2))
    await quiet.until(lambda: len(numbers(quiet.output)) == PICTURES)
    return bad, session, quiet


async def unharmed(stage: Stage, quiet: Stream) -> None:
    assert numbers(quiet.output) == list(range(PICTURES))
    assert (await quiet.stop())[1]["reason"] == "stopped"
    assert stage.worker.slots.used == 0


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("segfault", "its process was killed by SIGSEGV in node 'bad'"),
        ("abort", "its process was killed by SIGABRT in node 'bad'"),
        ("exit", "its process ended with exit code 3 in node 'bad'"),
        ("kill", "its process was killed by SIGKILL in node 'bad', perhaps since memory ran out"),
    ],
)
@pytest.mark.fault("F-82")
def test_a_process_that_dies_ends_its_session_alone(how: str, said: str) -> None:
    async def test() -> None:
        async with isolated(CRASH) as stage:
            bad, session, quiet = await beside(stage, how)
            await session.over.wait()
            assert (session.reason, session.failure) == ("failed", said)
            await bad.until(lambda: "stream_stopped" in bad.kinds())
            assert said in str(bad.events)
            await unharmed(stage, quiet)

    ran(test)


@pytest.mark.parametrize("how", ["gil", "pattern"])
def test_a_call_that_keeps_the_interpreter_slows_its_session_alone(how: str) -> None:
    async def test() -> None:
        async with isolated(CRASH) as stage:
            bad, _session, quiet = await beside(stage, how, seconds=2)
            await bad.until(lambda: numbers(bad.output)[-1:] == [PICTURES - 1])
            assert (await bad.stop())[1]["reason"] == "stopped"
            await unharmed(stage, quiet)

    ran(test)


@pytest.mark.slow
def test_callers_are_answered_while_a_process_hears_nothing() -> None:
    async def test() -> None:
        async with isolated(CRASH) as stage:
            bad = await stage.start()
            await bad.publish(pieces(20), speed=0)
            await bad.until(lambda: len(numbers(bad.output)) == 20)
            stage.sessions[bad.name].execution.process.signal(signal.SIGSTOP)
            status, said = await bad.params({"seconds": 1})
            assert (status, said["pts_seconds"], said["params"]["seconds"]) == (200, None, 1)
            assert (await stage.get("/stream/status"))[0] == 200
            assert (await bad.params({"seconds": "no"}))[0] == 422
            session = stage.sessions[bad.name]
            assert (await bad.stop())[1]["reason"] == "stopped"
            await session.over.wait()
            assert session.execution.memory() == 0

    ran(test)


@pytest.mark.fault("F-46")
def test_a_process_that_takes_too_much_memory_is_ended() -> None:
    async def test() -> None:
        async with isolated(CRASH, session_memory=300 << 20) as stage:
            _bad, session, quiet = await beside(stage, "leak")
            await session.over.wait()
            assert session.failure == "its process took more than 300 MiB of memory"
            await unharmed(stage, quiet)

    ran(test)


@pytest.mark.slow
def test_a_process_that_logs_without_end_is_heard_now_and_then(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def test() -> None:
        async with isolated(CRASH) as stage:
            bad, _session, quiet = await beside(stage, "log")
            await bad.stop()
            await unharmed(stage, quiet)
            heard = [record for record in caplog.records if record.name == crashes.__name__]
            assert 1 <= len(heard) < 1000
            assert heard[0].getMessage() == "line 0"
            assert heard[0].about["session"] == bad.name  # type: ignore[attr-defined]
            assert "more records of its process were left out" in caplog.text

    ran(test)


SETUP = "nodes: {source: {type: breaks, how: %s}, out: {type: encode}}"


def test_a_process_that_dies_in_setup_is_told_to_who_started_it() -> None:
    async def test() -> None:
        async with isolated(SETUP % "segfault") as stage:
            stream = await stage.start()
            assert stream.status == 500
            said = "its process was killed by SIGSEGV in node 'source'"
            assert stream.answer["message"] == said
            assert stage.worker.slots.used == 0

    ran(test)


def test_a_node_that_cannot_be_set_up_is_named_as_ever() -> None:
    async def test() -> None:
        async with isolated(SETUP % "raise") as stage:
            stream = await stage.start()
            assert stream.status == 500
            said = "node 'source' failed in setup(): RuntimeError: no pictures"
            assert stream.answer["message"] == said

    ran(test)


def test_a_setup_that_hangs_leaves_nothing_behind() -> None:
    async def test() -> None:
        async with isolated(SETUP % "hang", timing=replace(QUICK, setup=1.0)) as stage:
            assert (await stage.start()).status == 504
            assert stage.worker.slots.used == 0
            assert stage.worker.places.left_behind == 0

    ran(test)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("locked", "said"),
    [("true", "its process has said nothing for"), ("false", "node 'h' has been at one frame for")],
)
def test_what_hangs_where_nothing_comes_out_is_not_held_against_the_worker(
    locked: str, said: str
) -> None:
    text = (
        f"nodes: {{s: {{type: decode}}, h: {{type: hang, locked: {locked}}}, o: {{type: encode}}}}"
    )

    async def test() -> None:
        async with isolated(text, timing=replace(QUICK, stall=4.0, stuck=3.0, drain=0.2)) as stage:
            stream = await stage.start(egress=False)
            session = stage.sessions[stream.name]
            await stream.publish(pieces(10), speed=0)
            await session.over.wait()
            assert session.reason == "failed"
            assert session.failure.startswith(said)
            assert (await stage.get("/live"))[0] == 200

    ran(test)


def test_a_process_has_nothing_of_others_and_takes_its_own_with_it(tmp_path: Path) -> None:
    """No port, no file of another session; what a node has begun ends with the session."""
    look = f"l: {{type: look, folder: {tmp_path}}}"
    text = f"nodes: {{s: {{type: decode}}, {look}, o: {{type: encode}}}}"

    async def test() -> None:
        async with isolated(text) as stage:
            port = int(stage.worker.address.rpartition(":")[2])
            streams = [await stage.start(), await stage.start()]
            here = _looked(tmp_path)
            assert len(here) == 2
            sockets = [{name for name in each["file"] if "socket:" in name} for each in here]
            assert sockets[0].isdisjoint(sockets[1])
            assert _listening(port) not in sockets[0] | sockets[1]
            for each in here:
                assert each["group"] == each["pid"]
                assert each["parent"] != [str(os.getpid())]
            for stream in streams:
                await stream.stop()
            for each in here:
                await gone(int(each["pid"][0]))
                await gone(int(each["helper"][0]))

    ran(test)


def test_processes_end_with_a_worker_that_is_killed(tmp_path: Path) -> None:
    folder = tmp_path / "looked"
    folder.mkdir()
    (tmp_path / "mine.py").write_text("from tests.isolation.crashes import Look\n")
    file = tmp_path / "pipeline.yaml"
    file.write_text(
        "version: 1\ncapability: cap\nisolation: process\nnodes:\n  s: {type: decode}\n"
        f"  l: {{type: './mine.py:Look', folder: {folder}}}\n  o: {{type: encode}}\n"
    )

    async def test() -> None:
        serve = (sys.executable, "-m", "composer", "serve", str(file), "--port", "0")
        worker = await asyncio.create_subprocess_exec(*serve, stdout=subprocess.PIPE, cwd=ROOT)
        try:
            assert worker.stdout is not None
            address = (await worker.stdout.readline()).decode().split()[-1]
            async with Orchestrator().serving() as orchestrator:
                stream = await orchestrator.start("cap", url=address)
                assert stream.status == 200, stream.answer
                (looked,) = _looked(folder)
                worker.kill()
                for each in ("pid", "helper", "parent"):
                    await gone(int(looked[each][0]))
        finally:
            await worker.wait()

    ran(test)


def _looked(folder: Path) -> list[dict[str, list[str]]]:
    """What each Look has seen, by kind."""
    return [_written(file) for file in sorted(folder.iterdir())]


def _written(file: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in file.read_text().splitlines():
        kind, _, rest = line.partition(" ")
        found.setdefault(kind, []).append(rest.rpartition(" ")[2])
    return found


def _listening(port: int) -> str:
    """The socket that listens on a port of this machine, as proc(5) names it."""
    lines = Path("/proc/net/tcp").read_text().splitlines()
    fields = next(f for line in lines if (f := line.split())[1].endswith(f":{port:04X}"))
    return f"socket:[{fields[9]}]"


@pytest.mark.slow
@pytest.mark.parametrize("locked", ["true", "false"])
def test_a_node_that_hangs_is_ended_with_its_session(
    locked: str, caplog: pytest.LogCaptureFixture
) -> None:
    text = (
        f"nodes: {{s: {{type: decode}}, h: {{type: hang, locked: {locked}}}, o: {{type: encode}}}}"
    )

    async def test() -> None:
        async with isolated(text, timing=replace(QUICK, stall=2.0, drain=0.2)) as stage:
            stream = await stage.start()
            session = stage.sessions[stream.name]
            publishing = asyncio.ensure_future(stream.publish(pieces(50, loops=20)))
            await session.over.wait()
            publishing.cancel()
            assert session.reason == "failed"
            assert session.failure.startswith("nothing came out")
            assert stage.worker.slots.used == 0
            killed = next(each for each in caplog.records if "was killed" in each.message)
            assert "crashes.py" in str(killed.exc_text)

    ran(test)


PARAMS = (
    "params: {weights: m.weights, level: {to: m.level, ramp_ms: 60000}}\n"
    "nodes: {source: {type: decode}, m: {type: weighted, queue: 300, on_full: wait},"
    " out: {type: encode, keyframe_s: 0.4, queue: 300, on_full: wait}}"
)


def test_params_hold_from_a_frame_of_the_process() -> None:
    async def test() -> None:
        async with isolated(PARAMS) as stage:
            stream = await stage.start(params={"weights": "b"})
            session = stage.sessions[stream.name]
            assert session.changes.params()["weights"] == "b"
            publishing = asyncio.ensure_future(stream.publish(pieces(50, loops=10)))
            await stream.until(lambda: len(numbers(stream.output)) > 5)
            status, said = await stream.params({"level": 60.0})
            assert status == 200
            assert 0 < said["pts_seconds"] < 20
            assert said["params"]["level"] == 60
            await stream.until(lambda: 0 < session.changes.params()["level"] < 60)
            status, said = await stream.params({"weights": "c"})
            assert (status, said["pts_seconds"]) == (200, None)
            await stream.until(lambda: "node_ready" in stream.kinds())
            assert session.changes.params()["weights"] == "c"
            await stream.params({"weights": "bad"})
            await stream.until(lambda: "node_kept" in stream.kinds())
            assert session.changes.params()["weights"] == "c"
            publishing.cancel()

    ran(test)


def test_a_change_as_large_as_the_wire_takes_reaches_the_process() -> None:
    async def test() -> None:
        async with isolated(PARAMS) as stage:
            stream = await stage.start()
            session = stage.sessions[stream.name]
            publishing = asyncio.ensure_future(stream.publish(pieces(50, loops=10)))
            status, _ = await stream.params({"weights": "x" * 5_000_000})
            assert status == 200
            await stream.until(lambda: "node_ready" in stream.kinds())
            assert len(session.changes.params()["weights"]) == 5_000_000
            publishing.cancel()

    ran(test)


def test_the_account_is_that_of_the_process() -> None:
    async def test() -> None:
        async with isolated(PARAMS) as stage:
            stream = await stage.start()
            session = stage.sessions[stream.name]
            await stream.publish(pieces(20), speed=0)
            await stream.until(lambda: session.execution.given("out") == 20)
            _, said = await stage.get("/stream/status")
            status = said["streams"][stream.name]
            assert status["state"] == "ONLINE"
            assert status["input_status"]["reader"] == "direct"
            assert said["fps"]["egress_video_fps"] > 0
            async with stage.http.get(stage.worker.address + "/metrics") as answer:
                text = await answer.text()
            assert 'byoc_node_frames_in_total{capability="cap",node="out"} 20.0' in text
            memory = text.partition('byoc_session_memory_bytes{capability="cap"} ')[2]
            assert float(memory.split()[0]) > 1_000_000
            session.execution.process.signal(signal.SIGSEGV)
            await session.over.wait()
            async with stage.http.get(stage.worker.address + "/metrics") as answer:
                assert 'byoc_processes_lost_total{capability="cap",how="SIGSEGV"} 1.0' in (
                    await answer.text()
                )

    ran(test)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.fault("F-82")
def test_one_crash_after_another_costs_the_others_nothing() -> None:
    """And the worker is as it was before."""
    kinds = ["segfault", "abort", "exit", "kill", "gil", "leak", "raise", "log"] * 3
    loops = 60

    async def test() -> None:
        async with isolated(CRASH, session_memory=400 << 20) as stage:
            quiet = await stage.start()
            publishing = asyncio.ensure_future(quiet.publish(pieces(PICTURES, loops=loops)))
            for how in kinds:
                bad = await stage.start(params={"how": how, "seconds": 0.5})
                session = stage.sessions[bad.name]
                await bad.publish(pieces(PICTURES), speed=4)
                await asyncio.wait({asyncio.ensure_future(session.over.wait())}, timeout=1)
                await bad.stop()
                await session.over.wait()
            await publishing
            await quiet.until(lambda: len(numbers(quiet.output)) == PICTURES * loops)
            assert numbers(quiet.output) == list(range(PICTURES)) * loops
            assert (await quiet.stop())[1]["reason"] == "stopped"
            assert stage.worker.slots.used == 0
            assert len(family_of(os.getpid())) == 2  # this one, and what they are forked from
            assert not any("byoc session" in name for name in _open_files())

    ran(test, 280)


def _open_files() -> list[str]:
    folder = Path("/proc/self/fd")
    return [os.readlink(file) for file in folder.iterdir() if file.is_symlink()]
