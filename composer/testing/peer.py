"""A server of channels that lies: what it says to a request is what a script says, byte by byte.

    async with Peer(get=scripts.empty_segments).serving() as address:
        ...                               # a stream whose subscribe_url is f"{address}/in"

`composer.testing.scripts` has the scripts; one of your own is a coroutine that takes an Exchange.
As a process of its own, so that what it costs is not the worker's (it prints its address):

    python -m composer.testing.peer --get tiny_chunks
"""

import argparse
import asyncio
import contextlib
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from composer.testing import scripts
from composer.testing.exchange import Exchange, Script, absent, taken

LONGEST_HEAD: Final = 64 * 1024
PATIENCE_SECONDS: Final = 600.0
"""How long the end of a request is waited for."""


class Peer:
    """Answers every GET and every POST by a script; other methods are answered well."""

    def __init__(self, get: Script = absent, post: Script = taken) -> None:
        self.asked: Final[Counter[str]] = Counter()
        """How many requests came, by method."""

        self._scripts: Final = {"GET": get, "POST": post}
        self._came = asyncio.Event()
        self._connections: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def serving(self, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
        """Listen while the block runs; the address, whose every path is a channel."""
        server = await asyncio.start_server(self._connected, host, port, limit=LONGEST_HEAD)
        try:
            yield f"http://{host}:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()
            for connection in self._connections:
                connection.cancel()
            if self._connections:
                await asyncio.wait(self._connections)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Return when something holds; looked at whenever a request came."""
        while not holds():
            self._came.clear()
            await self._came.wait()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.ensure_future(self._talk(reader, writer))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        gone = (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError)
        try:
            with contextlib.suppress(*gone):  # the other side left, or speaks no HTTP
                while (exchange := await self._next(reader, writer)) is not None:
                    async with asyncio.timeout(PATIENCE_SECONDS):
                        await self._scripts.get(exchange.method, taken)(exchange)
                    if exchange.over:
                        break
        finally:
            writer.close()

    async def _next(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> Exchange | None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except asyncio.IncompleteReadError:
            return None
        first, *lines = head.split("\r\n")
        method, path, _ = first.split(" ", 2)
        named = (line.partition(":") for line in lines if line)
        headers = {name.strip().lower(): value.strip() for name, _, value in named}
        number = self.asked[method]
        self.asked[method] += 1
        self._came.set()
        seq = _seq(path, number)
        return Exchange(method, path, headers, number, seq, reader, writer)


def _seq(path: str, number: int) -> int:
    last = path.partition("?")[0].rpartition("/")[2]
    with contextlib.suppress(ValueError):
        return int(last) if int(last) >= 0 else number
    return number


def script_of(name: str, data: bytes) -> Script:
    """A script by its name; data: for those that send what they are given. Raises ValueError."""
    found: Script | None = scripts.SCRIPTS.get(name)
    if found is not None:
        return found
    maker = scripts.OF_DATA.get(name)
    if maker is None:
        known = ", ".join(sorted([*scripts.SCRIPTS, *scripts.OF_DATA]))
        raise ValueError(f"there is no script '{name}'; there are {known}")
    return maker(data)


async def _serve(get: Script, post: Script, port: int) -> None:
    async with Peer(get, post).serving(port=port) as address:
        print(address, flush=True)  # noqa: T201 - whoever started it reads this line
        await asyncio.Event().wait()


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m composer.testing.peer")
    parser.add_argument("--get", default="absent", help="script for those who read")
    parser.add_argument("--post", default="taken", help="script for those who write")
    parser.add_argument("--data", type=Path, help="file for the scripts that send one")
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    data = options.data.read_bytes() if options.data else b""
    try:
        get, post = script_of(options.get, data), script_of(options.post, data)
    except ValueError as exc:
        sys.exit(str(exc))
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(get, post, options.port))


if __name__ == "__main__":
    main()
