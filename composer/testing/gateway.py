"""A gateway and an orchestrator in one process, to try a worker where there is no chain.

    python -m composer.testing.gateway

Workers register at it as at an orchestrator, and clients start, change and stop streams, and send
one-shot jobs, with the requests that a gateway of go-livepeer takes (contract 3.1, 8.1). It has no
payments, no WHIP and no RTMP: the answer to a start names the channel that takes segments, and the
one that gives them. It answers when the worker has, and says what the worker said.
"""

import argparse
import asyncio
import base64
import binascii
import json
import os
import secrets
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
from aiohttp import web

from composer import strictjson
from composer.testing.orchestrator import Orchestrator, Stream, event_of

Handler = Callable[[web.Request], Awaitable[web.Response]]

REGISTERED_SECONDS: Final = 10.0
"""How long a request waits for a worker that has just started to register."""

KEPT: Final = 32
"""Segments, events and lines that are remembered of a stream, however long it is."""


@dataclass(frozen=True)
class JobHeader:
    """What the header `Livepeer` says."""

    capability: str
    parameters: Mapping[str, Any]


def job_of(header: str) -> JobHeader:
    """Read the header: JSON in base64, whose `request` and `parameters` are JSON in strings
    (byoc/utils.go). Raises ValueError.
    """
    try:
        said = json.loads(base64.b64decode(header, validate=True))
        request, parameters = json.loads(said["request"]), json.loads(said["parameters"])
        job = JobHeader(said["capability"], parameters)
        timeout = said["timeout_seconds"]
    except (binascii.Error, ValueError, KeyError, TypeError) as exc:
        raise ValueError(f"the header Livepeer cannot be read: {exc!r}") from None
    if not isinstance(request, dict) or not isinstance(parameters, dict):
        raise ValueError("request and parameters of the header Livepeer should be objects")
    if not job.capability or not timeout:
        raise ValueError("the header Livepeer needs a capability and a timeout_seconds")
    return job


class Gateway:
    """The requests of clients, handed on to workers by an Orchestrator."""

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._orchestrator = orchestrator

    def routes(self) -> list[web.RouteDef]:
        stream = "/process/stream"
        return [
            web.post(f"{stream}/start", _told(self._start)),
            web.post(f"{stream}/{{id}}/update", _told(self._update)),
            web.get(f"{stream}/{{id}}/status", self._status),
            web.post(f"{stream}/{{id}}/stop", _told(self._stop)),
            web.post("/process/request{route:/?.*}", _told(self._batch)),
        ]

    async def _start(self, request: web.Request) -> web.Response:
        job = await self._job(request)
        wanted = _wanted(await request.read())
        params = json.loads(wanted.get("params") or "null")
        given = wanted.get("stream_id") or secrets.token_hex(4)
        name = "-".join(each for each in (wanted.get("stream_name"), given) if each)
        if name in self._orchestrator.streams:
            return web.Response(status=400, text=f"stream already exists: {name}\n")
        stream = await self._orchestrator.start(
            job.capability,
            params=params,
            stream_id=name,
            ingress=bool(job.parameters.get("enable_video_ingress")),
            egress=bool(job.parameters.get("enable_video_egress")),
            data=bool(job.parameters.get("enable_data_output")),
        )
        if stream.status >= 400:
            self._orchestrator.streams.pop(name, None)
            return _passed(stream.status, stream.answer)
        return web.json_response(self._addresses(stream), dumps=strictjson.text)

    def _addresses(self, stream: Stream) -> dict[str, str]:
        here = f"{self._orchestrator.url}/process/stream/{stream.name}"
        channels = {"input_url": "", "output_url": "-out", "data_url": "-data"}
        return {
            "stream_id": stream.name,
            **{f"{what}_url": f"{here}/{what}" for what in ("update", "status", "stop")},
            **{
                key: stream.channel(suffix)
                for key, suffix in channels.items()
                if suffix in stream.suffixes
            },
        }

    async def _update(self, request: web.Request) -> web.Response:
        await self._job(request)
        return _passed(*await self._stream(request).params(await request.read()))

    async def _status(self, request: web.Request) -> web.Response:
        events = [event_of(each) for each in self._stream(request).events]
        found = next((each for each in reversed(events) if each["type"] == "status"), None)
        if found is None:
            return web.Response(status=404, text="no status yet\n")
        return web.json_response(found, dumps=strictjson.text)

    async def _stop(self, request: web.Request) -> web.Response:
        stream = self._stream(request)
        try:
            return _passed(*await stream.stop())
        except aiohttp.ClientError:
            await stream.close()
            raise
        finally:
            self._orchestrator.streams.pop(stream.name, None)

    async def _batch(self, request: web.Request) -> web.Response:
        job = await self._job(request)
        status, body, headers = await self._orchestrator.batch(
            job.capability,
            request.match_info["route"].removeprefix("/"),
            await request.read(),
            request.headers.get("Content-Type", ""),
        )
        kept = {key: headers[key] for key in ("Content-Type", "X-Metadata") if key in headers}
        return web.Response(status=status, body=body, headers=kept)

    async def _job(self, request: web.Request) -> JobHeader:
        """The header, once a worker for it has registered."""
        try:
            job = job_of(request.headers.get("Livepeer", ""))
        except ValueError as exc:
            raise web.HTTPBadRequest(text=f"{exc}\n") from None
        try:
            async with asyncio.timeout(REGISTERED_SECONDS):
                await self._orchestrator.has(job.capability)
        except TimeoutError:
            known = ", ".join(self._orchestrator.capabilities) or "nobody has"
            said = f"no worker has registered {job.capability!r}; known: {known}\n"
            raise web.HTTPServiceUnavailable(text=said) from None
        return job

    def _stream(self, request: web.Request) -> Stream:
        try:
            return self._orchestrator.streams[request.match_info["id"]]
        except KeyError:
            raise web.HTTPNotFound(text="Stream not found\n") from None


