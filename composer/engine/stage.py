"""StageRun: one stage of a plan at work: its threads, its inbox, and its steps in a row."""

import logging
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from composer import lazy, logs, stacks
from composer.compiler.plan import InboxSpec, Mode, Plan, Stage, Step
from composer.engine.account import EdgeCount, NodeCount
from composer.engine.blame import blamed, failure_of
from composer.engine.handover import Handover
from composer.engine.inbox import Aborted, Inbox, InOrder, Policy, Slot, WorkItem
from composer.engine.instance import fresh
from composer.engine.join import Join, Joined
from composer.engine.layers.layer import Memory, Missed, Out
from composer.engine.step import SourceRun, StepRun
from composer.engine.turns import Rotation
from composer.errors import NodeFailed
from composer.node.formats import Kind
from composer.node.frames import Bound, Frame, Item, Snapshot
from composer.node.node import Node
from composer.weakly import weakly

with lazy.deferred():  # a graph on the CPU needs none
    from composer.device import lanes

if TYPE_CHECKING:
    from composer.device.lanes import Lane
    from composer.engine.run import Run

log: Final = logging.getLogger(__name__)

LIVE_WITHIN_MS: Final = 40.0
"""How long a join waits in a session when the file does not say: one picture at 25 fps."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where the items of an output port go."""

    stage: "StageRun"
    port: str


