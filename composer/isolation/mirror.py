"""Mirror: the params of a session whose nodes are in another process."""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from composer.compiler.plan import Plan
from composer.engine.acceptance import Acceptance, Judgement
from composer.engine.params import PENDING, Patch, PendingChange
from composer.errors import ParamRejected


class Mirror:
    """Checks what callers ask for as the process would, so that they are answered at once, and
    follows what holds there. Used on the loop, but for judged().
    """

    def __init__(self, plan: Plan, send: Callable[[int, Mapping[str, Any]], None]) -> None:
        """send: takes each change that was accepted, and the version it is confirmed by."""
        self._send = send
        settings = {name: node.settings for name, node in plan.graph.nodes.items()}
        self._acceptance = Acceptance(plan.params.values(), settings)
        self._values = {name: param.value for name, param in plan.params.items()}
        self._asked: dict[str, Any] = {}
        self._waiting: deque[PendingChange] = deque()
        self.moving: Mapping[str, float] = {}
        """What those are worth that go to their value step by step."""
        self.version = 0
        """Of the newest change."""
        self.running = False
        """Sources have begun: what their setup() reads cannot change any more."""

    def asks_nodes(self, values: Mapping[str, Any]) -> bool:
        """As composer.engine.params.Params."""
        return self._acceptance.asks_nodes(values)

    def judged(self, values: Mapping[str, Any]) -> Judgement:
        """As composer.engine.params.Params, in any thread. Raises ParamRejected."""
        return self._acceptance.judge(values, self._values if self.running else None)

    def take(self, judgement: Judgement) -> Patch | None:
        """As composer.engine.params.Params."""
        if judgement.version != self._acceptance.version:
            return None
        self._acceptance.adopt(judgement)
        accepted = judgement.values
        self.version += 1
        change = PendingChange(self.version, accepted, 0.0)
        if len(self._waiting) == PENDING:  # nobody waits for the oldest any more
            self._hold(self._waiting.popleft())
        self._waiting.append(change)
        self._asked |= accepted
        self._send(self.version, accepted)
        waiting = {name: value for change in self._waiting for name, value in change.values.items()}
        return Patch(self.version, waiting, change)

    def applied(self, version: int, seconds: float, moving: Mapping[str, float]) -> None:
        """Changes up to this one hold from a time on, but for what moves there step by step."""
        self.moving = moving
        while self._waiting and self._waiting[0].version <= version:
            change = self._waiting.popleft()
            self._hold(change)
            change.seconds = seconds
            change.applied.set()

    def values(self) -> dict[str, Any]:
        """What each param is worth for the newest frame, as far as it is known here."""
        moving = {name: value for name, value in self.moving.items() if name in self._values}
        return {**self._values, **moving}

    def asked(self) -> dict[str, Any]:
        """What callers have set so far."""
        return dict(self._asked)

    def replaced(self, plan: Plan) -> "Mirror":
        """The one of another plan that holds; what callers have set stays set, where it can."""
        other = Mirror(plan, self._send)
        other.version, other.running = self.version, self.running
        for name, value in self._asked.items():
            try:
                accepted = other._acceptance.accept({name: value}, other._values)
            except ParamRejected:
                continue  # the process says so in the log
            other._values |= accepted
            other._asked |= accepted
        return other

    def _hold(self, change: PendingChange) -> None:
        self._values |= change.values
