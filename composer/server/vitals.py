"""Vitals: figures of the process that all sessions share."""

from collections.abc import Iterator

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from composer import logs
from composer.server import descriptors
from composer.server.headroom import Headroom
from composer.server.metrics import add_histogram
from composer.threads import LEFT_BEHIND


def families(headroom: Headroom) -> Iterator[Metric]:
    """How the loop goes on, and how much there is of what can run out."""
    lag = HistogramMetricFamily("byoc_loop_lag_seconds", "How late the loop was", labels=[])
    add_histogram(lag, [], headroom.pulse.lag)
    yield lag
    yield GaugeMetricFamily(
        "byoc_memory_used_bytes",
        "Memory in use, of the container where it has a limit, else of the machine",
        headroom.memory.used,
    )
    yield GaugeMetricFamily(
        "byoc_memory_limit_bytes", "Memory that there may be in use", headroom.memory.limit
    )
    yield GaugeMetricFamily(
        "byoc_descriptors_used", "Files and sockets that are open", descriptors.used()
    )
    yield GaugeMetricFamily(
        "byoc_descriptors_limit", "Files and sockets that may be open", descriptors.limit()
    )
    yield GaugeMetricFamily(
        "byoc_abandoned_threads",
        "Threads that hang, and that nobody waits for any more",
        len(LEFT_BEHIND),
    )
    yield CounterMetricFamily(
        "byoc_log_records_left_out",
        "Records of the log that were too many, or that nobody read",
        logs.left_out(),
    )
