"""Studio: the page and the HTTP interface of the development loop."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib import resources
from typing import Any, Final

from aiohttp import web

from composer import strictjson
from composer.dev import state
from composer.dev.gate import TokenGate, add_headers
from composer.dev.ongoing import Ongoing
from composer.dev.relay import Relay
from composer.errors import MediaError, ParamRejected, Stalled
from composer.media import newest
from composer.plot import plan_text, svg
from composer.server.connection import HttpRunner
from composer.server.reception import Reception
from composer.server.reload import Reload, Reloader
from composer.server.routes import as_json, refusal, said_as_json, updated
from composer.threads import Threads
from composer.trickle.server_log import SERVER_LOG

TICK_SECONDS: Final = 0.5
"""How often what is shown is looked at."""

MOST_VIEWERS: Final = 16
"""Most endless answers at once, of each kind."""

SNAPSHOT_SECONDS: Final = 10.0
"""What a snapshot may take with those before it."""

ASSETS: Final = {
    "": ("index.html", "text/html"),
    "page.js": ("page.js", "text/javascript"),
    "page.css": ("page.css", "text/css"),
    "mpegts.js": ("mpegts.js", "text/javascript"),
    "icon.svg": ("icon.svg", "image/svg+xml"),
}
"""By path; nothing else of the folder is served."""


class Studio:
    """Serves one pipeline under development on the loopback.

    told: called with everything that was reloaded because somebody asked for it here. reception:
    where bodies come in.
    """

    def __init__(
        self,
        token: str,
        ongoing: Ongoing,
        reloader: Reloader,
        told: Callable[[Reload], None],
        reception: Reception,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.address = ""
        self.reloads = state.Reloads()

        self._snapshots = Threads("snapshot", 1)
        self._gate = TokenGate(token)
        self._token, self._ongoing, self._reloader = token, ongoing, reloader
        self._told, self._reception, self._now = told, reception, now
        self._meter = state.Meter()
        self._files = self._listed()
        self._message = b""
        self._news = asyncio.Event()
        self._viewers = {"events": 0, "input": 0, "output": 0}

    @property
    def link(self) -> str:
        """What to open: the address with the token."""
        return f"{self.address}/?token={self._token}"

    @asynccontextmanager
    async def serving(self, port: int) -> AsyncIterator[str]:
        """Listen while the block runs; gives the link. Raises OSError where the port is taken."""
        app = web.Application(middlewares=[said_as_json, self._gate.middleware])
        app.on_response_prepare.append(add_headers)
        app.add_routes(self._routes())
        runner = HttpRunner(
            app,
            handle_signals=False,
            access_log=None,
            logger=SERVER_LOG,
            handler_cancellation=True,
            auto_decompress=False,
            shutdown_timeout=0.2,
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", port).start()
            self._gate.port = runner.addresses[0][1]
            self.address = f"http://127.0.0.1:{self._gate.port}"
            yield self.link
        finally:
            await runner.cleanup()

    async def run(self) -> None:
        """Look at everything twice a second; endless."""
        while True:
            self.look()
            await asyncio.sleep(TICK_SECONDS)

    def look(self) -> None:
        """Make the state anew and tell it to all who listen."""
        self._meter.look(self._ongoing.session, self._now())
        if self._viewers["events"]:
            self._message = self._told_now()
        self._news.set()
        self._news = asyncio.Event()

    def reloaded(self, reload: Reload) -> None:
        """Something was reloaded: everybody sees it now."""
        self.reloads.add(reload)
        self._files = self._listed()
        self._ongoing.reloaded()
        self.look()

    def state(self) -> dict[str, Any]:
        """All that the page shows, see docs/dev.md."""
        plan = self._reloader.plan
        made = {
            "file": plan.graph.file,
            "capability": plan.graph.capability,
            "graph": state.graph(plan),
            "live": state.live(plan, self._meter),
            "params": state.params(plan, self._ongoing.session),
            "session": state.session(self._ongoing),
            "problems": self.reloads.located(self._reloader.problems),
            "reloads": self.reloads.as_data(),
            "files": self._files,
        }
        return made

    def _told_now(self) -> bytes:
        return strictjson.text(self.state()).encode()

    def _listed(self) -> list[str]:
        """The files that are watched; looked for when something was saved, not at each tick."""
        return sorted(map(str, self._reloader.files()))

    async def rebuild(self) -> Reload:
        """Build every node anew."""
        reload = await self._reloader.reload(everything=True)
        self._told(reload)
        return reload

    async def snapshot(self) -> bytes:
        """The newest picture of the output as PNG. Raises MediaError."""
        picture = self._ongoing.output.picture()
        try:
            return await self._snapshots.run(SNAPSHOT_SECONDS, newest.png, picture)
        except Stalled as exc:
            raise MediaError(str(exc)) from exc

    # its routes

    def _routes(self) -> list[web.RouteDef]:
        return [
            *(web.get(f"/{path}", self._asset) for path in ASSETS),
            web.get("/graph.svg", self._graph),
            web.get("/dev/state", self._state),
            web.get("/dev/events", self._events),
            web.get("/dev/input.ts", self._input, allow_head=False),
            web.get("/dev/output.ts", self._output, allow_head=False),
            web.post("/dev/params", self._params),
            web.post("/dev/rebuild", self._rebuild),
            web.post("/dev/pause", self._pause),
            web.post("/dev/snapshot", self._snapshot),
        ]

    async def _asset(self, request: web.Request) -> web.Response:
        name, kind = ASSETS[request.path.strip("/")]
        body = resources.files("composer.dev").joinpath("assets", name).read_bytes()
        return web.Response(body=body, content_type=kind, charset="utf-8")

    async def _graph(self, request: web.Request) -> web.Response:
        plan = self._reloader.plan
        made = svg.document(plan_text.boxes(plan), plan_text.arrows(plan), plan.graph.capability)
        return web.Response(text=made, content_type="image/svg+xml")

    async def _state(self, request: web.Request) -> web.Response:
        return as_json(self.state())

    async def _events(self, request: web.Request) -> web.StreamResponse:
        async with self._counted("events"):
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            self._message = self._told_now()
            while True:
                news = self._news
                await response.write(b"data: " + self._message + b"\n\n")
                await news.wait()

    async def _input(self, request: web.Request) -> web.StreamResponse:
        return await self._stream(request, "input", self._ongoing.input)

    async def _output(self, request: web.Request) -> web.StreamResponse:
        return await self._stream(request, "output", self._ongoing.output)

    async def _stream(self, request: web.Request, kind: str, relay: Relay) -> web.StreamResponse:
        async with self._counted(kind):
            response = web.StreamResponse(headers={"Content-Type": "video/MP2T"})
            await response.prepare(request)
            async with contextlib.aclosing(relay.view()) as pieces:
                async for piece in pieces:
                    await response.write(piece)
            return response

    @asynccontextmanager
    async def _counted(self, kind: str) -> AsyncIterator[None]:
        if self._viewers[kind] >= MOST_VIEWERS:
            raise web.HTTPServiceUnavailable(reason=f"{MOST_VIEWERS} viewers are the most")
        self._viewers[kind] += 1
        try:
            yield
        finally:
            self._viewers[kind] -= 1

    async def _params(self, request: web.Request) -> web.Response:
        session = self._ongoing.session
        if session is None:
            return refusal(409, "no session runs")
        said = await self._reception.json(request, "dev")
        try:
            patch = await self._ongoing.change(session, said.value)
        except ParamRejected as exc:
            return refusal(422, str(exc), exc.problems)
        answer = await updated(session, patch)
        self.look()
        return answer

    async def _rebuild(self, request: web.Request) -> web.Response:
        await self._reception.skipped(request, "dev")
        await self.rebuild()
        return as_json(self.reloads.as_data()[0])

    async def _pause(self, request: web.Request) -> web.Response:
        """{"paused": true or false}; without it, the other way round."""
        asked = (await self._reception.json(request, "dev", empty=b"{}")).value
        paused = asked.get("paused") if isinstance(asked, dict) else None
        self._ongoing.pause(paused=not self._ongoing.paused if paused is None else bool(paused))
        self.look()
        return as_json({"paused": self._ongoing.paused})

    async def _snapshot(self, request: web.Request) -> web.Response:
        await self._reception.skipped(request, "dev")
        try:
            return web.Response(body=await self.snapshot(), content_type="image/png")
        except MediaError as exc:
            return refusal(409, str(exc))
