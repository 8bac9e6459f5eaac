"""Remember: a node that remembers sees the frames that `every` and `rate` let by."""

from contextlib import nullcontext

from composer.engine import marks
from composer.engine.inbox import WorkItem
from composer.engine.layers.guard import failing
from composer.engine.layers.layer import Layer, Missed, Site


def layer(site: Site) -> Layer | None:
    instance, lane, failed = site.instance, site.lane, failing(site, "see()")
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
        except BaseException as exc:  # noqa: BLE001 - a node is anybody's code
            failed(exc, item.frame)

    return Layer(missed=missed)
