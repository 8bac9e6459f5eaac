"""rate: the node sees so many frames in a second of the media at the most."""

from dataclasses import dataclass
from typing import Any, Final

from composer.engine.layers.layer import Layer, Missed, Site
from composer.node.frames import Frame

EARLY_SECONDS: Final = 1e-6
"""A frame this much before its time is in time: time bases are coarse."""


@dataclass
class _Due:
    """Time from which the next frame may be seen; None before the first."""

    seconds: float | None = None


def layer(site: Site) -> Layer | None:
    rate, due, missed = site.step.rate, site.memory.of(_Due), site.missed("rate")
    if rate is None:
        return None

    def admit(frame: Frame[Any]) -> Missed | None:
        now = frame.seconds
        if due.seconds is None:
            due.seconds = now + 1 / rate
            return None
        if now < due.seconds - EARLY_SECONDS:
            return missed
        # Behind a pause the pace begins anew, instead of catching up.
        due.seconds = max(due.seconds, now - 1 / rate) + 1 / rate
        return None

    return Layer(admit=admit)
