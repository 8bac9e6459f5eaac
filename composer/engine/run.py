"""Runs a Plan: one thread per stage, bounded inboxes between them, every frame accounted for."""

import logging
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from composer import lazy, logs
from composer.compiler.ends import Ends
from composer.compiler.params import Params
from composer.compiler.plan import InboxSpec, Mode, Plan, Stage, Step
from composer.device import cuda
from composer.engine.inbox import Aborted, Choice, EdgeCount, Inbox, InOrder, Slot, Taken, Traffic
from composer.engine.join import Join, Joined
from composer.engine.worker import (
    Happened,
    Missed,
    NodeCount,
    Notice,
    Notify,
    Out,
    Sequel,
    Worker,
    fresh,
    sum_of,
    unheard,
)
from composer.errors import DeviceMissing, NodeFailed, ParamRejected, Stalled
from composer.models.pool import LEASES_PER_MODEL, POOL
from composer.node.formats import Kind
from composer.node.frames import Bound, Frame, Item, Snapshot
from composer.node.node import Context, Node

with lazy.deferred():  # a graph on the CPU needs none
    from composer.device import lanes

if TYPE_CHECKING:  # a file needs neither
    from composer.device.lanes import Lane
    from composer.session.egress import Egress
    from composer.session.ingress import Ingress

log: Final = logging.getLogger(__name__)


@dataclass(frozen=True)
class Report:
    """The account of a run. edges are keyed "node.port -> node.port"."""

    nodes: Mapping[str, NodeCount]
    edges: Mapping[str, EdgeCount]
    seconds: float
    media_seconds: float


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


def load(plans: Sequence[Plan]) -> None:
    """Load the libraries and models of plans before a first frame waits for them; models stay when
    their last session has ended. Raises NodeFailed.
    """
    steps = [step for plan in plans for step in plan.steps.values()]
    shared = sum(1 for step in steps if step.settings is not None and type(step.settings).shared)
    POOL.idle = max(POOL.idle, LEASES_PER_MODEL * shared)
    for plan in plans:
        prepare(plan)
        preload(plan)


def prepare(plan: Plan) -> None:
    """Load the libraries that the nodes of a plan use: what a first frame would wait for."""
    for step in plan.steps.values():
        if step.settings is not None:
            lazy.load_used(sys.modules[type(step.settings).__module__])


def preload(plan: Plan) -> None:
    """Set up each node of a plan whose model sessions share, once: it stays in the pool after that.

    Raises NodeFailed.
    """
    logs.enter("")
    for step in plan.steps.values():
        if step.settings is None or not type(step.settings).shared:
            continue
        worker = Worker(step, _context(step, live=True), NodeCount(), Sequel())
        try:
            _check_device(step)
            worker.open()
        finally:
            worker.close()


def _check_device(step: Step) -> None:
    """Raises NodeFailed where it asks for a device that is not there."""
    try:
        cuda.check(step.device)
    except DeviceMissing as exc:
        raise NodeFailed(step.name, "setup()", exc, None) from exc


