"""Instance: the node of one step on one thread, from its setup to its close, and its changes."""

import logging
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from composer import logs, strictjson
from composer.compiler.plan import Step
from composer.device import cuda
from composer.engine.account import NodeCount
from composer.engine.blame import blamed
from composer.engine.notices import Happened, Notice, Notify
from composer.engine.setups import Setup
from composer.errors import NodeFailed
from composer.node.frames import Snapshot
from composer.node.node import Context, Node, change_of

if TYPE_CHECKING:  # a graph on the CPU needs none
    from composer.device.lanes import Lane

log: Final = logging.getLogger(__name__)

MOST_ABOUT: Final = 16384
"""Characters of JSON of what a node says of itself; every event of the state holds it."""


class NodeState(Enum):
    """What may be asked of a node now."""

    NEW = "new"  # nothing was set up
    LOADING = "loading"  # setup() goes on aside; frames go by
    OPEN = "open"  # it takes frames; another one may be set up beside it
    GONE = "gone"  # it was closed, and takes no frames any more


_MOVES: Final = {
    NodeState.NEW: {NodeState.LOADING, NodeState.OPEN, NodeState.GONE},
    NodeState.LOADING: {NodeState.OPEN, NodeState.GONE},
    NodeState.OPEN: {NodeState.NEW, NodeState.GONE},  # NEW: a file builds it anew
    NodeState.GONE: set[NodeState](),
}


