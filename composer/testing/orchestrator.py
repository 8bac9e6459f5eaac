"""An orchestrator and its gateway, as a worker meets them: go-livepeer without the payments.

    async with Orchestrator(secret="s").serving() as orchestrator:
        ...                                       # start a worker that registers there
        await orchestrator.has("green")
        stream = await orchestrator.start("green", params={"strength": 0.5})
        await stream.publish(clip.pieces("a.mp4"))
        await stream.stop()
        stream.output                             # the segments that came back

What it sends, and what it does with the answers, is that of the Go software (contract 2, 3, 6, 7).
"""

import asyncio
import contextlib
import io
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp
from aiohttp import web

from composer import strictjson
from composer.media.clip import Piece
from composer.trickle.http import Http, open_http
from composer.trickle.publisher import Publisher, SegmentWriter, remove
from composer.trickle.server import TrickleServer
from composer.trickle.server_log import SERVER_LOG
from composer.trickle.subscriber import Ended, Opened, Subscriber

KEEPALIVE: Final = b'{"keep":"alive"}'
KEEPALIVE_SECONDS: Final = 10.0
"""How often a gateway speaks on the control channel (byoc/trickle.go)."""

MIME: Final = {
    "": "video/MP2T",
    "-out": "video/MP2T",
    "-control": "application/json",
    "-events": "application/json",
    "-data": "application/jsonl",
}
"""Media types of the channels (contract 1)."""

STOP_SECONDS: Final = 10.0


