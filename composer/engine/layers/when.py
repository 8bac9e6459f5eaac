"""when: while the condition is false, frames are let by."""

from typing import Any

from composer.engine.layers.layer import Layer, Missed, Site
from composer.node.frames import Frame


def layer(site: Site) -> Layer | None:
    condition = site.step.when
    if condition is None:
        return None
    missed = site.missed("when")

    def admit(frame: Frame[Any]) -> Missed | None:
        return None if condition.holds(frame.settings.params) else missed

    return Layer(admit=admit)
