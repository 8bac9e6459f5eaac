"""A session by itself: without a worker, and without the channels that it need not have."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from composer import YUV, Context, Node
from composer.errors import NodeFailed
from composer.session.channels import Channels
from composer.session.ending import Ending, Reason, Unstarted
from composer.session.phase import Phase
from composer.session.session import Session
from composer.trickle.http import Http, open_http
from composer.trickle.server import TrickleServer
from tests import stubs
from tests.server.streams import QUICK, live_plan, ran, threaded

MADE = (
    "nodes: {source: {type: test_source, width: 64, height: 48, fps: 25, duration: 0.4},"
    " out: {type: encode, queue: 300, on_full: wait}}"
)


@asynccontextmanager
async def channels(*names: str) -> AsyncIterator[tuple[Http, Channels]]:
    """A server with these channels of a session."""
    server = TrickleServer()
    async with server.serving() as address, open_http() as http:
        for name in names:
            server.directory.create(name, "video/MP2T")
        yield http, Channels(**{name: f"{address}/{name}" for name in names})


async def lived(session: Session) -> None:
    await session.run()
    assert session.life.phase is Phase.CLOSING
    assert await asyncio.to_thread(threaded(session).run.done.wait, stubs.WAIT)
    session.forgotten()
    assert session.over.is_set()


def test_it_needs_neither_control_nor_events() -> None:
    async def test() -> None:
        async with channels("publish") as (http, here):
            session = Session("x", live_plan(MADE), here, http, timing=QUICK)
            await lived(session)
            assert (session.ending, session.execution.egress.counts.packets["video"]) == (
                Ending(Reason.FINISHED),
                10,
            )

    ran(test)


def test_one_whose_nodes_cannot_be_set_up_says_so_to_whoever_waits_for_it() -> None:
    class Broken(stubs.Count):
        """Has no pictures."""

        def setup(self, ctx: Context) -> None:
            raise RuntimeError("no pictures")

    text = "nodes: {s: {type: broken}, out: {type: encode}}"

    async def test() -> None:
        async with channels("events") as (http, here):
            session = Session("x", live_plan(text, broken=Broken), here, http, timing=QUICK)
            await lived(session)
            with pytest.raises(NodeFailed, match="no pictures"):
                await session.ready
            assert session.reason is Reason.FAILED
            assert session.events.put_count == 0  # the answer to the start says it

    ran(test)


@pytest.mark.parametrize("at", ["flush", "close"])
def test_what_goes_wrong_at_its_end_is_told_and_does_not_change_why_it_ended(
    at: str, caplog: pytest.LogCaptureFixture
) -> None:
    class Raises(Node):
        """Fails when all is done."""

        def process(self, image: YUV) -> Iterator[YUV]:
            yield image

        def flush(self) -> Iterator[Any]:
            if at == "flush":
                raise SystemExit(3)
            return iter(())

        def close(self) -> None:
            if at == "close":
                raise SystemExit(3)

    text = "nodes: {s: {type: test_source}, r: {type: raises}, out: {type: encode}}"

    async def test() -> None:
        async with channels("publish") as (http, here):
            session = Session("x", live_plan(text, raises=Raises), here, http, timing=QUICK)
            async with asyncio.TaskGroup() as group:
                group.create_task(lived(session))
                await session.ready
                session.end(Reason.STOPPED)
            assert session.ending == Ending(Reason.STOPPED)
            told = [json.loads(body).get("event", {}) for body in iter(session.events.take, b"")]
            assert [event["error"] for event in told if event.get("type") == "error"] == [
                f"node 'r' failed in {at}(): SystemExit: 3"
            ]

    ran(test)
    assert f"as it ended: node 'r' failed in {at}(): SystemExit: 3" in caplog.messages


def test_what_ends_it_first_is_what_is_told() -> None:
    async def test() -> None:
        async with channels("events") as (http, here):
            session = Session("x", live_plan(MADE), here, http, timing=QUICK)
            session.end(Reason.STOPPED)
            session.end(Reason.FAILED, "too late")
            await lived(session)
            with pytest.raises(Unstarted, match="it ended while it was set up: stopped"):
                await session.ready
            assert (session.reason, session.failure) == (Reason.STOPPED, "")

    ran(test)


def test_a_mistake_in_one_of_its_tasks_ends_it_and_its_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(session: Session) -> dict[str, Any]:
        raise LookupError("a mistake")

    monkeypatch.setattr(Session, "status", broken)

    async def test() -> None:
        async with channels("events", "publish") as (http, here):
            session = Session("x", live_plan(MADE), here, http, timing=QUICK)
            with pytest.raises(ExceptionGroup, match="unhandled errors"):
                await session.run()
            assert (session.ending, session.life.phase) == (
                Ending(Reason.FAILED, "internal error"),
                Phase.CLOSING,
            )
            assert await asyncio.to_thread(threaded(session).run.done.wait, stubs.WAIT)

    ran(test)


class Passes(Node):
    """Does nothing."""

    def process(self, image: YUV) -> YUV:
        return image


def test_a_run_that_has_nothing_to_give_ends_its_session() -> None:
    text = "nodes: {s: {type: count, count: 0}, p: {type: passes}, out: {type: encode}}"

    async def test() -> None:
        async with channels("publish") as (http, here):
            plan = live_plan(text, count=stubs.Count, passes=Passes)
            session = Session("x", plan, here, http, timing=QUICK)
            await lived(session)
            assert session.reason is Reason.FINISHED

    ran(test)
