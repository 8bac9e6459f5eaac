"""ServerConnection: bytes from and to a server, for the loop, or for a thread that waits itself."""

import asyncio
import contextlib
import ipaddress
import socket
import ssl
import threading
from typing import Final

import aiohappyeyeballs
from aiohttp.abc import AbstractResolver
from yarl import URL

CONNECT_SECONDS: Final = 10.0
"""For all of a connection: its name, the address that answers, TLS."""

READ_BYTES: Final = 64 * 1024
"""Most that one read takes, and that is worked through before anybody else is looked at."""

EYEBALL_SECONDS: Final = 0.25
"""Before the next address of a name is tried beside the first (RFC 8305, 5)."""


class ServerConnection:
    """A connection that is open. read_now() and write_now() wait for nothing and may be called in
    any thread, each by one at a time; the coroutines are the loop's.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._tls: ssl.SSLObject | None = None
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._lock = threading.Lock()  # of TLS, whose two directions are one state

    @classmethod
    async def open(
        cls, url: URL, resolver: AbstractResolver, trust: ssl.SSLContext | None
    ) -> "ServerConnection":
        """Raises OSError where that cannot be done in time. trust: for https, else None."""
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                connection = cls(await _connected(url, resolver))
                try:
                    if trust is not None:
                        await connection._secure(trust, url.host or "")
                except BaseException:
                    connection.close()
                    raise
                return connection
        except TimeoutError as exc:
            raise ConnectionError("a connection took too long") from exc

    @property
    def fileno(self) -> int:
        """Of its socket; -1 when it is closed."""
        return self._socket.fileno()

    @property
    def quiet(self) -> bool:
        """Whether it is open and nothing has come that was not asked for."""
        try:
            return self.read_now() is None
        except OSError:
            return False

    async def write(self, data: bytes) -> None:
        """Raises OSError."""
        if rest := self.write_now(data):
            await self.drain(rest)

    async def drain(self, rest: bytes) -> None:
        """Send what write_now() left. Raises OSError."""
        await asyncio.get_running_loop().sock_sendall(self._socket, rest)

    def write_now(self, data: bytes) -> bytes:
        """What the network did not take: it has to go out before all else. Raises OSError."""
        if self._tls is not None:
            with self._lock:
                self._tls.write(data)
                data = self._outgoing.read()
        try:
            return data[self._socket.send(data) :]
        except (BlockingIOError, InterruptedError):
            return data

    async def read(self) -> bytes:
        """What has come, as soon as something has; b"" at its end. Raises OSError."""
        while (data := self.read_now()) is None:
            await _readable(self._socket)
        return data

    def read_now(self) -> bytes | None:
        """What has come, b"" at its end, None where nothing has. Raises OSError."""
        try:
            data = self._socket.recv(READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return None
        if self._tls is None:
            return data
        with self._lock:
            return self._deciphered(self._tls, data)

    def close(self) -> None:
        """At once."""
        self._socket.close()

    def _deciphered(self, tls: ssl.SSLObject, data: bytes) -> bytes | None:
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()
        pieces = []
        with contextlib.suppress(ssl.SSLWantReadError):
            while piece := _read(tls):
                pieces.append(piece)
            return b"".join(pieces)
        # What TLS has to say to that, of new keys, say, goes out with what is written next.
        return b"".join(pieces) or None

    async def _secure(self, trust: ssl.SSLContext, host: str) -> None:
        loop = asyncio.get_running_loop()
        self._tls = trust.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                await loop.sock_sendall(self._socket, self._outgoing.read())
            if not (data := await loop.sock_recv(self._socket, READ_BYTES)):
                raise ConnectionError("a connection was closed while TLS began")
            self._incoming.write(data)
        await loop.sock_sendall(self._socket, self._outgoing.read())


def _read(tls: ssl.SSLObject) -> bytes:
    """b"" where the other side has ended it, as TLS or just so."""
    try:
        return tls.read(READ_BYTES)
    except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
        return b""


async def _connected(url: URL, resolver: AbstractResolver) -> socket.socket:
    host, port = url.raw_host or "", url.port or 80
    hosts = [host]
    if not _is_address(host):
        hosts = [one["host"] for one in await resolver.resolve(host, port, socket.AF_UNSPEC)]
    sock = await aiohappyeyeballs.start_connection(
        [_reached(host, port) for host in hosts],
        happy_eyeballs_delay=EYEBALL_SECONDS,
        interleave=1,
    )
    # Else a picture waits until the one before it is known to have come.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _reached(host: str, port: int) -> tuple[int, int, int, str, tuple[str, int]]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port)


async def _readable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    comes: asyncio.Future[None] = loop.create_future()
    loop.add_reader(sock, _done, comes)
    try:
        await comes
    finally:
        loop.remove_reader(sock)


def _done(comes: "asyncio.Future[None]") -> None:
    if not comes.done():
        comes.set_result(None)
