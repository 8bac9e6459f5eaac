import threading
from collections.abc import Iterator

import av

from composer.compiler.plan import Mode
from composer.engine.run import Run
from tests import stubs
from tests.engine.runs import CHAIN, chain, endless, run_of
from tests.stubs import calling, finished, luma, picture, plan_of, reach, sink


def test_a_node_that_drops_is_counted() -> None:
    report, collect = chain(stubs.OnlyOdd)
    assert [pts for pts, _ in collect.seen] == list(range(1, 60, 2))
    assert report.nodes["step"].dropped == {"node": 30}


def test_a_live_run_drops_the_oldest_and_counts_the_rest() -> None:
    busy, go = threading.Event(), threading.Event()

    def slow(image: av.VideoFrame) -> av.VideoFrame:
        if luma(image) == 1:
            busy.set()
            reach(go)
        return image

    class Source(stubs.Count):
        def process(self) -> Iterator[stubs.Plain]:
            yield picture(0)
            yield picture(1)
            reach(busy)
            for number in range(2, 20):
                yield picture(number)
            go.set()

    collect = sink()
    report = run_of(
        CHAIN.format(options=""), Mode.LIVE, count=Source, step=calling(slow), collect=collect
    )
    assert [pts for pts, _ in collect.seen] == [0, 1, 18, 19]
    assert report.edges["source.image -> step.image"].dropped == {"full": 16}


def test_a_live_run_loses_nothing_while_a_stage_is_busy_with_its_first_frame() -> None:
    busy, go = threading.Event(), threading.Event()

    def opens(image: av.VideoFrame) -> av.VideoFrame:
        busy.set()
        reach(go)
        return image

    class Source(stubs.Count):
        def process(self) -> Iterator[stubs.Plain]:
            yield picture(0)
            reach(busy)
            for number in range(1, 20):
                yield picture(number)
            go.set()

    collect = sink()
    run_of(CHAIN.format(options=""), Mode.LIVE, count=Source, step=calling(opens), collect=collect)
    assert [pts for pts, _ in collect.seen] == list(range(20))


def test_abort_counts_what_was_given_up() -> None:
    begun, closed = threading.Event(), threading.Event()
    plan = plan_of(
        "nodes: {source: {type: count}, side: {type: hold, depth: 300, in: source},"
        " mix: {type: mix, in: {base: source, top: side}}, out: {type: collect}}",
        count=endless(begun, closed),
    )
    run = Run(plan)
    run.start()
    reach(begun)
    run.abort()
    report = finished(run)
    assert closed.is_set()
    assert all(edge.offered == edge.taken + edge.dropped.total() for edge in report.edges.values())


def test_abort_in_a_join_counts_the_value_that_waits_for_use() -> None:
    arrived = threading.Event()

    class Two(stubs.Count):
        """The second picture is asked for when the first has gone all the way it can."""

        def process(self) -> Iterator[stubs.Plain]:
            yield picture(0)
            arrived.set()
            reach(given_up)

    given_up = threading.Event()
    plan = plan_of(
        "nodes: {source: {type: count}, side: {type: hold, depth: 3, in: source},"
        " other: {type: fresh, in: source},"
        " mix: {type: mix, in: {base: side, top: other}}, out: {type: collect}}",
        count=Two,
    )
    run = Run(plan)
    run.start()
    reach(arrived)
    run.abort()
    given_up.set()
    report = finished(run)
    assert all(edge.offered == edge.taken + edge.dropped.total() for edge in report.edges.values())
