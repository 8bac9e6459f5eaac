import threading
from collections import Counter
from collections.abc import Iterator

import av
import pytest

from composer.compiler.plan import Mode
from composer.engine.account import Histogram, NodeCount, sum_of
from composer.engine.run import Run
from composer.errors import NodeFailed
from tests import stubs
from tests.engine.runs import CHAIN, accounted, accounted_edges, chain, endless, run_of
from tests.stubs import calling, finished, luma, picture, plan_of, reach, sink


def test_a_node_that_drops_is_counted() -> None:
    report, collect = chain(stubs.OnlyOdd)
    assert [pts for pts, _ in collect.seen] == list(range(1, 60, 2))
    assert report.nodes["step"].dropped == {"node": 30}


@pytest.mark.fault("F-68")
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


# figures


@pytest.mark.parametrize(
    ("seconds", "bucket"),
    [(0.0, 0), (0.001, 0), (0.0011, 1), (0.033, 5), (1.0, 10), (1.5, 11), (99.0, 11)],
)
def test_a_duration_is_in_the_first_bucket_that_it_fits_in(seconds: float, bucket: int) -> None:
    histogram = Histogram()
    histogram.add(seconds)
    assert [place for place, count in enumerate(histogram.counts) if count] == [bucket]
    assert histogram.total == seconds


def test_the_account_of_several_threads_is_their_sum() -> None:
    one = NodeCount(taken=3, begun=3, done=2, given=2, errors=1, seconds=0.5, lost={"key": 2})
    two = NodeCount(taken=4, begun=3, done=3, given=2, seconds=0.25, about={"size": 3})
    one.dropped, two.dropped = Counter(node=1), Counter(node=1, every=1)
    two.lost, two.lost_tracks = {"key": 1, "damaged": 1}, ("sound",)
    one.work.add(0.002)
    two.work.add(2.0)
    two.age.add(0.1)
    total = sum_of([one, two])
    assert (total.taken, total.given, total.errors, total.seconds) == (7, 4, 1, 0.75)
    assert (total.begun, total.done) == (6, 5)
    assert (total.dropped, total.lost) == ({"node": 2, "every": 1}, {"key": 3, "damaged": 1})
    assert total.left_out == {"node": 2, "every": 1, "key": 3, "damaged": 1}
    assert (sum(total.work.counts), total.work.total, sum(total.age.counts)) == (2, 2.002, 1)
    assert (total.about, total.lost_tracks) == ({"size": 3}, ("sound",))
    assert (one.taken, two.dropped) == (3, {"node": 1, "every": 1})
    assert sum_of([]) == NodeCount(lost=Counter(), lost_tracks=())


# given up


@pytest.mark.parametrize("options", ["", ", queue: 2", ", concurrency: 3"])
def test_all_that_is_inside_is_accounted_for_when_a_run_is_given_up(options: str) -> None:
    """Some frames wait, some are worked on, some are on their way to the next inbox."""
    at_work, go = threading.Event(), threading.Event()

    def call(image: av.VideoFrame) -> av.VideoFrame:
        if luma(image) == 3:
            at_work.set()
        if luma(image) >= 3:
            reach(go)
        return image

    node = calling(call)
    node.stateless = True
    plan = plan_of(CHAIN.format(options=options), step=node, collect=sink())
    run = Run(plan)
    run.start()
    reach(at_work)
    run.abort()
    go.set()
    report = finished(run)
    accounted(plan, report)


def test_what_failed_is_an_error_of_the_node_that_took_it() -> None:
    def call(image: av.VideoFrame) -> av.VideoFrame:
        if luma(image) == 3:
            raise ValueError("no")
        return image

    plan = plan_of(CHAIN.format(options=", queue: 2"), step=calling(call), collect=sink())
    run = Run(plan)
    run.start()
    with pytest.raises(NodeFailed):
        finished(run)
    report = run.report()
    accounted_edges(report)
    step = report.nodes["step"]
    assert (step.taken, step.given, step.errors) == (4, 3, 1)
