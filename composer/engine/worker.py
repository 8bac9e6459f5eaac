"""Worker: one node (or converter) at work on one thread: its gates, its account, its output."""

import logging
import threading
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from composer import lazy, logs
from composer.compiler.conversions import Conversion, conversion, same
from composer.compiler.plan import Step
from composer.device import cuda
from composer.engine.inbox import Aborted, Taken
from composer.errors import NodeFailed
from composer.node.formats import Carrier, Format, Kind
from composer.node.frames import START, Bound, Color, Frame, Item, Moment, OnDevice, Snapshot
from composer.node.node import Context, Node, change_of
from composer.node.values import Detections

with lazy.deferred():
    from composer.pictures import pixels

if TYPE_CHECKING:  # a graph on the CPU needs none
    from composer.device.lanes import Lane

log: Final = logging.getLogger(__name__)

Out = list[tuple[str, Item]]
"""What a step gives for one frame: (output port, item)."""


BUCKETS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.033, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Upper bounds of the histograms, in seconds: from a cheap node to a stream that stands."""


@dataclass
class Histogram:
    """How often which duration was seen. counts: one per bucket, and one above the last."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    total: float = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.total += seconds

    def include(self, other: "Histogram") -> None:
        self.counts = [
            mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True)
        ]
        self.total += other.total


@dataclass
class NodeCount:
    """What one node did: frames taken and given, dropped by reason, errors, seconds at work.

    work: how long a frame took it. age: of a sink's frames in a session, from their entry into this
    process until the sink was done with them. about: what the node says of itself. lost,
    lost_tracks: what it says that it lost of its medium.
    """

    taken: int = 0
    given: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    errors: int = 0
    seconds: float = 0.0
    work: Histogram = field(default_factory=Histogram)
    age: Histogram = field(default_factory=Histogram)
    about: Mapping[str, Any] = field(default_factory=dict)
    lost: Mapping[str, int] = field(default_factory=dict)
    lost_tracks: Sequence[str] = ()

    @property
    def left_out(self) -> Counter[str]:
        """Frames that were dropped or lost, by reason."""
        return self.dropped + Counter(self.lost)


def sum_of(counts: Iterable[NodeCount]) -> NodeCount:
    """The account of a node that several threads work for, each with a count of its own."""
    total = NodeCount()
    for each in counts:
        total.taken += each.taken
        total.given += each.given
        total.dropped.update(dict(each.dropped))
        total.errors += each.errors
        total.seconds += each.seconds
        total.work.include(each.work)
        total.age.include(each.age)
        total.about = each.about or total.about
        total.lost = Counter(total.lost) + Counter(each.lost)
        total.lost_tracks = (*total.lost_tracks, *each.lost_tracks)
    return total


class Happened(Enum):
    """What a run tells whoever watches it."""

    ERROR = "error"  # a frame failed in a node
    LOADING = "loading"  # a node's setup() takes longer than a start may
    READY = "ready"  # it is done
    KEPT = "kept"  # a node could not be rebuilt and goes on as it was
    APPLIED = "applied"  # a change of params holds from here on
    ENDED = "ended"  # nothing more will happen


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that happened while a run went on: to which node, and at which frame's time."""

    kind: Happened
    node: str = ""
    said: str = ""
    seconds: float | None = None


Notify = Callable[[Notice], None]


def unheard(notice: Notice) -> None:
    """Takes notices that nobody asked for."""


@dataclass
class Sequel:
    """What one frame of a step leaves to the next; shared by the workers of the step."""

    turn: int = 0
    due: float | None = None
    last: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Missed:
    """A frame that was not worked on: what comes out instead, and why."""

    fallback: str
    reason: str


NOTHING_ASKED: Final[Mapping[str, Any]] = MappingProxyType({})


