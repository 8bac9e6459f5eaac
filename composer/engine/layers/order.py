"""The layers of every step, from the outermost in: what admits comes before what it would cost."""

from collections.abc import Callable
from typing import Final

from composer.engine.layers import (
    copies,
    every,
    guard,
    hold,
    lane,
    loading,
    measure,
    params,
    rate,
    remember,
    when,
)
from composer.engine.layers.layer import Layer, Site

LAYERS: Final[tuple[Callable[[Site], Layer | None], ...]] = (
    loading.layer,
    when.layer,
    every.layer,
    rate.layer,
    remember.layer,
    hold.layer,
    lane.layer,
    params.layer,
    measure.layer,
    guard.layer,
    copies.layer,
)
"""A new option has its module here, a field in composer.pipeline.spec.Options, and a row."""


def layers_of(site: Site) -> list[Layer]:
    """What a step asks for, from the outermost in."""
    return [layer for make in LAYERS if (layer := make(site)) is not None]
