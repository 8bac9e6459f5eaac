"""rate: the node sees so many frames in a second of the media at the most."""

import math
from dataclasses import dataclass
from typing import Any, Final

from composer.engine.layers.layer import Layer, Missed, Site
from composer.node.frames import Frame

EARLY_SECONDS: Final = 1e-6
"""A frame this much before its time is in time: time bases are coarse."""


@dataclass
class _Due:
    """Time from which the next frame may be seen."""

    seconds: float = -math.inf


def layer(site: Site) -> Layer | None:
    rate, due, missed = site.step.rate, site.memory.of(_Due), site.missed("rate")
    if rate is None:
        return None
    interval = 1 / rate

    def admit(frame: Frame[Any]) -> Missed | None:
        now = frame.seconds
        if now < due.seconds - EARLY_SECONDS:
            return missed
        # A frame that is a little late keeps the pace; behind a pause the pace begins anew.
        paused = now >= due.seconds + interval
        due.seconds = (now if paused else due.seconds) + interval
        return None

    return Layer(admit=admit)