class StageRun:
    """One stage at work: its threads, its inbox, and for each thread its steps in a row."""

    def __init__(
        self,
        run: "Run",
        plan: Plan,
        stage: Stage,
        first: Snapshot,
        edges: Mapping[str, EdgeCount],
    ) -> None:
        """first: the params that hold when its nodes are set up."""
        self._run, self.stage = run, stage
        self.inbox = Inbox(
            [
                Slot(link.end_port, link.inbox or InboxSpec(1, "wait"), edges[str(link)])
                for link in plan.into(stage.steps[0])
            ],
            policy_of(plan, stage.steps[0]),
            run.traffic,
            run.environment.now,
        )
        self.is_source: Final = not plan.steps[stage.steps[0]].inputs
        self.destinations: dict[str, list[Destination]] = {}
        self.forks = False
        """Whether its frames go several ways to a join, which needs the room on each of them."""
        self.kept: Collection[str] = ()
        """Nodes that go on in other stages: they are neither flushed nor closed here."""
        self.ended = self.left_behind = False
        self._lane = _lane_of(plan, stage)
        columns = [self._workers_of(plan.steps[name], first) for name in stage.steps]
        self._rows = [list(row) for row in zip(*columns, strict=True)]
        self._wires = _wires(plan, stage)
        self._last: Frame[Any] | None = None
        self._broken = False
        self._handover: Handover | None = None
        """Of the source whose thread works here now; None for a thread of this stage."""
        self._left, self._leaving = stage.workers, threading.Lock()
        self._taking = Rotation(stage.workers, run.traffic)
        self._giving = Rotation(stage.workers, run.traffic)
        self.threads = [
            threading.Thread(
                target=stacks.working_for(run.session, self._main),
                args=(place,),
                name=f"stage {stage.name}",
            )
            for place in range(stage.workers)
        ]

    def _workers_of(self, step: Step, first: Snapshot) -> list[StepRun]:
        """A step for each thread, each with its own instance of the node."""
        memory = Memory()
        if step.settings is not None and (fields := first.fields.get(step.name)):
            with blamed(step.name, "its validators"):
                step = replace(step, settings=fresh(step.settings, fields))
        context = None if step.settings is None else self._run.context(step)
        cls = StepRun if step.inputs else SourceRun
        return [
            cls(step, context, memory, self._run.environment, self._lane)
            for _ in range(self.stage.workers)
        ]

    def steps(self) -> Iterator[StepRun]:
        """All that work here, of each step the first first."""
        for row in self._rows:
            yield from row

    def first_row(self) -> Sequence[StepRun]:
        """Those that its first thread works for."""
        return self._rows[0]

    def counts(self) -> dict[str, list[NodeCount]]:
        """What its steps have done, for each thread."""
        return {
            name: [row[place].count for row in self._rows]
            for place, name in enumerate(self.stage.steps)
        }

    # its life

    def open(self, patience: Callable[[], float] | None, leave: Collection[str] = ()) -> None:
        """Set its nodes up, but those to leave; with patience, those that can be gone by are not
        waited for longer. Raises NodeFailed.
        """
        for step in self.steps():
            if step.instance is None or step.step.name in leave:
                continue
            if patience is None or not step.step.inputs or not step.step.outputs:
                step.instance.open()
            else:
                step.instance.open_aside(patience())

    def tell(self) -> None:
        """Put what its nodes say of themselves into their accounts."""
        for step in self.steps():
            if (instance := step.instance) is not None:
                instance.tell()

    def close_quietly(self) -> None:
        """Close after something else has failed: that is what will be told."""
        for step in self.steps():
            try:
                if step.instance is not None:
                    step.instance.close()
            except NodeFailed as exc:
                log.info("while closing: %s", exc)

    def end_downstream(self) -> None:
        """Nothing more comes from here to where it went so far."""
        for destinations in self.destinations.values():
            for destination in destinations:
                destination.stage.inbox.end(destination.port)

    def become(self, plan: Plan, other: "StageRun") -> None:
        """Go on as the stage of another plan, with the same source and its thread."""
        for mine, theirs in zip(self.steps(), other.steps(), strict=True):
            mine.become(theirs.step, self._run.context(theirs.step))
        self.stage, self.kept = other.stage, ()

    def take_over(
        self, old: Mapping[str, StepRun], counts: Mapping[str, NodeCount], kept: Collection[str]
    ) -> None:
        """Go on with the nodes of another plan's stages that are kept. Those that are built anew
        count on where the old ones were.
        """
        for step in self.first_row():
            name = step.step.name
            if step.instance is not None and name in kept:
                step.take_over(old[name])
            elif name in counts:
                step.count.include(counts[name])

    def _main(self, place: int) -> None:
        where = logs.enter(self._run.session)
        self._attempt(lambda: self._work(place))
        with self._leaving:
            self._left -= 1
            last = self._left == 0
        if last:
            self._end()
        where.leave()
        self._run.traffic.rest()
        if last:
            self._run.finished()

    def _end(self) -> None:
        if not self._broken and not self.left_behind:
            self._attempt(self._flush)
        self._close()
        # A source may be given other destinations until it has ended those that it has.
        with self._run.gate if self.is_source else nullcontext():
            self.ended = True
            if not self.left_behind:
                self.end_downstream()

    def _attempt(self, work: Callable[[], None]) -> bool:
        """Do something; what goes wrong ends the run. Returns whether it went well."""
        try:
            work()
            return True
        except Aborted:
            self._broken = True
            log.debug("stage %s given up", self.stage.name)
        except Exception as exc:  # noqa: BLE001 - not even a bug of ours may look like the end
            self._broken = True
            self._run.fail(exc)
        except BaseException as exc:  # noqa: BLE001 - nor may the thread end without a word
            self._broken = True
            self._run.fail(failure_of(self.stage.name, "its thread", exc))
        return False

    def _flush(self) -> None:
        for place, step in enumerate(self._rows[0]):
            if step.step.name not in self.kept:
                self._hand_on(place, step.flush(self._last))

    def _close(self) -> None:
        if self._lane is not None:
            self._lane.close()
        for step in self.steps():
            if step.instance is None or step.step.name in self.kept:
                continue
            try:
                step.instance.close()
            except NodeFailed as exc:
                self._run.fail(exc)

    # its work

    def _work(self, place: int) -> None:
        first = self._rows[0][0]
        if isinstance(first, SourceRun):
            self._produce(first)
        elif self.stage.workers == 1:
            self._consume()
        else:
            while self._consume_in_turn(place):
                pass

    def _produce(self, source: SourceRun) -> None:
        made_as = source.step.outputs
        live = source.instance is not None and source.instance.context.live
        handover = self._handover = (
            Handover(weakly(self._run.downstream_seconds, 0.0)) if live else None
        )
        with closing(source.produce()) as produced:
            for port, emitted in produced:
                if handover is not None:
                    handover.look()
                with self._run.gate:
                    settings = None if self.left_behind else self._run.entering(emitted)
                    if settings is None:
                        return
                    frame: Frame[Any] | None = emitted
                    if source.step.outputs is not made_as:
                        frame = source.refitted(port, emitted, made_as[port])
                        made_as = source.step.outputs
                    if frame is not None:
                        self._last = frame = source.stamped(port, frame, settings)
                        self._deliver(port, frame)

    def _consume(self) -> None:
        while (work_item := self.inbox.take()) is not None:
            if isinstance(work_item, Bound):
                self._pass_bound(0, work_item)
            else:
                self._consume_one(work_item)

    def _consume_one(self, work_item: WorkItem) -> None:
        self._last = work_item.frame
        self._hand_on(0, self._rows[0][0].run(work_item))

    def go_on(self, port: str, item: Item, handover: Handover) -> bool:
        """Work on a frame in the thread that has it; False where it has to be put."""
        if self.stage.workers > 1 or self._lane is not None or not isinstance(item, Frame):
            return False
        work_item = self.inbox.claim(port, item)
        if work_item is None:
            return False
        self._handover = handover
        self._attempt(lambda: self._consume_one(work_item))
        self._handover = None
        self.inbox.release()
        return True

    def _pass_bound(self, place: int, bound: Bound) -> None:
        """Time goes by nodes that give one for one; the others say themselves where they are."""
        for step in self._rows[0][place:]:
            if step.instance is not None and type(step.instance.node).many:
                return
        for port in self.destinations:
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
                work_item = WorkItem(self._wires[place], item)
                self._hand_on(place + 1, self._rows[0][place + 1].run(work_item))

    def _deliver(self, port: str, item: Item) -> None:
        handover = None if self.forks else self._handover
        ahead = handover if handover is not None and handover.direct else None
        for destination in self.destinations.get(port, ()):
            if ahead is None or not destination.stage.go_on(destination.port, item, ahead):
                destination.stage.inbox.put(destination.port, item)

    def _consume_in_turn(self, place: int) -> bool:
        """Work on one frame beside the other threads; False when there are no more.

        Frames are taken in turn and given on in turn, so they stay in their order. A thread whose
        frame fails takes its turns to the end: the others wait for them.
        """
        step = self._rows[place][0]
        work_item: WorkItem | Bound | None = None
        outcome: Out | Missed | None = None

        def take() -> None:
            nonlocal work_item, outcome
            work_item = self.inbox.take()
            if isinstance(work_item, WorkItem):
                self._last = work_item.frame
                outcome = step.admit(work_item)

        def work() -> None:
            nonlocal outcome
            if isinstance(work_item, WorkItem) and outcome is None:
                outcome = step.work(work_item)

        def give() -> None:
            if isinstance(work_item, Bound):
                self._pass_bound(0, work_item)
            elif work_item is not None and outcome is not None:
                self._hand_on(0, step.settle(work_item.frame, outcome))

        with self._taking.turn(place):
            admitted = self._attempt(take)
        if admitted:
            self._attempt(work)
        with self._giving.turn(place):
            self._attempt(give)
        return work_item is not None


