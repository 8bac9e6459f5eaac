"""Session: one stream of one caller, from its start to its end.

It owns its run, its channels and its account. Whatever ends it, ends it once: what was taken in
still comes out, the last segment, events and data are sent, and everything is given back.
"""

import asyncio
import contextlib
import hashlib
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from composer import strictjson
from composer.compiler import plan as plans
from composer.compiler.change import Change
from composer.compiler.params import Patch
from composer.compiler.plan import Plan
from composer.engine.notices import Happened, Notice
from composer.engine.run import Media, Run
from composer.errors import (
    ChannelEnded,
    ChannelLost,
    ComposerError,
    Overdue,
    ParamRejected,
    SegmentLost,
)
from composer.node.formats import Kind
from composer.node.roles import Role, playing
from composer.session import control
from composer.session.data_lines import NOTHING, DataLines
from composer.session.egress import Cut, Egress
from composer.session.events import Events
from composer.session.freshness import Freshness
from composer.session.ingress import Ingress
from composer.session.supply import Supply
from composer.threads import Places
from composer.trickle.http import Http
from composer.trickle.publisher import Publisher, Segment, remove
from composer.trickle.subscriber import Ended, Opened, Subscriber

log: Final = logging.getLogger(__name__)


LINGERS: Final = 5
"""How often a session that is stopped looks whether more of its input comes."""


REMOVE_SECONDS: Final = 1.0
"""How long the server of the channels may take to close one."""


class State(StrEnum):
    """Where a session is in its life, as its gateway reads it (contract 6.2)."""

    LOADING = "LOADING"
    ONLINE = "ONLINE"
    DEGRADED_INPUT = "DEGRADED_INPUT"
    DEGRADED_INFERENCE = "DEGRADED_INFERENCE"
    OFFLINE = "OFFLINE"
    ERROR = "ERROR"


class Reason(StrEnum):
    """Why a session ended."""

    STOPPED = "stopped"  # somebody asked for it
    CONTROL_CLOSED = "control_closed"
    INPUT_CLOSED = "input_closed"
    OUTPUT_CLOSED = "output_closed"
    LOST = "lost"  # the server of the channels is gone
    IDLE = "idle"  # no word from the gateway and no input
    FINISHED = "finished"  # the pipeline's own source ended
    FAILED = "failed"
    SHUTDOWN = "shutdown"


_OURS: Final = (Reason.SHUTDOWN, Reason.FAILED)
"""Ends that the caller did not want, and another worker may do better."""


@dataclass(frozen=True)
class Channels:
    """Addresses of a session's channels; "" where it has none. They are secrets."""

    control: str = ""
    events: str = ""
    subscribe: str = ""
    publish: str = ""
    data: str = ""


@dataclass(frozen=True)
class Timing:
    """Seconds. Together, drain and flush stay below the 10 s that a gateway waits for a stop.

    stall: after which a session that gives nothing ends itself. stuck: after which one that does
    not move is held against the process; stall, drain and flush have had their time by then.
    catch_up: what readers have for the last segment, where its channel is closed behind it. setup,
    change: what nodes have to be set up at the start, and another plan to take over.
    """

    status: float = 5.0
    data: float = 1 / 3
    data_keepalive: float = 20.0
    lease: float = 60.0
    quiet: float = 2.0
    stall: float = 20.0
    stuck: float = 60.0
    lost: float = 30.0
    linger: float = 0.1
    drain: float = 4.0
    give_up: float = 1.0
    flush: float = 3.0
    catch_up: float = 0.5
    setup: float = 90.0
    change: float = 300.0

    def ending_within(self, seconds: float) -> "Timing":
        """The same with an end that takes no longer. Channels that are late are given half of flush
        once more.
        """
        whole = self.drain + self.give_up + self.flush * 1.5 + self.catch_up + REMOVE_SECONDS
        part = min(1.0, seconds / whole)
        shorter = {name: getattr(self, name) * part for name in _OF_THE_END}
        return replace(self, **shorter)


_OF_THE_END: Final = ("drain", "give_up", "flush", "catch_up")


@dataclass
class _Seen:
    """When something last happened, in monotonic seconds; 0 for never."""

    control: float = 0.0
    params: float = 0.0
    error: float = 0.0
    said: str = ""
    loading: set[str] = field(default_factory=set)
    errors: Counter[str] = field(default_factory=Counter)


