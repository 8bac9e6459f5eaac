"""Execution: the plan of a session at work, and the ends through which it is fed and read."""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from composer import stacks
from composer.compiler.change import Change
from composer.compiler.plan import Plan
from composer.engine.account import Report
from composer.engine.notices import Notice
from composer.engine.params import Patch
from composer.engine.run import Media, Run
from composer.engine.swap import Prepared
from composer.errors import Overdue
from composer.session import demand
from composer.session.budget import InputBudget
from composer.session.channels import Channels
from composer.session.data_lines import DataLines
from composer.session.demand import Demand
from composer.session.egress import Egress
from composer.session.ingress import Ingress
from composer.session.record import SessionRecord
from composer.session.timing import Timing
from composer.threads import Places

CATCH_UP_SECONDS: Final = 10.0
"""How long what a channel still holds may come in, when another process goes on with a session."""


@dataclass(frozen=True)
class Surroundings:
    """What a session gives to each run of its plan. beside: how many other sessions there are.
    alone: whether there is none now.
    wake: called in any thread when data waits. places, timing: where it blocks, and for how long.
    """

    session: str
    channels: Channels
    beside: int
    alone: Callable[[], bool]
    wake: Callable[[], None]
    places: Places
    timing: Timing
    now: Callable[[], float] = time.monotonic


class Execution:
    """One run of a plan. What goes between it and its session is media, records, params, notices
    and an account, whatever thread or process it is in.
    """

    def __init__(
        self, plan: Plan, around: Surroundings, notify: Callable[["Execution", Notice], None]
    ) -> None:
        """Nothing is set up yet. notify: told, in any thread, what happens in which execution."""
        self._around = around
        self.demand: Demand = demand.of(plan)
        channels = around.channels
        # What waits for an input that has no channel waits, and ends with the session.
        fed = bool(channels.subscribe) or self.demand.takes_input
        budget = InputBudget(around.now, around.alone)
        self.ingress = Ingress(now=around.now, budget=budget) if fed else None
        self.egress = Egress(wanted=bool(channels.publish), now=around.now)
        self.data = DataLines(around.wake) if channels.data else None
        media = Media(
            ingress=self.ingress,
            egress=self.egress,
            data=self.data.put if self.data is not None else _unsaid,
            sessions=around.beside + 1,
            session=around.session,
        )
        self.run = Run(plan, media, around.now, lambda notice: notify(self, notice))

    @property
    def plan(self) -> Plan:
        """What holds in it now."""
        return self.run.plan

    async def start(self) -> None:
        """Set the nodes up and let them work. Raises NodeFailed, and Stalled where they take too
        long or it was given up meanwhile; then everything is closed, or will be.
        """
        around = self._around
        try:
            start = stacks.working_for(around.session, self.run.start)
            await around.places.starts.run(around.timing.setup, start)
        except (asyncio.CancelledError, Overdue):  # the thread goes on, and starts what nobody ends
            self.give_up()
            raise

    async def prepare(self, plan: Plan, change: Change) -> Prepared:
        """Another plan, ready to take the place of this one. Raises NodeFailed where a node of it
        cannot be set up, and Stalled where the run does not work or this takes too long; then
        nothing has changed.
        """
        offered: list[Prepared] = []
        unwanted = threading.Event()

        def prepare() -> None:
            offered.append(self.run.prepare(plan, change))
            if unwanted.is_set():
                offered[0].discard()

        try:
            await self._change(prepare)
        except Overdue:
            unwanted.set()
            for prepared in offered:  # it came after all
                await self.discard(prepared)
            raise
        return offered[0]

    async def apply(self, prepared: Prepared) -> None:
        """Put it in, between two frames. Raises NodeFailed and Stalled; then the run has failed."""
        await self._change(prepared.apply)
        self.demand = demand.of(self.plan)

    async def discard(self, prepared: Prepared) -> None:
        """Close what was set up for it."""
        await self._change(prepared.discard)

    async def _change(self, work: Callable[[], None]) -> None:
        """Raises what it raises, and Stalled."""
        named = stacks.working_for(self._around.session, work)
        await self._around.places.changes.run(self._around.timing.change, named)

    def go_on_after(self, record: SessionRecord) -> None:
        """Before anything comes in: go on behind what another process has written."""
        if self.ingress is not None:
            self.ingress.catch_up(CATCH_UP_SECONDS)
        if record.written is not None:
            repeats = self.demand.takes_input and not self.demand.makers
            self.egress.go_on_after(record.written, record.shift, repeats=repeats)

    def give_up(self) -> None:
        """Nothing more is worked on. What is being set up is closed when that is done."""
        if self.ingress is not None:
            self.ingress.abandon()
        self.run.abort()

    def end_input(self) -> None:
        """Nothing more comes in: what was taken in comes out, and that is the end."""
        if self.ingress is not None:
            self.ingress.end()
        if self.demand.makers:
            # Else the end of the input is the end, and decoders give what they hold.
            self.run.stop()

    def patch(self, values: Mapping[str, Any]) -> Patch:
        """Accept a change of params as a whole. Raises ParamRejected."""
        return self.run.params.patch(values)

    @property
    def known(self) -> list[str]:
        """The params that a caller may set."""
        return [name for name in self.plan.params if "/" not in name]

    def values(self) -> dict[str, Any]:
        """What each of them is worth for the newest frame."""
        return _outer(self.run.params.values())

    def targets(self) -> dict[str, Any]:
        """What each of them will be when nothing moves or waits any more."""
        return _outer(self.run.params.values() | self.run.params.asked())

    def asked(self) -> dict[str, Any]:
        """What callers have set of them."""
        return _outer(self.run.params.asked())

    def account(self) -> Report:
        """What its nodes and edges have done so far."""
        return self.run.report()

    @property
    def failure(self) -> Exception | None:
        """What ended it before its time."""
        return self.run.failure


def _outer(values: Mapping[str, Any]) -> dict[str, Any]:
    """Without the params of sub-pipelines."""
    return {name: value for name, value in values.items() if "/" not in name}


def _unsaid(item: str) -> None:
    """Data of a session that has no data channel."""
