"""Changes: what callers set of a session, and from when on it holds."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any, Final

from composer.bucket import Bucket
from composer.engine.notices import Happened, Notice
from composer.engine.params import Patch
from composer.errors import ParamRejected, Problem
from composer.session import control
from composer.session.deployment import Deployment
from composer.session.effective import Effective
from composer.session.events import Events
from composer.session.told import Told

ASKED_A_SECOND: Final = 50.0
ASKED_AT_ONCE: Final = 100.0
"""Changes that are asked for by requests: a slider that moves asks for one for each picture. Those
of the control channel have a pace of their own.
"""

LONGEST_TURN: Final = 2.0
"""Seconds that a request waits for its turn."""


class Changes:
    """Takes changes of params, and tells them in the events. Used on the loop only.

    noted: called when callers have set something else than before.
    """

    def __init__(
        self,
        deployment: Deployment,
        events: Events,
        now: Callable[[], float],
        noted: Callable[[], None] = lambda: None,
    ) -> None:
        self.last_at = 0.0
        """When a caller changed something last; 0 for never."""

        self._deployment, self._events, self._now = deployment, events, now
        self._effective, self._told, self._noted = Effective(), Told(), noted
        self._given: dict[str, Any] = {}  # as callers wrote it
        self._held: dict[str, Any] = {}  # of it, what nodes took over when they were built last
        self._pulse = asyncio.Event()  # set, and replaced, whenever a change holds
        self._patching = asyncio.Lock()
        self._pace = Bucket(ASKED_A_SECOND, ASKED_AT_ONCE)

    def turn(self) -> float | None:
        """Seconds until it is the turn of one more request; None where that is too long."""
        rest = self._pace.take(1, self._now())
        if rest <= LONGEST_TURN:
            return rest
        self._pace.take(-1, self._now())  # it is not made
        return None

    async def patch(self, given: Any) -> Patch:
        """Accept a change as a whole, behind those that came before it. Raises ParamRejected."""
        async with self._patching:
            execution = self._deployment.execution
            values = control.values(given, execution.known)
            patch = await execution.patch(values)
            self._effective.asked(patch.values)
            self._given |= values
            self.last_at = self._now()
            self._noted()
            return patch

    def given(self) -> dict[str, Any]:
        """What callers have set, as they wrote it; where that was refused, what they set before."""
        before = {name: self._held[name] for name in self._effective.refused & self._held.keys()}
        given = {n: v for n, v in self._given.items() if n not in self._effective.refused}
        return given | before

    async def restore(self, given: Mapping[str, Any]) -> list[Problem]:
        """Set what callers had set in another process. What this pipeline does not take is left
        out: the problems say why.
        """
        known = self._deployment.execution.known
        problems = [
            Problem("unknown-param", f"there is no param {name!r:.100}", name)
            for name in given
            if name not in known
        ]
        left = {name: value for name, value in given.items() if name in known}
        while left:
            try:
                await self.patch(left)
                break
            except ParamRejected as exc:
                problems += exc.problems
                refused = {problem.at for problem in exc.problems}
                if refused.isdisjoint(left):  # it is about all of them
                    break
                left = {name: value for name, value in left.items() if name not in refused}
        return problems

    async def change(self, given: Any) -> Patch:
        """The same while it runs; the events tell the gateway. Raises ParamRejected."""
        try:
            patch = await self.patch(given)
        except ParamRejected as exc:
            problems = [{"at": each.at, "message": each.message} for each in exc.problems]
            self._events.put("params_rejected", problems=problems)
            raise
        self.tell()
        return patch

    async def heard(self, given: Any) -> None:
        """The same for a caller who hears nothing but the events."""
        with contextlib.suppress(ParamRejected):
            await self.change(given)

    def unread(self, why: str) -> None:
        """A caller has sent what may have been a change; nobody could read it."""
        self._events.put("params_rejected", problems=[{"at": "", "message": why}])

    async def applied(self, patch: Patch, seconds: float) -> float | None:
        """Time of the first frame that a change holds for; None if it did not come in `seconds`, or
        if a node has to be built anew first: the events say when that is ready.
        """
        if self._effective.waits(patch.values):
            return None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while patch.seconds is None:
                    await self._pulse.wait()
        return patch.seconds

    def tell(self) -> None:
        """Let the events say what the params are set to."""
        self._events.update(self.told_targets())

    def params(self) -> dict[str, Any]:
        """The value of every param that a caller may set, as nodes work with it now."""
        return self._effective.now(self._deployment.execution.values())

    def targets(self) -> dict[str, Any]:
        """The value that each of them will have, when no ramp moves and no node is built anew."""
        return self._effective.targets(self._deployment.execution.targets())

    def told(self) -> dict[str, Any]:
        """What params() says, with what is long cut."""
        return self._told.of(self.params())

    def told_targets(self) -> dict[str, Any]:
        """What targets() says, likewise."""
        return self._told.of(self.targets())

    def deployed(self, built: tuple[str, ...] | None = None) -> None:
        """A plan holds from now on. built: the nodes that were set up for it, None for all."""
        execution = self._deployment.execution
        self._effective.planned(execution.plan, execution.values(), built)
        self._held = dict(self._given)

    def holds(self) -> None:
        """A change has met its first frame."""
        self._pulse.set()
        self._pulse = asyncio.Event()

    def rebuilt(self, notice: Notice) -> None:
        """A node was built anew, or could not be."""
        if notice.kind is Happened.READY:
            self._effective.ready(notice.node, self._deployment.execution.values())
            self._held = dict(self._given)
        elif notice.kind is Happened.KEPT:
            self._effective.kept(notice.node)
            self.tell()  # what was told before does not come to hold
            self._noted()