class _Opening:
    """A node that is set up in a thread of its own, because that may take long.

    asked: what it was built anew for, by field; empty for a first one.
    """

    def __init__(
        self, name: str, node: Node, context: Context, asked: Mapping[str, Any] = NOTHING_ASKED
    ) -> None:
        self.name, self.node, self._context = name, node, context
        self.asked: Final = asked
        self._session = logs.here().session
        self.failure: NodeFailed | None = None
        self.done = threading.Event()
        self._lock = threading.Lock()
        self._abandoned = False
        threading.Thread(target=self._main, name=f"setup {name}", daemon=True).start()

    def abandon(self) -> None:
        """Nobody wants the node any more: it is closed when setup() returns."""
        with self._lock:
            self._abandoned = True
            if not self.done.is_set():
                return
        if self.failure is None:
            _closed_quietly(self.name, self.node)

    def _main(self) -> None:
        where = logs.enter(self._session)
        where.at(self.name)
        try:
            self.node.setup(self._context)
        except Exception as exc:  # noqa: BLE001 - a node is anybody's code
            self.failure = NodeFailed(self.name, "setup()", exc, None)
            _closed_quietly(self.name, self.node)
        where.leave()
        with self._lock:
            self.done.set()
            unwanted = self._abandoned
        if unwanted and self.failure is None:
            _closed_quietly(self.name, self.node)


def _closed_quietly(name: str, node: Node) -> None:
    try:
        node.close()
    except Exception as exc:  # noqa: BLE001 - a node is anybody's code
        log.debug("node %r while closing: %s", name, exc)