class Session:
    """One stream. open() it, let run() go on as a task, end() it.

    http: owned by the server. params: what the caller set at the start. beside: how many other
    sessions the process has. places: where it blocks.
    """

    def __init__(
        self,
        name: str,
        plan: Plan,
        channels: Channels,
        http: Http,
        params: Mapping[str, Any] | None = None,
        timing: Timing = Timing(),
        now: Callable[[], float] = time.monotonic,
        beside: int = 0,
        places: Places | None = None,
    ) -> None:
        self.name, self.plan, self.channels = name, plan, channels
        self._log = logging.LoggerAdapter(log, {"session": name})
        self.reason: Reason | None = None
        self.failure = ""
        self.started_ms = round(time.time() * 1000)
        self.graph_hash = hash_of(plan)
        self.over = asyncio.Event()
        """Set by whoever started it, when it has been forgotten."""

        self._http, self._timing, self._now = http, timing, now
        self._places = places or Places()
        self._loop = asyncio.get_running_loop()
        self._began, self._opened = now(), 0.0
        self._freshness = Freshness()
        self._seen = _Seen(control=self._began)
        self._ending, self._run_over = asyncio.Event(), asyncio.Event()
        self._telling, self._saying = asyncio.Event(), asyncio.Event()
        self._pulse = asyncio.Event()  # set, and replaced, whenever a change of params holds
        self._flushing = asyncio.Event()  # what still waits is sent, and no more
        self._takes, self._needs = _takes(plan), _needs(plan)
        # What waits for an input that has no channel waits, and ends with the session.
        self.ingress = Ingress(now=now) if channels.subscribe or self._takes else None
        self.egress = Egress(wanted=bool(channels.publish), now=now)
        self._supply = Supply(timing.quiet, timing.stall / 2)
        self.data = DataLines(self._on_loop(self._saying.set)) if channels.data else None
        self.events = Events(lambda: round(time.time() * 1000), self._telling.set)
        self.lost_segments = 0
        media = Media(
            ingress=self.ingress,
            egress=self.egress,
            data=self.data.put if self.data is not None else _unsaid,
            sessions=beside + 1,
            session=name,
        )
        self.run_of_plan = Run(plan, media, now, self._on_loop(self._noticed))
        if params:
            self.patch(params)

    # what others do with it

    async def open(self) -> None:
        """Set the nodes up. Raises NodeFailed when one cannot be, Stalled when they take too long;
        then everything is closed, or will be.
        """
        try:
            await self._places.starts.run(self._timing.setup, self.run_of_plan.start)
        except (asyncio.CancelledError, Overdue):  # the thread goes on, and starts what nobody ends
            self._give_up()
            raise
        self._opened = self._now()

    def _give_up(self) -> None:
        if self.ingress is not None:
            self.ingress.abandon()
        self.run_of_plan.abort()

    def patch(self, given: Any) -> Patch:
        """Accept a change of params as a whole. Raises ParamRejected."""
        known = [name for name in self.plan.params if "/" not in name]
        patch = self.run_of_plan.params.patch(control.values(given, known))
        self._seen.params = self._now()
        return patch

    def change(self, given: Any) -> Patch:
        """The same while it runs; the events tell the gateway. Raises ParamRejected."""
        try:
            patch = self.patch(given)
        except ParamRejected as exc:
            problems = [{"at": each.at, "message": each.message} for each in exc.problems]
            self.events.put("params_rejected", problems=problems)
            raise
        self.events.update(self.params() | patch.values)
        return patch

    async def replace(self, plan: Plan, change: Change) -> None:
        """Go on with another plan, from one frame to the next; what callers set stays set.

        Raises NodeFailed where a node cannot be set up, and Stalled where the session is over.
        """
        run, changes = self.run_of_plan, self._places.changes
        prepared = await changes.run(self._timing.change, run.prepare, plan, change)
        await changes.run(self._timing.change, prepared.apply)
        self.plan, self.graph_hash = plan, hash_of(plan)
        self._takes, self._needs = _takes(plan), _needs(plan)
        self.events.put("pipeline_changed", graph=self.graph_hash)
        self.events.update(self.params())

    async def applied(self, patch: Patch, seconds: float) -> float | None:
        """Time of the first frame that a change holds for; None if it did not come in `seconds`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while patch.seconds is None:
                    await self._pulse.wait()
        return patch.seconds

    def end(self, reason: Reason, failure: str = "", within: float | None = None) -> None:
        """End it; the first reason is the one that is told. within: seconds that the end may take,
        where they are fewer than it has by itself.
        """
        if within is not None:
            self._timing = self._timing.ending_within(within)
        if self.reason is None:
            self.reason, self.failure = reason, failure
            self._log.info("ends: %s", f"{reason}, {failure}" if failure else reason)
            self._ending.set()

    async def run(self) -> None:
        """Its life: until something ends it, and everything has been given back."""
        try:
            async with asyncio.TaskGroup() as group:
                await self._live(group)
        finally:
            if not self._run_over.is_set():  # no end in order
                self._give_up()

    # its life

    async def _live(self, group: asyncio.TaskGroup) -> None:
        readers, writers = [], []
        if self.channels.control:
            readers.append(group.create_task(self._obey()))
        if self.ingress is not None and self.channels.subscribe:
            readers.append(group.create_task(self._read(self.ingress)))
        watch = group.create_task(self._watch())
        if self.channels.events:
            writers.append(group.create_task(self._tell()))
        if self.channels.publish:
            writers.append(group.create_task(self._write(self.egress)))
        if self.data is not None:
            writers.append(group.create_task(self._say(self.data)))
        await self._ending.wait()
        if self.reason is Reason.STOPPED and self.ingress is not None:
            await self._linger(self.ingress)
        for task in readers:
            task.cancel()
        await self._drain()
        watch.cancel()
        self.events.put("stream_stopped", reason=self.reason, error=self.failure or None)
        self.events.status(self.status())
        self._flushing.set()
        self._telling.set()
        self._saying.set()
        if writers:
            _, late = await asyncio.wait(writers, timeout=self._timing.flush)
            for task in late:
                self._log.warning("something could not be sent in time")
                task.cancel()
        if self.reason in _OURS:
            await self._hand_over()

    async def _hand_over(self) -> None:
        """Close what the gateway reads: it takes another worker at once then, where it would wait
        half a minute for more (contract 3.8).
        """
        if url := self.channels.publish or self.channels.data:
            await asyncio.sleep(self._timing.catch_up)
            await remove(self._http, url, REMOVE_SECONDS)

    async def _linger(self, ingress: Ingress) -> None:
        """A stop can overtake the last bytes of the input: read on while some come."""
        for _ in range(LINGERS):
            before = ingress.last_at
            await asyncio.sleep(self._timing.linger)
            if ingress.last_at == before:
                return

    async def _drain(self) -> None:
        """Let what was taken in come out; what takes too long is given up."""
        run = self.run_of_plan
        if self.ingress is not None:
            self.ingress.end()
        if self._makes_pictures():
            run.stop()  # else the end of the input is the end, and decoders give what they hold
        if not await _within(self._run_over.wait(), self._timing.drain):
            self._log.warning("its nodes did not end in time")
            self._give_up()
            await _within(self._run_over.wait(), self._timing.give_up)
        self.egress.end()

    def _makes_pictures(self) -> list[str]:
        """The sources that do not end with the input."""
        readers = playing(self.plan.steps, Role.INPUT)
        sources = (name for name, step in self.plan.steps.items() if not step.inputs)
        return [name for name in sources if name not in readers]

    # what comes in

    async def _obey(self) -> None:
        channel = Subscriber(self._http, self.channels.control, start=-1, lost=self._timing.lost)
        try:
            async for body in channel.messages():
                self._seen.control = self._now()
                asked = control.message(body)
                if asked is not None:
                    with contextlib.suppress(ParamRejected):  # the events say so
                        self.change(asked)
        except ChannelLost as exc:
            self.end(Reason.LOST, str(exc))
        else:
            self.end(Reason.CONTROL_CLOSED)

    async def _read(self, ingress: Ingress) -> None:
        channel = Subscriber(self._http, self.channels.subscribe, start=-2, lost=self._timing.lost)
        first = True
        try:
            async for item in channel:
                if isinstance(item, bytes):
                    if first:
                        first = False
                        self.events.put("receive_first_ingest_segment")
                    self.take_in(ingress, item)
                elif isinstance(item, Opened) and item.gap:
                    ingress.gap()
                elif isinstance(item, Ended) and not item.whole:
                    ingress.gap()
        except ChannelLost as exc:
            self.end(Reason.LOST, str(exc))
        else:
            self.end(Reason.INPUT_CLOSED)

    def take_in(self, ingress: Ingress, data: bytes) -> None:
        """Bytes of the input, in any pieces."""
        ingress.put(data)
        self._note_supply()

    def _note_supply(self) -> None:
        """The bytes of the input are taken apart by another thread, a moment after they came."""
        if self.ingress is None:
            return
        if (fed_at := self.ingress.fed_at(self._needs)) > self._supply.last_at:
            self._supply.came(fed_at, self.egress.last_at)

    # what goes out

    async def _write(self, egress: Egress) -> None:
        channel = Publisher(
            self._http, self.channels.publish, content_type="video/MP2T", ahead=True
        )
        gone = asyncio.ensure_future(self._until_gone(channel))
        segment: Segment | None = channel.begin()
        written = sent = False
        try:
            while (item := await egress.read()) is not None:
                try:
                    if isinstance(item, Cut):
                        if segment is None or written:
                            if segment is not None:
                                await segment.end()
                                sent = sent or self._first_sent()
                            segment, written = channel.begin(), False
                    elif segment is not None:
                        written = True
                        await segment.write(item)
                except SegmentLost:
                    self.lost_segments += 1
                    segment = None
            if segment is not None and written:
                await segment.end()
        except (ChannelEnded, SegmentLost) as exc:
            self.end(Reason.OUTPUT_CLOSED, str(exc))
        finally:
            gone.cancel()
            await channel.close(self._timing.flush / 2)

    async def _until_gone(self, channel: Publisher) -> None:
        await channel.wait_ended()
        self.end(Reason.LOST if channel.gave_up else Reason.OUTPUT_CLOSED)

    def _first_sent(self) -> bool:
        self.events.put("send_first_processed_segment")
        return True

    async def _tell(self) -> None:
        channel = Publisher(
            self._http, self.channels.events, content_type="application/json", lasting=True
        )
        due = self._now()
        try:
            while True:
                if self._now() >= due and not self._flushing.is_set():
                    due = self._now() + self._timing.status
                    self.events.status(self.status())
                while body := self.events.take():
                    await channel.send(body)
                if self._flushing.is_set():
                    return
                self._telling.clear()
                await _within(self._telling.wait(), due - self._now())
        except ChannelEnded:
            self._log.debug("nobody hears its events any more")
        finally:
            await channel.close(self._timing.flush / 2)

    async def _say(self, data: DataLines) -> None:
        channel = Publisher(
            self._http, self.channels.data, content_type="application/jsonl", lasting=True
        )
        try:
            while True:
                if not data.waiting and not self._flushing.is_set():
                    self._saying.clear()
                    await _within(self._saying.wait(), self._timing.data_keepalive)
                if data.waiting or not self._flushing.is_set():
                    await channel.send(data.take() or NOTHING)
                if self._flushing.is_set() and not data.waiting:
                    return
                if not self._flushing.is_set():
                    await _within(self._flushing.wait(), self._timing.data)
        except ChannelEnded:
            self.end(Reason.OUTPUT_CLOSED, "the data channel is closed")
        finally:
            await channel.close(self._timing.flush / 2)

    async def _watch(self) -> None:
        """End a session that nobody wants any more: no word on control, and no input.

        Where there is no input to miss, a caller that never sent a word is not missed either.
        """
        while self.reason is None:
            if failure := self.why_stands():
                self.events.put("error", error=failure)
                self.end(Reason.FAILED, failure)
                return
            fed = self.ingress if self.channels.subscribe else None
            heard = fed.last_at if fed is not None else self._now()
            if fed is None and self._seen.control > self._began:
                heard = 0.0
            left = max(self._seen.control, heard) + self._timing.lease - self._now()
            if left <= 0:
                self.end(Reason.IDLE, "no control message and no input")
            await _within(self._ending.wait(), min(left, self._timing.stall / 4))

    def why_stands(self) -> str:
        """Why it should end, "" for nothing: what the output is made of comes in, or should be made
        here, and nothing goes out, so a node hangs. A gateway waits for 30 s.

        A silence of the input is no stall, and the time begins anew behind it.
        """
        if not self.channels.publish:
            return ""
        self._note_supply()
        now, stall = self._now(), self._timing.stall
        if self._takes and self.channels.subscribe:
            fed, since = self._supply.lasts(now), self._supply.since
        else:
            fed, since = bool(self._makes_pictures()), self._opened
        if not fed or now - max(self.egress.last_at, since) <= stall:
            return ""
        though = ", though input came in" if self.channels.subscribe else ""
        return f"nothing came out for {stall:g} s{though}"

    def why_stuck(self) -> str:
        """What of it has had work for too long and has not moved, "" for nothing.

        Each call is a look: a part is stuck when it was seen not to move for Timing.stuck seconds.
        """
        now = self._now()
        self._freshness.look(self._work(), now)
        part, seconds = self._freshness.oldest(now)
        return f"{part} for {seconds:.0f} s" if seconds > self._timing.stuck else ""

    def _work(self) -> dict[str, object]:
        """What should go on now, and how far it has come."""
        if self.reason is not None:
            return {"it has been ending": 0}
        if not self._opened:
            return {"its nodes have been set up": 0}
        run = self.run_of_plan
        found: dict[str, object] = {
            f"node {name!r} has been at one frame": frames for name, frames in run.inside().items()
        }
        found |= {
            f"node {name!r} has taken none of the frames that wait": taken
            for name, taken in run.work().items()
        }
        if self.ingress is not None and self._takes and self.ingress.waiting:
            found["nothing has been decoded of the input that waits"] = self.ingress.given_at
        if self.channels.publish:  # else nobody says how often a source should give something
            found |= {
                f"node {name!r} has given no frame": run.given(name)
                for name in self._makes_pictures()
            }
        return found

    # what happened

    def _noticed(self, notice: Notice) -> None:
        match notice.kind:
            case Happened.APPLIED:
                self._pulse.set()
                self._pulse = asyncio.Event()
            case Happened.ENDED:
                self._run_ended()
            case Happened.ERROR:
                self._node_failed(notice)
            case _:
                self._node_changed(notice)

    def _node_failed(self, notice: Notice) -> None:
        """Every failed frame is counted; the 1st, 10th and every 100th is told, too."""
        seen = self._seen
        seen.errors[notice.node] += 1
        seen.error, seen.said = self._now(), notice.said
        count = seen.errors[notice.node]
        if count in (1, 10) or count % 100 == 0:
            self.events.put(
                "node_error",
                node=notice.node,
                error=notice.said,
                seconds=notice.seconds,
                count=count,
            )

    def _node_changed(self, notice: Notice) -> None:
        if notice.kind is Happened.LOADING:
            self._seen.loading.add(notice.node)
        elif notice.kind is Happened.READY:
            self._seen.loading.discard(notice.node)
        else:
            self._seen.error, self._seen.said = self._now(), notice.said
        self.events.put(f"node_{notice.kind.value}", node=notice.node, error=notice.said or None)

    def _run_ended(self) -> None:
        self._run_over.set()
        failure = self.run_of_plan.failure
        if failure is None:
            self.end(Reason.FINISHED)
        elif self.reason is None:
            self.events.put("error", error=_sentence(failure))
            self.end(Reason.FAILED, _sentence(failure))

    def _on_loop(self, call: Callable[..., object]) -> Callable[..., None]:
        def later(*args: object) -> None:
            try:
                self._loop.call_soon_threadsafe(call, *args)
            except RuntimeError:
                self._log.debug("the loop is closed")

        return later

    # how it is

    def params(self) -> dict[str, Any]:
        """The value of every param that a caller may set, as of the newest frame."""
        values = self.run_of_plan.params.values()
        return {name: value for name, value in values.items() if "/" not in name}

    @property
    def state(self) -> State:
        self._note_supply()
        now, seen = self._now(), self._seen
        if self.reason is not None:
            return State.ERROR if self.reason == Reason.FAILED else State.OFFLINE
        if seen.loading:
            return State.LOADING
        if seen.error and now - seen.error < self._timing.status * 2:
            return State.DEGRADED_INFERENCE
        if self.ingress is not None and self._takes and self.channels.subscribe:
            last = self._supply.last_at if self._needs else self.ingress.last_at
            heard = max(last, self._began)
            return State.DEGRADED_INPUT if now - heard > self._timing.quiet else State.ONLINE
        return State.ONLINE

    def status(self) -> dict[str, Any]:
        """The state of the stream as its gateway keeps it (contract 6.2), times in epoch ms."""
        seen, params = self._seen, self.params()
        report = self.run_of_plan.report()
        return {
            "pipeline": self.plan.graph.capability,
            "graph": self.graph_hash,
            "start_time": self.started_ms,
            "state": self.state,
            "reason": self.reason,
            "input_status": {
                "last_input_time": self._ms(self.ingress.last_at if self.ingress else 0.0),
                "reader": "parser" if self.ingress and self.ingress.parsed else "direct",
                "unreadable": self.ingress.unreadable if self.ingress else [],
                "fps": self._rate(report, inputs=True),
            },
            "inference_status": {
                "last_output_time": self._ms(self.egress.last_at),
                "fps": self._rate(report, inputs=False),
                "last_params_update_time": self._ms(seen.params),
                "last_params": params,
                "last_params_hash": _hash(params),
                "last_error_time": self._ms(seen.error),
                "last_error": seen.said or self.failure or None,
                "last_restart_time": None,
                "last_restart_logs": None,
                "restart_count": 0,
                "models": {n: dict(c.about) for n, c in report.nodes.items() if c.about},
                "loading": sorted(seen.loading),
                "errors": dict(seen.errors),
            },
        }

    @property
    def age(self) -> float:
        """Seconds since it began."""
        return self._now() - self._began

    def bytes_by_channel(self) -> dict[str, int]:
        """Bytes of media that came in and went out."""
        came = self.ingress.counts.bytes if self.ingress is not None else 0
        return {"input": came, "output": self.egress.counts.bytes}

    def rates(self) -> dict[str, float]:
        """Units that came in and packets that went out per second, by the names of contract 2.6."""
        came = self.ingress.counts.units if self.ingress is not None else Counter[str]()
        went = self.egress.counts.packets
        each = max(self.age, 0.001)
        return {
            f"{way}_{kind}_fps": round(count[kind] / each, 2)
            for way, count in (("ingress", came), ("egress", went))
            for kind in ("video", "audio")
        }

    def _rate(self, report: Any, *, inputs: bool) -> float:
        """Items per second over the whole session, at its sources or at its sinks."""
        names = [name for name, step in self.plan.steps.items() if bool(step.inputs) is not inputs]
        names = [n for n in names if inputs or not self.plan.steps[n].outputs]
        count = sum(report.nodes[name].given for name in names)
        return round(count / report.seconds, 2) if report.seconds > 0 else 0.0

    def _ms(self, at: float) -> int | None:
        """A moment of the monotonic clock as milliseconds since 1970; None for never."""
        return round((time.time() - (self._now() - at)) * 1000) if at else None


def _takes(plan: Plan) -> bool:
    """Whether a node reads the input of the session."""
    return bool(playing(plan.steps, Role.INPUT))


def _needs(plan: Plan) -> str:
    """The units of the input that the output of a session cannot be made without: "video", "audio"
    where it has no pictures, "" where there is no output.
    """
    kinds = {
        taken.kind
        for step in playing(plan.steps, Role.OUTPUT).values()
        for taken in step.inputs.values()
    }
    if not kinds:
        return ""
    return "audio" if kinds == {Kind.AUDIO} else "video"


def hash_of(plan: Plan) -> str:
    """The graph in twelve characters: two pipelines that do the same have the same, wherever their
    files lie.
    """
    return _hash({key: value for key, value in plans.as_data(plan).items() if key != "file"})


def _hash(value: Any) -> str:
    text = strictjson.text(value, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _unsaid(item: str) -> None:
    """Data of a session that has no data channel."""


def _sentence(failure: Exception) -> str:
    return str(failure) if isinstance(failure, ComposerError) else type(failure).__name__


async def _within(waiting: Any, seconds: float) -> bool:
    """Whether something came in time."""
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            await waiting
    except TimeoutError:
        return False
    return True
