import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import replace
from typing import ClassVar, Final

import pytest
from pydantic import PrivateAttr

from composer import YUV, Context, Moment, Node, Tensor
from composer.compiler.plan import Plan
from composer.device import cuda
from composer.engine.account import Report
from composer.engine.notices import Happened, Notice, Notify, unheard
from composer.engine.run import Run, RunState
from composer.errors import NodeFailed, Stalled
from tests import stubs
from tests.engine.runs import CHAIN, accounted, accounted_edges, endless, life, run_of
from tests.stubs import finished, luma, picture, plan_of, reach, sink


def test_all_frames_come_out_in_order() -> None:
    collect = sink()
    report = run_of(
        "nodes: {a: {type: count, count: 50}, b: {type: pass}, c: {type: paint},"
        " out: {type: collect}}",
        collect=collect,
    )
    assert collect.seen == [(number, number + 1) for number in range(50)]
    assert report.nodes["out"].given == 50
    assert report.edges["a.image -> b.image"].taken == 50
    assert report.media_seconds == pytest.approx(0.49)


def test_stop_lets_what_is_under_way_come_out() -> None:
    begun, closed = threading.Event(), threading.Event()
    collect = sink()
    plan = plan_of(
        "nodes: {source: {type: count}, a: {type: hold, depth: 5}, b: {type: fresh,"
        " concurrency: 2}, out: {type: collect}}",
        count=endless(begun, closed),
        collect=collect,
    )
    run = Run(plan)
    run.start()
    reach(begun)
    run.stop()
    report = finished(run)
    accounted(plan, report)
    assert closed.is_set()
    assert [pts for pts, _ in collect.seen] == list(range(report.nodes["source"].given))
    assert report.edges["source.image -> a.image"].dropped == {}


def test_many_sessions_of_one_plan_do_not_meet() -> None:
    class Here(stubs.Collect):
        """Each instance keeps its own list: one node per session."""

        all: ClassVar[list[list[int]]] = []
        _mine: list[int] = PrivateAttr(default_factory=list)

        def setup(self, ctx: Context) -> None:
            self.all.append(self._mine)

        def process(self, image: YUV, *, at: Moment) -> None:
            self._mine.append(luma(image))

    plan = plan_of(
        "params: {level: a.level}\n"
        "nodes: {source: {type: count, count: 40}, a: {type: fresh, concurrency: 2},"
        " b: {type: hold}, out: {type: collect}}".replace("{level: a.level}", "{d: b.depth}"),
        collect=Here,
    )
    runs = [Run(plan) for _ in range(8)]
    for run in runs:
        run.start()
    with ThreadPoolExecutor(8) as pool:
        reports = list(pool.map(finished, runs))
    assert Here.all == [list(range(40))] * 8
    assert all(report.nodes["out"].taken == 40 for report in reports)


def test_a_run_ends_whoever_asks_and_how_often() -> None:
    run = Run(plan_of("nodes: {source: {type: count}, out: {type: collect}}"))
    run.start()
    first = finished(run)
    run.stop()
    run.abort()
    assert finished(run).nodes == first.nodes


@pytest.mark.fault("F-55")
def test_stages_that_wait_for_each_other_are_noticed() -> None:
    calls: list[Callable[[], None]] = []
    plan = plan_of("nodes: {source: {type: count}, out: {type: collect}}")
    run = Run(plan)
    calls.append(run._stalled)
    run.start()
    finished(run)
    calls[0]()
    with pytest.raises(Stalled, match="every stage waits for another one"):
        run.wait()


def test_the_end_of_a_run_is_told_once() -> None:
    ends: list[tuple[Happened, bool]] = []
    plan = plan_of("nodes: {source: {type: count}, out: {type: collect}}")
    run = Run(plan, notify=lambda each: ends.append((each.kind, run.done.is_set())))
    run.start()
    finished(run)
    run.stop()
    assert ends == [(Happened.ENDED, True)]
    assert run.failure is None


# its life