class Worker:
    """One node (or converter) at work on one thread: its instance, its gates, its last output."""

    def __init__(
        self,
        step: Step,
        context: Context | None,
        count: NodeCount,
        sequel: Sequel,
        notify: Notify = unheard,
        now: Callable[[], float] = time.monotonic,
        lane: "Lane | None" = None,
    ) -> None:
        """lane: what its stage's work on a device is in order on, None on the CPU."""
        self._now, self._lane = now, lane
        self.count, self._sequel, self._notify = count, sequel, notify
        self._opening: _Opening | None = None
        self._loading = False
        self.node: Node | None = None
        if step.settings is not None:
            self.node = fresh(step.settings)
        self._is_open = False
        self._seen = Snapshot()
        self._refused: Mapping[str, Any] | None = None
        self._arrange(step, context)

    def _arrange(self, step: Step, context: Context | None) -> None:
        """What follows from the step alone."""
        self.step, self._context = step, context
        self._cls = type(step.settings) if step.settings is not None else None
        self._timed = self._cls.timed if self._cls else ""
        self._outs = tuple(port.name for port in self._cls.outputs) if self._cls else ("out",)
        self._checks = {port: _check_of(wanted) for port, wanted in step.outputs.items()}
        self._ways = _ways(step)
        self._bypass = "pass" if self._ways.keys() == self._checks.keys() else "hold_last"
        self._gated = step.when is not None or step.every > 1 or step.rate is not None
        self._remembers = self._cls is not None and self._cls.remembers
        self._holds = self._gated and step.fallback == "hold_last"
        self._holds = self._holds or step.on_error == "hold_last"

    @property
    def settled(self) -> bool:
        """Whether no node is being set up for it."""
        return self._opening is None

    def take_over(self, old: "Worker") -> None:
        """Go on with the node of another worker, which is without one then: what it has loaded and
        what it remembers stay.
        """
        self.node, old.node = old.node, None
        self._is_open, old._is_open = old._is_open, False
        self.count, self._sequel = old.count, old._sequel
        self._adapt(old.step)

    def become(self, step: Step, context: Context | None) -> None:
        """Go on as another step with the same node."""
        before = self.step
        self._arrange(step, context)
        self._adapt(before)

    def _adapt(self, before: Step) -> None:
        self._seen = Snapshot()
        if self.node is None or self.step.settings is None:
            return
        cls = type(self.node)
        self.node.__dict__.update(
            (name, getattr(self.step.settings, name))
            for name in cls.model_fields
            if change_of(cls, name) == "live"
        )
        other = (before.inputs, before.outputs) != (self.step.inputs, self.step.outputs)
        if other and cls.adapts and self._context is not None:
            self.node.adapt(self._context)

    def open(self) -> None:
        """Raises NodeFailed."""
        if self.node is None or self._context is None:
            return
        self._is_open = True
        logs.here().at(self.step.name)
        try:
            with self._lane or nullcontext():
                self.node.setup(self._context)
        except Exception as exc:  # a node is anybody's code
            raise NodeFailed(self.step.name, "setup()", exc, None) from exc
        finally:
            logs.here().leave()

    def open_aside(self, patience: float) -> None:
        """The same in a thread; frames are let by until it is done. Waits `patience` seconds.

        Raises NodeFailed if that is known by then.
        """
        if self.node is None or self._context is None:
            return
        self._opening, self._loading = _Opening(self.step.name, self.node, self._context), True
        if self._opening.done.wait(patience):
            self._adopt()
            return
        log.info("node %r is loading; frames go by it", self.step.name)
        self._notify(Notice(Happened.LOADING, self.step.name))

    def _decide(self, settings: Snapshot) -> None:
        """What becomes of a node that was set up aside, by what is asked for now.

        Others are told that it is ready when it is what callers asked for last, or the first one.
        Raises NodeFailed where it has failed and there is no old one.
        """
        assert self._opening is not None
        assert self.node is not None
        opened, loading = self._opening, self._loading
        asked = _asked(type(opened.node), settings.fields.get(self.step.name, {}))
        back = all(self.node.__dict__[name] == value for name, value in asked.items())
        if opened.asked and opened.failure is None and back:
            opened.abandon()
            self._opening = None
        elif self._adopt() and (loading or asked == opened.asked):
            self._notify(Notice(Happened.READY, self.step.name))

    def _adopt(self) -> bool:
        """Take over the node that was set up aside; False when that failed and the old one stays.

        Raises NodeFailed when there is no old one.
        """
        opening, self._opening = self._opening, None
        assert opening is not None
        if opening.failure is not None:
            if self._loading or cuda.lost(opening.failure):
                raise opening.failure
            self._refused, self._seen = opening.asked, Snapshot()
            log.warning("%s; it goes on as it was", opening.failure)
            self._notify(Notice(Happened.KEPT, self.step.name, str(opening.failure)))
            return False
        if not self._loading:
            self.close()
        self.node, self._is_open, self._loading = opening.node, True, False
        self._seen = Snapshot()  # it has not met what changed while it was set up
        return True

    def close(self) -> None:
        """Give back what open() took; nothing where it was not called. Raises NodeFailed."""
        if self._opening is not None:
            self._opening.abandon()
            self._opening = None
        if self.node is None or not self._is_open:
            return
        self.tell()
        self._is_open = False
        try:
            self.node.close()
        except Exception as exc:  # a node is anybody's code
            raise NodeFailed(self.step.name, "close()", exc, None) from exc

    def tell(self) -> None:
        """Put what the node says of itself into its account."""
        if self.node is None or not self._is_open:
            return
        try:
            self.count.about = self.node.about()
            self.count.lost = self.node.lost()
            self.count.lost_tracks = self.node.lost_tracks()
        except Exception as exc:  # noqa: BLE001 - a node is anybody's code
            log.debug("node %r while it gave account: %s", self.step.name, exc)

    # one frame

    def run(self, taken: Taken) -> Out:
        """What comes out for one frame: one item at least, be it a Bound. Raises NodeFailed."""
        missed = self.admit(taken.frame)
        if missed is not None and self._remembers and missed.reason in ("every", "rate"):
            self._see(taken)
        return self.settle(taken.frame, missed or self.work(taken))

    def admit(self, frame: Frame[Any]) -> Missed | None:
        """Count a frame, and say whether it is let by. Called in the order of the frames."""
        self.count.taken += 1
        if self._opening is not None and self._opening.done.is_set():
            self._decide(frame.settings)
        if self._loading:
            return Missed(self._bypass, "loading")
        reason = self._skipped(frame) if self._gated else ""
        return Missed(self.step.fallback, reason) if reason else None

    def work(self, taken: Taken) -> Out | Missed:
        """Run the node on a frame; the workers of a step do this side by side."""
        if self._lane is None:
            return self._worked(taken)
        with self._lane:
            made = self._worked(self._arrived(taken))
            return made if isinstance(made, Missed) else self._marked(made)

    def _arrived(self, taken: Taken) -> Taken:
        """The same with plain tensors: our lane goes on when theirs have come to their marks."""
        others = {port: self._reached(value) for port, value in taken.others.items()}
        return replace(taken, frame=self._here(taken.frame), others=others)

    def _here(self, frame: Frame[Any]) -> Frame[Any]:
        if not isinstance(frame.value, OnDevice):
            return frame
        return frame.carry(self._reached(frame.value))

    def _reached(self, value: Any) -> Any:
        if not isinstance(value, OnDevice):
            return value
        assert self._lane is not None
        self._lane.after(value.mark, value.tensor)
        return value.tensor

    def _marked(self, made: Out) -> Out:
        """The same with a mark on every tensor, for the lanes behind us."""
        return [
            (port, self._with_mark(port, item) if isinstance(item, Frame) else item)
            for port, item in made
        ]

    def _with_mark(self, port: str, frame: Frame[Any]) -> Frame[Any]:
        made = self.step.outputs[port]
        if self._lane is None or made.carrier is not Carrier.TENSOR or made.device == "cpu":
            return frame
        return frame.carry(OnDevice(frame.value, self._lane.mark()))

    def _worked(self, taken: Taken) -> Out | Missed:
        frame, where = taken.frame, logs.here()
        if self.step.convert is not None:
            return self._convert(frame)
        where.at(self.step.name, frame.pts, frame.time_base)
        if frame.settings is not self._seen:
            self._meet(frame.settings)
        started = time.perf_counter()
        try:
            return self._process(taken)
        except Exception as exc:  # noqa: BLE001 - a node is anybody's code
            return self._failed(exc, frame)
        finally:
            took = time.perf_counter() - started
            self.count.seconds += took
            self.count.work.add(took)
            where.at("")

    def _see(self, taken: Taken) -> None:
        assert self.node is not None
        try:
            with self._lane or nullcontext():
                taken = self._arrived(taken)
                self.node.see(**{**taken.others, taken.port: taken.frame.value})
        except Exception as exc:  # noqa: BLE001 - a node is anybody's code
            self.count.errors += 1
            log.debug("node %r in see(): %s", self.step.name, exc)

    def settle(self, frame: Frame[Any], made: Out | Missed) -> Out:
        """What comes out of a frame in the end. Called in the order of the frames."""
        if isinstance(made, Missed):
            return self._instead(made, frame)
        if self._holds:
            self._sequel.last.update((port, o.value) for port, o in made if isinstance(o, Frame))
        return made

    def _convert(self, frame: Frame[Any]) -> Out:
        assert self.step.convert is not None
        started = time.perf_counter()
        try:
            value = self.step.convert.run(frame, self.step.outputs["out"])
        except Exception as exc:  # swscale says what it cannot do
            raise NodeFailed(self.step.name, "conversion", exc, frame.seconds) from exc
        self.count.seconds += time.perf_counter() - started
        self.count.given += 1
        return [("out", _derived(value, frame))]

    def _process(self, taken: Taken) -> Out:
        assert self.node is not None
        assert self._cls is not None
        frame = taken.frame
        values = dict(taken.others)
        values[taken.port] = frame.value
        if self.step.copies:
            for port in self.step.copies:
                if port in values:
                    values[port] = pixels.copy(values[port])
        if self._cls.many:
            values = {port: _at_its_time(value, frame) for port, value in values.items()}
        if self._timed:
            values[self._timed] = Moment(frame.pts, frame.time_base, frame.color, frame.rate)
        given = self.node.process(**values)
        if self._cls.many:
            return [out for each in given for out in self._given(each, frame)]
        return self._given(given, frame) or self._nothing(frame)

    def _given(self, given: Any, frame: Frame[Any]) -> Out:
        """Outputs of one call, checked against the plan and put in envelopes."""
        if not self._outs:
            self.count.given += 1
            self.count.age.add(self._now() - frame.born)
            return []
        if not (isinstance(given, tuple) and hasattr(given, "_fields")):
            given = (given,)
        out: Out = []
        for port, value in zip(self._outs, given, strict=True):
            if value is None or port not in self._checks:
                continue
            envelope = self._envelope(value, frame)
            self._checks[port](envelope.value)
            out.append((port, envelope))
        if out:
            self.count.given += 1
        return out

    def _envelope(self, value: Any, frame: Frame[Any]) -> Frame[Any]:
        assert self._cls is not None
        if isinstance(value, Frame):
            made = _derived(_inheriting(value.value, frame), frame)
            return replace(made, pts=value.pts, time_base=value.time_base, rate=value.rate)
        pts = getattr(value, "pts", None)
        if pts is None:
            value = _inheriting(value, frame)
            _stamp(value, frame)
            return _derived(value, frame)
        if self._cls.many and value.time_base is not None:
            return Frame(value, pts, value.time_base, frame.color, frame.born, frame.settings)
        if pts != frame.pts:
            _stamp(value, frame)
        return frame.carry(value)

    def _nothing(self, frame: Frame[Any]) -> Out:
        """A node that gave nothing for a frame dropped it; a sink took it."""
        if not self._outs:
            return []
        self.count.dropped["node"] += 1
        return self._bounds(frame)

    def _bounds(self, frame: Frame[Any]) -> Out:
        return [(port, Bound(frame.micros)) for port in self._checks]

    def flush(self, frame: Frame[Any] | None) -> Out:
        """What the node still held. `frame`: the last one that came. Raises NodeFailed."""
        if self.node is None:
            return []
        started, where = time.perf_counter(), logs.here()
        where.at(self.step.name)
        try:
            with self._lane or nullcontext():
                held = list(self.node.flush())
                if frame is None:
                    return []
                return self._marked([o for each in held for o in self._given(each, frame)])
        except Exception as exc:  # a node is anybody's code
            raise NodeFailed(self.step.name, "flush()", exc, None) from exc
        finally:
            self.count.seconds += time.perf_counter() - started
            where.at("")

    # gates and failures

    def _skipped(self, frame: Frame[Any]) -> str:
        """Why this frame is not worked on, "" when it is."""
        step, sequel = self.step, self._sequel
        if step.when is not None and not step.when.holds(frame.settings.params):
            return "when"
        turn, sequel.turn = sequel.turn, sequel.turn + 1
        if turn % step.every:
            return "every"
        if step.rate is None:
            return ""
        if sequel.due is not None and frame.seconds < sequel.due - 1e-6:
            return "rate"
        base = frame.seconds
        if sequel.due is not None:
            base = max(sequel.due, frame.seconds - 1 / step.rate)
        sequel.due = base + 1 / step.rate
        return ""

    def _instead(self, missed: Missed, frame: Frame[Any]) -> Out:
        """What comes out of a frame that was not worked on."""
        out: Out = []
        if missed.fallback == "pass":
            out = self._passed(frame)
        elif missed.fallback == "hold_last":
            out = self._held(frame)
        if out or (missed.fallback == "pass" and not self._checks):
            self.count.given += 1
            return out
        self.count.dropped[missed.reason] += 1
        return self._bounds(frame)

    def _passed(self, frame: Frame[Any]) -> Out:
        """The frame as it came, or turned into what the plan has behind this node."""
        if self._lane is not None and any(self._ways.values()):
            with self._lane:
                return self._marked(self._turned(self._here(frame)))
        return self._turned(frame)

    def _turned(self, frame: Frame[Any]) -> Out:
        out: Out = []
        for port, way in self._ways.items():
            value = frame.value
            if way is not None:
                try:
                    value = way.run(frame, self.step.outputs[port])
                except Exception as exc:  # swscale says what it cannot do
                    raise NodeFailed(self.step.name, "conversion", exc, frame.seconds) from exc
            out.append((port, _derived(value, frame)))
        return out

    def _held(self, frame: Frame[Any]) -> Out:
        held: Out = []
        for port in self._checks:
            if port in self._sequel.last:
                held.append((port, frame.carry(self._sequel.last[port])))
            elif self.step.outputs[port].kind is Kind.DETECTIONS:
                held.append((port, frame.carry(Detections())))
        return held

    def _failed(self, exc: Exception, frame: Frame[Any]) -> Missed:
        self.count.errors += 1
        failure = NodeFailed(self.step.name, "process()", exc, frame.seconds)
        # Frames may go by a node that fails, but not by a device that is lost.
        if self.step.on_error == "fail" or cuda.lost(exc):
            raise failure from exc
        # A worker's log leaves out what comes too often; others hear of the first one alone.
        level = logging.WARNING if self.count.errors == 1 else logging.INFO
        log.log(level, "%s; on_error: %s", failure, self.step.on_error)
        self._notify(Notice(Happened.ERROR, self.step.name, str(failure), frame.seconds))
        return Missed(self.step.on_error, "error")

    # params

    def _meet(self, settings: Snapshot) -> None:
        """Take over what changed since the last frame: patched in place, or built anew."""
        self._seen = settings
        values = settings.fields.get(self.step.name)
        if values is None or self.node is None:
            return
        asked = _asked(type(self.node), values)
        self.node.__dict__.update((n, value) for n, value in values.items() if n not in asked)
        now = self.node.__dict__
        if asked != self._refused and any(now[name] != value for name, value in asked.items()):
            self._rebuild(asked)

    def _rebuild(self, asked: Mapping[str, Any]) -> None:
        """A session goes on with the old instance until the new one is there; a file waits.

        One is set up at a time: what is asked for meanwhile is met when that one is there.
        """
        assert self.node is not None
        if self._opening is not None:
            return
        new = fresh(self.node, asked)
        if self._context is not None and self._context.live:
            self._opening = _Opening(self.step.name, new, self._context, asked)
            return
        self.close()
        self.node = new
        self.open()

    # sources

    def produce(
        self, now: Callable[[], float], stopping: threading.Event
    ) -> Iterator[tuple[str, Frame[Any]]]:
        """The frames of a source, until it ends or is stopped, each to be stamped().

        Raises NodeFailed.
        """
        assert self.node is not None
        seconds: float | None = None
        made, where = iter(()), logs.here()
        try:
            made = self.node.process()
            while not stopping.is_set():
                started = time.perf_counter()
                where.at(self.step.name)
                with self._lane or nullcontext():
                    given = next(made, _END)
                where.at("")
                self.count.seconds += time.perf_counter() - started
                if given is _END:
                    return
                for port, value in self._named(given):
                    frame = value if isinstance(value, Frame) else _enveloped(value)
                    seconds = frame.seconds
                    self.count.given += 1
                    yield port, frame if frame.born else frame.held(now(), START)
        except (Aborted, NodeFailed):
            raise
        except Exception as exc:  # a node is anybody's code
            raise NodeFailed(self.step.name, "process()", exc, seconds) from exc
        finally:
            if close := getattr(made, "close", None):
                close()

    def stamped(self, port: str, frame: Frame[Any], settings: Snapshot) -> Frame[Any]:
        """The frame of a source, looked at, with what holds for it, and a mark where it is on a
        device. A source keeps its generator: only live fields change under it. Raises NodeFailed
        for what the plan does not have.
        """
        try:
            self._checks[port](frame.value)
        except TypeError as exc:
            raise NodeFailed(self.step.name, "process()", exc, frame.seconds) from exc
        if settings is not self._seen:
            self._meet_source(settings)
        return self._with_mark(port, frame.held(frame.born, settings))

    def refitted(self, port: str, frame: Frame[Any], made_as: Format) -> Frame[Any] | None:
        """A frame that a source made before the plan changed, as it is wanted now; None where there
        is no way.
        """
        wanted = self.step.outputs.get(port)
        if wanted is None or same(made_as, wanted):
            return frame if wanted is not None else None
        way = conversion(made_as, wanted)
        if way is None:
            return None
        with self._lane or nullcontext():
            return _derived(way.run(frame, wanted), frame)

    def _meet_source(self, settings: Snapshot) -> None:
        self._seen = settings
        values = settings.fields.get(self.step.name, {})
        if self.node is not None:
            self.node.__dict__.update(values)

    def _named(self, given: Any) -> Iterator[tuple[str, Any]]:
        if not (isinstance(given, tuple) and hasattr(given, "_fields")):
            given = (given,)
        for port, value in zip(self._outs, given, strict=True):
            if value is not None and port in self._checks:
                yield port, value