def wire(stages: Sequence[StageRun], plan: Plan) -> None:
    """Lead the outputs of every stage to the inboxes that they go to."""
    by_step = {step: stage for stage in stages for step in stage.stage.steps}
    destinations: dict[str, dict[str, list[Destination]]] = {
        stage.stage.name: {} for stage in stages
    }
    for link in plan.links:
        if link.inbox is not None:
            ports = destinations[by_step[link.start].stage.name]
            destination = Destination(by_step[link.end], link.end_port)
            ports.setdefault(link.start_port, []).append(destination)
    for stage in stages:
        stage.destinations = destinations[stage.stage.name]
    for stage in stages:
        ways = [destination.stage for ports in stage.destinations.values() for destination in ports]
        stage.forks = len(ways) > 1 and any(map(_leads_to_join, ways))


def _leads_to_join(stage: StageRun) -> bool:
    behind = [destination.stage for ports in stage.destinations.values() for destination in ports]
    return stage.inbox.joins or any(map(_leads_to_join, behind))


def _lane_of(plan: Plan, stage: Stage) -> "Lane | None":
    """The lane on which a stage works, where it works on a device."""
    steps = [plan.steps[name] for name in stage.steps]
    formats = [form for step in steps for form in (*step.inputs.values(), *step.outputs.values())]
    device = next((form.device for form in formats if form.device != "cpu"), "")
    if not device:
        return None
    try:
        return lanes.Lane(device)
    except Exception as exc:  # torch says in many ways that a device is lost
        raise NodeFailed(stage.name, "setup()", exc, None) from exc


def _wires(plan: Plan, stage: Stage) -> tuple[str, ...]:
    """For each step but the last: the input port of the next step that it feeds."""
    ports = []
    for step, after in zip(stage.steps, stage.steps[1:], strict=False):
        link = next(link for link in plan.out_of(step) if link.end == after)
        ports.append(link.end_port)
    return tuple(ports)


def leading_ports(step: Step) -> Sequence[str]:
    """The ports whose frames are work for a step: all, but of a join the first. What comes to the
    others of a join is kept for the next frame of the first, however late that comes.
    """
    cls: type[Node] | None = type(step.settings) if step.settings is not None else None
    if cls is None or len(step.inputs) < 2 or cls.merges:
        return list(step.inputs)
    return [next(port.name for port in cls.inputs if port.name in step.inputs)]


def policy_of(plan: Plan, name: str) -> Policy:
    """How a stage takes from its inbox: in order, or joined by pts."""
    step = plan.steps[name]
    leading = leading_ports(step)
    if len(leading) == len(step.inputs) or step.settings is None:
        return InOrder(leading)
    declared = [port for port in type(step.settings).inputs if port.name in step.inputs]
    others = [Joined(port.name, Kind(port.kind), port.optional) for port in declared[1:]]
    within = step.within_ms
    if within is None and plan.mode is Mode.LIVE:
        within = LIVE_WITHIN_MS
    return Join(leading[0], others, step.missing, None if within is None else within / 1000)
