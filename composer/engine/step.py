"""StepRun: one step of a plan at work on one thread, put together once out of its layers."""

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from composer import logs
from composer.compiler.conversions import conversion, same
from composer.compiler.plan import Step
from composer.engine import marks
from composer.engine.account import NodeCount
from composer.engine.blame import blamed, failure_of
from composer.engine.envelopes import as_sound, converted, from_source
from composer.engine.fallback import Fallback
from composer.engine.inbox import WorkItem
from composer.engine.instance import Instance
from composer.engine.invocation import Outputs, invocation
from composer.engine.layers.layer import Call, Memory, Missed, Out, Site
from composer.engine.layers.order import layers_of
from composer.engine.notices import Notify, unheard
from composer.errors import NodeFailed
from composer.node.formats import Format, Kind
from composer.node.frames import START, Frame, Snapshot
from composer.node.node import Context

if TYPE_CHECKING:  # a graph on the CPU needs none
    from composer.device.lanes import Lane


@dataclass(frozen=True)
class Environment:
    """What a step works with beside its plan: one for all steps of a run.

    now: monotonic seconds. stopping: whether sources should end.
    """

    notify: Notify = unheard
    now: Callable[[], float] = time.monotonic
    stopping: Callable[[], bool] = lambda: False


class StepRun:
    """One node, or converter, at work. Raises NodeFailed for whatever goes wrong in it."""

    def __init__(
        self,
        step: Step,
        context: Context | None,
        memory: Memory | None = None,
        environment: Environment = Environment(),
        lane: "Lane | None" = None,
    ) -> None:
        """context: None for a converter. memory: shared with the other workers of the step."""
        self.step, self._environment, self._lane = step, environment, lane
        self.count = NodeCount()
        self._memory = memory or Memory()
        self.instance: Instance | None = None
        if context is not None:
            self.instance = Instance(step, context, self.count, environment.notify, lane)
        self._put_together()

    def _put_together(self) -> None:
        site = Site(
            self.step, self.instance, self.count, self._memory, self._environment.notify, self._lane
        )
        layers = layers_of(site)
        call = invocation(site, self._environment.now) if self.step.inputs else _no_call
        for layer in reversed(layers):
            call = layer.around(call) if layer.around is not None else call
        self.work: Call = call
        """What happens to a frame that is not let by; the workers of a step do it side by side."""
        self._admits = tuple(layer.admit for layer in layers if layer.admit is not None)
        self._misses = tuple(layer.missed for layer in layers if layer.missed is not None)
        self._settles = tuple(layer.settle for layer in layers if layer.settle is not None)
        self._fallback = Fallback(site)
        self._outputs = Outputs(site) if self.instance is not None else None

    # one frame

    def run(self, item: WorkItem) -> Out:
        """What comes out for one frame: one item at least, be it a Bound."""
        return self.settle(item.frame, self.admit(item) or self.work(item))

    def admit(self, item: WorkItem) -> Missed | None:
        """Count a frame, and say whether it is let by. Called in the order of the frames."""
        self.count.taken += 1
        for admit in self._admits:
            if (missed := admit(item.frame)) is not None:
                for tell in self._misses:
                    tell(item, missed)
                return missed
        return None

    def settle(self, frame: Frame[Any], outcome: Out | Missed) -> Out:
        """What comes out of a frame in the end. Called in the order of the frames."""
        if isinstance(outcome, Missed):
            return self._fallback.instead(outcome, frame)
        for settle in self._settles:
            settle(outcome)
        return outcome

    def flush(self, frame: Frame[Any] | None) -> Out:
        """What the node still held. frame: the last one that came."""
        if self.instance is None or self._outputs is None or self.instance.loading:
            return []
        started, where = time.perf_counter(), logs.here()
        where.at(self.step.name)
        try:
            with blamed(self.step.name, "flush()"), self._lane or nullcontext():
                held = list(self.instance.node.flush())
                return [] if frame is None else self._flushed(held, frame)
        finally:
            self.count.seconds += time.perf_counter() - started
            where.at("")

    def _flushed(self, held: Iterable[Any], frame: Frame[Any]) -> Out:
        assert self._outputs is not None
        many = self.instance is not None and type(self.instance.node).many
        out = [item for result in held for item in self._outputs.of(result, frame, many=many)]
        return marks.all_marked(self._lane, self.step, out)

    # another plan

    def take_over(self, old: "StepRun") -> None:
        """Go on with the node of another one, which is without it then."""
        assert self.instance is not None
        assert old.instance is not None
        context = self.instance.context
        self.instance, old.instance = old.instance, None
        self.count, self._memory = old.count, old._memory
        self.instance.become(self.step, context, self._environment.notify, self._lane)
        self._put_together()

    def become(self, step: Step, context: Context) -> None:
        """Go on as a step of another plan, with the same node."""
        self.step = step
        if self.instance is not None:
            self.instance.become(step, context, self._environment.notify, self._lane)
        self._put_together()


