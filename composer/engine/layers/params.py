"""Params: what callers have changed since the last frame meets the node before this one."""

from composer.engine.inbox import WorkItem
from composer.engine.layers.layer import Call, Layer, Missed, Out, Site


def layer(site: Site) -> Layer | None:
    instance = site.instance
    if instance is None:
        return None

    def around(call: Call) -> Call:
        def after_meeting(taken: WorkItem) -> Out | Missed:
            if taken.frame.settings is not instance.seen:
                instance.meet(taken.frame.settings)
            return call(taken)

        return after_meeting

    return Layer(around=around)