def _told(handler: Handler) -> Handler:
    """The handler, with an answer for a worker that cannot be reached."""

    async def handle(request: web.Request) -> web.Response:
        try:
            return await handler(request)
        except aiohttp.ClientError as exc:
            return web.Response(status=502, text=f"the worker does not answer: {exc}\n")

    return handle


def _wanted(body: bytes) -> dict[str, Any]:
    """The body of a start: all of it may be left away."""
    try:
        wanted = json.loads(body or b"{}")
        params = wanted.get("params", "")
        if isinstance(params, str) and isinstance(json.loads(params or "{}"), dict):
            return dict(wanted)
    except (ValueError, AttributeError):
        pass
    said = "the body should be JSON, with `params` as JSON in a string\n"
    raise web.HTTPBadRequest(text=said)


def _passed(status: int, answer: Any) -> web.Response:
    if isinstance(answer, str):
        return web.Response(status=status, text=answer)
    return web.json_response(answer, status=status, dumps=strictjson.text)


async def serve(chosen: argparse.Namespace) -> None:
    """Listen until SIGINT or SIGTERM."""
    ending = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ending.set)
    orchestrator = Orchestrator(secret=chosen.secret, kept=KEPT)
    async with orchestrator.serving(
        chosen.port,
        host=chosen.host,
        trickle_port=chosen.trickle_port,
        name=chosen.name,
        routes=Gateway(orchestrator).routes(),
    ):
        sys.stdout.write(f"gateway and orchestrator at {orchestrator.url}\n")
        sys.stdout.flush()
        await ending.wait()


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m composer.testing.gateway",
        description="A gateway and an orchestrator in one process, to try a worker.",
    )
    secret = os.environ.get("ORCH_SECRET") or "secret"
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=9935, help="for clients and workers")
    parser.add_argument("--trickle-port", type=int, default=3389, help="for channels")
    parser.add_argument("--name", default="", help="host in the addresses it gives")
    parser.add_argument("--secret", default=secret, help="workers show it; else ORCH_SECRET")
    asyncio.run(serve(parser.parse_args(given)))


if __name__ == "__main__":
    main()
