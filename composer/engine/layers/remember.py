"""Remember: a node that remembers sees the frames that `every` and `rate` let by."""

import logging
from contextlib import nullcontext
from typing import Final

from composer.engine import marks
from composer.engine.inbox import WorkItem
from composer.engine.layers.layer import Layer, Missed, Site

log: Final = logging.getLogger(__name__)


def layer(site: Site) -> Layer | None:
    instance, lane, step = site.instance, site.lane, site.step
    if instance is None or not type(instance.node).remembers:
        return None

    def missed(item: WorkItem, why: Missed) -> None:
        if why.reason not in ("every", "rate"):
            return
        try:
            with lane or nullcontext():
                values = {**item.others, item.port: item.frame.value}
                if lane is not None:
                    values = {port: marks.reached(lane, value) for port, value in values.items()}
                instance.node.see(**values)
        except Exception as exc:  # noqa: BLE001 - a node is anybody's code
            site.count.errors += 1
            log.debug("node %r in see(): %s", step.name, exc)

    return Layer(missed=missed)