class Orchestrator:
    """Takes registrations, and starts streams at the workers that registered."""

    def __init__(self, *, secret: str = "secret", kept: int = sys.maxsize) -> None:
        """kept: how many segments, events and lines of a stream are remembered."""
        self.capabilities: dict[str, dict[str, Any]] = {}
        """What is registered: name -> the body of the registration."""
        self.registrations: list[dict[str, Any]] = []
        """Every registration that was taken, in order."""
        self.removed: list[str] = []
        """Names that were unregistered, or dropped after a 401."""
        self.url = self.trickle = ""
        self.channels = TrickleServer(base_path="/ai/trickle/", autocreate=False)
        self.streams: dict[str, Stream] = {}

        self.kept = kept
        self._secret = secret
        self._changed = asyncio.Event()
        self._http: Http | None = None

    @asynccontextmanager
    async def serving(
        self,
        port: int = 0,
        *,
        host: str = "127.0.0.1",
        trickle_port: int = 0,
        name: str = "",
        routes: Iterable[web.RouteDef] = (),
    ) -> "AsyncIterator[Orchestrator]":
        """Listen while the block runs. name: host in the addresses it gives, where `host` is
        none that others reach. routes: what else is answered on the port.
        """
        app = web.Application()
        app.router.add_routes(routes)
        app.router.add_route("*", "/capability/register", self._register)
        app.router.add_post("/capability/unregister", self._unregister)
        runner = web.AppRunner(app, access_log=None, logger=SERVER_LOG, shutdown_timeout=1.0)
        await runner.setup()
        channels = self.channels
        try:
            site = web.TCPSite(runner, host, port)
            await site.start()
            self.url = f"http://{name or host}:{runner.addresses[0][1]}"
            async with open_http() as http, channels.serving(host, trickle_port) as trickle:
                self._http = http
                self.trickle = trickle.replace(f"//{host}:", f"//{name or host}:")
                try:
                    yield self
                finally:
                    for stream in list(self.streams.values()):
                        await stream.close()
        finally:
            await runner.cleanup()

    async def has(self, name: str) -> None:
        """Return when a capability is registered."""
        await self.until(lambda: name in self.capabilities)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Return when something holds; looked at after each registration."""
        while not holds():
            self._changed.clear()
            await self._changed.wait()

    async def start(
        self,
        capability: str,
        *,
        params: Mapping[str, Any] | None = None,
        stream_id: str = "",
        ingress: bool = True,
        egress: bool = True,
        data: bool = False,
        url: str = "",
        **more: Any,
    ) -> "Stream":
        """A stream, and what the worker said to it (Stream.status). more: keys of the body."""
        assert self._http is not None, "start a stream inside `async with serving()`"
        name = stream_id or f"stream-{len(self.streams)}"
        registered = self.capabilities.get(capability, {})
        stream = Stream(
            self, self._http, name, url or registered["url"], registered.get("token", "")
        )
        wanted = {
            "control_url": "-control",
            "events_url": "-events",
            **({"subscribe_url": ""} if ingress else {}),
            **({"publish_url": "-out"} if egress else {}),
            **({"data_url": "-data"} if data else {}),
        }
        await stream.open(wanted, {"params": params, **more})
        if stream.status == 401:
            self._drop(capability)
        self.streams[name] = stream
        return stream

    async def batch(
        self,
        capability: str,
        route: str,
        body: bytes,
        content_type: str = "application/octet-stream",
    ) -> tuple[int, bytes, Mapping[str, str]]:
        """A one-shot job: (status, body, headers) of the worker; neither query nor headers go."""
        assert self._http is not None
        registered = self.capabilities[capability]
        headers = {"Content-Type": content_type, **_bearer(registered.get("token", ""))}
        address = f"{registered['url']}/{route}" if route else registered["url"]
        async with self._http.post(address, data=body, headers=headers) as response:
            if response.status == 401:
                self._drop(capability)
            return response.status, await response.read(), dict(response.headers)

    def forget_all(self) -> None:
        """What a restart of the orchestrator does to its registry."""
        self.capabilities.clear()

    async def _register(self, request: web.Request) -> web.Response:
        if request.method != "POST":
            return web.Response(status=405)
        if request.headers.get("Authorization") != self._secret:
            return web.Response(status=400, text="invalid authorization\n")
        try:
            body = json.loads(await request.read())
            numbers = ("capacity", "price_per_unit", "price_scaling")
            good = (
                all(type(body.get(each, 0)) is int for each in numbers)
                and body["name"]
                and body["url"]
            )
        except (ValueError, KeyError, TypeError):
            good = False
            body = {}
        if not good:
            return web.Response(status=400, text="Error registering capability: bad JSON\n")
        self.capabilities[body["name"]] = body
        self.registrations.append(body)
        del self.registrations[: -self.kept]
        self._changed.set()
        return web.Response(body=b"ok", content_type="application/json")

    async def _unregister(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != self._secret:
            return web.Response(status=400, text="invalid authorization\n")
        self._drop((await request.read()).decode())
        return web.Response(body=b"ok")

    def _drop(self, name: str) -> None:
        if self.capabilities.pop(name, None) is not None:
            self.removed.append(name)
            del self.removed[: -self.kept]
        self._changed.set()


class Stream:
    """One stream through a worker, seen from the gateway."""

    def __init__(
        self, orchestrator: Orchestrator, http: Http, name: str, url: str, token: str
    ) -> None:
        self.name = name
        self.status = 0
        self.answer: Any = None
        """What the worker said to the start, its JSON if it was."""
        self.output: list[bytes] = []
        """Segments that came back; the last one may still grow."""
        self.events: list[dict[str, Any]] = []
        self.lines: list[Any] = []
        """What came in the data channel, line by line."""
        self.suffixes: list[str] = []
        """The channels it has, by their ending; "" for the input."""
        self.closed: set[str] = set()
        """Channels that have ended, by their ending ("-out")."""

        self._orchestrator, self._http, self._url = orchestrator, http, url
        self._headers = {"X-Stream-Id": name, **_bearer(token)}
        self._tasks: list[asyncio.Task[None]] = []
        self._keeping: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._input: Publisher | None = None
        self._control: Publisher | None = None
        self._segment: SegmentWriter | None = None

    def channel(self, suffix: str) -> str:
        """The address of a channel: "" for the input, "-out", "-control", "-events", "-data"."""
        return f"{self._orchestrator.trickle}/{self.name}{suffix}"

    async def open(self, wanted: Mapping[str, str], more: Mapping[str, Any]) -> None:
        """Make the channels, and tell the worker."""
        for suffix in wanted.values():
            self._orchestrator.channels.directory.create(self.name + suffix, MIME[suffix])
        self.suffixes = list(wanted.values())
        body = {
            "gateway_request_id": self.name,
            **{key: self.channel(suffix) for key, suffix in wanted.items()},
            **more,
        }
        try:
            self.status, self.answer = await self._call(
                "start", strictjson.text(body).encode(), json_=True
            )
        except aiohttp.ClientError:
            await self.close()
            raise
        if self.status >= 400:
            await self.close()
            return
        readers = {"-out": self._watch_output, "-events": self._watch_events}
        readers["-data"] = self._watch_data
        for suffix in self.suffixes:
            if suffix in readers:
                self._spawn(self._watch(suffix, readers[suffix]))
        self._control = Publisher(
            self._http, self.channel("-control"), content_type="video/MP2T", lasting=True
        )
        if "" in self.suffixes:
            self._input = Publisher(self._http, self.channel(""), content_type="video/MP2T")
        self._keeping = asyncio.ensure_future(self._keep_alive())

    async def publish(self, pieces: Iterable[Piece], *, speed: float = 1.0) -> None:
        """Send a clip at the pace of its clock, `speed` times as fast; 0 for at once."""
        assert self._input is not None, "the stream has no ingress"
        loop = asyncio.get_running_loop()
        began = loop.time()
        for piece in pieces:
            if speed:
                await asyncio.sleep(max(0.0, began + piece.seconds / speed - loop.time()))
            await self.send(piece.data, begins=piece.begins)
        await self.cut()

    async def send(self, data: bytes, *, begins: bool = False) -> None:
        """Some bytes of the input. begins: in a new segment."""
        assert self._input is not None, "the stream has no ingress"
        if begins or self._segment is None:
            await self.cut()
            self._segment = self._input.begin()
        await self._segment.write(data)

    async def cut(self) -> None:
        """End the segment of the input that is open."""
        if self._segment is not None:
            await self._segment.end()
            await self._segment.done()
            self._segment = None

    async def control(self, message: bytes) -> None:
        """One message on the control channel."""
        assert self._control is not None
        await self._control.send(message)

    async def params(self, body: Any) -> tuple[int, Any]:
        """POST /stream/params, byte for byte what a client sent."""
        data = body if isinstance(body, bytes) else strictjson.text(body).encode()
        return await self._call("params", data, json_=True)

    async def stop(self) -> tuple[int, Any]:
        """A client's stop: no body; then the channels close, and the monitor stops again."""
        first = await self._call("stop", b"")
        await self.close()
        second = await self._call("stop", b"stream ended")
        assert second[0] == 200, f"the second stop was answered {second}"
        return first

    async def close(self) -> None:
        """Close all channels, as when the balance is negative: nobody tells the worker."""
        if self._keeping is not None:
            self._keeping.cancel()
        for suffix in self.suffixes:
            await self.delete(suffix)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=STOP_SECONDS)
        for task in self._tasks:
            task.cancel()
        for publisher in (self._input, self._control):
            if publisher is not None:
                await publisher.close(0.2)

    async def delete(self, suffix: str) -> None:
        """Close one channel."""
        await remove(self._http, self.channel(suffix))

    async def until(self, holds: Callable[[], bool]) -> None:
        """Return when something holds; looked at whenever anything came from the worker."""
        while not holds():
            self._changed.clear()
            await self._changed.wait()

    def kinds(self) -> list[str]:
        """The types of all events so far."""
        return [event_of(each)["type"] for each in self.events]

    # what comes back

    async def _watch(self, suffix: str, read: Callable[[], Awaitable[None]]) -> None:
        await read()
        self.closed.add(suffix)
        self._changed.set()

    async def _watch_output(self) -> None:
        async for item in Subscriber(self._http, self.channel("-out"), start=0):
            if isinstance(item, Opened):
                self.output.append(b"")
                del self.output[: -self._orchestrator.kept]
            elif isinstance(item, Ended):
                if not self.output[-1]:
                    self.output.pop()
            else:
                self.output[-1] += item
            self._changed.set()

    async def _watch_events(self) -> None:
        async for body in Subscriber(self._http, self.channel("-events"), start=0).messages():
            self.events.append(json.loads(body))
            del self.events[: -self._orchestrator.kept]
            self._changed.set()

    async def _watch_data(self) -> None:
        async for body in Subscriber(self._http, self.channel("-data"), start=0).messages():
            assert body.endswith(b"\n"), "a line of data has no end"
            self.lines += [json.loads(line) for line in body.splitlines() if line]
            del self.lines[: -self._orchestrator.kept]
            self._changed.set()

    async def _keep_alive(self) -> None:
        while True:
            await self.control(KEEPALIVE)
            await asyncio.sleep(KEEPALIVE_SECONDS)

    def _spawn(self, work: Any) -> None:
        self._tasks.append(asyncio.ensure_future(work))

    async def _call(self, what: str, body: bytes, *, json_: bool = False) -> tuple[int, Any]:
        headers = dict(self._headers)
        if json_:
            headers["Content-Type"] = "application/json"
        async with self._http.post(
            f"{self._url}/stream/{what}",
            data=io.BytesIO(body),
            headers=headers,
            skip_auto_headers=() if json_ else ("Content-Type",),
        ) as response:
            text = await response.text()
            with contextlib.suppress(ValueError):
                return response.status, json.loads(text)
            return response.status, text


def event_of(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """The event in what a worker sent, wrapped or bare (contract 6.2)."""
    inner = body.get("event")
    return inner if isinstance(inner, dict) else body


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}
