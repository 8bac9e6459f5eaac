"""Client: requests whose bodies are read, and written, on the loop or in any thread.

The bytes of a stream wake no loop then, and what a peer sends in a million pieces costs the thread
that wants it.
"""

import asyncio
import ssl
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from aiohttp import http
from aiohttp.abc import AbstractResolver
from multidict import CIMultiDict
from yarl import URL

from composer.bucket import Bucket
from composer.trickle.connection import ServerConnection
from composer.trickle.framing import Malformed, framing_of

LONGEST_HEAD: Final = 32 * 1024

MOST_INTERIM: Final = 8
INTERIM_RATE: Final = 1.0
"""Answers of the kind 1xx that may come at once, and in a second: while a body is awaited servers
send one every ten (contract 4.4).
"""

LAST_WORDS_SECONDS: Final = 1.0
"""For what a server has said before it closed a connection in the middle of a request."""

MOST_IDLE: Final = 32
"""Connections that are kept open for a next request."""


class Response:
    """One answer: its status and headers, and a body that is still to be read.

    early: what came behind its head. let_go: called once with its connection, and whether that may
    serve another request. ends: it may not, whatever comes. Raises Malformed.
    """

    def __init__(
        self,
        status: int,
        headers: CIMultiDict[str],
        connection: ServerConnection,
        early: bytes,
        let_go: Callable[[ServerConnection, bool], None],
        *,
        ends: bool = False,
    ) -> None:
        self.status: Final = status
        self.headers: Final = headers
        self.fileno: Final = connection.fileno
        """Of the socket that poll() may wait for."""

        self._connection, self._let_go = connection, let_go
        self._ends = ends or headers.get("Connection", "").lower() == "close"
        self._framing = framing_of(status, headers)
        self._lock = threading.Lock()
        self._early = self._framing.feed(early) if early else b""
        self._broken = self._closed = False

    @property
    def over(self) -> bool:
        """Whether nothing more comes, however it ended."""
        return not self._early and (self._framing.over or self._broken or self._closed)

    @property
    def whole(self) -> bool:
        """Whether its last byte came, as far as one can see."""
        return self._framing.over and self._framing.told

    async def read(self) -> bytes:
        """What has come, as soon as something has; b"" at its end. Raises OSError."""
        while not self.over:
            if content := self._taken_early() or self._content(await self._connection.read()):
                return content
        return b""

    def pour(self, take: Callable[[bytes], None]) -> bool:
        """Give what one read brings, in any thread; whether it brought anything. It waits for
        nothing but another thread that does the same. Raises OSError where the body breaks off.
        """
        with self._lock:
            if self.over:
                return False
            content = self._taken_early()
            if not content:
                data = self._read_now()
                if data is None:
                    return False
                content = self._content(data)
            if content:
                take(content)
            return True

    def close(self) -> None:
        """Let go of it, read or not."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._early = b""
            reusable = self.whole and not self._framing.rest and not self._ends
            self._let_go(self._connection, reusable)

    def _taken_early(self) -> bytes:
        early, self._early = self._early, b""
        return early

    def _read_now(self) -> bytes | None:
        try:
            return self._connection.read_now()
        except OSError:
            self._broken = True
            raise

    def _content(self, data: bytes) -> bytes:
        try:
            if data:
                return self._framing.feed(data)
            self._broken = True
            if self._framing.told:
                raise ConnectionError("a connection ended within an answer")
            return b""
        except Malformed:
            self._broken = True
            raise


class Client:
    """Requests to servers of channels. resolver: names to addresses. trust: what https needs, asked
    for once. Redirects are not followed.
    """

    def __init__(self, resolver: AbstractResolver, trust: Callable[[], ssl.SSLContext]) -> None:
        self._resolver, self._make_trust = resolver, trust
        self._trust: ssl.SSLContext | None = None
        self._idle: deque[tuple[URL, ServerConnection]] = deque()
        self._closed = False

    async def get(self, address: str) -> Response:
        """The answer, as soon as its head is there. Raises OSError."""
        url = _url_of(address)
        if (kept := self._kept(url.origin())) is not None:
            try:
                return await self._asked(kept, url)
            except OSError:  # its server may have closed it meanwhile
                pass
        return await self._asked(await self._connected(url), url)

    async def post(
        self,
        address: str,
        headers: Mapping[str, str],
        feed: Callable[[ServerConnection], Awaitable[None]],
    ) -> Response:
        """The answer to a request whose body is in chunks; it may come before the body ends, which
        is given up then. feed: writes that body, to its end. Raises OSError.
        """
        url = _url_of(address)
        connection = self._kept(url.origin()) or await self._connected(url)
        try:
            await connection.write(_request("POST", url, headers))
            (status, answer, early), fed = await _exchanged(connection, feed)
            keep = self._keeper(url.origin())
            return Response(status, answer, connection, early, keep, ends=not fed)
        except BaseException:
            connection.close()
            raise

    def close(self) -> None:
        """Close the connections that nobody uses, and those that come back."""
        self._closed = True
        while self._idle:
            self._idle.pop()[1].close()

    async def _asked(self, connection: ServerConnection, url: URL) -> Response:
        try:
            await connection.write(_request("GET", url, {}))
            status, headers, early = await _head(connection)
            return Response(status, headers, connection, early, self._keeper(url.origin()))
        except BaseException:
            connection.close()
            raise

    def _keeper(self, origin: URL) -> Callable[[ServerConnection, bool], None]:
        def keep(connection: ServerConnection, reusable: bool) -> None:  # noqa: FBT001
            if not reusable or self._closed:
                connection.close()
                return
            self._idle.append((origin, connection))
            if len(self._idle) > MOST_IDLE:
                self._idle.popleft()[1].close()

        return keep

    def _kept(self, origin: URL) -> ServerConnection | None:
        """One that is open as far as one can see: nothing comes from it."""
        for place in range(len(self._idle) - 1, -1, -1):
            if self._idle[place][0] == origin:
                connection = self._idle[place][1]
                del self._idle[place]
                if connection.quiet:
                    return connection
                connection.close()
        return None

    async def _connected(self, url: URL) -> ServerConnection:
        if self._closed:
            raise RuntimeError("the client is closed")
        trust = self._trusted() if url.scheme == "https" else None
        try:
            return await ServerConnection.open(url, self._resolver, trust)
        except OSError:
            raise
        except ValueError as exc:  # a name that no server can have
            raise ConnectionError("this is no address of a channel") from exc

    def _trusted(self) -> ssl.SSLContext:
        if self._trust is None:
            self._trust = self._make_trust()
        return self._trust


def _url_of(address: str) -> URL:
    try:
        return URL(address)
    except ValueError as exc:
        raise ConnectionError("this is no address of a channel") from exc


async def _exchanged(
    connection: ServerConnection, feed: Callable[[ServerConnection], Awaitable[None]]
) -> tuple[tuple[int, CIMultiDict[str], bytes], bool]:
    """The head of an answer, and whether the body went out to its end. Raises OSError."""
    feeding = asyncio.ensure_future(feed(connection))
    answering = asyncio.ensure_future(_head(connection))
    try:
        await asyncio.wait({feeding, answering}, return_when=asyncio.FIRST_COMPLETED)
        if not answering.done() and (failure := feeding.exception()):
            await asyncio.wait({answering}, timeout=LAST_WORDS_SECONDS)
            if not answering.done():
                raise failure
        return await answering, feeding.done() and not feeding.exception()
    finally:
        for task in (feeding, answering):
            task.cancel()
        await asyncio.wait({feeding, answering})


def _request(method: str, url: URL, headers: Mapping[str, str]) -> bytes:
    lines = [
        f"{method} {url.raw_path_qs} HTTP/1.1",
        f"Host: {url.host_port_subcomponent}",
        *(f"{name}: {value}" for name, value in headers.items()),
        "Accept: */*",
        f"User-Agent: {http.SERVER_SOFTWARE}",
    ]
    if method == "POST":
        lines.append("Transfer-Encoding: chunked")
    return "\r\n".join([*lines, "", ""]).encode("ascii")


async def _head(connection: ServerConnection) -> tuple[int, CIMultiDict[str], bytes]:
    """Status and headers of the answer, and what came behind them. Raises OSError."""
    data, interim = b"", Bucket(INTERIM_RATE, MOST_INTERIM)
    while True:
        while (end := data.find(b"\r\n\r\n")) < 0:
            if len(data) > LONGEST_HEAD:
                raise Malformed("the head of an answer is too long")
            if not (more := await connection.read()):
                raise ConnectionError("a connection ended before an answer")
            data += more
        status, headers = _parsed(data[:end])
        data = data[end + 4 :]
        if status >= 200:
            return status, headers, data
        if status == 101:
            raise Malformed("an answer changes to a protocol that nobody asked for")
        if interim.take(1.0, asyncio.get_running_loop().time()):
            raise Malformed("an answer never gets further than its interim ones")


def _parsed(head: bytes) -> tuple[int, CIMultiDict[str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    version, _, said = first.partition(" ")
    code = said[:3]
    if not version.startswith("HTTP/1.") or not (code.isascii() and code.isdigit()):
        raise Malformed("an answer is none of HTTP/1.1")
    headers: CIMultiDict[str] = CIMultiDict()
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise Malformed("an answer has a header without a name")
        headers.add(name, value.strip(" \t"))
    if len(set(headers.getall("Content-Length", ()))) > 1:
        raise Malformed("an answer says two lengths")
    return int(code), headers
