"""Layer: what one option of a node puts around its call.

A module of this package has one function, `layer`, that gives the Layer of a step, or None where
the step does not ask for it; composer.engine.layers.order lists them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from composer.compiler.plan import Step
from composer.engine.account import NodeCount
from composer.engine.inbox import WorkItem
from composer.engine.instance import Instance
from composer.engine.notices import Notify, unheard
from composer.node.frames import Frame, Item

if TYPE_CHECKING:  # a graph on the CPU needs none
    from composer.device.lanes import Lane

Out: TypeAlias = list[tuple[str, Item]]
"""What a step gives for one frame: (output port, item)."""

State = TypeVar("State")


@dataclass(frozen=True, slots=True)
class Missed:
    """A frame that was not worked on: what comes out instead, and why."""

    fallback: str
    reason: str


Call: TypeAlias = Callable[[WorkItem], Out | Missed]
"""What happens to a frame. The workers of a step call it side by side."""


@dataclass(frozen=True, slots=True)
class Layer:
    """What goes on around a call. A part that is None costs nothing.

    admit: called before it, in the order of the frames; why the frame is let by, or None. missed:
    called for a frame that is let by, in their order. around: puts something around the call, which
    may go on side by side. settle: called with what came out, in the order of the frames.
    """

    admit: Callable[[Frame[Any]], Missed | None] | None = None
    missed: Callable[[WorkItem, Missed], None] | None = None
    around: Callable[[Call], Call] | None = None
    settle: Callable[[Out], None] | None = None


class Memory:
    """What one frame of a step leaves to the next: one state of each class, shared by the workers
    of the step, and handed on when another plan takes over.
    """

    def __init__(self) -> None:
        self._states: dict[type, Any] = {}

    def of(self, cls: type[State]) -> State:
        """The state of this class; a new one where there was none."""
        state: State = self._states.setdefault(cls, cls())
        return state


@dataclass(frozen=True)
class Site:
    """What a layer is made from. instance: None for a converter."""

    step: Step
    instance: Instance | None = None
    count: NodeCount = field(default_factory=NodeCount)
    memory: Memory = field(default_factory=Memory)
    notify: Notify = unheard
    lane: "Lane | None" = None

    @property
    def gated(self) -> bool:
        """Whether an option lets frames by the node."""
        step = self.step
        return step.when is not None or step.every > 1 or step.rate is not None

    def missed(self, reason: str) -> Missed:
        """A frame that an option lets by: `else` says what comes out."""
        return Missed(self.step.fallback, reason)
