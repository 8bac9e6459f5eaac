"""What becomes of the sessions of a process that is gone."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from composer import YUV, Context, Node, stacks
from composer.server.journal import Journal
from composer.server.revival import TWICE_SECONDS, Fall, Revival
from composer.session import remains
from composer.session.channels import Channels
from composer.session.ending import Reason
from composer.session.session_record import SessionRecord
from composer.testing.orchestrator import MIME, event_of
from composer.trickle.host import Host
from composer.trickle.outbound import Outbound
from composer.trickle.reach import Reach
from composer.trickle.subscriber import Subscriber
from tests.server.streams import QUICK, Stage, ran, serving

NOW = 1_700_000_000.0
TEXT = (
    "params: {level: tint.red}\n"
    "nodes: {source: {type: decode}, tint: {type: color}, out: {type: encode}}"
)
FALL = Fall(NOW - 2)


class Left:
    """A worker, its journal, and sessions of a process that is gone."""

    def __init__(self, stage: Stage, journal: Journal) -> None:
        self.stage, self.journal = stage, journal
        self.directory = stage.orchestrator.channels.directory

    def record(self, name: str = "cam1", capability: str = "cap", **more: Any) -> SessionRecord:
        """A session whose channels are there."""
        base = self.stage.orchestrator.trickle
        for suffix in ("", "-out", "-control", "-events"):
            self.directory.create(name + suffix, MIME[suffix])
        at = f"{base}/{name}"
        here = Channels(f"{at}-control", f"{at}-events", at, f"{at}-out")
        return SessionRecord(capability, name, here, **more)

    async def revive(
        self, *records: SessionRecord, fall: Fall = FALL, reach: Reach | None = None
    ) -> None:
        for record in records:
            self.journal.note(record.key, lambda record=record: record)  # type: ignore[misc]
            if record.capability == "cap":
                self.stage.worker.capabilities["cap"].expected.expect(record.name)
        await self.journal.write()
        async with Outbound(reach) as outbound:
            revival = Revival(
                self.stage.worker.capabilities,
                self.journal,
                outbound,
                fall,
                resume_s=60.0,
                timing=QUICK,
                now=lambda: NOW,
            )
            await revival.run(records)
        await self.journal.write()

    async def events(self, name: str, count: int) -> list[dict[str, Any]]:
        url = f"{self.stage.orchestrator.trickle}/{name}-events"
        found: list[dict[str, Any]] = []
        async for body in Subscriber(self.stage.http, url, start=0).messages():
            found.append(dict(event_of(json.loads(body))))
            if len(found) == count:
                break
        return found

    def there(self, channel: str) -> bool:
        """Whether a channel has not ended."""
        return self.directory.find(channel) is not None


@asynccontextmanager
async def left(
    folder: Path, text: str = TEXT, nodes: dict[str, type[Node]] | None = None
) -> AsyncIterator[Left]:
    journal = Journal(folder, lambda: NOW)
    journal.open()
    async with serving(text, nodes, journal=journal) as stage:
        yield Left(stage, journal)


def test_a_session_goes_on_with_its_params_and_says_so(tmp_path: Path) -> None:
    async def test() -> None:
        async with left(tmp_path) as here:
            record = here.record(
                asked={"level": 0.9}, params={"level": 0.5, "gone": 1}, started_ms=5, restarts=1
            )
            await here.revive(record)
            session = here.stage.sessions["cam1"]
            assert (session.changes.params(), session.started_ms) == ({"level": 0.5}, 5)
            assert here.stage.worker.slots.used == 1
            (resumed,) = [each for each in await here.events("cam1", 1)]
            assert resumed["type"] == "stream_resumed"
            assert resumed["restarts"] == 2
            assert [each["at"] for each in resumed["params_left_out"]] == ["gone"]
            kept = here.journal.left()
            assert [(each.params, each.restarts) for each in kept] == [({"level": 0.5}, 2)]
            body = {
                "gateway_request_id": "cam1",
                "control_url": record.channels.control,
                "events_url": record.channels.events,
                "subscribe_url": record.channels.subscribe,
                "publish_url": record.channels.publish,
            }
            for params, status in (({"level": 0.9}, 200), ({"level": 0.5}, 409)):
                said = await here.stage.post("/stream/start", {**body, "params": params})
                assert said[0] == status
            stop = await here.stage.post("/stream/stop", headers={"X-Stream-Id": "cam1"})
            assert stop[0] == 200
            await here.journal.write()
            assert here.journal.left() == []

    ran(test)


def test_whoever_asks_for_a_session_waits_until_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        async with left(tmp_path) as here:
            looked, allowed = asyncio.Event(), asyncio.Event()
            found = remains.found

            async def looking(*args: Any) -> SessionRecord:
                looked.set()
                await allowed.wait()
                return await found(*args)

            monkeypatch.setattr(remains, "found", looking)
            reviving = asyncio.ensure_future(here.revive(here.record()))
            await looked.wait()
            headers = {"X-Stream-Id": "cam1"}
            asking = [
                asyncio.ensure_future(here.stage.post("/stream/params", {"level": 0.5}, **more))
                for more in ({"headers": headers}, {})
            ]
            missing = await here.stage.post(
                "/stream/params", {"level": 0.5}, headers={"X-Stream-Id": "other"}
            )
            assert missing[0] == 404
            assert not any(each.done() for each in asking)
            allowed.set()
            assert [(await each)[0] for each in asking] == [200, 200]
            await reviving

    ran(test)


@pytest.mark.parametrize("what", ["old", "ended", "elsewhere", "private"])
def test_one_that_nobody_waits_for_is_left_without_a_word_in_its_channels(
    tmp_path: Path, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        async with left(tmp_path) as here:
            record = here.record()
            if what == "ended":
                here.directory.delete("cam1-control")
            reach = {
                "elsewhere": Reach((Host.parse("other.test"),)),
                "private": Reach(public=True),
            }.get(what)
            await here.revive(record, fall=Fall(NOW - 61) if what == "old" else FALL, reach=reach)
            assert here.stage.sessions == {}
            assert here.journal.left() == []
            assert here.there("cam1-out")
            assert here.stage.worker.slots.used == 0

    ran(test)
    said = {
        "old": "its process is gone for 61 s",
        "ended": "channel cam1-control has ended",
        "elsewhere": "its control channel is not on a host that this worker may talk to",
        "private": "its channels are at an address that is not public: control",
    }
    assert f"it is left: {said[what]}" in caplog.text


@pytest.mark.parametrize("what", ["served", "twice", "unexplained", "setup"])
def test_one_that_cannot_go_on_is_given_up_with_its_reason(
    tmp_path: Path, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The gateway hears why, and takes another worker, since the output has ended."""

    class Broken(Node):
        """Cannot be set up."""

        def setup(self, ctx: Context) -> None:
            raise RuntimeError("no weights")

        def process(self, image: YUV) -> YUV:
            return image

    said = {
        "served": "the capability 'other' is not served any more",
        "twice": "it took its process down twice within 60 s",
        "unexplained": "its process came to an end 3 times within 60 s",
        "setup": "no weights",
    }[what]
    text = TEXT.replace("type: color", "type: broken").replace("params: {level: tint.red}\n", "")

    async def test() -> None:
        broken = what == "setup"
        async with left(
            tmp_path, text if broken else TEXT, {"broken": Broken} if broken else {}
        ) as here:
            falls = (FALL.at - TWICE_SECONDS + 1,) if what == "twice" else ()
            culprit = stacks.name_of("cam1") if what == "twice" else ""
            unexplained = (FALL.at - 5, FALL.at - 1) if what == "unexplained" else ()
            name = "other" if what == "served" else "cap"
            record = here.record(capability=name, falls=falls, unexplained=unexplained)
            await here.revive(record, fall=replace(FALL, culprit=culprit))
            assert here.stage.sessions == {}
            assert here.journal.left() == []
            assert not here.there("cam1-out")
            error, stopped = await here.events("cam1", 2)
            assert said in error["error"]
            assert (stopped["type"], stopped["reason"]) == ("stream_stopped", Reason.FAILED)

    ran(test)
    assert "it is given up: " in caplog.text
    assert said in caplog.text


