"""A session is written down, and goes on from that elsewhere."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from composer.compiler.plan import Plan
from composer.media.mpegts.written import Written
from composer.session import session_record, watchdog
from composer.session.channels import Channels
from composer.session.ending import Reason
from composer.session.session import Session
from composer.session.session_record import SessionRecord
from composer.testing.orchestrator import event_of
from composer.trickle.http import Http
from composer.trickle.publisher import Publisher, remove
from composer.trickle.subscriber import Ended, Opened, Subscriber
from tests.server.streams import QUICK, heard, live_plan, numbers, pieces, ran
from tests.session.test_session import MADE, channels

WAITS = "queue: 300, on_full: wait"
PASS = (
    "params: {level: tint.red}\n"
    f"nodes: {{source: {{type: decode}}, tint: {{type: color, {WAITS}}},"
    f" out: {{type: encode, keyframe_s: 0.4, {WAITS}}}}}"
)
SOUND = f"nodes: {{source: {{type: decode}}, out: {{type: encode, keyframe_s: 0.4, {WAITS}}}}}"

WHOLE = SessionRecord(
    "cap",
    "cam/1 \u00e9",
    Channels("http://c/1", subscribe="http://c/2"),
    {"level": 0.5, "list": [1, None]},
    {"level": 0.25},
    1_700_000_000_000,
    7,
    3,
    -90_000,
    Written("h264", "opus", 2, 1, {"video": 12, "audio": 11}, {0: 1, 256: 15}),
    2,
    1_700_000_001_000,
    (1_700_000_000.5,),
)


def test_it_is_a_line_of_json_that_reads_back() -> None:
    assert SessionRecord.read(WHOLE.text()) == WHOLE
    least = SessionRecord("cap", "x", Channels())
    assert SessionRecord.read(least.text()) == least
    assert b"\n" not in WHOLE.text()
    assert json.loads(WHOLE.text())["version"] == session_record.VERSION


def test_what_a_newer_one_says_beside_is_passed_over() -> None:
    text = json.dumps({**json.loads(WHOLE.text()), "more": 1}).encode()
    assert SessionRecord.read(text) == WHOLE


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "is no record"),
        (b'{"capability": "x"', "is no record"),
        (b'{"capability": 1, "name": "x", "channels": {}}', r"no record of a session \(capability"),
        (replace(WHOLE, version=2).text(), "is of version 2, and 1 is what is read here"),
    ],
)
def test_what_is_no_record_is_refused(text: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        SessionRecord.read(text)


def test_its_key_is_a_name_for_a_file_of_one_stream_of_one_capability() -> None:
    others = (replace(WHOLE, name="x"), replace(WHOLE, capability="x"))
    assert len({each.key for each in (WHOLE, *others)}) == 3
    assert WHOLE.key.isalnum()


class Watched:
    """Two sessions of one stream, and what comes out of both."""

    def __init__(self, http: Http, here: Channels) -> None:
        self.http, self.here = http, here
        self.output: list[bytes] = []
        self.events: list[dict[str, object]] = []
        self._changed = asyncio.Event()

    async def read_output(self) -> None:
        async for item in Subscriber(self.http, self.here.publish, start=0):
            if isinstance(item, Opened):
                self.output.append(b"")
            elif not isinstance(item, Ended):
                self.output[-1] += item
            self._changed.set()

    async def read_events(self) -> None:
        async for body in Subscriber(self.http, self.here.events, start=0).messages():
            self.events.append(dict(event_of(json.loads(body))))

    async def send(self, sound: str = "") -> None:
        """100 pictures at their pace, then the end."""
        feed = Publisher(self.http, self.here.subscribe, content_type="video/MP2T")
        clock, segment = asyncio.get_running_loop().time, None
        began = clock()
        for piece in pieces(50, loops=2, sound=sound):
            await asyncio.sleep(began + piece.seconds - clock())
            if piece.begins:
                if segment is not None:
                    await segment.end()
                segment = feed.begin()
            assert segment is not None
            await segment.write(piece.data)
        assert segment is not None
        await segment.end()
        await feed.close()
        await remove(self.http, self.here.subscribe)

    async def until(self, count: int) -> None:
        while len(numbers(self.output)) < count:
            self._changed.clear()
            await self._changed.wait()


@asynccontextmanager
async def watched(sound: str = "") -> AsyncIterator[Watched]:
    async with channels("control", "events", "subscribe", "publish") as (http, here):
        stream = Watched(http, here)
        tasks = [
            asyncio.ensure_future(work)
            for work in (stream.read_output(), stream.read_events(), stream.send(sound))
        ]
        try:
            yield stream
        finally:
            for task in tasks:
                task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.gather(*tasks)


async def lived(session: Session) -> None:
    await session.run()
    session.forgotten()


@pytest.mark.parametrize("sound", ["", "libopus"])
def test_one_that_leaves_at_a_segments_end_goes_on_elsewhere_without_a_picture_lost_or_twice(
    sound: str,
) -> None:
    async def test() -> None:
        async with watched(sound) as stream:
            plan = live_plan(SOUND)
            first = Session("x", plan, stream.here, stream.http, timing=QUICK)
            second = waiting(plan, stream.here, stream.http)
            async with asyncio.TaskGroup() as group:
                group.create_task(lived(first))
                group.create_task(lived(second))
                await stream.until(30)
                assert not second.ready.done()
                first.leave(5)
                await first.over.wait()
                assert first.reason is Reason.HANDED_OVER
                record = SessionRecord.read(record_of(first).text())
                second.go_on(record)
                await stream.until(100)
            assert second.reason is Reason.INPUT_CLOSED
            assert numbers(stream.output) == [*range(50), *range(50)]
            assert second.execution.egress.counts.dropped == {}
            if sound:
                sent = heard(piece.data for piece in pieces(50, loops=2, sound=sound))
                assert heard(stream.output) == sent
            kinds = [each["type"] for each in stream.events]
            assert kinds.count("stream_stopped") == 1

    ran(test, 40)


def waiting(plan: Plan, here: Channels, http: Http) -> Session:
    """One that another process has still."""
    before = SessionRecord("cap", "x", here)
    return Session("x", plan, here, http, timing=QUICK, before=before)


def record_of(session: Session) -> SessionRecord:
    return session_record.of(session, "cap")


def test_one_that_cannot_wait_leaves_in_the_middle_and_nothing_comes_twice() -> None:
    async def test() -> None:
        async with watched() as stream:
            plan = live_plan(SOUND)
            first = Session("x", plan, stream.here, stream.http, timing=QUICK)
            async with asyncio.TaskGroup() as group:
                group.create_task(lived(first))
                await stream.until(33)
                first.leave(0.0)
                await first.over.wait()
                left = record_of(first)
                assert len(numbers(stream.output)) % 10
                second = waiting(plan, stream.here, stream.http)
                second.go_on(left)
                group.create_task(lived(second))
            assert numbers(stream.output) == [*range(50), *range(50)]
            assert second.execution.egress.counts.dropped["repeated"] > 0

    ran(test, 40)


def test_it_goes_on_with_what_callers_have_set() -> None:
    async def test() -> None:
        async with watched() as stream:
            plan = live_plan(PASS)
            first = Session("x", plan, stream.here, stream.http, {"level": 0.5}, QUICK)
            async with asyncio.TaskGroup() as group:
                group.create_task(lived(first))
                await stream.until(5)
                control = Publisher(stream.http, stream.here.control, content_type="x")
                await first.changes.change({"level": 0.75, "width": 4, "height": 4})
                first.leave(5)
                await first.over.wait()
                await control.send(b'{"level": 0.25}')  # while nobody listens
                left = record_of(first)
                assert left.params == {"level": 0.75}
                left = replace(left, params={**left.params, "gone": 1}, next_control=0)
                heeded = asyncio.Event()
                second = Session(
                    "x",
                    plan,
                    stream.here,
                    stream.http,
                    timing=QUICK,
                    before=left,
                    noted=heeded.set,
                )
                second.go_on(left)
                group.create_task(lived(second))
                await second.ready
                assert [problem.at for problem in second.unmet] == ["gone"]
                while second.changes.given() != {"level": 0.25}:
                    heeded.clear()
                    await heeded.wait()
                second.end(Reason.STOPPED)
                await control.close()

    ran(test, 40)


def test_sources_of_its_own_begin_when_it_may() -> None:
    async def test() -> None:
        async with channels("publish") as (http, here):
            session = waiting(live_plan(MADE), here, http)
            written = Written("h264", last={"video": 900_000}, turns={256: 3})
            async with asyncio.TaskGroup() as group:
                group.create_task(lived(session))
                await asyncio.sleep(0)
                assert session.execution.egress.counts.packets.total() == 0
                session.go_on(SessionRecord("cap", "x", here, written=written))
            assert session.execution.egress.counts.packets["video"] == 10
            after = session.execution.egress.written()
            assert after is not None
            assert after.last["video"] == 900_000 + 3000 + 9 * 3600

    ran(test)


@pytest.mark.parametrize("text", [MADE, SOUND])
def test_one_that_is_ended_before_it_may_begin_leaves_the_channels_to_the_other(text: str) -> None:
    async def test() -> None:
        async with channels("publish", "subscribe", "events") as (http, here):
            session = waiting(live_plan(text), here, http)
            async with asyncio.TaskGroup() as group:
                group.create_task(lived(session))
                await session.takeover.prepared.wait()
                assert watchdog.stuck(session) == ""
                session.end(Reason.SHUTDOWN)
            assert session.reason is Reason.HANDED_OVER
            for url in (here.publish, here.events):
                async with http.get(f"{url}/next") as answer:
                    assert await answer.text() == "0"

    ran(test)


def test_between_two_segments_it_leaves_at_once() -> None:
    async def test() -> None:
        async with channels("subscribe", "publish") as (http, here):
            session = Session("x", live_plan(SOUND), here, http, timing=QUICK)
            async with asyncio.TaskGroup() as group:
                group.create_task(lived(session))
                await session.ready
                session.leave(1000)
            assert session.reason is Reason.HANDED_OVER
            assert (record_of(session).next_input, record_of(session).written) == (None, None)

    ran(test)