class Driven:
    """A run that a test takes to any of its states, and holds there."""

    def __init__(self, notify: Notify = unheard) -> None:
        self.log: list[str] = []
        self._opening, self._may_open = threading.Event(), threading.Event()
        self._giving, self._may_end = threading.Event(), threading.Event()
        self._threads = ThreadPoolExecutor(1)
        self.collect = sink()
        self.run = Run(self._plan(), notify=notify)

    def _plan(self) -> Plan:
        here = self

        class Source(stubs.Count):
            def setup(self, ctx: Context) -> None:
                here.log.append("source opens")
                here._opening.set()
                reach(here._may_open)

            def process(self) -> Iterator[stubs.Plain]:
                yield picture(0)
                here._giving.set()
                reach(here._may_end)
                yield picture(1)

            def close(self) -> None:
                here.log.append("source closes")

        class Middle(Node):
            def setup(self, ctx: Context) -> None:
                here.log.append("middle opens")

            def process(self, image: YUV) -> YUV:
                return image

            def close(self) -> None:
                here.log.append("middle closes")

        return plan_of(
            "nodes: {source: {type: source}, middle: {type: middle}, out: {type: collect}}",
            source=Source,
            middle=Middle,
            collect=self.collect,
        )

    def reach(self, state: RunState) -> None:
        """Take it there."""
        if state is RunState.NEW:
            return
        self._started = self._threads.submit(self.run.start)
        reach(self._opening)
        if state is RunState.OPENING:
            return
        self._may_open.set()
        reach(self._giving)
        if state is RunState.STOPPING:
            self.run.stop()
        elif state is RunState.ABORTING:
            self.run.abort()
        elif state is RunState.ENDED:
            self._may_end.set()
            reach(self.run.done)

    def ask(self, *actions: str) -> None:
        """Call what is named, while it is held."""
        for action in actions:
            if action == "start":
                self._may_open.set()
            getattr(self.run, action)()

    def end(self, *actions: str) -> Report:
        """Call what is named while it is held, then let it go, and wait for it as whoever started
        it does. Raises what ended it.
        """
        self.ask(*actions)
        self._may_open.set()
        self._may_end.set()
        with self._threads:
            if hasattr(self, "_started"):
                self._started.result(stubs.WAIT)
        return finished(self.run)


@pytest.mark.parametrize("after", RunState)
@pytest.mark.parametrize("before", RunState)
def test_which_state_follows_which(before: RunState, after: RunState) -> None:
    new, opening, running, stopping, aborting, ended = RunState
    follows = {
        new: {opening, stopping, aborting},
        opening: {running, stopping, aborting},
        running: {stopping, aborting, ended},
        stopping: {aborting, ended},
        aborting: {ended},
        ended: set(),
    }
    run = Run(plan_of("nodes: {source: {type: count}, out: {type: collect}}"))
    run._state = before
    allowed = after in follows[before]
    assert run._move(after) is allowed
    assert run.state is (after if allowed else before)
    assert run.done.is_set() == (allowed and after is ended)


OPENED: Final = ["source opens", "middle opens", "source closes", "middle closes"]
HALF: Final = ["source opens", "source closes"]


@pytest.mark.parametrize(
    ("state", "actions", "pictures"),
    [
        pytest.param(RunState.NEW, ["start"], 2, id="start"),
        pytest.param(RunState.NEW, ["stop", "start"], 0, id="stop before the start"),
        pytest.param(RunState.OPENING, ["stop"], 0, id="stop while it opens"),
        pytest.param(RunState.RUNNING, [], 2, id="to its own end"),
        pytest.param(RunState.RUNNING, ["stop", "stop"], 2, id="stop twice"),
        pytest.param(RunState.RUNNING, ["abort", "abort"], None, id="abort twice"),
        pytest.param(RunState.STOPPING, ["abort", "stop"], None, id="abort after stop"),
        pytest.param(RunState.ABORTING, ["stop"], None, id="stop after abort"),
        pytest.param(RunState.ENDED, ["stop", "abort"], 2, id="after the end"),
    ],
)
def test_a_run_ends_whenever_it_is_told_to(
    state: RunState, actions: list[str], pictures: int | None
) -> None:
    driven = Driven()
    driven.reach(state)
    report = driven.end(*actions)
    accounted_edges(report)
    assert driven.run.state is RunState.ENDED
    assert sorted(driven.log) == sorted(OPENED)
    if pictures is not None:
        assert len(driven.collect.seen) == report.nodes["out"].given == pictures


@pytest.mark.parametrize(
    ("state", "actions", "log"),
    [
        pytest.param(RunState.NEW, ["abort", "start"], [], id="before the start"),
        pytest.param(RunState.NEW, ["stop", "abort", "start"], [], id="before, after a stop"),
        pytest.param(RunState.OPENING, ["abort"], HALF, id="while it opens"),
        pytest.param(RunState.OPENING, ["stop", "abort"], HALF, id="while it opens, after a stop"),
    ],
)
def test_a_run_that_is_given_up_before_it_begins_opens_nothing_more_and_says_so(
    state: RunState, actions: list[str], log: list[str]
) -> None:
    driven = Driven()
    driven.reach(state)
    with pytest.raises(Stalled, match="the run was given up before it began"):
        driven.end(*actions)
    with pytest.raises(Stalled, match="the run was given up before it began"):
        driven.run.wait()
    assert driven.run.state is RunState.ENDED
    assert driven.log == log


@pytest.mark.parametrize("actions", [["abort"], ["stop", "abort"], ["abort", "stop"]])
def test_a_run_that_is_given_up_and_never_started_has_ended(actions: list[str]) -> None:
    told: list[Notice] = []
    run = Run(plan_of("nodes: {source: {type: count}, out: {type: collect}}"), notify=told.append)
    for action in actions:
        getattr(run, action)()
    assert run.done.is_set()
    assert run.state is RunState.ENDED
    assert {node.taken for node in run.wait().nodes.values()} == {0}
    assert told == [Notice(Happened.ENDED)]


