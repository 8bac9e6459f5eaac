"""Session: one stream of one caller, from its start to its end.

It owns its run, its channels and its account. Whatever ends it, ends it once: what was taken in
still comes out, the last segment, events and data are sent, and everything is given back.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any, Final

from composer.compiler import plan as plans
from composer.compiler.change import Change
from composer.compiler.plan import Plan
from composer.engine.account import Report
from composer.engine.notices import Happened, Notice
from composer.engine.swap import Prepared
from composer.errors import ComposerError, NodeFailed, ParamRejected, Stalled
from composer.parser import Parser
from composer.session import digest, finish, status
from composer.session.changes import Changes
from composer.session.channels import Channels
from composer.session.crossing import to_loop
from composer.session.deployment import Deployment
from composer.session.ending import Ending, Reason, Unstarted
from composer.session.events import Events
from composer.session.execution import Execution, Surroundings
from composer.session.patience import came_within
from composer.session.phase import ACTIVITIES, Activity, Life, Phase
from composer.session.readers import Readers
from composer.session.record import SessionRecord
from composer.session.timing import Timing
from composer.session.trouble import Trouble
from composer.session.watch import Watch
from composer.session.writers import Writers
from composer.threads import Places
from composer.trickle.http import Http

log: Final = logging.getLogger(__name__)

TOO_COSTLY: Final = "the input costs more to take apart than a stream may"


class Session:
    """One stream. Let run() go on as a task, wait until it is `ready`, end() it.

    http: owned by the server. params: what the caller set at the start. beside: how many other
    sessions the process has. alone: whether it has none now. places: where it blocks. parser: of
    its control. waits: for go_on(). Raises ParamRejected.
    """

    def __init__(
        self,
        name: str,
        plan: Plan,
        channels: Channels,
        http: Http,
        params: Mapping[str, Any] | None = None,
        timing: Timing = Timing(),  # noqa: B008 - it is frozen
        now: Callable[[], float] = time.monotonic,
        beside: int = 0,
        alone: Callable[[], bool] = lambda: True,
        places: Places | None = None,
        parser: Parser | None = None,
        *,
        waits: bool = False,
    ) -> None:
        self.name, self.channels, self.timing, self.now = name, channels, timing, now
        self.began, self.started_ms = now(), round(time.time() * 1000)
        self.life = Life()
        self.ending: Ending | None = None
        """Why something has ended it; None while nothing has."""
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the nodes are set up, or with what kept them from it: NodeFailed,
        ParamRejected, Stalled, Unstarted."""

        self.asked: Any = params
        """What its caller set at the start, by which the same start is known."""
        self.before: SessionRecord | None = None
        """What another process knew of it; None where it began here."""
        self.noted: Callable[[], None] = _unheard
        """Called when another process would have to know something else of it."""

        self.prepared: Final = asyncio.Event()
        """Set when it could begin at once, if it may."""
        self._http, self._turn = http, asyncio.Event()
        self.ready.add_done_callback(_looked_at)
        self.readers = Readers(http, channels, timing, self.end, now, parser, lambda: self.noted())
        self._writers = Writers(http, channels, timing, self.end, now)
        if waits:
            self._writers.go_on()
        else:
            self._turn.set()
        self.events = Events(lambda: round(time.time() * 1000), self._writers.events_wait)
        self.trouble = Trouble(self.events, now)
        self.watch = Watch(channels, timing, now)
        data_waits = to_loop(self._writers.data_waits)
        around = Surroundings(
            name, channels, beside, alone, data_waits, places or Places(), timing, now
        )
        self._deployment = Deployment(plan, around, self._noticed)
        self.changes = Changes(self._deployment, self.events, now, lambda: self.noted())
        self._tasks: dict[Activity, asyncio.Task[None]] = {}
        self._fed = False
        self._hash: tuple[Plan | None, str] = (None, "")
        if params:
            self.changes.patch(params)

    # what others do with it

    def end(self, reason: Reason, failure: str = "", within: float | None = None) -> None:
        """End it; the first reason is the one that is told. within: seconds that the end may take,
        where they are fewer than it has by itself.
        """
        if within is not None:
            self.timing = self.timing.ending_within(within)
        if self.life.ending:
            return
        silent = not self._turn.is_set()  # it is another process's still: its channels, too
        reason = Reason.HANDED_OVER if silent else reason
        self._turn.set()
        self.ending, self.watch.ended_at = Ending(reason, failure), self.now()
        log.info("ends: %s", self.ending, extra={"session": self.name})
        if self.life.phase is Phase.SETTING_UP:
            self._deployment.give_up()
            if not self.ready.done():
                self.ready.set_exception(Unstarted(self.ending))
            # Where the nodes could not be set up, the answer to the start says so.
            silent = silent or reason is Reason.FAILED
            self.life.move(Phase.CLOSING if silent else Phase.DRAINING)
        elif reason is Reason.STOPPED and self.execution.ingress is not None:
            self.life.move(Phase.LINGERING)
        else:
            self.life.move(Phase.DRAINING)
        self.noted()

    def go_on(self, record: SessionRecord) -> None:
        """It may begin, where another process has left it."""
        self.before, self.started_ms = record, record.started_ms
        self.readers.next_input, self.readers.next_control = record.next_input, record.next_control
        self._deployment.go_on_after(record)
        self._turn.set()

    def leave(self, seconds: float) -> None:
        """End it, once its nodes are set up, so that another process can go on with it: at the end
        of the segment of its input, and in so many seconds at the most.
        """
        if self.channels.subscribe and self.execution.ingress is not None:
            self.readers.leave(seconds)
        else:
            self.end(Reason.HANDED_OVER)

    def supersede(self, plan: Plan) -> None:
        """Set another plan up in the place of the one that is being set up."""
        self._deployment.supersede(plan)

    async def go_over(self, prepared: Prepared, change: Change) -> None:
        """Go on with a plan that its execution has prepared, from one frame to the next; what
        callers set stays set. It ends where its nodes do not come to the end of the old one.
        """
        try:
            await self.execution.apply(prepared)
        except (NodeFailed, Stalled) as exc:
            self.end(Reason.FAILED, str(exc))
            return
        self.changes.deployed(change.built)
        self.events.put("pipeline_changed", graph=self.graph_hash)
        self.changes.tell()

    async def run(self) -> None:
        """Its life: until something ends it, and everything has been given back. Whoever started it
        calls forgotten() then.
        """
        try:
            async with asyncio.TaskGroup() as group:
                await self._live(group)
        finally:
            if not self._deployment.over.is_set():  # no end in order
                self._deployment.give_up()
            self.end(Reason.FAILED, "internal error")
            if self.life.phase is not Phase.CLOSING:
                self.life.move(Phase.CLOSING)

    def forgotten(self) -> None:
        """Nobody knows it any more."""
        self.life.move(Phase.OVER)

    # its life

    async def open(self) -> None:
        """Set the nodes up; `ready` says what came of it. One that has ended meanwhile is not
        begun.
        """
        try:
            if self.execution.demand.makers:  # they begin when they are set up
                self.prepared.set()
                await self._turn.wait()
            await self._deployment.set_up()
            self.prepared.set()
            await self._turn.wait()
        except (NodeFailed, ParamRejected, Stalled) as exc:
            if self.life.phase is Phase.SETTING_UP:
                self.ready.set_exception(exc)
                self.end(Reason.FAILED, str(exc))
            return
        if self.life.phase is Phase.SETTING_UP:
            self.changes.deployed()
            self.watch.opened_at = self.now()
            self.life.move(Phase.LIVE)
            self.ready.set_result(None)
            self.noted()
            if self._deployment.over.is_set():  # its sources had nothing to give
                self._run_ended()

    async def _live(self, group: asyncio.TaskGroup) -> None:
        group.create_task(self.open())
        await asyncio.wait({self.ready})
        self._attend(group)
        await self.life.ends()
        if self.life.phase is Phase.LINGERING and self.execution.ingress is not None:
            await finish.linger(self.execution.ingress, self.timing)
            self.life.move(Phase.DRAINING)
        if self.life.phase is Phase.DRAINING:
            self._attend(group)
            await finish.drain(self._deployment, self.timing)
            self.life.move(Phase.FLUSHING)
            self._attend(group)
            await self._flush()
            self.life.move(Phase.CLOSING)
        self._attend(group)

    def _attend(self, group: asyncio.TaskGroup) -> None:
        """Begin what belongs to the phase, and end what does not."""
        activities = ACTIVITIES[self.life.phase]
        for activity in self._tasks.keys() - activities:
            self._tasks.pop(activity).cancel()
        for activity in Activity:
            if (
                activity in activities
                and activity not in self._tasks
                and (work := self._work(activity))
            ):
                self._tasks[activity] = group.create_task(work)

    def _work(self, activity: Activity) -> Coroutine[Any, Any, None] | None:
        """What to do for an activity; None where the session has no such channel."""
        here, channels = self.execution, self.channels
        match activity:
            case Activity.READ_CONTROL if channels.control:
                return self.readers.read_control(self.changes.heard, self.changes.unread)
            case Activity.READ_INPUT if channels.subscribe and here.ingress is not None:
                return self.readers.read_input(here.ingress, self.look_in)
            case Activity.WATCH:
                return self._watch()
            case Activity.WRITE_OUTPUT if channels.publish:
                first_sent = partial(self.events.put, "send_first_processed_segment")
                return self._writers.write_output(here.egress, first_sent)
            case Activity.WRITE_EVENTS if channels.events:
                return self._writers.write_events(self.events, self.status)
            case Activity.WRITE_DATA if here.data is not None:
                return self._writers.write_data(here.data)
        return None

    async def _flush(self) -> None:
        """Send what waits for the network, and the word of the end."""
        assert self.ending is not None
        if self.reason is not Reason.HANDED_OVER:
            self.events.put("stream_stopped", reason=self.reason, error=self.failure or None)
            self.events.status(self.status())
        self._writers.flush(self.timing)
        if self._tasks:
            _, late = await asyncio.wait(self._tasks.values(), timeout=self.timing.flush)
            if late:
                log.warning("something could not be sent in time")
        if self.ending.reason.ours:
            await finish.hand_over(self._http, self.channels, self.timing)

    async def _watch(self) -> None:
        """End a session that nobody wants any more, or that gives nothing though it should."""
        while not self.life.ending:
            if failure := self.output_stalled():
                self.events.put("error", error=failure)
                self.end(Reason.FAILED, failure)
                return
            left = self.watch.wanted_for(self.execution, self.readers.heard_at)
            if left <= 0:
                self.end(Reason.IDLE, "no control message and no input")
            await came_within(self.life.ends(), min(left, self.timing.stall / 4))

    # what happened

    def look_in(self) -> None:
        """Note what has come of the input."""
        ingress = self.execution.ingress
        assert ingress is not None
        if ingress.last_at and not self._fed:
            self._fed = True
            self.events.put("receive_first_ingest_segment")
        self.watch.look(self.execution)
        if ingress.budget.overdrawn and not self.life.ending:
            self.events.put("error", error=TOO_COSTLY)
            self.end(Reason.OVERLOAD, TOO_COSTLY)

    def _noticed(self, notice: Notice) -> None:
        match notice.kind:
            case Happened.APPLIED:
                self.changes.holds()
            case Happened.ENDED:
                self._run_ended()
            case Happened.ERROR:
                self.trouble.frame_failed(notice)
            case _:
                if notice.node not in self.trouble.loading:
                    self.changes.rebuilt(notice)
                self.trouble.node_changed(notice)

    def _run_ended(self) -> None:
        failure = self.execution.failure
        if self.life.phase is not Phase.LIVE:  # else somebody has said already what became of it
            return
        if failure is not None:
            self.events.put("error", error=_sentence(failure))
            self.end(Reason.FAILED, _sentence(failure))
        else:
            self.end(Reason.FINISHED)

    # how it is

    @property
    def execution(self) -> Execution:
        """Its plan at work, and the ends of that."""
        return self._deployment.execution

    @property
    def plan(self) -> Plan:
        """What it runs."""
        return self.execution.plan

    @property
    def graph_hash(self) -> str:
        """Of the plan that it runs."""
        if self._hash[0] is not self.plan:
            self._hash = (self.plan, hash_of(self.plan))
        return self._hash[1]

    @property
    def reason(self) -> Reason | None:
        """Why it ended; None while it has not."""
        return self.ending.reason if self.ending is not None else None

    @property
    def failure(self) -> str:
        """What went wrong where that has ended it, else ""."""
        return self.ending.failure if self.ending is not None else ""

    @property
    def over(self) -> asyncio.Event:
        """Set when nobody knows it any more."""
        return self.life.over

    @property
    def state(self) -> status.State:
        return status.state_of(self)

    def status(self) -> dict[str, Any]:
        """The state of the stream as its gateway keeps it (contract 6.2)."""
        return status.status_of(self)

    def params(self) -> dict[str, Any]:
        """The value of every param that a caller may set, as nodes work with it now."""
        return self.changes.params()

    def account(self) -> Report:
        """What its nodes and edges have done so far."""
        return self.execution.account()

    def output_stalled(self) -> str:
        """Why it should end, since nothing comes out though it should; "" for nothing."""
        return self.watch.output_stalled(self.execution)

    def stuck(self) -> str:
        """What of it has not moved for too long, "" for nothing. One that waits for another process
        does not hang.
        """
        if self.prepared.is_set() and not self._turn.is_set():
            return ""
        return self.watch.stuck(self.life, self.execution)

    @property
    def lost_segments(self) -> int:
        """Segments of the output that were broken off, or never got out."""
        return self._writers.lost_segments

    @property
    def age(self) -> float:
        """Seconds since it began."""
        return self.now() - self.began


def hash_of(plan: Plan) -> str:
    """The graph in twelve characters: two pipelines that do the same have the same, wherever their
    files lie.
    """
    return digest.of({key: value for key, value in plans.as_data(plan).items() if key != "file"})


def _sentence(failure: Exception) -> str:
    return str(failure) if isinstance(failure, ComposerError) else type(failure).__name__


def _unheard() -> None:
    """Nobody keeps what another process would have to know."""


def _looked_at(ready: "asyncio.Future[None]") -> None:
    """A start whose caller has gone is not held against the loop."""
    if not ready.cancelled():
        ready.exception()
