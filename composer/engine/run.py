"""Run: a Plan at work. A thread per stage, bounded inboxes between them, every frame accounted."""

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from composer import logs
from composer.compiler.change import Change
from composer.compiler.ends import Ends
from composer.compiler.plan import Mode, Plan, Step
from composer.engine import swap
from composer.engine.account import EdgeCount, Report
from composer.engine.assembly import Assembly, edges_of
from composer.engine.inbox import Traffic
from composer.engine.loading import check_device, context_of, load_libraries
from composer.engine.notices import Happened, Notice, Notify, unheard
from composer.engine.params import Params
from composer.engine.stage import StageRun, leading_ports, wire
from composer.engine.step import Environment
from composer.engine.swap import Prepared
from composer.engine.turns import Gate
from composer.errors import Stalled, told
from composer.node.frames import Frame, Snapshot
from composer.node.node import Context
from composer.threads import LEFT_BEHIND
from composer.weakly import weakly

if TYPE_CHECKING:  # a file needs neither
    from composer.session.egress import Egress
    from composer.session.ingress import Ingress

log: Final = logging.getLogger(__name__)

PATIENCE_SECONDS: Final = 0.7
"""How long the start of a session waits for all its nodes together: it is answered in a second."""

LEAST_PATIENCE_SECONDS: Final = 0.05
"""What each node has at least, so that one slow node does not make the others late."""


@dataclass(frozen=True)
class Media(Ends):
    """What a run reads and writes, and how.

    ingress, egress, data, sessions: of a session (see node.Context). seconds: where every source
    ends at the latest, 0 for nowhere. session: its name, for the log.
    """

    seconds: float = 0.0
    ingress: "Ingress | None" = None
    egress: "Egress | None" = None
    data: Callable[[str], None] | None = None
    sessions: int = 1
    session: str = ""


class RunState(Enum):
    """Where a run is in its life."""

    NEW = "new"  # nothing is open
    OPENING = "opening"  # nodes are set up, one after another
    RUNNING = "running"  # its threads work
    STOPPING = "stopping"  # sources end, and what they gave comes out
    ABORTING = "aborting"  # nothing more is worked on; what is open is closed
    ENDED = "ended"  # all is closed


MOVES: Final = {
    RunState.NEW: {RunState.OPENING, RunState.STOPPING, RunState.ABORTING},
    RunState.OPENING: {RunState.RUNNING, RunState.STOPPING, RunState.ABORTING},
    RunState.RUNNING: {RunState.STOPPING, RunState.ABORTING, RunState.ENDED},
    RunState.STOPPING: {RunState.ABORTING, RunState.ENDED},
    RunState.ABORTING: {RunState.ENDED},
    RunState.ENDED: set[RunState](),
}
"""Stopped before it runs, a run begins all the same and ends at once: its files are whole."""


