"""A pipeline file that is edited under a stream: nothing is lost, nothing comes twice."""

import asyncio
import gc
import os
import sys
import threading
from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from composer import Node
from composer.compiler.compile import compile_file
from composer.engine.inbox import Inbox
from composer.media.clip import Piece
from composer.node.registry import Registry
from composer.server.reload import Outcome, Reload, Reloader
from tests.server.streams import (
    Stage,
    both,
    brightness,
    heard,
    numbers,
    pictures,
    pieces,
    ran,
    serving,
)

HEAD = "version: 1\nparams: {level: tint.brightness}\nnodes:\n  source: {type: decode}\n"
TINT = "  tint: {type: color, brightness: 0.0, queue: 300, on_full: wait}\n"
OUT = "  out: {type: encode, keyframe_s: 0.4, queue: 300, on_full: wait}\n"
NODE = """\
import numpy as np

from composer import RGB, Node


class Brighter(Node):
    def process(self, image: RGB) -> RGB:
        return np.clip(image.astype(np.int16) + AMOUNT, 0, 255).astype(np.uint8)


from amounts import AMOUNT
"""


def reloader_of(file: Path, stage: Stage) -> Reloader:
    compiled = compile_file(file, Registry.installed())
    return Reloader(file, compiled, Registry.installed(), stage.worker.capabilities["cap"])


