"""A development server of a pipeline in a folder of its own: what these tests share."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import aiohttp

from composer.compiler.compile import compile_file
from composer.dev.command import Development, Wishes
from composer.dev.studio import Studio
from composer.node.registry import Registry
from tests.server import streams

WAIT: Final = 40.0
"""Seconds after which a wait is a deadlock."""

READS: Final = """
version: 1
capability: reads
params:
  brightness: look.brightness
  gamma: {to: look.gamma, min: 0.5, max: 2}
nodes:
  source: {type: decode}
  small:  {type: resize, width: 160, height: 96}
  look:   {type: color}
  out:    {type: encode, preset: ultrafast, keyframe_s: 0.5, device: cpu}
"""
"""Fed with moving bars where nothing else is named."""

MAKES: Final = """
version: 1
params: {radius: {to: soft.radius, max: 20}}
nodes:
  source: {type: test_source, width: 160, height: 96, fps: 25, duration: SECONDS}
  soft:   {type: blur, radius: 2}
  out:    {type: encode, preset: ultrafast, keyframe_s: 0.5, device: cpu}
"""
"""Makes its own pictures."""


def makes(seconds: float = 0) -> str:
    return MAKES.replace("SECONDS", str(seconds))


@dataclass
class Desk:
    """What runs, and a client that shows the token unless it is told not to."""

    development: Development
    studio: Studio
    http: aiohttp.ClientSession
    file: Path
    said: list[str]
    token: str = field(default="")

    def __post_init__(self) -> None:
        self.token = parse_qs(urlsplit(self.studio.link).query)["token"][0]

    @property
    def shown(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    async def get(self, path: str) -> Any:
        async with self.http.get(self.studio.address + path, headers=self.shown) as response:
            assert response.status == 200, await response.text()
            return await response.json()

    async def post(self, path: str, body: Any) -> tuple[int, Any]:
        async with self.http.post(
            self.studio.address + path, json=body, headers=self.shown
        ) as response:
            return response.status, await response.json()

    async def until(self, holds: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        """The first state of the events for which something holds."""
        async for state in self.events():
            if holds(state):
                return state
        raise AssertionError("the events ended")

    async def events(self) -> AsyncIterator[dict[str, Any]]:
        address = f"{self.studio.address}/dev/events"
        async with self.http.get(address, headers=self.shown) as response:
            assert response.content_type == "text/event-stream"
            while line := await response.content.readline():
                if line.startswith(b"data: "):
                    yield json.loads(line.removeprefix(b"data: "))
                else:
                    assert line == b"\n"

    async def bytes_of(self, path: str, size: int) -> bytes:
        """The first bytes of an endless answer."""
        async with self.http.get(self.studio.address + path, headers=self.shown) as response:
            assert response.status == 200, await response.text()
            return await response.content.readexactly(size)


@asynccontextmanager
async def developing(text: str, folder: Path, **wishes: Any) -> AsyncIterator[Desk]:
    """`byoc dev` in this process, of a file with this text."""
    file = folder / "pipeline.yaml"
    file.write_text(text, encoding="utf-8")
    registry, said = Registry.installed(), list[str]()
    compiled = compile_file(file, registry)
    development = Development(file, compiled, registry, Wishes(**wishes), said.append)
    listening: asyncio.Future[Studio] = asyncio.get_running_loop().create_future()
    running = asyncio.ensure_future(development.run(listening.set_result))
    both: set[asyncio.Future[Any]] = {running, listening}
    await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        await running
    try:
        # a line of the events is long
        async with aiohttp.ClientSession(read_bufsize=1 << 22) as http:
            yield Desk(development, listening.result(), http, file, said)
    finally:
        development.end()
        await running


def ran(test: Callable[[], Awaitable[None]]) -> None:
    """Run a coroutine; a deadlock fails instead."""
    streams.ran(test, WAIT)