def _context(step: Step, **more: Any) -> Context:
    """What the plan says to a node; `more` is what the run does."""
    return Context(
        node=step.name,
        folder=step.folder,
        inputs=step.inputs,
        outputs=step.outputs,
        device=step.device,
        batch=step.batch,
        **more,
    )


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
        self.plan = plan
        self._notify = notify
        self._media = media or Media()
        self._now = now
        self.params = self._params_of(plan)
        self._counts: dict[str, list[NodeCount]] = {name: [] for name in plan.steps}
        self._edges = {str(link): EdgeCount() for link in plan.links if link.inbox}
        self.gate = _Gate()
        """Sources go through it with each frame; it is closed while what is behind them changes."""
        self._traffic = Traffic(self._stalled)
        self._stopping = threading.Event()
        self._failure: Exception | None = None
        self._failing = threading.Lock()
        self._given_up = False
        self._began = self._ended = 0.0
        self._media_micros = 0
        self._running: list[_StageRun] = []
        self.done = threading.Event()

    def start(self) -> None:
        """Set every node up, then let the stages go. Raises NodeFailed, and Stalled where it was
        given up meanwhile; then all is closed.

        A session does not wait for a slow one: frames go by it until it is ready.
        """
        logs.enter(self._media.session)
        first = self.params.at(0.0)  # what was set before counts for setup(), too
        self.params.running = True
        patience = self._patience() if self.plan.mode is Mode.LIVE else None
        prepare(self.plan)
        self._began = self._now()
        opened: list[_StageRun] = []
        try:
            # Nodes first: the reader did not write the copies to and from the device.
            for step in sorted(self.plan.steps.values(), key=lambda step: step.settings is None):
                _check_device(step)
            self._running = self._stages(self.plan, first, self._edges)
            for run in self._running:
                opened.append(run)
                run.open(patience)
            self._wire(self._running, self.plan)
            self._still_wanted()
        except (NodeFailed, Stalled) as exc:
            for run in reversed(opened):
                run.close_quietly()
            self._give_up(exc)
            raise
        self._left = 0
        self._go(self._running)

    def _go(self, runs: Sequence["_StageRun"]) -> None:
        """Start the threads of stages; they count as working from here on."""
        self._counts = {n: counts for run in self._running for n, counts in run.counts().items()}
        with self._failing:
            self._left += len(runs)
        threads = [thread for run in runs for thread in run.threads]
        self._traffic.enter(len(threads))
        for thread in threads:
            thread.start()

    def _stages(
        self, plan: Plan, first: Snapshot, edges: Mapping[str, EdgeCount]
    ) -> list["_StageRun"]:
        """The stages of a plan. first: what holds when their nodes are set up."""
        return [_StageRun(self, plan, stage, first, edges) for stage in plan.stages]

    def _wire(self, runs: Sequence["_StageRun"], plan: Plan) -> None:
        """Lead the outputs of every stage to the inboxes that they go to."""
        by_name = {step: run for run in runs for step in run.stage.steps}
        outlets: dict[str, dict[str, list[_Outlet]]] = {run.stage.name: {} for run in runs}
        for link in plan.links:
            if link.inbox is not None:
                ports = outlets[by_name[link.start].stage.name]
                outlet = _Outlet(by_name[link.end].inbox, link.end_port)
                ports.setdefault(link.start_port, []).append(outlet)
        for run in runs:
            run.outlets = outlets[run.stage.name]

    def _params_of(self, plan: Plan) -> Params:
        nodes = {name: node.settings for name, node in plan.graph.nodes.items()}
        return Params(plan.params.values(), nodes, self._applied)

    # another plan, while it runs

    def edit(self, plan: Plan, values: Mapping[str, Mapping[str, Any]]) -> None:
        """Go on with a plan that differs in live fields alone, from the next frame on."""
        with self.gate.closed():
            self.plan = plan
            self.params.edit(values, plan.params.values())

    def swap(self, plan: Plan, built: Collection[str]) -> None:
        """Go on with another plan, between two frames: nothing is lost and nothing comes twice.

        built: nodes that are built anew, beside the old ones; the others keep what they have loaded
        and what they remember. Raises NodeFailed where one cannot be set up, and Stalled where the
        run has ended or the old nodes do not; then the plan is the old one.
        """
        logs.enter(self._media.session)
        prepare(plan)
        params = self._carried(plan)
        first = params.at(0.0)
        names = [str(link) for link in plan.links if link.inbox]
        edges = {name: self._edges.get(name) or EdgeCount() for name in names}
        kept = frozenset(plan.steps) - frozenset(built) - self._restless(plan)
        runs = self._stages(plan, first, edges)
        opened: list[_StageRun] = []
        try:
            for run in runs:
                opened.append(run)
                run.open(None, leave=kept)
            with self.gate.closed():
                self._change(plan, runs, kept, params, edges)
        except (NodeFailed, Stalled):
            for run in reversed(opened):
                run.close_quietly()
            self._traffic.inboxes = [run.inbox for run in self._running]
            raise

    def _restless(self, plan: Plan) -> frozenset[str]:
        """Nodes that cannot go over to another thread just now: one is being set up for them, or
        several work side by side.
        """
        several = [stage for stage in (*self.plan.stages, *plan.stages) if stage.workers > 1]
        opening = [
            worker.step.name
            for run in self._running
            for worker in run.workers()
            if not worker.settled
        ]
        return frozenset(opening) | {name for stage in several for name in stage.steps}

    def _carried(self, plan: Plan) -> Params:
        """The params of another plan, with what callers have set of them."""
        params = self._params_of(plan)
        self._carry(self.params, params)
        params.running = True
        return params

    def _carry(self, old: Params, new: Params) -> None:
        for name, value in old.asked().items():
            try:
                new.patch({name: value})
            except ParamRejected as exc:
                log.info("a caller's value is not carried over: %s", exc)

    def _change(
        self,
        plan: Plan,
        runs: list["_StageRun"],
        kept: Collection[str],
        params: Params,
        edges: dict[str, EdgeCount],
    ) -> None:
        """The moment itself, behind the gate: the old stages come to their end, what is kept of
        them goes over, and the new ones begin.
        """
        sources = {run.stage.name: run for run in self._running if run.is_source}
        if self.done.is_set() or any(run.ended for run in sources.values()):
            raise Stalled("the run has ended")
        middle = [run for run in self._running if not run.is_source]
        for run in self._running:
            run.kept = kept
        for run in sources.values():
            run.end_outlets()
        for thread in [thread for run in middle for thread in run.threads]:
            thread.join(DRAIN_SECONDS)
            if thread.is_alive():
                failure = Stalled(f"{thread.name} does not come to its end for another plan")
                self.fail(failure)
                raise failure
        if self._failure is not None:
            raise Stalled("the run has failed")
        old = {worker.step.name: worker for run in self._running for worker in run.workers()}
        for place, run in enumerate(runs):
            here = sources.pop(run.stage.name, None) if run.stage.name in kept else None
            if here is not None:
                here.become(plan, run)
                runs[place] = here
                continue
            for worker in run.workers():
                if worker.step.settings is not None and worker.step.name in kept:
                    worker.take_over(old[worker.step.name])
        for source in sources.values():
            source.left_behind = True
        self._carry(self.params, params)
        fresh_runs = [run for run in runs if not run.threads[0].ident]
        self.plan, self.params, self._running, self._edges = plan, params, runs, edges
        self._traffic.inboxes = [run.inbox for run in runs]
        self._wire(runs, plan)
        self._go(fresh_runs)

    def _still_wanted(self) -> None:
        """Raises Stalled where it was given up while its nodes were set up."""
        if self._given_up:
            raise Stalled("the run was given up before it began")

    def _give_up(self, failure: NodeFailed | Stalled) -> None:
        """Nothing was begun, or all of it is closed again."""
        self._failure, self._running = failure, []
        self._ended = self._now()
        self.done.set()
        self._notify(Notice(Happened.ENDED))

    def _patience(self) -> Callable[[], float]:
        until = time.monotonic() + PATIENCE_SECONDS
        return lambda: max(LEAST_PATIENCE_SECONDS, until - time.monotonic())

    def wait(self) -> Report:
        """The account, once everything has ended. Raises what ended it before its time."""
        self.done.wait()
        for run in self._running:
            for thread in run.threads:
                thread.join()
        if self._failure is not None:
            raise self._failure
        return self.report()

    def stop(self) -> None:
        """End the sources; what they gave still comes out, and files are finished."""
        self._stopping.set()

    def abort(self) -> None:
        """Give the run up: nothing more is worked on, and everything is closed."""
        self._given_up = True
        self._stopping.set()
        for run in self._running:
            run.inbox.abort()

    def report(self) -> Report:
        """The account so far."""
        ended = self._ended or self._now()
        for run in self._running:
            run.tell()
        nodes = {name: sum_of(counts) for name, counts in self._counts.items()}
        return Report(nodes, self._edges, ended - self._began, self._media_micros / 1_000_000)

    def work(self) -> dict[str, int]:
        """How many frames each node has taken in front of which some wait to be worked on."""
        found: dict[str, int] = {}
        for link in self.plan.links:
            edge = self._edges.get(str(link))
            if link.end_port not in _leading(self.plan.steps[link.end]):
                continue
            if edge is not None and edge.offered > edge.taken + edge.dropped.total():
                found[link.end] = found.get(link.end, 0) + edge.taken
        return found

    def given(self, node: str) -> int:
        """How many frames a node has given."""
        return sum(count.given for count in self._counts.get(node, ()))

    @property
    def failure(self) -> Exception | None:
        """What ended it before its time."""
        return self._failure

    # called by stages

    def fail(self, failure: Exception) -> None:
        """The first failure is the one that is told."""
        with self._failing:
            if self._failure is None:
                self._failure = failure
        self.abort()

    def finished(self) -> None:
        with self._failing:
            self._left -= 1
            last = self._left == 0
        if last:
            self._ended = self._now()
            self.done.set()
            self._notify(Notice(Happened.ENDED))

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
            sink=self._media.sink(step.name),
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