class Edited:
    """A worker of a file, and a stream through it while the file is edited."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.stage: Stage
        self.stream: Any
        self.reloader: Reloader

    def write(self, text: str) -> None:
        self.file.write_text(text)

    async def save(self, text: str, *also: Path) -> Reload:
        self.write(text)
        return await self.reloader.reload({self.file, *also})

    async def seen(self, count: int) -> None:
        """Wait until so many pictures came out."""
        await self.stream.until(lambda: len(numbers(self.stream.output)) >= count)

    def nodes(self) -> dict[str, Any]:
        """The instances that are at work; the process that they are in, where it is another one."""
        (session,) = self.stage.sessions.values()
        if session.execution.expendable:
            return dict.fromkeys(session.plan.graph.nodes, session.execution.process)
        steps = session.execution.run.assembly.steps()
        return {name: step.instance.node for name, step in steps.items() if step.instance}

    def inboxes(self) -> list[Inbox]:
        """Those that a standstill is looked for in; none are seen in another process."""
        (session,) = self.stage.sessions.values()
        return [] if session.execution.expendable else list(session.execution.run.traffic.inboxes)

    def file_level(self) -> float:
        """The brightness of the plan that runs."""
        return float(getattr(self.reloader.plan.steps["tint"].settings, "brightness", -1))

    def light(self) -> list[float]:
        return [brightness(image) for image in pictures(self.stream.output)]


def edited(
    file: Path,
    text: str,
    test: Callable[[Edited], Awaitable[None]],
    frames: int = 50,
    isolation: str = "none",
) -> None:
    """Stream numbered pictures while `test` edits; all must come out, in order, each once."""

    file.write_text(text)

    async def run() -> None:
        here = Edited(file)
        async with serving(file=file, isolation=isolation) as here.stage:
            here.reloader = reloader_of(file, here.stage)
            here.stream = await here.stage.start()
            publishing = asyncio.ensure_future(here.stream.publish(pieces(frames), speed=2))
            await here.seen(8)
            await test(here)
            await publishing
            await here.seen(frames)
            assert numbers(here.stream.output) == list(range(frames))
            times = [image.pts for image in pictures(here.stream.output)]
            assert times == [3600 * number for number in range(frames)]
            await here.stream.stop()

    ran(run)


@both
def test_a_live_value_holds_from_the_next_frame(tmp_path: Path, isolation: str) -> None:
    async def test(here: Edited) -> None:
        before = here.nodes()
        done = await here.save(HEAD + TINT.replace("0.0", "0.3") + OUT)
        assert (done.outcome, done.nodes, done.changed) == (
            Outcome.PATCHED,
            ("tint",),
            ("pipeline.yaml",),
        )
        await here.seen(40)
        assert here.nodes() == before
        assert here.light()[39] > here.light()[0] + 30

    edited(tmp_path / "pipeline.yaml", HEAD + TINT + OUT, test, isolation=isolation)


@both
def test_a_new_node_comes_between_two_frames_and_the_others_stay(
    tmp_path: Path, isolation: str
) -> None:
    async def test(here: Edited) -> None:
        before = here.nodes()
        more = "  dark: {type: color, brightness: -0.2}\n"
        done = await here.save(HEAD + TINT + more + OUT)
        assert (done.outcome, done.nodes) == (Outcome.REBUILT, ("dark",))
        after = here.nodes()
        assert all(after[name] is node for name, node in before.items())
        await here.seen(40)
        assert here.light()[39] < here.light()[0] - 20
        done = await here.save(HEAD + TINT + OUT)
        assert (done.outcome, done.nodes) == (Outcome.REBUILT, ())
        assert here.nodes() == before

    edited(tmp_path / "pipeline.yaml", HEAD + TINT + OUT, test, isolation=isolation)


@both
def test_a_node_of_ones_own_and_what_it_imports(tmp_path: Path, isolation: str) -> None:
    (tmp_path / "nodes.py").write_text(NODE)
    amounts = tmp_path / "amounts.py"
    amounts.write_text("AMOUNT = 0\n")
    text = HEAD + TINT + "  mine: {type: ./nodes.py:Brighter}\n" + OUT

    async def test(here: Edited) -> None:
        before = here.nodes()
        assert {amounts, tmp_path / "nodes.py"} <= here.reloader.files()
        amounts.write_text("AMOUNT = 60\n")
        done = await here.reloader.reload({amounts})
        assert (done.outcome, done.nodes) == (Outcome.REBUILT, ("mine",))
        assert here.nodes()["tint"] is before["tint"]
        await here.seen(40)
        assert here.light()[39] > here.light()[0] + 30
        amounts.write_text("AMOUNT = 1 +\n")
        done = await here.reloader.reload({amounts})
        assert done.outcome is Outcome.REFUSED
        assert done.problems[0].code == "bad-node"
        amounts.write_text("AMOUNT = 60\n")
        assert (await here.reloader.reload({amounts})).outcome is Outcome.REBUILT

    edited(tmp_path / "pipeline.yaml", text, test, isolation=isolation)


def test_a_node_that_needs_another_layout_does_not_stop_the_decoder(tmp_path: Path) -> None:
    (tmp_path / "nodes.py").write_text(NODE)
    (tmp_path / "amounts.py").write_text("AMOUNT = 50\n")

    async def test(here: Edited) -> None:
        before = here.nodes()
        done = await here.save(HEAD + TINT + "  mine: {type: ./nodes.py:Brighter}\n" + OUT)
        assert (done.outcome, done.nodes) == (Outcome.REBUILT, ("mine",))
        for name in ("source", "out"):
            assert here.nodes()[name] is before[name]
        await here.seen(40)

    edited(tmp_path / "pipeline.yaml", HEAD + TINT + OUT, test)


def test_sound_is_coded_anew_while_a_node_takes_it_and_copied_again_behind_it(
    tmp_path: Path,
) -> None:
    loud = "  loud: {type: gain, db: 3, in: source.audio}\n"
    tint = TINT.replace("color,", "color, in: source,")
    file = tmp_path / "pipeline.yaml"
    file.write_text(HEAD + tint + OUT)
    parts = thirds(pieces(sound="libopus"))
    output: list[bytes] = []

    async def test() -> None:
        here = Edited(file)
        async with serving(file=file) as here.stage:
            here.reloader = reloader_of(file, here.stage)
            here.stream = await here.stage.start()
            before: dict[str, Any] = {}
            for part, text in zip(
                parts, (HEAD + tint, HEAD + loud + tint, HEAD + tint), strict=True
            ):
                done = await here.save(text + OUT)
                assert done.outcome is (Outcome.REBUILT if before else Outcome.UNCHANGED)
                before = before or here.nodes()
                for name in ("source", "tint", "out"):
                    assert here.nodes()[name] is before[name]
                seen = len(numbers(here.stream.output))
                await here.stream.publish(part, speed=0)
                await here.seen(seen + 10)
            await here.seen(50)
            await here.stream.stop()
            assert numbers(here.stream.output) == list(range(50))
            output.extend(here.stream.output)

    ran(test)
    came = heard([piece.data for part in parts for piece in part])
    went = heard(output)
    coded = [place for place, packet in enumerate(went) if packet not in came]
    assert went[:10] == came[:10]
    assert went[-10:] == came[-10:]
    assert len(coded) > 20
    assert coded == list(range(coded[0], coded[-1] + 1))
    times = [ticks for ticks, _ in went]
    assert all(0 < after - before < 2 * 1800 for before, after in pairwise(times))


def thirds(whole: list[Piece]) -> list[list[Piece]]:
    """The same in three parts, each from the beginning of a segment."""
    begins = [place for place, piece in enumerate(whole) if piece.begins]
    first, second = (begins[len(begins) * part // 3] for part in (1, 2))
    return [whole[:first], whole[first:second], whole[second:]]


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        pytest.param("nodes: [", "syntax", id="syntax"),
        pytest.param(HEAD + "  tint: {type: colour}\n" + OUT, "unknown-node", id="unknown node"),
        pytest.param(HEAD + TINT.replace("0.0", "9") + OUT, "bad-value", id="out of range"),
        pytest.param("", "empty", id="half a save"),
    ],
)
@pytest.mark.fault("F-56")
def test_what_is_wrong_is_refused_and_what_runs_goes_on(
    tmp_path: Path, broken: str, code: str
) -> None:
    async def test(here: Edited) -> None:
        before = here.nodes()
        done = await here.save(broken)
        assert done.outcome is Outcome.REFUSED
        assert here.reloader.problems == done.problems != ()
        assert done.problems[0].span is not None or not broken
        assert here.nodes() == before
        assert (await here.save(HEAD + TINT + OUT)).outcome is Outcome.UNCHANGED
        assert here.reloader.problems == ()

    edited(tmp_path / "pipeline.yaml", HEAD + TINT + OUT, test)


@pytest.mark.fault("F-56")
@both
def test_a_node_that_cannot_be_set_up_is_refused_at_its_line(
    tmp_path: Path, isolation: str
) -> None:
    (tmp_path / "nodes.py").write_text(
        "from composer import YUV, Context, Node\n\n\nclass Broken(Node):\n"
        "    def setup(self, ctx: Context) -> None:\n        raise RuntimeError('no weights')\n\n"
        "    def process(self, image: YUV) -> YUV:\n        return image\n"
    )

    async def test(here: Edited) -> None:
        before = here.nodes()
        inboxes = here.inboxes()
        done = await here.save(HEAD + TINT + "  mine: {type: ./nodes.py:Broken}\n" + OUT)
        assert here.inboxes() == inboxes
        assert done.outcome is Outcome.REFUSED
        (problem,) = done.problems
        assert (problem.code, problem.span and problem.span.line) == ("cannot-run", 6)
        assert "no weights" in problem.message
        assert here.nodes() == before

    edited(tmp_path / "pipeline.yaml", HEAD + TINT + OUT, test, isolation=isolation)


def test_what_a_caller_has_set_is_carried_over_where_it_still_exists(tmp_path: Path) -> None:
    async def test(here: Edited) -> None:
        status, _ = await here.stage.post(
            "/stream/params", {"level": 0.25}, headers={"X-Stream-Id": here.stream.name}
        )
        assert status == 200
        await here.save(HEAD + TINT + "  dark: {type: color}\n" + OUT)
        (session,) = here.stage.sessions.values()
        await here.seen(30)
        assert session.changes.params() == {"level": 0.25}
        assert here.nodes()["tint"].brightness == 0.25
        await here.save(HEAD + TINT.replace("0.0", "0.1") + "  dark: {type: color}\n" + OUT)
        await here.seen(36)
        assert here.nodes()["tint"].brightness == 0.25
        await here.save((HEAD + TINT + OUT).replace("params: {level: tint.brightness}\n", ""))
        await here.seen(44)
        assert session.changes.params() == {}
        assert here.nodes()["tint"].brightness == 0.0

    edited(tmp_path / "pipeline.yaml", HEAD + TINT + OUT, test)


def test_another_decoder_goes_on_at_the_next_keyframe(tmp_path: Path) -> None:
    file = tmp_path / "pipeline.yaml"
    file.write_text(HEAD + TINT + OUT)

    async def test() -> None:
        here = Edited(file)
        async with serving(file=file) as here.stage:
            here.reloader = reloader_of(file, here.stage)
            here.stream = await here.stage.start()
            publishing = asyncio.ensure_future(here.stream.publish(pieces(50), speed=2))
            await here.seen(12)
            before = here.nodes()
            done = await here.save((HEAD + TINT + OUT).replace("decode}", "decode, threads: 2}"))
            assert (done.outcome, done.nodes) == (Outcome.REBUILT, ("source",))
            assert here.nodes()["out"] is before["out"]
            assert here.nodes()["source"] is not before["source"]
            await publishing
            await here.stream.until(lambda: numbers(here.stream.output)[-1:] == [49])
            found = [number for number in numbers(here.stream.output) if number is not None]
            assert found == sorted(set(found))
            gap = next(b for a, b in pairwise(found) if b > a + 1)
            assert gap % 10 == 0
            await here.stream.stop()

    ran(test)


def test_a_node_that_hangs_is_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("composer.engine.swap.DRAIN_SECONDS", 0.2)
    file = tmp_path / "pipeline.yaml"
    (tmp_path / "nodes.py").write_text(
        "import threading\nfrom pathlib import Path\n\nfrom composer import YUV, Node\n\n\n"
        "class Hangs(Node):\n    def process(self, image: YUV) -> YUV:\n"
        "        while not Path(__file__).with_name('go').exists():\n"
        "            threading.Event().wait(0.02)\n        return image\n"
    )
    file.write_text(HEAD + TINT + "  hangs: {type: ./nodes.py:Hangs}\n" + OUT)

    async def test() -> None:
        here = Edited(file)
        async with serving(file=file) as here.stage:
            here.reloader = reloader_of(file, here.stage)
            here.stream = await here.stage.start()
            await here.stream.publish(pieces(5), speed=4)
            (session,) = here.stage.sessions.values()
            done = await here.save(HEAD + TINT + OUT)
            assert done.outcome is Outcome.REBUILT
            assert "hangs" not in here.reloader.plan.steps
            assert (session.reason, "does not come to its end" in session.failure) == (
                "failed",
                True,
            )
            (tmp_path / "go").touch()
            await session.over.wait()
            assert here.stage.sessions == {}

    ran(test)


@both
def test_new_sessions_begin_with_the_new_plan(tmp_path: Path, isolation: str) -> None:
    file = tmp_path / "pipeline.yaml"
    file.write_text(HEAD + TINT + OUT)

    async def test() -> None:
        async with serving(file=file, isolation=isolation) as stage:
            reloader = reloader_of(file, stage)
            file.write_text(HEAD.replace("level:", "light:") + TINT + OUT)
            assert (await reloader.reload({file})).outcome is Outcome.REBUILT
            _, said = await stage.get("/capability")
            assert list(said["params"]["properties"]) == ["light"]
            await stage.start(params={"light": 0.1})
            (session,) = stage.sessions.values()
            assert session.changes.params() == {"light": 0.1}

    ran(test)


SLOW = """\
import threading
from pathlib import Path