_END: Final = object()


def _asked(cls: type[Node], values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The fields among those that were changed which a node reads in setup()."""
    return {name: value for name, value in values.items() if change_of(cls, name) != "live"}


def fresh(settings: Node, changed: Mapping[str, Any] = MappingProxyType({})) -> Node:
    """A node of the same settings that has not been set up."""
    return type(settings).model_validate({**settings.__dict__, **changed})


def _ways(step: Step) -> dict[str, Conversion | None]:
    """For each output that a frame can reach by going past the node: how it gets its Format."""
    if step.settings is None or not step.inputs:
        return {}
    first = next(port.name for port in type(step.settings).inputs if port.name in step.inputs)
    given = step.inputs[first]
    found = {port: conversion(given, wanted) for port, wanted in step.outputs.items()}
    return {
        port: None if same(given, step.outputs[port]) else way
        for port, way in found.items()
        if way is not None or same(given, step.outputs[port])
    }


def _picture(frame: Frame[Any]) -> Any:
    """The picture that a frame is, or was made from; None for what never was one."""
    return frame.value if hasattr(frame.value, "colorspace") else frame.origin


def _derived(value: Any, frame: Frame[Any]) -> Frame[Any]:
    """The envelope of what was made from a frame: arrays and tensors remember their picture."""
    return frame.derived(value, _picture(frame) if hasattr(value, "shape") else None)


def _inheriting(value: Any, frame: Frame[Any]) -> Any:
    """The value; a picture that was made from nothing says then what its frame's picture says."""
    if not hasattr(value, "colorspace") or value.pts is not None:
        return value
    return pixels.inheriting(value, _picture(frame))


def _at_its_time(value: Any, frame: Frame[Any]) -> Any:
    """A picture that says the time of its frame, for nodes that give pictures of their own time.

    One that was held from an earlier frame says another, and may not be written to.
    """
    if not hasattr(value, "planes") or not hasattr(value, "colorspace") or value.pts == frame.pts:
        return value
    value = pixels.copy(value)
    _stamp(value, frame)
    return value


def _enveloped(value: Any) -> Frame[Any]:
    """The envelope of a value that a source made: its time is its own."""
    pts, time_base = getattr(value, "pts", None), getattr(value, "time_base", None)
    if pts is None or time_base is None:
        kind = type(value).__name__
        raise TypeError(f"a source gave a {kind} without pts; give Frame(value, pts, time_base)")
    color = pixels.tags(value) if hasattr(value, "colorspace") else Color()
    return Frame(value, pts, time_base, color)


def _stamp(value: Any, frame: Frame[Any]) -> None:
    """Give a picture or a block of sound that a node made the time of its frame."""
    if not hasattr(value, "pts") or not hasattr(value, "time_base"):
        return
    if value.time_base != frame.time_base:
        value.duration = round(value.duration * (value.time_base or 0) / frame.time_base)
    value.pts, value.time_base = frame.pts, frame.time_base


def _check_of(wanted: Format) -> Callable[[Any], None]:
    """A cheap look at what a node gave: the shape of it, never the pixels."""
    if wanted.kind is Kind.PICTURE and wanted.carrier is Carrier.FRAME:
        layout = wanted.layout

        def check_picture(value: Any) -> None:
            given = getattr(getattr(value, "format", None), "name", type(value).__name__)
            if given != layout:
                raise TypeError(
                    f"gave a {given} picture where the plan has {layout};"
                    f' say which with Annotated[Picture, Layouts("{given}")]'
                )

        return check_picture
    if wanted.carrier is Carrier.TENSOR:
        return _check_tensor
    if wanted.kind is Kind.ARRAY:
        return _check_shaped
    if wanted.carrier is Carrier.ARRAY:
        rank = 3 if wanted.kind is Kind.PICTURE else 2

        def check_array(value: Any) -> None:
            shape, dtype = getattr(value, "shape", None), str(getattr(value, "dtype", "no dtype"))
            good = shape is not None and len(shape) == rank and dtype == "uint8"
            if not good or (rank == 3 and shape is not None and shape[2] != 3):
                form = "(H, W, 3)" if rank == 3 else "(H, W)"
                raise TypeError(
                    f"gave {type(value).__name__} {shape} of {dtype}; it should be {form} uint8"
                )

        return check_array
    if wanted.kind is Kind.DETECTIONS:
        return _check_type(Detections)
    if wanted.kind is Kind.RECORD:
        return _check_type(dict)
    return lambda value: None


def _check_shaped(value: Any) -> None:
    if not hasattr(value, "shape") or not hasattr(value, "dtype"):
        raise TypeError(f"gave {type(value).__name__}; it should be an array")


def _check_tensor(value: Any) -> None:
    shape, dtype = tuple(getattr(value, "shape", ())), str(getattr(value, "dtype", "no dtype"))
    if len(shape) != 3 or shape[0] != 3 or dtype != "torch.float32":
        kind = type(value).__name__
        raise TypeError(f"gave {kind} {shape} of {dtype}; it should be (3, H, W) torch.float32")


def _check_type(cls: type) -> Callable[[Any], None]:
    def check(value: Any) -> None:
        if not isinstance(value, cls):
            raise TypeError(f"gave {type(value).__name__}; it should be {cls.__name__}")

    return check
