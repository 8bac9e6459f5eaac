"""hold_last: what came out last is kept, for frames that are let by or fail."""

from typing import Any

from composer.engine.layers.layer import Layer, Out, Site
from composer.node.frames import Frame


class Last(dict[str, Any]):
    """The frame that each output gave last."""


def layer(site: Site) -> Layer | None:
    step, last = site.step, site.memory.of(Last)
    if not (site.gated and step.fallback == "hold_last") and step.on_error != "hold_last":
        return None

    def settle(out: Out) -> None:
        last.update((port, item.value) for port, item in out if isinstance(item, Frame))

    return Layer(settle=settle)
