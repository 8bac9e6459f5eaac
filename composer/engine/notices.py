"""Notices: what a run tells whoever watches it, from any of its threads."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum


class Happened(Enum):
    """What a run tells whoever watches it."""

    ERROR = "error"  # a frame failed in a node
    LOADING = "loading"  # a node's setup() takes longer than a start may
    READY = "ready"  # it is done
    KEPT = "kept"  # a node could not be rebuilt and goes on as it was
    APPLIED = "applied"  # a change of params holds from here on
    ENDED = "ended"  # nothing more will happen


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that happened while a run went on: to which node, and at which frame's time."""

    kind: Happened
    node: str = ""
    said: str = ""
    seconds: float | None = None


Notify = Callable[[Notice], None]


def unheard(notice: Notice) -> None:
    """Takes notices that nobody asked for."""
