import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

import pytest
from pydantic import PrivateAttr

from composer import YUV, Context, Moment, Node
from composer.engine.notices import Happened
from composer.engine.run import Run
from composer.errors import Stalled
from tests import stubs
from tests.engine.runs import accounted, endless, run_of
from tests.stubs import finished, luma, plan_of, reach, sink


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


def test_a_run_that_is_given_up_while_it_is_set_up_does_not_begin() -> None:
    closed: list[str] = []

    class Slow(Node):
        def setup(self, ctx: Context) -> None:
            run.abort()

        def process(self, image: YUV) -> YUV:
            raise NotImplementedError

        def close(self) -> None:
            closed.append("slow")

    plan = plan_of("nodes: {s: {type: count}, a: {type: slow}, o: {type: collect}}", slow=Slow)
    run = Run(plan)
    with pytest.raises(Stalled, match="given up"):
        run.start()
    assert closed == ["slow"]
    assert run.done.is_set()
    assert not [each for each in threading.enumerate() if each.name.startswith("stage")]


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
