"""When a session that gives nothing is taken for one that hangs, by a clock of the test."""

import asyncio
import io
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import cache
from itertools import pairwise
from typing import Any

import av
import numpy as np
import pytest

from composer import YUV, Node
from composer.media.clip import Piece
from composer.session import watchdog
from composer.session.channels import Channels
from composer.session.ending import Reason
from composer.session.session import Session
from composer.session.status import State, state_of
from composer.session.timing import Timing
from composer.trickle.http import open_http
from tests import stubs
from tests.server.streams import PASS, live_plan, pieces, ran, threaded

SOUND = "nodes: {source: {type: decode}, out: {type: encode, in: {audio: source.audio}}}"
"""Gives no pictures."""

MADE = "nodes: {source: {type: test_source, fps: 5, duration: 0}, out: {type: encode}}"
"""Takes no input."""

CHANNELS = Channels(
    control="http://127.0.0.1:1/c",
    events="http://127.0.0.1:1/e",
    subscribe="http://127.0.0.1:1/in",
    publish="http://127.0.0.1:1/out",
)

GOP = 10


class Playing:
    """A session whose input, output and time the test plays; it has no network."""

    def __init__(self, session: Session, clock: list[float]) -> None:
        self.session, self._clock = session, clock

    def passes(self, seconds: float) -> None:
        self._clock[0] += seconds

    def comes(self, given: Sequence[Piece] | bytes) -> None:
        data = given if isinstance(given, bytes) else b"".join(each.data for each in given)
        ingress = threaded(self.session).ingress
        assert ingress is not None
        ingress.put(data)
        ingress.look()  # else a thread does, some time
        with ingress._lock:  # and that one may have found nothing just now
            ingress._wake()
        self.session.look_in()

    def torn(self) -> None:
        assert self.session.execution.ingress is not None
        self.session.execution.ingress.gap()

    async def answered(self, packets: int) -> None:
        """Until so many packets have gone out."""
        egress = self.session.execution.egress
        while sum(egress.counts.packets.values()) < packets:
            await egress.read()

    async def rests(self) -> None:
        """Until no node is at a frame; a run has no word for that."""
        while self.session.execution.inside():
            await asyncio.to_thread(threading.Event().wait, 0.005)

    @property
    def hangs(self) -> str:
        return self.session.watch.hangs(self.session.execution)

    @property
    def ends(self) -> str:
        return watchdog.output_stalled(self.session)


@asynccontextmanager
async def playing(
    text: str = PASS, /, *, opened: bool = False, **nodes: type[Node]
) -> AsyncIterator[Playing]:
    """opened: its nodes are at work. nodes: types of one's own."""
    clock = [1000.0]
    async with open_http() as http:
        plan = live_plan(text, collect=stubs.sink(), **nodes)
        session = Session("s", plan, CHANNELS, http, timing=Timing(), now=lambda: clock[0])
        if opened:
            await session.open()
        try:
            yield Playing(session, clock)
        finally:
            session.execution.give_up()
            if opened:
                await asyncio.to_thread(threaded(session).run.done.wait)


def segments(frames: int) -> list[list[Piece]]:
    """One list of pieces for each segment of ten pictures."""
    given = pieces(frames, gop=GOP)
    starts = [place for place, each in enumerate(given) if each.begins]
    return [given[a:b] for a, b in pairwise([*starts, len(given)])]


def test_a_publisher_who_comes_back_inside_a_gop_has_the_whole_time_again() -> None:
    async def test() -> None:
        async with playing(opened=True) as stage:
            first, second, third = segments(30)
            stage.comes(first)
            await stage.answered(GOP - 1)
            stage.torn()
            for _ in range(2):
                stage.passes(26)
                assert (state_of(stage.session), stage.ends) == (State.DEGRADED_INPUT, "")
                stage.comes(second[4:6])  # pictures that nobody can decode
                assert (state_of(stage.session), stage.ends) == (State.ONLINE, "")
            for each in second[6:9]:
                stage.passes(6)
                stage.comes([each])
                assert stage.ends == ""
            stage.comes(third)
            await stage.answered(2 * GOP - 2)
            stage.passes(6)
            assert stage.ends == ""

    ran(test)