from composer import YUV, Context, Node

HERE = Path(__file__).parent


def note(what: str) -> None:
    with (HERE / "log").open("a") as log:
        log.write(what + "\\n")


class Slow(Node):
    fails: bool = False

    def setup(self, ctx: Context) -> None:
        note("setup")
        while not (HERE / "go").exists():
            threading.Event().wait(0.02)
        if self.fails:
            raise RuntimeError("no weights")

    def process(self, image: YUV) -> None:
        pass

    def close(self) -> None:
        note("close")


class Counted(Node):
    def setup(self, ctx: Context) -> None:
        note("counted")
        if (HERE / "log").read_text().count("counted") == 2:
            raise RuntimeError("out of memory")

    def process(self, image: YUV) -> YUV:
        return image

    def close(self) -> None:
        note("closed")
"""
SLOWLY = (
    HEAD
    + TINT
    + "  slow: {type: ./nodes.py:Slow}\n"
    + OUT.replace("type: encode", "type: encode, in: tint")
)


class Noted:
    """A worker of a file whose nodes note down what is done with them."""

    def __init__(self, folder: Path) -> None:
        self.file, self._folder = folder / "pipeline.yaml", folder
        (folder / "nodes.py").write_text(SLOW)
        self.stage: Stage
        self.reloader: Reloader

    def noted(self) -> list[str]:
        file = self._folder / "log"
        return file.read_text().split() if file.exists() else []

    def go(self) -> None:
        (self._folder / "go").touch()

    async def setting_up(self) -> None:
        """Until a node is being set up."""
        while not self.noted():
            await asyncio.to_thread(threading.Event().wait, 0.02)

    async def save(self, text: str) -> Reload:
        self.file.write_text(text)
        return await self.reloader.reload({self.file})

    def plans(self) -> list[set[str]]:
        """The nodes of each session's file, and of what those that come begin with."""
        here = self.stage.worker.capabilities["cap"]
        plans = [session.plan for session in here.sessions.values()] + [here.plan]
        return [
            {name for name, step in plan.steps.items() if step.settings is not None}
            for plan in plans
        ]


