"""Ongoing: one session of a capability after another, for as long as somebody works on it."""

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from composer.compiler.plan import Plan
from composer.dev.feed import LiveFeed
from composer.dev.relay import Relay
from composer.engine.params import Patch
from composer.errors import ChannelEnded, NodeFailed, ParamRejected, Stalled
from composer.node.roles import Role, playing
from composer.server.capability import Capability, Full
from composer.session.channels import Channels
from composer.session.ending import Reason, Unstarted
from composer.session.session import Session
from composer.threads import Threads
from composer.trickle.http import Http
from composer.trickle.publisher import Publisher
from composer.trickle.server import TrickleServer

log: Final = logging.getLogger(__name__)

RETRY_SECONDS: Final = 2.0
"""After a session that failed the next one waits so long, or until something was saved."""

SHORTEST_SECONDS: Final = 0.25
"""A session that ended sooner counts as one that failed: the next would do the same."""

KEEPALIVE: Final = b'{"keep":"alive"}'
KEEPALIVE_SECONDS: Final = 10.0

FEED_SECONDS: Final = 10.0
"""What the input may take to end."""

INPUT: Final = "_input"
"""The channel that every session reads. An underscore keeps the server from closing it unused."""


@dataclass(frozen=True)
class OpenEnds:
    """Which ends of a pipeline are open: whether it reads an input, and gives an output."""

    reads: bool
    gives: bool


def ends(plan: Plan) -> OpenEnds:
    """A node that names its own file is an end of its own."""
    reads, gives = playing(plan.steps, Role.INPUT), playing(plan.steps, Role.OUTPUT)
    return OpenEnds(bool(reads), bool(gives))


class Ongoing:
    """Starts a session, and the next one when it has ended. `run` it as a task.

    base: the address of the channels. feed: made when a pipeline first reads an input.
    """

    def __init__(
        self,
        capability: Capability,
        server: TrickleServer,
        base: str,
        http: Http,
        feed: Callable[[Callable[[str], None]], LiveFeed],
    ) -> None:
        self.session: Session | None = None
        self.started = 0
        self.failure = ""
        """Why the last session ended before its time, or could not begin; "" when none did."""
        self.fed = ""
        """Why no more of the input comes; "" while it does."""
        self.input, self.output = Relay(), Relay()

        self._capability, self._server, self._base, self._http = capability, server, base, http
        self._make_feed = feed
        self._feed: LiveFeed | None = None
        self._values: dict[str, Any] = {}
        self._going, self._nudged = asyncio.Event(), asyncio.Event()
        self._going.set()
        self._group: asyncio.TaskGroup | None = None

    @property
    def paused(self) -> bool:
        return not self._going.is_set()

    @property
    def ends(self) -> OpenEnds:
        """Of the pipeline as it is now."""
        return ends(self._capability.plan)

    def pause(self, *, paused: bool) -> None:
        """Hold the input still; a pipeline that makes its own pictures has its session ended."""
        if not paused:
            self._going.set()
            if self._feed is not None:
                self._feed.resume()
            return
        self._going.clear()
        if self._feed is not None:
            self._feed.pause()
        if self.session is not None and not self.ends.reads:
            self.session.end(Reason.STOPPED)

    async def change(self, session: Session, given: Any) -> Patch:
        """Change params of a session, and of those that follow it. Raises ParamRejected."""
        patch = await session.changes.change(given)
        self._values |= patch.values
        return patch

    def reloaded(self) -> None:
        """Something was saved: try again at once, with an output where there is one now."""
        self._nudged.set()
        self._feed_if_read()
        session = self.session
        if session is not None and bool(session.channels.publish) is not self.ends.gives:
            session.end(Reason.STOPPED)

    async def run(self) -> None:
        """Endless; whoever cancels it ends the session through its worker."""
        self._server.directory.create(INPUT, "video/MP2T")
        try:
            async with asyncio.TaskGroup() as self._group:
                self._group.create_task(self.output.run())
                self._group.create_task(self.input.run())
                self._group.create_task(self.input.follow(self._http, self._fed_to))
                self._feed_if_read()
                for number in itertools.count(1):
                    await self._going.wait()
                    await self._one(f"dev-{number}")
        finally:
            if self._feed is not None:
                await Threads("feed", 1).run(FEED_SECONDS, self._feed.stop)

    @property
    def _fed_to(self) -> str:
        return f"{self._base}/{INPUT}"

    async def _one(self, name: str) -> None:
        """One session from start to end."""
        channels, session = self._channels(name), None
        try:
            session = await self._started(name, channels)
            if session is not None:
                await self._attended(session, channels)
        finally:
            for ending in ("-control", "-events", "-out"):
                self._server.directory.delete(name + ending)
        if self.failure or (session is not None and session.age < SHORTEST_SECONDS):
            await self._breather()

    def _channels(self, name: str) -> Channels:
        for ending in ("-control", "-events", "-out"):
            self._server.directory.create(name + ending, "application/octet-stream")
        here = f"{self._base}/{name}"
        return Channels(
            control=f"{here}-control",
            events=f"{here}-events",
            subscribe=self._fed_to,  # a pipeline may begin to read it when it is saved
            publish=f"{here}-out" if self.ends.gives else "",
        )

    async def _started(self, name: str, channels: Channels) -> Session | None:
        """A session that lives, with the params the last one had; None where none can be."""
        self._nudged.clear()
        known = self._capability.plan.params
        values = {each: value for each, value in self._values.items() if each in known}
        try:
            return await self._capability.start(name, channels, values)
        except ParamRejected as exc:
            log.info("params of the session before do not fit any more: %s", exc)
            self._values, self.failure = {}, str(exc)
        except (NodeFailed, Stalled, Unstarted) as exc:
            self.failure = str(exc)
        except Full:
            self.failure = "as many sessions as may be run already"
        return None

    async def _attended(self, session: Session, channels: Channels) -> None:
        self.session, self.failure = session, ""
        self.started += 1
        if self.paused and not self.ends.reads:  # it was paused while the session was set up
            session.end(Reason.STOPPED)
        control = Publisher(
            self._http, channels.control, content_type="application/json", lasting=True
        )
        async with asyncio.TaskGroup() as group:
            keeping = group.create_task(_keep_alive(control))
            following = group.create_task(self._follow(channels.publish))
            try:
                await session.over.wait()
            finally:
                self.session = None
                keeping.cancel()
                following.cancel()
        if session.reason in (Reason.FAILED, Reason.LOST):
            self.failure = session.failure or str(session.reason)

    async def _follow(self, url: str) -> None:
        if url:
            await self.output.follow(self._http, url)

    def _feed_if_read(self) -> None:
        """Begin to feed, where the pipeline reads an input and none comes yet."""
        if self._group is None or self._feed is not None or not self.ends.reads:
            return
        loop = asyncio.get_running_loop()

        def failed(why: str) -> None:
            loop.call_soon_threadsafe(self._fed_no_more, why)

        self._feed = self._make_feed(failed)
        channel = Publisher(self._http, self._fed_to, content_type="video/MP2T", ahead=True)
        self._group.create_task(self._feed.publish(channel))
        self._feed.start()

    def _fed_no_more(self, why: str) -> None:
        log.warning("the input ends: %s", why)
        self.fed = why

    async def _breather(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RETRY_SECONDS):
                await self._nudged.wait()


async def _keep_alive(control: Publisher) -> None:
    """A word now and then, so that a session without an input is not taken for forgotten."""
    with contextlib.suppress(ChannelEnded):
        while True:
            await control.send(KEEPALIVE)
            await asyncio.sleep(KEEPALIVE_SECONDS)