def test_falls_long_ago_are_forgotten(tmp_path: Path) -> None:
    async def test() -> None:
        async with left(tmp_path) as here:
            long_ago = (FALL.at - TWICE_SECONDS,)
            await here.revive(here.record(falls=long_ago, unexplained=long_ago))
            before = here.stage.sessions["cam1"].takeover.before
            assert (before.falls, before.unexplained) == ((), (FALL.at,))

    ran(test)


def test_where_it_is_known_who_took_the_process_down_the_others_are_not_under_suspicion(
    tmp_path: Path,
) -> None:
    async def test() -> None:
        async with left(tmp_path) as here:
            falls = (FALL.at - 5,)
            poison, quiet = (here.record(name, falls=falls) for name in ("poison", "quiet"))
            await here.revive(poison, quiet, fall=replace(FALL, culprit=stacks.name_of("poison")))
            assert list(here.stage.sessions) == ["quiet"]
            assert here.stage.sessions["quiet"].takeover.before.falls == falls

    ran(test)


def test_one_that_took_its_process_down_while_it_was_taken_up_is_accused(tmp_path: Path) -> None:
    """The fall is on the disk before anything of the session begins."""

    async def test() -> None:
        async with left(tmp_path) as here:
            record = here.record()
            seen: list[SessionRecord] = []

            found = remains.found

            async def looking(*args: Any) -> SessionRecord:
                await here.journal.settled()
                seen.extend(here.journal.left())
                return await found(*args)

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(remains, "found", looking)
                await here.revive(record)
            assert [each.unexplained for each in seen] == [(FALL.at,)]

    ran(test)
