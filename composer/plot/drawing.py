"""What is drawn of a graph: boxes, and the arrows between them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from composer.plot.lettering import clean


@dataclass(frozen=True, slots=True)
class GraphBox:
    """A node as drawn. `lines` are settings worth showing, already short ("width 1280")."""

    name: str
    title: str
    lines: tuple[str, ...] = ()
    kind: Literal["source", "node", "sink", "convert"] = "node"
    group: str = ""


@dataclass(frozen=True, slots=True)
class Arrow:
    """An edge as drawn, between two box names.

    `port` is shown near the head, when the box at the end has several inputs.
    """

    start: str
    end: str
    label: str
    port: str = ""
    kind: Literal["picture", "audio", "data"] = "picture"


def several_inputs(arrows: Sequence[Arrow]) -> set[str]:
    return {end for end, count in Counter(arrow.end for arrow in arrows).items() if count > 1}


def by_group(boxes: Sequence[GraphBox]) -> dict[str, list[GraphBox]]:
    groups: dict[str, list[GraphBox]] = {}
    for box in boxes:
        groups.setdefault(clean(box.group), []).append(box)
    return groups
