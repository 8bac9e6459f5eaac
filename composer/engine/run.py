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
from composer.compiler.params import Params
from composer.compiler.plan import Mode, Plan, Step
from composer.engine import swap
from composer.engine.account import EdgeCount, Report
from composer.engine.assembly import Assembly, edges_of
from composer.engine.inbox import Traffic
from composer.engine.loading import check_device, context_of, load_libraries
from composer.engine.notices import Happened, Notice, Notify, unheard
from composer.engine.stage import StageRun, leading_ports, wire
from composer.engine.step import Duty
from composer.engine.swap import Prepared
from composer.engine.turns import Gate
from composer.errors import Stalled
from composer.node.frames import Frame, Snapshot
from composer.node.node import Context

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
        self._failure: Exception | None = None
        self._stopping = threading.Event()
        self.done = threading.Event()
        """Set when it has ended."""

        self.session: Final = self._media.session
        self.gate: Final = Gate()
        """Sources go through it with each frame; it is closed while what is behind them changes."""
        self.traffic: Final = Traffic(self._stalled)
        self.duty: Final = Duty(notify, now, self._stopping.is_set)
        self.assembly = Assembly(plan, self.params_of(plan), edges_of(plan, {}))
        self._began = self._ended = 0.0
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
        given up meanwhile; whatever is raised, all is closed.

        A session does not wait for a slow one: frames go by it until it is ready.
        """
        logs.enter(self.session)
        self._move(RunState.OPENING)
        self._began = self._now()
        try:
            with ExitStack() as opened:
                stages = self._opened(opened)
                self.assembly = replace(self.assembly, stages=stages)
                self._still_wanted()
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
            opened.callback(stage.close_quietly)
            stage.open(patience)
        wire(stages, plan)
        return stages

    def _still_wanted(self) -> None:
        """Raises Stalled where it was given up while its nodes were set up."""
        if not self._move(RunState.RUNNING) and self._state is not RunState.STOPPING:
            raise Stalled("the run was given up before it began")

    def _patience(self) -> Callable[[], float]:
        until = time.monotonic() + PATIENCE_SECONDS
        return lambda: max(LEAST_PATIENCE_SECONDS, until - time.monotonic())

    def wait(self) -> Report:
        """The account, once everything has ended. Raises what ended it before its time."""
        self.done.wait()
        for stage in self.assembly.stages:
            for thread in stage.threads:
                thread.join()
        if self._failure is not None:
            raise self._failure
        return self.report()

    def stop(self) -> None:
        """End the sources; what they gave still comes out, and files are finished."""
        self._move(RunState.STOPPING)

    def abort(self) -> None:
        """Give the run up: nothing more is worked on, and everything is closed."""
        self._move(RunState.ABORTING)
        for stage in self.assembly.stages:
            stage.inbox.abort()

    def prepare(self, plan: Plan, change: Change) -> Prepared:
        """Another plan, ready to be put in between two frames. Raises NodeFailed where a node of it
        cannot be set up, and Stalled where the run does not work; then nothing has changed.
        """
        logs.enter(self.session)
        load_libraries(plan)
        return swap.prepare(self, plan, change)

    # how it is

    def report(self) -> Report:
        """The account so far."""
        ended = self._ended or self._now()
        assembly = self.assembly
        for stage in assembly.stages:
            stage.tell()
        seconds, media_seconds = ended - self._began, self._media_micros / 1_000_000
        return Report(assembly.counts(), assembly.edges, seconds, media_seconds)

    def work(self) -> dict[str, int]:
        """How many frames each node has taken in front of which some wait to be worked on."""
        found: dict[str, int] = {}
        for link in self.plan.links:
            edge = self.assembly.edges.get(str(link))
            if edge is None or link.end_port not in leading_ports(self.plan.steps[link.end]):
                continue
            if edge.offered > edge.taken + edge.dropped.total():
                found[link.end] = found.get(link.end, 0) + edge.taken
        return found

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
        return Params(plan.params.values(), nodes, self._applied)

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
            sink=media.sink(step.name),
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
            if self._failure is None:
                self._failure = failure
        self.abort()

    def finished(self) -> None:
        """The last thread of a stage has ended."""
        with self._moving:
            self._left -= 1
            last = self._left == 0
        if last:
            self._move(RunState.ENDED)

    def _applied(self, seconds: float) -> None:
        self._notify(Notice(Happened.APPLIED, seconds=seconds))

    def _stalled(self) -> None:
        self.fail(Stalled("every stage waits for another one"))

    def saw(self, micros: int) -> None:
        self._media_micros = max(self._media_micros, micros)

    def is_over(self, frame: Frame[Any]) -> bool:
        """Whether a source has come to where it ends at the latest."""
        return 0 < self._media.seconds <= frame.seconds

    def context(self, step: Step) -> Context:
        return _context(
            step,
            source=self._media.source(step.name),
            sink=self._media.sink(step.name, step.settings),
            live=self.plan.mode.value == "live",
            ingress=self._media.ingress,
            egress=self._media.egress,
            data=self._media.data,
            sessions=self._media.sessions,
            now=self._now,
            wait=self._stopping.wait,
        )

    def workers(
        self, step: Step, number: int, lane: "Lane | None", first: Snapshot
    ) -> list[Worker]:
        """That many workers for a step, each with its own instance of the node."""
        sequel = Sequel()
        if step.settings is not None and (fields := first.fields.get(step.name)):
            step = replace(step, settings=fresh(step.settings, fields))
        context = None if step.settings is None else self.context(step)
        return [
            Worker(step, context, NodeCount(), sequel, self._notify, self._now, lane)
            for _ in range(number)
        ]

    @property
    def session(self) -> str:
        return self._media.session

    @property
    def traffic(self) -> Traffic:
        return self._traffic

    @property
    def now(self) -> Callable[[], float]:
        return self._now

    @property
    def stopping(self) -> threading.Event:
        return self._stopping


@dataclass(frozen=True, slots=True)
class _Outlet:
    inbox: Inbox
    port: str


class _Gate:
    """Any number are inside at a time; closing it waits until nobody is."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0
        self._closed = False

    def __enter__(self) -> None:
        with self._changed:
            while self._closed:
                self._changed.wait()
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._inside -= 1
            self._changed.notify_all()

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Nobody is inside meanwhile."""
        with self._changed:
            while self._closed:
                self._changed.wait()
            self._closed = True
            while self._inside:
                self._changed.wait()
        try:
            yield
        finally:
            with self._changed:
                self._closed = False
                self._changed.notify_all()


class _Turns:
    """Threads that take turns in a ring, number 0 first."""

    def __init__(self, threads: int, traffic: Traffic) -> None:
        self._threads, self._traffic = threads, traffic
        self._changed = threading.Condition()
        self._now = 0
        self._asleep: set[int] = set()

    @contextmanager
    def turn(self, number: int) -> Iterator[None]:
        self._wait(number)
        try:
            yield
        finally:
            self._hand_on()

    def _wait(self, number: int) -> None:
        with self._changed:
            if self._now == number:
                return
            self._asleep.add(number)
            # Inboxes are looked at one at a time, so this lock must be free.
            self._changed.release()
            try:
                self._traffic.rest()
            finally:
                self._changed.acquire()
            while self._now != number:
                self._changed.wait()

    def _hand_on(self) -> None:
        with self._changed:
            self._now = (self._now + 1) % self._threads
            if self._now in self._asleep:
                self._asleep.remove(self._now)
                self._traffic.enter()
            self._changed.notify_all()


class _StageRun:
    """One stage at work: its threads, its inbox, and for each thread its workers in a row."""

    def __init__(
        self,
        run: Run,
        plan: Plan,
        stage: Stage,
        first: Snapshot,
        edges: Mapping[str, EdgeCount],
    ) -> None:
        self._run, self.stage = run, stage
        self.inbox = Inbox(
            [
                Slot(link.end_port, link.inbox or InboxSpec(1, "wait"), edges[str(link)])
                for link in plan.into(stage.steps[0])
            ],
            _choice(plan, stage.steps[0]),
            run.traffic,
            run.now,
        )
        self.is_source: Final = not plan.steps[stage.steps[0]].inputs
        self.outlets: dict[str, list[_Outlet]] = {}
        self.kept: Collection[str] = ()
        """Nodes that go on in other stages: they are neither flushed nor closed here."""
        self.ended = self.left_behind = False
        self._lane = _lane_of(plan, stage)
        columns = [
            run.workers(plan.steps[name], stage.workers, self._lane, first) for name in stage.steps
        ]
        self._rows = [list(row) for row in zip(*columns, strict=True)]
        self._wires = _wires(plan, stage)
        self._last: Frame[Any] | None = None
        self._broken = False
        self._left, self._leaving = stage.workers, threading.Lock()
        self._taking = _Turns(stage.workers, run.traffic)
        self._giving = _Turns(stage.workers, run.traffic)
        self.threads = [
            threading.Thread(target=self._main, args=(place,), name=f"stage {stage.name}")
            for place in range(stage.workers)
        ]

    def workers(self) -> Iterator[Worker]:
        """All that work here, of each step the first first."""
        for row in self._rows:
            yield from row

    def counts(self) -> dict[str, list[NodeCount]]:
        """What its steps have done, for each thread."""
        return {
            name: [row[place].count for row in self._rows]
            for place, name in enumerate(self.stage.steps)
        }

    def become(self, plan: Plan, other: "_StageRun") -> None:
        """Go on as the stage of another plan, with the same source and its thread."""
        for mine, theirs in zip(self.workers(), other.workers(), strict=True):
            mine.become(theirs.step, self._run.context(theirs.step))
        self.stage, self.kept = other.stage, ()

    def end_outlets(self) -> None:
        """Nothing more comes from here to where it went so far."""
        for outlets in self.outlets.values():
            for outlet in outlets:
                outlet.inbox.end(outlet.port)

    def open(self, patience: Callable[[], float] | None, leave: Collection[str] = ()) -> None:
        """Set its nodes up, but those to leave; with patience, those that can be gone by are not
        waited for longer.
        """
        for row in self._rows:
            for worker in row:
                if worker.step.name in leave:
                    continue
                if patience is None or not worker.step.inputs or not worker.step.outputs:
                    worker.open()
                else:
                    worker.open_aside(patience())

    def tell(self) -> None:
        """Put what its nodes say of themselves into their accounts."""
        for row in self._rows:
            for worker in row:
                worker.tell()

    def close_quietly(self) -> None:
        """Close after something else has failed: that is what will be told."""
        for row in self._rows:
            for worker in row:
                try:
                    worker.close()
                except NodeFailed as exc:
                    log.debug("while closing: %s", exc)

    def _main(self, place: int) -> None:
        where = logs.enter(self._run.session)
        self._attempt(lambda: self._work(place))
        with self._leaving:
            self._left -= 1
            last = self._left == 0
        if last:
            if not self._broken and not self.left_behind:
                self._attempt(self._flush)
            self._close()
            # A source may be given other outlets until it has ended those that it has.
            with self._run.gate if self.is_source else nullcontext():
                self.ended = True
                if not self.left_behind:
                    self.end_outlets()
        where.leave()
        self._run.traffic.rest()
        if last:
            self._run.finished()

    def _attempt(self, work: Callable[[], None]) -> None:
        """Do something; what goes wrong ends the run."""
        try:
            work()
        except Aborted:
            self._broken = True
            log.debug("stage %s given up", self.stage.name)
        except Exception as exc:  # noqa: BLE001 - not even a bug of ours may look like the end
            self._broken = True
            self._run.fail(exc)

    def _work(self, place: int) -> None:
        if not self._rows[0][0].step.inputs:
            self._produce()
        elif self.stage.workers == 1:
            self._consume()
        else:
            while self._consume_in_turn(place):
                pass

    def _flush(self) -> None:
        for place, worker in enumerate(self._rows[0]):
            if worker.step.name not in self.kept:
                self._hand_on(place, worker.flush(self._last))

    def _close(self) -> None:
        if self._lane is not None:
            self._lane.close()
        for row in self._rows:
            for worker in row:
                if worker.step.name in self.kept:
                    continue
                try:
                    worker.close()
                except NodeFailed as exc:
                    self._run.fail(exc)

    def _produce(self) -> None:
        worker = self._rows[0][0]
        made_as = worker.step.outputs
        for port, given in worker.produce(self._run.now, self._run.stopping):
            with self._run.gate:
                if self.left_behind or self._run.is_over(given):
                    return
                frame: Frame[Any] | None = given
                if worker.step.outputs is not made_as:
                    frame = worker.refitted(port, given, made_as[port])
                    made_as = worker.step.outputs
                if frame is None:
                    continue
                settings = self._run.params.at(frame.seconds)
                self._last = frame = worker.stamped(port, frame, settings)
                self._run.saw(frame.micros)
                self._deliver(port, frame)

    def _consume(self) -> None:
        row = self._rows[0]
        while (taken := self.inbox.take()) is not None:
            if isinstance(taken, Bound):
                self._pass_bound(0, taken)
                continue
            self._last = taken.frame
            self._hand_on(0, row[0].run(taken))

    def _pass_bound(self, place: int, bound: Bound) -> None:
        """Time goes by nodes that give one for one; the others say themselves where they are."""
        for worker in self._rows[0][place:]:
            if worker.node is not None and type(worker.node).many:
                return
        for port in self.outlets:
            self._deliver(port, bound)

    def _hand_on(self, place: int, out: Out) -> None:
        """Give what step `place` gave to the next one, or to the edges behind the stage."""
        last = place + 1 == len(self._rows[0])
        for port, item in out:
            if last:
                self._deliver(port, item)
            elif isinstance(item, Bound):
                self._pass_bound(place + 1, item)
            else:
                taken = Taken(self._wires[place], item)
                self._hand_on(place + 1, self._rows[0][place + 1].run(taken))

    def _deliver(self, port: str, item: Item) -> None:
        for outlet in self.outlets.get(port, ()):
            outlet.inbox.put(outlet.port, item)

    def _consume_in_turn(self, place: int) -> bool:
        """Work on one frame beside the other threads; False when there are no more.

        Frames are taken in turn and given on in turn, so they stay in their order. A thread whose
        frame fails takes its turns to the end: the others wait for them.
        """
        worker = self._rows[place][0]
        taken: Taken | Bound | None = None
        made: Out | Missed | None = None

        def take() -> None:
            nonlocal taken, made
            taken = self.inbox.take()
            if isinstance(taken, Taken):
                self._last = taken.frame
                made = worker.admit(taken.frame)

        def work() -> None:
            nonlocal made
            if isinstance(taken, Taken) and made is None:
                made = worker.work(taken)

        def give() -> None:
            if isinstance(taken, Bound):
                self._pass_bound(0, taken)
            elif taken is not None and made is not None:
                self._hand_on(0, worker.settle(taken.frame, made))

        with self._taking.turn(place):
            self._attempt(take)
        self._attempt(work)
        with self._giving.turn(place):
            self._attempt(give)
        return taken is not None


def _lane_of(plan: Plan, stage: Stage) -> "Lane | None":
    """The lane on which a stage works, where it works on a device."""
    steps = [plan.steps[name] for name in stage.steps]
    formats = [each for step in steps for each in (*step.inputs.values(), *step.outputs.values())]
    return next((lanes.Lane(each.device) for each in formats if each.device != "cpu"), None)


def _wires(plan: Plan, stage: Stage) -> tuple[str, ...]:
    """For each step but the last: the input port of the next step that it feeds."""
    ports = []
    for step, after in zip(stage.steps, stage.steps[1:], strict=False):
        link = next(link for link in plan.out_of(step) if link.end == after)
        ports.append(link.end_port)
    return tuple(ports)


def _leading(step: Step) -> Sequence[str]:
    """The ports whose frames are work for a step: all, but of a join the first. What comes to the
    others of a join is kept for the next frame of the first, however late that comes.
    """
    cls: type[Node] | None = type(step.settings) if step.settings is not None else None
    if cls is None or len(step.inputs) < 2 or cls.merges:
        return list(step.inputs)
    return [next(port.name for port in cls.inputs if port.name in step.inputs)]


def _choice(plan: Plan, name: str) -> Choice:
    """How a stage takes from its inbox: in order, or joined by pts."""
    step = plan.steps[name]
    leading = _leading(step)
    if len(leading) == len(step.inputs) or step.settings is None:
        return InOrder(leading)
    declared = [port for port in type(step.settings).inputs if port.name in step.inputs]
    others = [Joined(port.name, Kind(port.kind), port.optional) for port in declared[1:]]
    within = step.within_ms
    if within is None and plan.mode.value == "live":
        within = LIVE_WITHIN_MS
    return Join(leading[0], others, step.missing, None if within is None else within / 1000)


DRAIN_SECONDS: Final = 5.0
"""How long the old nodes may take with what is in them when another plan takes over."""

PATIENCE_SECONDS: Final = 0.7
"""How long the start of a session waits for all its nodes together: it is answered in a second."""

LEAST_PATIENCE_SECONDS: Final = 0.05
"""What each node has at least, so that one slow node does not make the others late."""

LIVE_WITHIN_MS: Final = 40.0
"""How long a join waits in a session when the file does not say: one picture at 25 fps."""
