"""Response: a GET whose body is read where it is wanted, on the loop or in a thread.

The bytes of a stream wake no loop then, and what a peer sends in a million pieces costs the thread
that wants it.
"""

import ssl
import threading
from collections import deque
from collections.abc import Callable
from typing import Final

from aiohttp import http
from aiohttp.abc import AbstractResolver
from multidict import CIMultiDict
from yarl import URL

from composer.trickle.connection import ServerConnection
from composer.trickle.framing import Malformed, framing_of

LONGEST_HEAD: Final = 32 * 1024

MOST_INTERIM: Final = 8
"""Answers of the kind 1xx before the one that counts."""

MOST_IDLE: Final = 32
"""Connections that are kept open for a next request."""


class Response:
    """One answer: its status and headers, and a body that is still to be read.

    early: what came behind its head. let_go: called once with its connection, and whether that may
    serve another request. Raises Malformed.
    """

    def __init__(
        self,
        status: int,
        headers: CIMultiDict[str],
        connection: ServerConnection,
        early: bytes,
        let_go: Callable[[ServerConnection, bool], None],
    ) -> None:
        self.status: Final = status
        self.headers: Final = headers
        self.fileno: Final = connection.fileno
        """Of the socket that poll() may wait for."""

        self._connection, self._let_go = connection, let_go
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
            ends = self.headers.get("Connection", "").lower() == "close"
            self._let_go(self._connection, self.whole and not self._framing.rest and not ends)

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
    """GET requests to servers of channels. resolver: names to addresses. trust: what https needs,
    asked for once.
    """

    def __init__(self, resolver: AbstractResolver, trust: Callable[[], ssl.SSLContext]) -> None:
        self._resolver, self._make_trust = resolver, trust
        self._trust: ssl.SSLContext | None = None
        self._idle: deque[tuple[URL, ServerConnection]] = deque()
        self._closed = False

    async def get(self, address: str) -> Response:
        """The answer, as soon as its head is there. Redirects are not followed. Raises OSError."""
        try:
            return await self._get(URL(address))
        except OSError:
            raise
        except ValueError as exc:  # of the address, or of a name in it that no server can have
            raise ConnectionError("this is no address of a channel") from exc

    async def _get(self, url: URL) -> Response:
        if (kept := self._kept(url.origin())) is not None:
            try:
                return await self._asked(kept, url)
            except OSError:  # its server may have closed it meanwhile
                pass
        trust = self._trusted() if url.scheme == "https" else None
        return await self._asked(await ServerConnection.open(url, self._resolver, trust), url)

    def close(self) -> None:
        """Close the connections that nobody uses, and those that come back."""
        self._closed = True
        while self._idle:
            self._idle.pop()[1].close()

    async def _asked(self, connection: ServerConnection, url: URL) -> Response:
        try:
            await connection.write(_request(url))
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

    def _trusted(self) -> ssl.SSLContext:
        if self._trust is None:
            self._trust = self._make_trust()
        return self._trust


def _request(url: URL) -> bytes:
    lines = (
        f"GET {url.raw_path_qs} HTTP/1.1",
        f"Host: {url.host_port_subcomponent}",
        "Accept: */*",
        f"User-Agent: {http.SERVER_SOFTWARE}",
        "",
        "",
    )
    return "\r\n".join(lines).encode("ascii")


async def _head(connection: ServerConnection) -> tuple[int, CIMultiDict[str], bytes]:
    """Status and headers of the answer, and what came behind them. Raises OSError."""
    data = b""
    for _ in range(MOST_INTERIM + 1):
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
