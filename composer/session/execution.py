"""Execution: the plan of a session at work, and the ends through which it is fed and read."""

import asyncio
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from composer import stacks
from composer.compiler.change import Change
from composer.compiler.plan import Plan
from composer.engine.acceptance import Judgement
from composer.engine.account import Report
from composer.engine.blame import without_traceback
from composer.engine.notices import Notice
from composer.engine.params import Patch
from composer.engine.run import Media, Run
from composer.engine.swap import Prepared
from composer.errors import Overdue, ParamRejected, Problem, Stalled
from composer.media.mpegts.written import Written
from composer.session import demand
from composer.session.budget import InputBudget
from composer.session.channels import Channels
from composer.session.data_lines import DataLines
from composer.session.demand import Demand
from composer.session.egress import Egress
from composer.session.ends import DataEnd, InputEnd, OutputEnd
from composer.session.ingress import Ingress
from composer.session.teller import Teller
from composer.session.timing import Timing
from composer.threads import Places
from composer.weakly import weakly

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


class Replacement(ABC):
    """Another plan, ready to take the place of the one that holds. apply() or discard() it."""

    @abstractmethod
    async def apply(self) -> None:
        """Put it in, between two frames. Raises NodeFailed and Stalled; then the run has failed."""

    @abstractmethod
    async def discard(self) -> None:
        """Close what was set up for it. Raises Stalled, where that hangs."""


class Execution(ABC):
    """One run of a plan. What goes between it and its session is media, records, params, notices
    and an account, whatever thread or process it is in.
    """

    ingress: InputEnd | None
    """None where nothing comes in, and nothing is waited for."""
    egress: OutputEnd
    data: DataEnd | None
    demand: Demand
    """What its plan asks of the channels."""

    # its life

    @abstractmethod
    async def start(self) -> None:
        """Set the nodes up and let them work. Raises NodeFailed, and Stalled where they take too
        long or it was given up meanwhile; then everything is closed, or will be.
        """

    @abstractmethod
    async def prepare(self, plan: Plan, change: Change) -> Replacement:
        """Another plan, ready to take the place of this one. Raises NodeFailed where a node of it
        cannot be set up, and Stalled where the run does not work or this takes too long; then
        nothing has changed.
        """

    @abstractmethod
    async def go_on_after(self, written: Written | None, shift: int) -> None:
        """Before anything comes in: go on behind what another process has written. shift: as
        composer.session.egress says it. Raises Stalled.
        """

    @abstractmethod
    def give_up(self) -> None:
        """Nothing more is worked on. What is being set up is closed when that is done."""

    @abstractmethod
    def leave_behind(self) -> None:
        """It has not come to its end in time, and nobody waits for it any more."""

    @abstractmethod
    def end_input(self) -> None:
        """Nothing more comes in: what was taken in comes out, and that is the end."""

    @abstractmethod
    async def close(self) -> None:
        """Give back what it has beside its nodes, which it has closed itself."""

    # its params

    @abstractmethod
    async def patch(self, values: Mapping[str, Any]) -> Patch:
        """Accept a change of params as a whole. Raises ParamRejected, for a node, too, whose
        validators take too long.
        """

    @abstractmethod
    def values(self) -> dict[str, Any]:
        """What each of them is worth for the newest frame."""

    @abstractmethod
    def asked(self) -> dict[str, Any]:
        """What callers have set of them."""

    @abstractmethod
    def moving(self) -> Mapping[str, float]:
        """What those are worth for the newest frame that go to their value step by step."""

    @property
    def known(self) -> list[str]:
        """The params that a caller may set."""
        return [name for name in self.plan.params if "/" not in name]

    def targets(self) -> dict[str, Any]:
        """What each of them will be when nothing moves or waits any more."""
        return self.values() | self.asked()

    # how it is

    @property
    @abstractmethod
    def plan(self) -> Plan:
        """What holds in it now."""

    @property
    @abstractmethod
    def failure(self) -> Exception | None:
        """What ended it before its time."""

    @property
    @abstractmethod
    def expendable(self) -> bool:
        """Whether all of it can be ended, whatever its nodes do."""

    @property
    def account_count(self) -> int | None:
        """How often its process has said how it is, None where it has none of its own."""
        return None

    def memory(self) -> int:
        """Bytes of the process that it has for itself, 0 where it has none."""
        return 0

    @abstractmethod
    def account(self) -> Report:
        """What its nodes and edges have done so far, and what nodes had to say of themselves when
        they were asked last. Waits for nothing.
        """

    @abstractmethod
    def work(self) -> Mapping[str, int]:
        """How many frames each node has taken in front of which some wait to be worked on."""

    @abstractmethod
    def inside(self) -> Mapping[str, int]:
        """How many frames each node has begun that is at one now."""

    @abstractmethod
    def given(self, node: str) -> int:
        """How many frames a node has given."""


Notified = Callable[[Execution, Notice], None]
"""Told, in any thread, what happens in which execution."""

Begin = Callable[[Plan, Surroundings, Notified], Execution]
"""Makes an execution, of which nothing is set up yet."""


