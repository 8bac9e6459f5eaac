"""Copies: a node that writes gets pictures of its own where somebody else may hold them."""

from dataclasses import replace

from composer import lazy
from composer.engine.inbox import WorkItem
from composer.engine.layers.layer import Call, Layer, Missed, Out, Site

with lazy.deferred():
    from composer.pictures import pixels


def layer(site: Site) -> Layer | None:
    copies = site.step.copies
    if not copies:
        return None

    def around(call: Call) -> Call:
        def with_copies(item: WorkItem) -> Out | Missed:
            others = {
                port: pixels.copy(value) if port in copies else value
                for port, value in item.others.items()
            }
            frame = item.frame
            if item.port in copies:
                frame = frame.carry(pixels.copy(frame.value))
            return call(replace(item, frame=frame, others=others))

        return with_copies

    return Layer(around=around)
