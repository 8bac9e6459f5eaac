"""Loading: while a node of a session is set up, frames go by it."""

from typing import Any

from composer.engine.bypass import bypass_of
from composer.engine.layers.layer import Layer, Missed, Site
from composer.node.frames import Frame


def layer(site: Site) -> Layer | None:
    instance = site.instance
    if instance is None or not instance.context.live:
        return None
    missed = Missed(bypass_of(site.step), "loading")

    def admit(frame: Frame[Any]) -> Missed | None:
        if instance.settled:
            return None
        instance.settle(frame.settings)
        return missed if instance.loading else None

    return Layer(admit=admit)