class Run:
    """One run of a plan. start() it, then wait() for its Report; stop() ends it properly.

    Owns its threads, inboxes and node instances; closes all of them whatever happens.
    """

    def __init__(
        self,
        plan: Plan,
        media: Media | None = None,
        now: Callable[[], float] = time.monotonic,
        notify: Notify = unheard,
    ) -> None:
        self._media, self._now, self._notify = media or Media(), now, notify
        self._state, self._moving = RunState.NEW, threading.Lock()
        self._started = False
        self._failure: Exception | None = None
        self._stopping = threading.Event()
        self.done = threading.Event()
        """Set when it has ended."""

        self.session: Final = self._media.session
        self.gate: Final = Gate()
        """Sources go through it with each frame; it is closed while what is behind them changes."""
        self.traffic: Final = Traffic(weakly(self._stalled, None))
        self.environment: Final = Environment(notify, now, self._stopping.is_set)
        self.assembly = Assembly(plan, self.params_of(plan), edges_of(plan, {}))
        self._began, self._ended = now(), 0.0
        self._media_micros = self._left = 0

    @property
    def plan(self) -> Plan:
        """What it runs now."""
        return self.assembly.plan

    @property
    def params(self) -> Params:
        """What callers may change, and what holds now."""
        return self.assembly.params

    @property
    def state(self) -> RunState:
        return self._state

    @property
    def failure(self) -> Exception | None:
        """What ended it before its time."""
        return self._failure

    def _move(self, state: RunState) -> bool:
        """Go to another state; False where the table does not allow it from here."""
        with self._moving:
            if state not in MOVES[self._state]:
                return False
            self._state = state
        if state in (RunState.STOPPING, RunState.ABORTING, RunState.ENDED):
            self._stopping.set()
        if state is RunState.ENDED:
            self._ended = self._now()
            self.done.set()
            self._notify(Notice(Happened.ENDED))
        return True

    # its life

    def start(self) -> None:
        """Set every node up, then let the stages go. Raises NodeFailed, and Stalled where it was
        given up before or meanwhile; whatever is raised, all is closed.

        A session does not wait for a slow one: frames go by it until it is ready.
        """
        assert not self._started, "a run begins once"
        self._started = True
        logs.enter(self.session)
        self._began = self._now()
        try:
            self._go_to(RunState.OPENING)
            with ExitStack() as opened:
                stages = self._opened(opened)
                self.assembly = replace(self.assembly, stages=stages)
                self._go_to(RunState.RUNNING)
                opened.pop_all()
        except BaseException as exc:
            self._failure = self._failure or (exc if isinstance(exc, Exception) else None)
            self._move(RunState.ABORTING)
            self._move(RunState.ENDED)
            raise
        with self.gate.closed():  # no swap before all threads are there
            self.go_on(self.assembly, stages)

    def _opened(self, opened: ExitStack) -> list[StageRun]:
        """The stages with all their nodes set up; `opened` closes those that are."""
        plan, params = self.plan, self.params
        first = params.at(0.0)  # what was set before counts for setup(), too
        params.running = True
        patience = self._patience() if plan.mode is Mode.LIVE else None
        load_libraries(plan)
        # Nodes first: the reader did not write the copies to and from the device.
        for step in sorted(plan.steps.values(), key=lambda step: step.settings is None):
            check_device(step)
        stages = self.stages_of(plan, first, self.assembly.edges)
        for stage in stages:
            if self._state is RunState.ABORTING:
                break
            opened.callback(stage.close_quietly)
            stage.open(patience)
        wire(stages, plan)
        return stages

    def _go_to(self, state: RunState) -> None:
        """Take the next step of a start, where it was stopped as well. Raises Stalled where it was
        given up.
        """
        if not self._move(state) and self._state is not RunState.STOPPING:
            raise Stalled("the run was given up before it began")

    def _patience(self) -> Callable[[], float]:
        until = time.monotonic() + PATIENCE_SECONDS
        return lambda: max(LEAST_PATIENCE_SECONDS, until - time.monotonic())

    def wait(self) -> Report:
        """The account, once everything has ended. Raises what ended it before its time."""
        self.done.wait()
        for thread in [thread for stage in self.assembly.stages for thread in stage.threads]:
            if thread.ident is not None:  # none was started for a run that did not begin
                thread.join()
        if self._failure is not None:
            raise self._failure
        return self.report()

    def stop(self) -> None:
        """End the sources; what they gave still comes out, and files are finished."""
        self._move(RunState.STOPPING)

    def abort(self) -> None:
        """Give the run up: nothing more is worked on, and everything is closed. One that was not
        started has ended, and start() raises Stalled.
        """
        self._move(RunState.ABORTING)
        if not self._started:  # nothing is open, and nothing will be: start() looks at the state
            self._move(RunState.ENDED)
        for stage in self.assembly.stages:
            stage.inbox.abort()

    def leave_behind(self) -> None:
        """Nobody waits for it any more: threads of it that hang are counted as left behind."""
        for stage in self.assembly.stages:
            LEFT_BEHIND.add(stage.threads)

    def prepare(self, plan: Plan, change: Change) -> Prepared:
        """Another plan, ready to be put in between two frames. Raises NodeFailed where a node of it
        cannot be set up, and Stalled where the run does not work; then nothing has changed.
        """
        logs.enter(self.session)
        load_libraries(plan)
        return swap.prepare(self, plan, change)

    # how it is

    def report(self) -> Report:
        """The account so far. What nodes say of themselves is as they said it last: when they were
        set up, at tell(), when they were closed.
        """
        ended = self._ended or self._now()
        assembly = self.assembly
        seconds, media_seconds = ended - self._began, self._media_micros / 1_000_000
        return Report(assembly.counts(), assembly.edges, seconds, media_seconds)

    def tell(self) -> None:
        """Ask all nodes what they have to say of themselves. It takes as long as they do."""
        for stage in self.assembly.stages:
            stage.tell()

    def work(self) -> dict[str, int]:
        """How many frames each node has taken in front of which some wait to be worked on."""
        waiting: dict[str, int] = {}
        for link in self.plan.links:
            edge = self.assembly.edges.get(str(link))
            if edge is None or link.end_port not in leading_ports(self.plan.steps[link.end]):
                continue
            if edge.offered > edge.taken + edge.dropped.total():
                waiting[link.end] = waiting.get(link.end, 0) + edge.taken
        return waiting

    def inside(self) -> dict[str, int]:
        """How many frames each node has begun that is at one now."""
        counts = self.assembly.counts()
        return {name: count.begun for name, count in counts.items() if count.begun > count.done}

    def given(self, node: str) -> int:
        """How many frames a node has given."""
        counts = self.assembly.counts()
        return counts[node].given if node in counts else 0

    # what its stages and a swap ask of it

    @property
    def at_work(self) -> bool:
        """Whether its stages have begun and go on."""
        return self._left > 0 and self._state in (RunState.RUNNING, RunState.STOPPING)

    def stages_of(
        self, plan: Plan, first: Snapshot, edges: Mapping[str, EdgeCount]
    ) -> list[StageRun]:
        """The stages of a plan. first: what holds when their nodes are set up."""
        return [StageRun(self, plan, stage, first, edges) for stage in plan.stages]

    def params_of(self, plan: Plan) -> Params:
        """The params of a plan, as its file has them."""
        nodes = {name: node.settings for name, node in plan.graph.nodes.items()}
        return Params(plan.params.values(), nodes, weakly(self._applied, None))

    def go_on(self, assembly: Assembly, begin: Collection[StageRun]) -> None:
        """Work with an assembly; begin: its stages whose threads do not run yet."""
        self.assembly = assembly
        with self._moving:
            self._left += len(begin)
        threads = [thread for stage in begin for thread in stage.threads]
        self.traffic.enter(len(threads))
        for thread in threads:
            thread.start()

    def context(self, step: Step) -> Context:
        media = self._media
        return context_of(
            step,
            source=media.source(step.name),
            sink=media.sink(step.name, step.settings),
            live=self.plan.mode is Mode.LIVE,
            ingress=media.ingress,
            egress=media.egress,
            data=media.data,
            sessions=media.sessions,
            now=self._now,
            wait=self._stopping.wait,
        )

    def entering(self, frame: Frame[Any]) -> Snapshot | None:
        """What holds for a frame of a source; None where sources have come to their end."""
        if 0 < self._media.seconds <= frame.seconds:
            return None
        self._media_micros = max(self._media_micros, frame.micros)
        return self.params.at(frame.seconds)

    def downstream_seconds(self) -> float:
        """How long the nodes behind the sources have worked so far, all together."""
        return sum(
            step.count.seconds
            for stage in self.assembly.stages
            if not stage.is_source
            for step in stage.steps()
        )

    def fail(self, failure: Exception) -> None:
        """End it; the first failure is the one that is told."""
        with self._moving:
            first = self._failure is None
            if first:
                self._failure = failure
        if not first:
            log.info("after it had failed: %s", told(failure))
        self.abort()

    def finished(self) -> None:
        """The last thread of a stage has ended."""
        with self._moving:
            self._left -= 1
            last = self._left == 0
        if last:
            for stage in self.assembly.stages:  # what a swap that failed was to keep
                stage.close_quietly()
            self.assembly = self.assembly.ended()
            self._move(RunState.ENDED)

    def _applied(self, seconds: float) -> None:
        self._notify(Notice(Happened.APPLIED, seconds=seconds))

    def _stalled(self) -> None:
        self.fail(Stalled("every stage waits for another one"))
