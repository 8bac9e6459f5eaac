"""Measure: how long a node works on a frame, and where the log of its thread is meanwhile."""

import time

from composer import logs
from composer.engine.inbox import WorkItem
from composer.engine.layers.layer import Call, Layer, Missed, Out, Site


def layer(site: Site) -> Layer | None:
    if site.instance is None:
        return None
    count, name, here, clock = site.count, site.step.name, logs.here, time.perf_counter
    add = count.work.add

    def around(call: Call) -> Call:
        def measured(item: WorkItem) -> Out | Missed:
            frame, where = item.frame, here()
            where.at(name, frame.pts, frame.time_base)
            count.begun += 1
            started = clock()
            try:
                return call(item)
            finally:
                seconds = clock() - started
                count.done += 1
                count.seconds += seconds
                add(seconds)
                where.at("")

        return measured

    return Layer(around=around)