class SourceRun(StepRun):
    """A step without inputs: its frames come from its own generator."""

    _seconds: float | None = None
    """Time of the frame that it gave last."""

    def produce(self) -> Generator[tuple[str, Frame[Any]], None, None]:
        """The frames of a source, until it ends or is stopped, each to be stamped(). Raises
        NodeFailed. Close it where it is not read to its end.
        """
        assert self.instance is not None
        where, name, clock = logs.here(), self.step.name, time.perf_counter
        with blamed(name, "process()"):
            values = self.instance.node.process()
        try:
            while not self._environment.stopping():
                started = clock()
                where.at(name)
                frames = self._next(values)
                where.at("")
                self.count.seconds += clock() - started
                if frames is None:
                    return
                yield from frames
        finally:
            if close := getattr(values, "close", None):
                with blamed(name, "process()"):
                    close()

    def _next(self, values: Iterator[Any]) -> list[tuple[str, Frame[Any]]] | None:
        """What it gives next, by port; None at its end. Raises NodeFailed."""
        assert self._outputs is not None
        try:
            with self._lane or nullcontext():
                result = next(values, _END)
            if result is _END:
                return None
            return [(port, self._born(value)) for port, value in self._outputs.by_port(result)]
        except BaseException as exc:  # a node may even call sys.exit()
            raise failure_of(self.step.name, "process()", exc, self._seconds) from exc

    def _born(self, value: Any) -> Frame[Any]:
        frame = from_source(value)
        self._seconds = frame.seconds
        return frame if frame.born else frame.held(self._environment.now(), START)

    def stamped(self, port: str, frame: Frame[Any], settings: Snapshot) -> Frame[Any]:
        """The frame of a source, looked at, with what holds for it, and a mark where it is on a
        device.
        """
        assert self.instance is not None
        assert self._outputs is not None
        try:
            self._outputs.check(port, frame.value)
        except TypeError as exc:
            raise NodeFailed(self.step.name, "process()", exc, frame.seconds) from exc
        if settings is not self.instance.seen:
            self.instance.meet_all(settings)
        self.count.given += 1
        return marks.marked(self._lane, self.step, port, frame.held(frame.born, settings))

    def refitted(self, port: str, frame: Frame[Any], made_as: Format) -> Frame[Any] | None:
        """A frame that a source made before the plan changed, as it is wanted now; None where there
        is no way. Raises NodeFailed.
        """
        wanted = self.step.outputs.get(port)
        if wanted is None or same(made_as, wanted):
            return frame if wanted is not None else None
        if wanted.kind is Kind.AUDIO:
            return as_sound(frame, wanted)
        way = conversion(made_as, wanted)
        if way is None:
            return None
        with self._lane or nullcontext():
            return converted(frame, way, wanted, self.step.name)


_END: Final = object()


def _no_call(item: WorkItem) -> Out:
    raise AssertionError("a source takes nothing")
