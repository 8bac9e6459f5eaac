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
from composer.engine.notices import Happened, Notice
from composer.errors import ComposerError, NodeFailed, ParamRejected, Problem, Stalled
from composer.parser import Parser
from composer.session import digest, finish, opening, status, watchdog
from composer.session.activities import Activities
from composer.session.changes import Changes
from composer.session.channels import Channels
from composer.session.crossing import to_loop
from composer.session.deployment import Deployment
from composer.session.ending import Ending, Reason, Unstarted
from composer.session.events import Events
from composer.session.execution import (
    Begin,
    Execution,
    Replacement,
    Surroundings,
    ThreadedExecution,
)
from composer.session.input_check import InputCheck
from composer.session.phase import Activity, Life, Phase
from composer.session.readers import Readers
from composer.session.session_record import SessionRecord
from composer.session.takeover import Takeover
from composer.session.timing import Timing
from composer.session.trouble import Trouble
from composer.session.watch import Watch
from composer.session.writers import Writers
from composer.threads import Places
from composer.trickle.http import Http
from composer.weakly import weakly

log: Final = logging.getLogger(__name__)

TOO_COSTLY: Final = "the input costs more to take apart than a stream may"


class Session:
    """One stream. Let run() go on as a task, wait until it is `ready`, end() it.

    http: owned by the server. params: what the caller set at the start. beside: how many other
    sessions the process has. alone: whether it has none now. places: where it blocks. parser: of
    its control. begin: makes the executions of its plan. before: what another process knows of it;
    it waits for go_on() then, and its params are those of that. noted: called when another process
    would have to know something else of it.
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
        begin: Begin = ThreadedExecution,
        before: SessionRecord | None = None,
        noted: Callable[[], None] = lambda: None,
    ) -> None:
        self.name, self.channels, self.timing, self.now = name, channels, timing, now
        self.began, self.started_ms = now(), round(time.time() * 1000)
        self.life, self.takeover = Life(), Takeover(before)
        self.ending: Ending | None = None
        """Why something has ended it; None while nothing has."""
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the nodes are set up, or with what kept them from it: NodeFailed,
        ParamRejected, Stalled, Unstarted."""

        self.asked: Any = params if before is None else before.asked
        """What its caller set at the start, by which the same start is known."""
        self.unmet: list[Problem] = []
        """What is not taken here of the params that it had in another process."""

        self._http, self._noted = http, noted
        self.ready.add_done_callback(_looked_at)
        end = weakly(self.end, None)
        self.readers = Readers(http, channels, timing, end, now, parser, noted)
        self._writers = Writers(http, channels, timing, end, now, goes_on=before is not None)
        self.events = Events(lambda: round(time.time() * 1000), self._writers.events_wait)
        self.trouble = Trouble(self.events, now)
        self.watch, self.input_check = Watch(channels, timing, now), InputCheck(timing, now)
        data_waits = to_loop(self._writers.data_waits)
        around = Surroundings(
            name, channels, beside, alone, data_waits, places or Places(), timing, now
        )
        self._deployment = Deployment(plan, around, weakly(self._noticed, None), begin)
        self.changes = Changes(self._deployment, self.events, now, noted)
        self._activities = Activities(weakly(self._work, None))
        self._fed = False
        self._hash: tuple[Plan | None, str] = (None, "")

    # what others do with it

    def end(self, reason: Reason, failure: str = "", within: float | None = None) -> None:
        """End it; the first reason is the one that is told. within: seconds that the end may take,
        where they are fewer than it has by itself.
        """
        if within is not None:
            self.timing = self.timing.ending_within(within)
        if self.life.ending:
            return
        silent = not self.takeover.has_come  # it is another process's still: its channels, too
        reason = Reason.HANDED_OVER if silent else reason
        self.takeover.give_up()
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
        self._noted()

    def go_on(self, record: SessionRecord) -> None:
        """It may begin, where another process has left it."""
        self.started_ms = record.started_ms
        self.readers.next_input, self.readers.next_control = record.next_input, record.next_control
        self.takeover.go_on(record)

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

    async def go_over(self, replacement: Replacement, change: Change) -> None:
        """Go on with a plan that its execution has prepared, from one frame to the next; what
        callers set stays set. It ends where its nodes do not come to the end of the old one.
        """
        try:
            await replacement.apply()
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
            self._deployment.leave_behind()
            self.end(Reason.FAILED, "internal error")
            if self.life.phase is not Phase.CLOSING:
                self.life.move(Phase.CLOSING)
            await self.execution.close()

    def forgotten(self) -> None:
        """Nobody knows it any more."""
        self.life.move(Phase.OVER)

    # its life

    async def open(self) -> None:
        """Set the nodes up; `ready` says what came of it. One that has ended meanwhile is not
        begun.
        """
        try:
            self.unmet = await opening.set_params(self.changes, self.takeover, self.asked)
            await opening.set_up(self._deployment, self.takeover)
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
            self._noted()
            if self._deployment.over.is_set():  # its sources had nothing to give
                self._run_ended()

    async def _live(self, group: asyncio.TaskGroup) -> None:
        opening = group.create_task(self.open())
        await asyncio.wait({self.ready})
        self._activities.attend(self.life.phase, group)
        await self.life.ends()
        if self.life.phase is Phase.LINGERING and self.execution.ingress is not None:
            await finish.linger(self.execution.ingress, self.timing)
            self.life.move(Phase.DRAINING)
        if self.life.phase is Phase.DRAINING:
            self._activities.attend(self.life.phase, group)
            await finish.drain(self._deployment, self.timing)
            self.life.move(Phase.FLUSHING)
            self._activities.attend(self.life.phase, group)
            await self._flush()
            self.life.move(Phase.CLOSING)
        opening.cancel()  # what hangs there has had the time of a drain
        self._activities.attend(self.life.phase, group)

    def _work(self, activity: Activity) -> Coroutine[Any, Any, None] | None:
        """What to do for an activity; None where the session has no such channel."""
        here, channels = self.execution, self.channels
        match activity:
            case Activity.READ_CONTROL if channels.control:
                return self.readers.read_control(self.changes.heard, self.changes.unread)
            case Activity.READ_INPUT if channels.subscribe and here.ingress is not None:
                return self.readers.read_input(here.ingress, self.look_in)
            case Activity.WATCH:
                return watchdog.watch(self)
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
        if not await self._activities.come_to_end(self.timing.flush):
            log.warning("something could not be sent in time")
        if self.ending.reason.ours:
            await finish.hand_over(self._http, self.channels, self.timing)

    def fail(self, reason: Reason, failure: str) -> None:
        """End it for what the events say, too."""
        self.events.put("error", error=failure)
        self.end(reason, failure)

    # what happened

    def look_in(self) -> None:
        """Note what has come of the input."""
        ingress = self.execution.ingress
        assert ingress is not None
        if ingress.last_at and not self._fed:
            self._fed = True
            self.events.put("receive_first_ingest_segment")
        self.watch.look(self.execution)
        if ingress.overdrawn and not self.life.ending:
            self.fail(Reason.OVERLOAD, TOO_COSTLY)

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
        if self.life.phase is Phase.SETTING_UP:  # whoever set it up says what became of that
            return
        if failure is not None:
            self.events.put("error", error=_sentence(failure))
        if self.life.phase is Phase.LIVE:
            reason = Reason.FINISHED if failure is None else Reason.FAILED
            self.end(reason, "" if failure is None else _sentence(failure))
        elif failure is not None and not isinstance(failure, Stalled):
            log.warning("as it ended: %s", _sentence(failure), extra={"session": self.name})

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

    def status(self) -> dict[str, Any]:
        """The state of the stream as its gateway keeps it (contract 6.2)."""
        return status.status_of(self)

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


def _looked_at(ready: "asyncio.Future[None]") -> None:
    """A start whose caller has gone is not held against the loop."""
    if not ready.cancelled():
        ready.exception()
