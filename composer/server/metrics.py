"""The account of every session, node and edge, as Prometheus reads it."""

from collections.abc import Iterable, Iterator
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
from composer.session import status
from composer.session.ending import Reason
from composer.session.session import Session

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST


def text(capabilities: Iterable[Capability], most: int, others: Iterable[Metric] = ()) -> bytes:
    """All figures now. most: sessions that may run at once. others: of what is no session's."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Account(list(capabilities), most, list(others)))
    return generate_latest(registry)


class _Account(Collector):
    def __init__(self, capabilities: list[Capability], most: int, others: list[Metric]) -> None:
        self._capabilities, self._most, self._others = capabilities, most, others

    def collect(self) -> Iterator[Metric]:
        yield from self._process()
        yield from self._others
        sessions = [(each.name, s) for each in self._capabilities for s in each.sessions.values()]
        yield from _nodes(sessions)
        yield from _edges(sessions)
        yield from _wires(sessions)

    def _process(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("byoc_capacity", "Sessions that may run at once", self._most)
        running = GaugeMetricFamily("byoc_sessions", "Sessions that run", labels=["capability"])
        ended = CounterMetricFamily(
            "byoc_sessions_ended", "Sessions that ended", labels=["capability", "reason"]
        )
        for each in self._capabilities:
            running.add_metric([each.name], len(each.sessions))
            for reason in Reason:
                ended.add_metric([each.name, reason], each.ended[reason])
        yield running
        yield ended


_Sessions = list[tuple[str, Session]]


def _nodes(sessions: _Sessions) -> Iterator[Metric]:
    labels = ["capability", "session", "node"]
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
    for capability, session in sessions:
        for name, count in session.account().nodes.items():
            key = [capability, session.name, name]
            taken.add_metric(key, count.taken)
            given.add_metric(key, count.given)
            errors.add_metric(key, count.errors)
            for reason, number in count.left_out.items():
                dropped.add_metric([*key, reason], number)
            _add(work, key, count.work)
            if sum(count.age.counts):
                _add(age, key, count.age)
    return iter((taken, given, errors, dropped, work, age))


def _add(family: HistogramMetricFamily, key: list[str], seen: Histogram) -> None:
    bounds = [*(f"{bound:g}" for bound in BUCKETS), "+Inf"]
    total, buckets = 0, []
    for bound, count in zip(bounds, seen.counts, strict=True):
        total += count
        buckets.append((bound, float(total)))
    family.add_metric(key, buckets, seen.total)


def _edges(sessions: _Sessions) -> Iterator[Metric]:
    labels = ["capability", "session", "edge"]
    offered = CounterMetricFamily("byoc_edge_frames", "Frames given to an edge", labels=labels)
    dropped = CounterMetricFamily(
        "byoc_edge_frames_dropped", "Frames an edge dropped", labels=[*labels, "reason"]
    )
    waiting = GaugeMetricFamily("byoc_edge_queue", "Frames that wait in an inbox", labels=labels)
    for capability, session in sessions:
        for name, count in session.account().edges.items():
            key = [capability, session.name, name]
            offered.add_metric(key, count.offered)
            for reason, number in count.dropped.items():
                dropped.add_metric([*key, reason], number)
            waiting.add_metric(key, max(0, count.offered - count.taken - count.dropped.total()))
    return iter((offered, dropped, waiting))


def _wires(sessions: _Sessions) -> Iterator[Metric]:
    labels = ["capability", "session", "channel"]
    data = CounterMetricFamily("byoc_channel_bytes", "Bytes of a session's channel", labels=labels)
    dropped = CounterMetricFamily(
        "byoc_channel_dropped",
        "Units, packets, items, events and messages left out at a session's channel",
        labels=[*labels, "reason"],
    )
    unread = CounterMetricFamily(
        "byoc_input_unread_bytes", "Bytes left out before anybody looked at them", labels=labels[:2]
    )
    lost = CounterMetricFamily(
        "byoc_segments_lost", "Output segments broken off, or never sent", labels=labels[:2]
    )
    quiet = GaugeMetricFamily(
        "byoc_session_age_seconds", "Seconds since a session began", labels=labels[:2]
    )
    for capability, session in sessions:
        key = [capability, session.name]
        for channel, number in status.bytes_by(session).items():
            data.add_metric([*key, channel], number)
        for channel, reasons in status.dropped_by(session).items():
            for reason, number in reasons.items():
                dropped.add_metric([*key, channel, reason], number)
        if (ingress := session.execution.ingress) is not None:
            unread.add_metric(key, ingress.counts.unread)
        lost.add_metric(key, session.lost_segments)
        quiet.add_metric(key, session.age)
    return iter((data, dropped, unread, lost, quiet))