def test_an_input_that_nothing_answers_ends_the_session() -> None:
    async def test() -> None:
        async with playing(opened=True) as stage:
            first, second, _ = segments(30)
            stage.comes(first)
            await stage.answered(GOP - 1)
            stage.torn()
            await stage.answered(GOP)  # what the decoder held
            for each in second[2:6]:
                stage.passes(5)
                stage.comes([each])
            assert stage.ends == ""
            stage.passes(5.1)
            stage.comes(second[6:7])
            assert stage.ends == "nothing came out for 20 s, though input came in"

    ran(test)


@cache
def sound(seconds: float) -> bytes:
    """A transport stream that holds nothing but sound."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", "mpegts") as out:
        stream: Any = out.add_stream("aac", rate=48_000)
        stream.layout = "mono"
        for start in range(0, round(seconds * 48_000), 1024):
            block = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            block.sample_rate, block.pts = 48_000, start
            out.mux(stream.encode(block))
        out.mux(stream.encode(None))
    return buffer.getvalue()


def fed(stage: Playing, data: bytes, seconds: float) -> None:
    """The data comes over so many seconds, some of it in each."""
    part = len(data) // round(seconds)
    for second in range(round(seconds)):
        stage.passes(1)
        stage.comes(data[second * part : (second + 1) * part])


def test_where_no_pictures_go_out_sound_is_what_should_come_and_be_answered() -> None:
    async def test() -> None:
        async with playing(SOUND) as stage:
            fed(stage, sound(4.0), 20)
            assert (state_of(stage.session), stage.ends) == (State.ONLINE, "")
            stage.passes(2.1)
            assert (state_of(stage.session), stage.ends) == (
                State.DEGRADED_INPUT,
                "nothing came out for 20 s, though input came in",
            )

    ran(test)


def test_sound_ahead_of_late_pictures_is_not_the_input_that_is_waited_for() -> None:
    async def test() -> None:
        async with playing() as stage:
            fed(stage, sound(4.0), 25)
            assert (state_of(stage.session), stage.ends) == (State.DEGRADED_INPUT, "")
            stage.comes(segments(20)[0])
            assert (state_of(stage.session), stage.ends) == (State.ONLINE, "")

    ran(test)


def test_a_session_that_takes_no_input_is_not_judged_by_it() -> None:
    async def test() -> None:
        async with playing(MADE, opened=True) as stage:
            stage.comes(segments(20)[0])
            assert watchdog.stuck(stage.session) == ""
            stage.passes(61)
            assert state_of(stage.session) is State.ONLINE
            assert "decoded" not in watchdog.stuck(stage.session)

    ran(test)


@pytest.mark.parametrize("out", ["{type: collect}", "{type: encode, path: here.mp4}"])
def test_a_session_without_an_output_does_not_owe_one(out: str) -> None:
    text = f"nodes: {{source: {{type: decode}}, out: {out}}}"

    async def test() -> None:
        async with playing(text) as stage:
            for given in segments(60):
                stage.passes(5)
                stage.comes(given)
            assert stage.ends == ""

    ran(test)


def test_a_source_that_gives_nothing_more_ends_its_session_before_it_is_stuck() -> None:
    go_on = threading.Event()

    class Source(stubs.Count):
        """Gives a picture, and no more."""

        def process(self) -> Iterator[stubs.Plain]:
            yield from super().process()
            stubs.reach(go_on)

    text = "nodes: {s: {type: source, count: 1}, o: {type: encode}}"

    async def test() -> None:
        async with playing(text, opened=True, source=Source) as stage:
            await stage.answered(1)
            await stage.rests()
            assert (watchdog.stuck(stage.session), stage.ends) == ("", "")
            stage.passes(20.1)
            assert stage.ends == "nothing came out for 20 s, though input came in"
            assert watchdog.stuck(stage.session) == ""
            stage.passes(40)
            assert stage.hangs == "node 's' has given no frame for 60 s"
            assert watchdog.stuck(stage.session) == ""
            stage.passes(20)
            assert watchdog.stuck(stage.session) == "node 's' has given no frame for 80 s"
            stage.session.end(Reason.FAILED, stage.ends)
            assert watchdog.stuck(stage.session) == ""
            go_on.set()

    ran(test)


def test_an_end_is_stuck_when_it_takes_longer_than_an_end_may() -> None:
    async def test() -> None:
        async with playing() as stage:
            stage.passes(59)
            assert watchdog.stuck(stage.session) == ""
            stage.session.end(Reason.STOPPED)
            stage.passes(60)
            assert watchdog.stuck(stage.session) == ""
            stage.passes(1)
            assert watchdog.stuck(stage.session) == "it has been ending for 61 s"

    assert Timing().end < Timing().stuck
    ran(test)


class Pace:
    """How many pictures a node has begun with; what is counted of those before is counted."""

    def __init__(self) -> None:
        self._changed, self._seen = threading.Condition(), 0

    def count(self) -> None:
        with self._changed:
            self._seen += 1
            self._changed.notify_all()

    async def has(self, pictures: int) -> None:
        def waited() -> bool:
            with self._changed:
                return self._changed.wait_for(lambda: self._seen >= pictures, stubs.WAIT)

        assert await asyncio.to_thread(waited)


def marking(pace: Pace) -> type[Node]:
    class Mark(Node):
        """Lets the test follow the pictures."""

        def process(self, image: YUV) -> YUV:
            pace.count()
            return image

    return Mark


def test_a_pause_that_a_caller_asks_for_is_no_stall() -> None:
    text = (
        "params: {show: {type: bool, default: true}}\n"
        "nodes: {source: {type: decode}, m: {type: mark, queue: 300, on_full: wait},"
        " f: {type: flip, when: show, else: drop}, out: {type: encode}}"
    )
    pace = Pace()

    async def test() -> None:
        async with playing(text, opened=True, mark=marking(pace)) as stage:
            await stage.session.changes.patch({"show": False})
            for number, given in enumerate(segments(60), 1):
                stage.passes(6)
                stage.comes(given)
                await pace.has(number * GOP - 1)
                assert stage.ends == ""
            assert not stage.session.execution.egress.counts.packets
            await stage.session.changes.patch({"show": True})
            stage.passes(19)
            stage.comes(segments(20)[0])
            assert stage.ends == ""
            await stage.answered(GOP - 2)
            stage.passes(6)
            assert stage.ends == ""

    ran(test)


@pytest.mark.parametrize("every", [2, 100])
def test_drops_in_front_of_a_node_that_hangs_do_not_hide_it(every: int) -> None:
    """Whether or not more work waits in front of it."""
    pace, reached, go_on = Pace(), threading.Event(), threading.Event()

    class Hangs(Node):
        """Stands at its first picture."""

        blocking = True

        def process(self, image: YUV) -> YUV:
            reached.set()
            stubs.reach(go_on)
            return image

    text = (
        "nodes: {source: {type: decode}, m: {type: mark, queue: 300, on_full: wait},"
        f" f: {{type: flip, every: {every}, else: drop}}, h: {{type: hangs}},"
        " out: {type: encode}}"
    )

    async def test() -> None:
        async with playing(text, opened=True, mark=marking(pace), hangs=Hangs) as stage:
            ends = []
            for number, given in enumerate(segments(60), 1):
                stage.passes(6)
                stage.comes(given)
                await pace.has(number * GOP - 1)
                await asyncio.to_thread(stubs.reach, reached)
                ends.append(stage.ends)
            assert ends == [""] * 4 + ["nothing came out for 20 s, though input came in"] * 2
            go_on.set()

    ran(test)