def noted(folder: Path, text: str, test: Callable[[Noted], Awaitable[None]]) -> None:
    async def run() -> None:
        here = Noted(folder)
        here.file.write_text(text)
        async with serving(file=here.file) as here.stage:
            here.reloader = reloader_of(here.file, here.stage)
            await test(here)
            here.go()

    ran(run)


@pytest.mark.parametrize("fails", [False, True])
def test_a_session_that_is_set_up_while_a_file_is_saved_begins_with_what_was_saved(
    tmp_path: Path, *, fails: bool
) -> None:
    """Whether or not it could have begun with what was there before."""
    before = SLOWLY.replace("Slow}", f"Slow, fails: {fails}}}".lower().replace("slow", "Slow"))

    async def test(here: Noted) -> None:
        async with asyncio.TaskGroup() as group:
            starting = group.create_task(here.stage.start(params={"level": 0.2}))
            await here.setting_up()
            done = await here.save(SLOWLY.replace("  slow:", "  dark: {type: color}\n  slow:"))
            assert (done.outcome, starting.done()) == (Outcome.REBUILT, False)
            here.go()
        assert starting.result().status == 200
        assert here.plans() == [{"source", "tint", "dark", "slow", "out"}] * 2
        (session,) = here.stage.sessions.values()
        assert session.changes.params() == {"level": 0.2}
        assert here.noted() == ["setup", "close"][: 2 - fails] + ["close"] * fails + ["setup"]
        stopped, _ = await starting.result().stop()
        assert (stopped, here.noted().count("setup")) == (200, here.noted().count("close"))

    noted(tmp_path, before, test)