class ThreadedExecution(Execution):
    """One in threads of this process."""

    def __init__(self, plan: Plan, around: Surroundings, notify: Notified) -> None:
        self._around = around
        self.demand = demand.of(plan)
        channels = around.channels
        budget = InputBudget(around.now, around.alone)
        fed = is_fed(plan, channels)
        self.ingress: Ingress | None = Ingress(now=around.now, budget=budget) if fed else None
        self.egress: Egress = Egress(wanted=bool(channels.publish), now=around.now)
        self.data: DataLines | None = DataLines(around.wake) if channels.data else None
        media = Media(
            ingress=self.ingress,
            egress=self.egress,
            data=self.data.put if self.data is not None else _unsaid,
            sessions=around.beside + 1,
            session=around.session,
        )
        self._notify = notify
        self.run = Run(plan, media, around.now, weakly(self._noticed, None))
        self._teller = Teller(around.session, self.run.tell, around.now)

    def _noticed(self, notice: Notice) -> None:
        self._notify(self, notice)

    # its life

    async def start(self) -> None:
        around = self._around
        try:
            start = stacks.working_for(around.session, self.run.start)
            await around.places.starts.run(around.timing.setup, start)
        except (asyncio.CancelledError, Overdue):  # the thread goes on, and starts what nobody ends
            self.give_up()
            raise

    async def prepare(self, plan: Plan, change: Change) -> Replacement:
        offered: list[Prepared] = []
        unwanted = threading.Event()

        def prepare() -> None:
            offered.append(self.run.prepare(plan, change))
            if unwanted.is_set():
                offered[0].discard()

        try:
            await self.change(prepare)
        except Overdue:
            unwanted.set()
            for prepared in offered:  # it came after all
                await self.change(prepared.discard)
            raise
        return _ThreadedReplacement(self, offered[0])

    async def change(self, work: Callable[[], None]) -> None:
        """Raises what it raises, and Stalled."""
        named = stacks.working_for(self._around.session, work)
        await self._around.places.changes.run(self._around.timing.change, named)

    async def go_on_after(self, written: Written | None, shift: int) -> None:
        if self.ingress is not None:
            self.ingress.catch_up(CATCH_UP_SECONDS)
        if written is not None:
            repeats = self.demand.takes_input and not self.demand.makers
            self.egress.go_on_after(written, shift, repeats=repeats)

    def give_up(self) -> None:
        if self.ingress is not None:
            self.ingress.abandon()
        self.run.abort()

    def leave_behind(self) -> None:
        self.run.leave_behind()
        self._teller.leave_behind()

    def end_input(self) -> None:
        if self.ingress is not None:
            self.ingress.end()
        if self.demand.makers:
            # Else the end of the input is the end, and decoders give what they hold.
            self.run.stop()

    async def close(self) -> None:
        without_traceback(self.run.failure)  # it is in the log

    # its params

    async def patch(self, values: Mapping[str, Any]) -> Patch:
        return await patched(lambda: self.run.params, values, self._around)

    def values(self) -> dict[str, Any]:
        return outer(self.run.params.values())

    def asked(self) -> dict[str, Any]:
        return outer(self.run.params.asked())

    def moving(self) -> Mapping[str, float]:
        return outer(self.run.params.moving())

    # how it is

    @property
    def plan(self) -> Plan:
        return self.run.plan

    @property
    def failure(self) -> Exception | None:
        return self.run.failure

    @property
    def expendable(self) -> bool:
        """A thread that hangs cannot be ended."""
        return False

    def account(self) -> Report:
        self._teller.ask()
        return self.run.report()

    def work(self) -> Mapping[str, int]:
        return self.run.work()

    def inside(self) -> Mapping[str, int]:
        return self.run.inside()

    def given(self, node: str) -> int:
        return self.run.given(node)


class _ThreadedReplacement(Replacement):
    def __init__(self, execution: ThreadedExecution, prepared: Prepared) -> None:
        self._execution, self._prepared = execution, prepared

    async def apply(self) -> None:
        await self._execution.change(self._prepared.apply)
        self._execution.demand = demand.of(self._execution.plan)

    async def discard(self) -> None:
        await self._execution.change(self._prepared.discard)


class Judging(Protocol):
    """Params that judge a change before they take it: see composer.engine.params.Params."""

    def asks_nodes(self, values: Mapping[str, Any]) -> bool: ...

    def judged(self, values: Mapping[str, Any]) -> Judgement: ...

    def take(self, judgement: Judgement) -> Patch | None: ...


async def patched(
    params_now: Callable[[], Judging], values: Mapping[str, Any], around: Surroundings
) -> Patch:
    """A change that is accepted as a whole. Raises ParamRejected, for a node, too, whose validators
    take too long.
    """
    while True:
        params = params_now()
        judgement = await _judged(params, values, around)
        # Another plan may have come meanwhile, with params of its own.
        if params is params_now() and (patch := params.take(judgement)) is not None:
            return patch


async def _judged(params: Judging, values: Mapping[str, Any], around: Surroundings) -> Judgement:
    if not params.asks_nodes(values):
        return params.judged(values)
    judge = stacks.working_for(around.session, params.judged)
    try:
        return await around.places.checks.run(around.timing.check, judge, values)
    except Stalled as exc:
        name = next(iter(values))
        message = f"{name} cannot be checked by its node: {exc}"
        raise ParamRejected([Problem("bad-value", message, name)]) from None


def is_fed(plan: Plan, channels: Channels) -> bool:
    """Whether a session of a plan has an input. What waits for one that has no channel waits, and
    ends with the session.
    """
    return bool(channels.subscribe) or demand.of(plan).takes_input


def outer(values: Mapping[str, Any]) -> dict[str, Any]:
    """Params without those of sub-pipelines."""
    return {name: value for name, value in values.items() if "/" not in name}


def _unsaid(item: str) -> None:
    """Data of a session that has no data channel."""
