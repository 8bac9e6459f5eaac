"""The account of every session, node and edge, as Prometheus reads it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from composer.engine.account import BUCKETS, Histogram
from composer.server.capability import Capability
from composer.server.totals import Totals
from composer.session.ending import Reason

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST


def text(
    capabilities: Iterable[Capability],
    most: int,
    others: Iterable[Metric] = (),
    *,
    named: bool = True,
) -> bytes:
    """All figures now. most: sessions that may run at once. others: of what is no session's. named:
    those of each session by its name; else they are summed up, with all that have ended: whoever
    knows the name of a session knows those of its channels.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Account(list(capabilities), most, list(others), named=named))
    return generate_latest(registry)


@dataclass(frozen=True)
class _Figures:
    """Figures below some labels. all: counts that never go back. now: of the sessions that run."""

    key: list[str]
    all: Totals
    now: Totals


class _Account(Collector):
    def __init__(
        self, capabilities: list[Capability], most: int, others: list[Metric], *, named: bool
    ) -> None:
        self._capabilities, self._most = capabilities, most
        self._others, self._named = others, named

    def collect(self) -> Iterator[Metric]:
        yield from self._process()
        yield from self._others
        labels = ["capability", "session"] if self._named else ["capability"]
        rows = list(self._rows())
        yield from _nodes(labels, rows)
        yield from _edges(labels, rows)
        yield from _wires(labels, rows)
        yield from self._running(labels)

    def _running(self, labels: list[str]) -> Iterator[Metric]:
        """How old sessions are, and what memory those have that have processes of their own."""
        age = GaugeMetricFamily(
            "byoc_session_age_seconds", "Seconds since a session began", labels=labels
        )
        memory = GaugeMetricFamily(
            "byoc_session_memory_bytes",
            "Memory of processes that sessions have for themselves",
            labels=labels,
        )
        for each in self._capabilities:
            used = {session: session.execution.memory() for session in each.sessions.values()}
            if not self._named:
                memory.add_metric([each.name], sum(used.values()))
                continue
            for session, size in used.items():
                age.add_metric([each.name, session.name], session.age)
                if size:
                    memory.add_metric([each.name, session.name], size)
        yield age
        yield memory

    def _rows(self) -> Iterator[_Figures]:
        for each in self._capabilities:
            sessions = each.sessions.values()
            if self._named:
                for session in sessions:
                    totals = Totals.of([session])
                    yield _Figures([each.name, session.name], totals, totals)
            else:
                yield _Figures(
                    [each.name], Totals.of(sessions, each.ended_totals), Totals.of(sessions)
                )

    def _process(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("byoc_capacity", "Sessions that may run at once", self._most)
        running = GaugeMetricFamily("byoc_sessions", "Sessions that run", labels=["capability"])
        ended = CounterMetricFamily(
            "byoc_sessions_ended", "Sessions that ended", labels=["capability", "reason"]
        )
        lost = CounterMetricFamily(
            "byoc_processes_lost",
            "Processes of sessions that ended before their time",
            labels=["capability", "how"],
        )
        for each in self._capabilities:
            for how, number in each.lost.items():
                lost.add_metric([each.name, how], number)
            running.add_metric([each.name], len(each.sessions))
            for reason in Reason:
                ended.add_metric([each.name, reason], each.ended[reason])
        yield running
        yield ended
        yield lost


def _nodes(labels: list[str], rows: Iterable[_Figures]) -> Iterator[Metric]:
    labels = [*labels, "node"]
    taken = CounterMetricFamily("byoc_node_frames_in", "Frames a node took", labels=labels)
    given = CounterMetricFamily("byoc_node_frames_out", "Frames a node gave", labels=labels)
    errors = CounterMetricFamily("byoc_node_errors", "Frames that failed", labels=labels)
    dropped = CounterMetricFamily(
        "byoc_node_frames_dropped", "Frames a node dropped", labels=[*labels, "reason"]
    )
    work = HistogramMetricFamily(
        "byoc_node_seconds", "Time that a node took for a frame", labels=labels
    )
    age = HistogramMetricFamily(
        "byoc_latency_seconds", "Age of a frame when a sink was done with it", labels=labels
    )
    for row in rows:
        for name, count in row.all.nodes.items():
            key = [*row.key, name]
            taken.add_metric(key, count.taken)
            given.add_metric(key, count.given)
            errors.add_metric(key, count.errors)
            for reason, number in count.left_out.items():
                dropped.add_metric([*key, reason], number)
            add_histogram(work, key, count.work)
            if sum(count.age.counts):
                add_histogram(age, key, count.age)
    return iter((taken, given, errors, dropped, work, age))


def add_histogram(family: HistogramMetricFamily, key: list[str], seen: Histogram) -> None:
    """Add what was seen below some labels."""
    bounds = [*(f"{bound:g}" for bound in BUCKETS), "+Inf"]
    total, buckets = 0, []
    for bound, count in zip(bounds, seen.counts, strict=True):
        total += count
        buckets.append((bound, float(total)))
    family.add_metric(key, buckets, seen.total)


def _edges(labels: list[str], rows: Iterable[_Figures]) -> Iterator[Metric]:
    labels = [*labels, "edge"]
    offered = CounterMetricFamily("byoc_edge_frames", "Frames given to an edge", labels=labels)
    dropped = CounterMetricFamily(
        "byoc_edge_frames_dropped", "Frames an edge dropped", labels=[*labels, "reason"]
    )
    waiting = GaugeMetricFamily("byoc_edge_queue", "Frames that wait in an inbox", labels=labels)
    for row in rows:
        for name, count in row.all.edges.items():
            offered.add_metric([*row.key, name], count.offered)
            for reason, number in count.dropped.items():
                dropped.add_metric([*row.key, name, reason], number)
        for name, count in row.now.edges.items():
            queue = max(0, count.offered - count.taken - count.dropped.total())
            waiting.add_metric([*row.key, name], queue)
    return iter((offered, dropped, waiting))


def _wires(labels: list[str], rows: Iterable[_Figures]) -> Iterator[Metric]:
    channels = [*labels, "channel"]
    data = CounterMetricFamily(
        "byoc_channel_bytes", "Bytes of a session's channel", labels=channels
    )
    dropped = CounterMetricFamily(
        "byoc_channel_dropped",
        "Units, packets, items, events and messages left out at a session's channel",
        labels=[*channels, "reason"],
    )
    unread = CounterMetricFamily(
        "byoc_input_unread_bytes", "Bytes left out before anybody looked at them", labels=labels
    )
    lost = CounterMetricFamily(
        "byoc_segments_lost", "Output segments broken off, or never sent", labels=labels
    )
    for row in rows:
        for channel, number in row.all.bytes.items():
            data.add_metric([*row.key, channel], number)
        for (channel, reason), number in row.all.dropped.items():
            dropped.add_metric([*row.key, channel, reason], number)
        unread.add_metric(row.key, row.all.unread)
        lost.add_metric(row.key, row.all.lost_segments)
    return iter((data, dropped, unread, lost))
