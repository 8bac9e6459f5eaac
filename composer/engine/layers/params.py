"""Params: what callers have changed since the last frame meets the node before this one."""

from composer.engine.inbox import WorkItem
from composer.engine.layers.layer import Call, Layer, Missed, Out, Site


def layer(site: Site) -> Layer | None:
    instance = site.instance
    if instance is None:
        return None

    def around(call: Call) -> Call:
        def after_meeting(item: WorkItem) -> Out | Missed:
            if item.frame.settings is not instance.seen:
                instance.meet(item.frame.settings)
            return call(item)

        return after_meeting

    return Layer(around=around)