class Instance:
    """One node of a run. Belongs to the thread of its stage, but for open() and tell()."""

    def __init__(
        self,
        step: Step,
        context: Context,
        count: NodeCount,
        notify: Notify,
        lane: "Lane | None" = None,
    ) -> None:
        assert step.settings is not None
        self.step, self.context, self.count = step, context, count
        self._notify, self._lane = notify, lane
        self._state = NodeState.NEW
        self._setup: Setup | None = None
        self.seen = Snapshot()
        """The params that it has met."""
        self._refused: Mapping[str, Any] | None = None
        self._mute = False
        """Whether it was said already that the node can give no account of itself."""
        with blamed(step.name, "its validators"):
            self._use(fresh(step.settings))

    def _use(self, node: Node) -> None:
        self.node = node
        self.process: Callable[..., Any] = node.process
        """The method itself: looking it up for every frame would cost."""

    def _move(self, state: NodeState) -> None:
        assert state in _MOVES[self._state], f"{self._state} -> {state}"
        self._state = state

    @property
    def loading(self) -> bool:
        """Whether frames go by it, since its first setup() has not returned."""
        return self._state is NodeState.LOADING

    @property
    def settled(self) -> bool:
        """Whether no node is being set up for it."""
        return self._setup is None

    # its setup

    def open(self) -> None:
        """Set it up, and wait for it. Raises NodeFailed."""
        self._move(NodeState.OPEN)
        logs.here().at(self.step.name)
        try:
            with blamed(self.step.name, "setup()"), self._lane or nullcontext():
                self.node.setup(self.context)
            self.tell()
        finally:
            logs.here().leave()

    def open_aside(self, patience: float) -> None:
        """The same on another thread; frames go by until it is done. Waits `patience` seconds.

        Raises NodeFailed where that is known by then.
        """
        self._move(NodeState.LOADING)
        self._setup = Setup(self.step.name, self.node, self.context)
        if self._setup.done.wait(patience):
            self._adopt()
            return
        log.info("node %r is loading; frames go by it", self.step.name)
        self._notify(Notice(Happened.LOADING, self.step.name))

    def close(self) -> None:
        """Give back what was set up; nothing where nothing was. Raises NodeFailed."""
        if self._setup is not None:
            self._setup.abandon()
            self._setup = None
        if self._state is NodeState.GONE:
            return
        self.tell()
        before = self._state
        self._move(NodeState.GONE)
        if before is NodeState.OPEN:
            self._close(self.node)

    def _close(self, node: Node) -> None:
        with blamed(self.step.name, "close()"):
            node.close()

    def tell(self) -> None:
        """Put what the node says of itself into its account."""
        if self._state is not NodeState.OPEN:
            return
        try:
            with blamed(self.step.name, "its account"):
                self.count.about = _plain(self.node.about())
                self.count.lost = {str(why): int(n) for why, n in self.node.lost().items()}
                self.count.lost_tracks = tuple(str(track) for track in self.node.lost_tracks())
        except NodeFailed as exc:
            if not self._mute:
                log.warning("%s", exc)
            self._mute = True

    # another plan

    def become(self, step: Step, context: Context, notify: Notify, lane: "Lane | None") -> None:
        """Go on as the same node of another plan: what it has loaded and what it remembers stay.

        Raises NodeFailed.
        """
        before, self.step, self.context = self.step, step, context
        self._notify, self._lane = notify, lane
        self.seen = Snapshot()
        assert step.settings is not None
        cls = type(self.node)
        self.node.__dict__.update(
            (name, getattr(step.settings, name))
            for name in cls.model_fields
            if change_of(cls, name) == "live"
        )
        if (before.inputs, before.outputs) == (step.inputs, step.outputs) or not cls.adapts:
            return
        with blamed(step.name, "adapt()"):
            self.node.adapt(context)

    # changes of params

    def meet(self, settings: Snapshot) -> None:
        """Take over what changed since the last frame: patched in place, or built anew.

        Raises NodeFailed where a file's node cannot be built anew.
        """
        self.seen = settings
        values = settings.fields.get(self.step.name)
        if values is None:
            return
        asked = _rebuilding(type(self.node), values)
        fields = self.node.__dict__
        fields.update((name, value) for name, value in values.items() if name not in asked)
        if asked != self._refused and any(fields[name] != value for name, value in asked.items()):
            self._rebuild(asked)

    def meet_all(self, settings: Snapshot) -> None:
        """The same for a source, which keeps its generator: its fields change in place."""
        self.seen = settings
        self.node.__dict__.update(settings.fields.get(self.step.name, {}))

    def _rebuild(self, asked: Mapping[str, Any]) -> None:
        """A session goes on with the old node until the new one is there; a file waits.

        One is set up at a time: what is asked for meanwhile is met when that one is there.
        """
        if self._setup is not None:
            return
        try:
            with blamed(self.step.name, "its validators"):
                new = fresh(self.node, asked)
        except NodeFailed as exc:
            if not self.context.live:
                raise
            self._keep(asked, exc)
            return
        if self.context.live:
            self._setup = Setup(self.step.name, new, self.context, asked)
            return
        self.tell()
        self._move(NodeState.NEW)
        self._close(self.node)
        self._use(new)
        self.open()

    def settle(self, settings: Snapshot) -> None:
        """Decide about a node that was set up aside, by what is asked for now.

        Others are told that it is ready when it is what callers asked for last, or the first one.
        Raises NodeFailed where it has failed and there is no old one.
        """
        setup, first = self._setup, self.loading
        if setup is None or not setup.done.is_set():
            return
        asked = _rebuilding(type(setup.node), settings.fields.get(self.step.name, {}))
        back = all(self.node.__dict__[name] == value for name, value in asked.items())
        if setup.asked and setup.failure is None and back:
            setup.abandon()
            self._setup = None
        elif self._adopt() and (first or asked == setup.asked):
            self._notify(Notice(Happened.READY, self.step.name))

    def _adopt(self) -> bool:
        """Take over the node that was set up aside; False when that failed and the old one stays.

        Raises NodeFailed when there is no old one.
        """
        setup, self._setup = self._setup, None
        assert setup is not None
        if setup.failure is not None:
            if self.loading or cuda.lost(setup.failure):
                raise setup.failure
            self._keep(setup.asked, setup.failure)
            return False
        first, before = self.loading, self.node
        self.tell()
        self._use(setup.node)
        self.seen = Snapshot()  # it has not met what changed while it was set up
        if first:
            self._move(NodeState.OPEN)
        else:
            self._close(before)
        self.tell()
        return True

    def _keep(self, asked: Mapping[str, Any], failure: NodeFailed) -> None:
        """Go on with the old node: one that is set as asked cannot be had."""
        self._refused, self.seen = asked, Snapshot()
        log.warning("%s; it goes on as it was", failure)
        self._notify(Notice(Happened.KEPT, self.step.name, str(failure)))


def _plain(about: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a node says of itself as plain data, so that nobody who tells it calls code of the node.
    Raises ValueError where it is too much, or no mapping.
    """
    written = strictjson.text(dict(about))
    if len(written) > MOST_ABOUT:
        raise ValueError(f"it says more than {MOST_ABOUT} characters of itself")
    plain: Mapping[str, Any] = strictjson.read(written)
    return plain


def _rebuilding(cls: type[Node], values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The fields among those that were changed which a node reads in setup()."""
    return {name: value for name, value in values.items() if change_of(cls, name) != "live"}


def fresh(settings: Node, changed: Mapping[str, Any] = MappingProxyType({})) -> Node:
    """A node of the same settings that has not been set up."""
    return type(settings).model_validate({**settings.__dict__, **changed})
