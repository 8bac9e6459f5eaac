"""Mirror: the params of a session whose nodes are in another process."""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from composer.compiler.plan import Plan
from composer.engine.acceptance import Acceptance
from composer.engine.params import PENDING, Patch, PendingChange
from composer.errors import ParamRejected


class Mirror:
    """Checks what callers ask for as the process would, so that they are answered at once, and
    follows what holds there. Used on the loop only.
    """

    def __init__(self, plan: Plan, send: Callable[[int, Mapping[str, Any]], None]) -> None:
        """send: takes each change that was accepted, and the version it is confirmed by."""
        self._send = send
        self._acceptance = _acceptance(plan)
        self._values = {name: param.value for name, param in plan.params.items()}
        self._asked: dict[str, Any] = {}
        self._waiting: deque[PendingChange] = deque()
        self.moving: Mapping[str, float] = {}
        """What those are worth that go to their value step by step."""
        self.version = 0
        """Of the newest change."""
        self.running = False
        """Sources have begun: what their setup() reads cannot change any more."""

    def patch(self, values: Mapping[str, Any]) -> Patch:
        """Accept a change as a whole. Raises ParamRejected."""
        held = self._values if self.running else None
        accepted = self._acceptance.accept(values, held)
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

    def replaced(self, plan: Plan) -> None:
        """Another plan holds; what callers have set stays set, where it can."""
        self._acceptance = _acceptance(plan)
        self._values = {name: param.value for name, param in plan.params.items()}
        self._waiting.clear()
        self.moving = {}
        asked, self._asked = self._asked, {}
        for name, value in asked.items():
            try:
                accepted = self._acceptance.accept({name: value}, self._values)
            except ParamRejected:
                continue  # the process says so in the log
            self._values |= accepted
            self._asked |= accepted

    def _hold(self, change: PendingChange) -> None:
        self._values |= change.values


def _acceptance(plan: Plan) -> Acceptance:
    settings = {name: node.settings for name, node in plan.graph.nodes.items()}
    return Acceptance(plan.params.values(), settings)