@pytest.mark.parametrize("state", [RunState.RUNNING, RunState.STOPPING, RunState.ENDED])
def test_a_run_begins_once(state: RunState) -> None:
    driven = Driven()
    driven.reach(state)
    with pytest.raises(AssertionError, match="a run begins once"):
        driven.ask("start")
    driven.end()
    assert driven.log == OPENED


def test_the_end_changes_nothing_of_the_account() -> None:
    driven = Driven()
    driven.reach(RunState.ENDED)
    before = deepcopy(driven.run.report())
    driven.ask("abort", "stop")
    assert driven.end() == before


def no_lane(device: str) -> None:
    """What torch says when the device is gone."""
    raise RuntimeError("CUDA error: unspecified launch failure")


class OnDevice(Node):
    """Works on a device, where there is one."""

    devices: ClassVar[tuple[str, ...]] = ("cpu", "cuda")

    def process(self, image: Tensor) -> Tensor:
        return image


def test_a_lane_that_cannot_be_made_ends_the_run_as_a_lost_device(
    stand_in: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("composer.device.lanes.Lane", no_lane)
    steps: list[str] = []

    class Before(Node):
        def setup(self, ctx: Context) -> None:
            steps.append("opens")

        def process(self, image: YUV) -> YUV:
            return image

        def close(self) -> None:
            steps.append("closes")

    plan = plan_of(
        "nodes: {source: {type: count}, before: {type: before},"
        f" on: {{type: on, device: {stand_in}}}, out: {{type: show}}}}",
        before=Before,
        on=OnDevice,
    )
    run = Run(plan)
    with pytest.raises(NodeFailed, match=r"failed in setup\(\): RuntimeError") as caught:
        run.start()
    assert cuda.lost(caught.value)
    assert steps.count("opens") == steps.count("closes")
    assert run.state is RunState.ENDED
    with pytest.raises(NodeFailed) as told:
        run.wait()
    assert told.value is caught.value


def test_a_device_that_is_not_there_is_told_before_anything_is_opened() -> None:
    steps: list[str] = []
    plan = plan_of(CHAIN.format(options=""), step=life(steps, "step"))
    step = replace(plan.steps["out"], device="cuda:99")
    run = Run(replace(plan, steps={**plan.steps, "out": step}))
    with pytest.raises(NodeFailed, match=r"'out' failed in setup\(\): DeviceMissing: cuda:99"):
        run.start()
    assert (steps, run.state) == ([], RunState.ENDED)


class Panic(BaseException):
    """What libraries in Rust raise: pyo3's PanicException is no Exception either."""


@pytest.mark.parametrize("error", [SystemExit(3), Panic("unwrap")], ids=repr)
@pytest.mark.parametrize("doing", ["setup()", "process()", "flush()", "close()"])
@pytest.mark.fault("F-42")
def test_a_node_that_wants_to_leave_the_process_has_failed(
    doing: str, error: BaseException
) -> None:
    class Leaving(Node):
        def setup(self, ctx: Context) -> None:
            self._leave("setup()")

        def process(self, image: YUV) -> Iterator[YUV]:
            self._leave("process()")
            yield image

        def flush(self) -> Iterator[YUV]:
            self._leave("flush()")
            return iter(())

        def close(self) -> None:
            self._leave("close()")

        def _leave(self, now: str) -> None:
            if now == doing:
                raise error

    run = Run(plan_of(CHAIN.format(options=""), step=Leaving, collect=sink()))
    with pytest.raises(NodeFailed) as caught:
        started(run)
    assert (caught.value.node, caught.value.doing) == ("step", doing)
    assert caught.value.__cause__ is error


def started(run: Run) -> Report:
    run.start()
    return finished(run)


def test_a_source_that_wants_to_leave_the_process_has_failed() -> None:
    class Leaving(stubs.Count):
        def process(self) -> Iterator[stubs.Plain]:
            yield picture(0)
            raise SystemExit(3)

    run = Run(plan_of("nodes: {source: {type: count}, out: {type: collect}}", count=Leaving))
    with pytest.raises(
        NodeFailed, match=r"'source' failed in process\(\) at 0.000s: SystemExit: 3"
    ):
        started(run)


def test_a_library_that_is_not_there_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(module: object) -> None:
        raise ImportError("no such library")

    monkeypatch.setattr("composer.lazy.load_used", missing)
    steps: list[str] = []
    run = Run(plan_of(CHAIN.format(options=""), step=life(steps, "step")))
    with pytest.raises(ImportError, match="no such library"):
        run.start()
    assert (steps, run.state) == ([], RunState.ENDED)
    with pytest.raises(ImportError, match="no such library"):
        run.wait()
