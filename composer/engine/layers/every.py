"""every: the node sees each n-th frame, beginning with the first."""

from dataclasses import dataclass
from typing import Any

from composer.engine.layers.layer import Layer, Missed, Site
from composer.node.frames import Frame


@dataclass
class _Turn:
    """How many frames came so far."""

    count: int = 0


def layer(site: Site) -> Layer | None:
    every, turn, missed = site.step.every, site.memory.of(_Turn), site.missed("every")
    if every == 1:
        return None

    def admit(frame: Frame[Any]) -> Missed | None:
        turn.count += 1
        return missed if (turn.count - 1) % every else None

    return Layer(admit=admit)
