"""The figures of bodies on their way in, and of JSON that is read, as Prometheus has them."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from composer.server.reception import Reception


def families(reception: Reception) -> Iterator[Metric]:
    """All of them now."""
    here = GaugeMetricFamily("byoc_bodies", "Bodies that come, or wait", labels=["kind"])
    for kind, bodies in reception.here.items():
        here.add_metric([kind], len(bodies))
    refused = CounterMetricFamily(
        "byoc_bodies_refused", "Bodies that were not taken", labels=["kind", "reason"]
    )
    for key, count in reception.refused.items():
        refused.add_metric(key, count)
    yield here
    yield refused
    yield from _of_json(reception)


def _of_json(reception: Reception) -> Iterator[Metric]:
    parser = reception.parser
    yield GaugeMetricFamily(
        "byoc_waiting_bytes", "Bytes of long bodies and messages that wait", parser.room.used
    )
    yield GaugeMetricFamily("byoc_json_waiting", "Long JSON that is read, or waits", parser.waiting)
    read = CounterMetricFamily("byoc_json_read", "JSON that was read", labels=["where"])
    for where in ("here", "apart"):
        read.add_metric([where], parser.read_count[where])
    refused = CounterMetricFamily("byoc_json_refused", "JSON that was not read", labels=["reason"])
    for reason, count in parser.refused.items():
        refused.add_metric([reason], count)
    yield read
    yield refused
    begun, ended = "Processes that read JSON", "Those that broke, or took too long"
    yield CounterMetricFamily("byoc_json_processes", begun, parser.begun)
    yield CounterMetricFamily("byoc_json_process_ends", ended, parser.ended)