def test_a_start_whose_params_a_saved_file_does_not_have_is_refused(tmp_path: Path) -> None:
    async def test(here: Noted) -> None:
        async with asyncio.TaskGroup() as group:
            starting = group.create_task(here.stage.start(params={"level": 0.2}))
            await here.setting_up()
            await here.save(SLOWLY.replace("params: {level: tint.brightness}\n", ""))
            here.go()
        assert starting.result().status == 422
        assert here.stage.sessions == {}
        assert here.noted() == ["setup", "close"]

    noted(tmp_path, SLOWLY, test)


def test_a_file_that_one_of_two_sessions_cannot_run_is_taken_by_neither(tmp_path: Path) -> None:
    more = HEAD + TINT + "  count: {type: ./nodes.py:Counted}\n" + OUT

    async def test(here: Noted) -> None:
        streams = [await here.stage.start() for _ in range(2)]
        done = await here.save(more)
        assert done.outcome is Outcome.REFUSED
        assert "out of memory" in done.problems[0].message
        assert here.plans() == [{"source", "tint", "out"}] * 3
        assert here.noted().count("counted") == here.noted().count("closed") == 2
        assert (await here.save(HEAD + TINT + OUT)).outcome is Outcome.UNCHANGED
        assert (await here.save(more)).outcome is Outcome.REBUILT
        assert here.plans() == [{"source", "tint", "count", "out"}] * 3
        for stream in streams:
            assert (await stream.stop())[0] == 200

    noted(tmp_path, HEAD + TINT + OUT, test)


@pytest.mark.fault("F-57")
def test_saves_are_seen_however_they_are_made(tmp_path: Path) -> None:
    async def test(here: Edited) -> None:
        told: asyncio.Queue[Reload] = asyncio.Queue()
        watching = asyncio.ensure_future(here.reloader.watch(told.put_nowait))
        try:
            ready = False
            while not ready:  # the watch has no word for having begun
                here.write(HEAD + TINT.replace("0.0", "0.01") + OUT)
                os.utime(here.file)
                try:
                    async with asyncio.timeout(0.3):
                        await told.get()
                        ready = True
                except TimeoutError:
                    continue
            other = here.file.with_name("pipeline.yaml.new")
            other.write_text(HEAD + TINT.replace("0.0", "0.2") + OUT)
            other.rename(here.file)
            done = await told.get()
            assert (done.outcome, done.changed) == (Outcome.PATCHED, ("pipeline.yaml",))
            for number in range(50):
                here.write("")
                here.write(HEAD + TINT.replace("0.0", f"0.{number + 100}") + OUT)
            while here.file_level() != 0.149:
                await told.get()
        finally:
            watching.cancel()

    edited(tmp_path / "pipeline.yaml", HEAD + TINT + OUT, test, frames=100)


def test_an_operator_reloads_by_http_behind_the_token(tmp_path: Path) -> None:
    file = tmp_path / "pipeline.yaml"
    file.write_text(HEAD + TINT + OUT)
    token = {"Authorization": "Bearer secret"}

    async def test() -> None:
        async with serving(file=file, reloads=True, tokens=("secret",)) as stage:
            assert "/reload" in (await stage.get("/openapi.json"))[1]["paths"]
            assert (await stage.post("/reload"))[0] == 401
            assert (await stage.post("/reload", headers=token))[1]["outcome"] == "unchanged"
            file.write_text(HEAD + TINT.replace("0.0", "0.25") + OUT)
            status, said = await stage.post("/reload", headers=token)
            assert (status, said["outcome"], said["nodes"]) == (200, "patched", ["tint"])
            file.write_text(HEAD + TINT.replace("color", "colour") + OUT)
            status, said = await stage.post("/reload", headers=token)
            assert status == 422
            assert said["problems"][0]["code"] == "unknown-node"

    ran(test)


def test_without_being_asked_for_nobody_reloads_by_http(tmp_path: Path) -> None:
    file = tmp_path / "pipeline.yaml"
    file.write_text(HEAD + TINT + OUT)

    async def test() -> None:
        async with (
            serving(file=file) as stage,
            stage.http.post(stage.worker.address + "/reload") as response,
        ):
            assert response.status == 404

    ran(test)


def workers() -> int:
    """Threads, but those for blocking calls: they are begun one by one, up to a number."""
    names = [thread.name for thread in threading.enumerate()]
    return len([name for name in names if not name.startswith(("asyncio_", "blocking "))])


@pytest.mark.fault("F-58")
def test_many_reloads_of_a_module_leave_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "nodes.py").write_text(NODE)
    amounts = tmp_path / "amounts.py"
    amounts.write_text("AMOUNT = 0\n")
    file = tmp_path / "pipeline.yaml"
    file.write_text(HEAD + TINT + "  mine: {type: ./nodes.py:Brighter}\n" + OUT)

    async def test() -> None:
        async with serving(file=file) as stage:
            reloader = reloader_of(file, stage)
            await stage.start()
            await reloader.reload({amounts})
            threads, modules = workers(), len(sys.modules)
            for _ in range(20):
                assert (await reloader.reload({amounts})).outcome is Outcome.REBUILT
            gc.collect()
            here = str(tmp_path / "nodes.py")
            classes = [
                each for each in Node.__subclasses__() if each.process.__code__.co_filename == here
            ]
            assert 1 <= len(classes) <= 2
            assert len(sys.modules) <= modules + 1
            assert workers() <= threads + 1

    ran(test)
