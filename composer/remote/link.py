"""HTTP to one server through kept-alive connections, each call within a deadline of its own.

http.client does the protocol. What it lacks is a limit on a whole call: a timeout of a socket is
one for each read, so a server that sends a byte now and then holds its caller for ever.
"""

import contextlib
import io
import ipaddress
import select
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPMessage, HTTPResponse, IncompleteRead
from typing import Any, Final

BODY_BYTES: Final = 256 << 20
"""Longest body of a good answer."""

ERROR_BYTES: Final = 64 << 10
"""What is read of any other answer: MLServer may repeat the whole request in it."""

PIECE_BYTES: Final = 1 << 20
"""What is read at once: nothing is allocated because a header promised it."""

HUNG_UP: Final = (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError)
"""The other side ended the connection."""


class BodyTooLong(Exception):
    """A body of more bytes than are read."""


class Deadline:
    """The moment at which a call has to be over."""

    def __init__(self, seconds: float, now: Callable[[], float]) -> None:
        self._now: Final = now
        self._end: Final = now() + seconds

    def left(self) -> float:
        """Seconds that remain, more than 0. Raises TimeoutError when there are none."""
        left = self._end - self._now()
        if left <= 0:
            raise TimeoutError("the time of the call is over")
        return left


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a server listens."""

    host: str
    port: int
    tls: bool = False

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Request:
    """One request."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. The body is cut at ERROR_BYTES unless the status is 200."""

    status: int
    reason: str
    headers: HTTPMessage
    body: bytearray


class Server:
    """One server. Any thread may ask; each call has a connection to itself while it runs."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint: Final = endpoint
        self._tls: Final = _trusting() if endpoint.tls else None
        self._names: Final = _Names(endpoint.host, endpoint.port)
        self._lock: Final = threading.Lock()
        self._idle: list[_Connection] = []
        self._closed = False

    def ask(self, request: Request, deadline: Deadline) -> Reply:
        """Send a request and read its whole answer.

        Raises TimeoutError at the deadline, another OSError where there is no connection or it
        breaks off (IncompleteRead where that is inside a body), BodyTooLong for a body beyond
        BODY_BYTES, UnicodeError for a host that is no name, HTTPException for what is no HTTP.
        """
        while (connection := self._kept()) is not None:
            try:
                return self._over(connection, request, deadline)
            except _Stale:
                continue  # the server had closed it meanwhile, which is its right
        return self._over(_Connection(self._connected(deadline), self.endpoint), request, deadline)

    def close(self) -> None:
        """Close what is idle; a call that runs closes its own connection when it is over."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _over(self, connection: "_Connection", request: Request, deadline: Deadline) -> Reply:
        try:
            reply, again = connection.ask(request, deadline)
        except BaseException:
            connection.close()
            raise
        with self._lock:
            if again and not self._closed:
                self._idle.append(connection)
                return reply
        connection.close()
        return reply

    def _kept(self) -> "_Connection | None":
        """A connection that is still open, as far as one can tell without using it."""
        while True:
            with self._lock:
                if not self._idle:
                    return None
                connection = self._idle.pop()
            if connection.is_quiet():
                return connection
            connection.close()

    def _connected(self, deadline: Deadline) -> socket.socket:
        found = self._names.find(deadline)
        for left, (family, address) in zip(range(len(found), 0, -1), found, strict=True):
            sock = socket.socket(family, socket.SOCK_STREAM)
            try:
                # one address that swallows everything may not cost the time of the others
                sock.settimeout(deadline.left() / left)
                sock.connect(address)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return self._secured(sock, deadline)
            except BaseException as exc:
                sock.close()
                if left == 1 or not isinstance(exc, OSError):
                    raise
        raise AssertionError("a name without addresses is an error of its own")

    def _secured(self, sock: socket.socket, deadline: Deadline) -> socket.socket:
        if self._tls is None:
            return sock
        sock.settimeout(deadline.left())  # of the handshake as a whole
        return self._tls.wrap_socket(sock, server_hostname=self.endpoint.host)


class _Stale(Exception):
    """A kept connection ended before an answer began."""


class _Connection:
    """One connection, used by one call at a time."""

    def __init__(self, sock: socket.socket, endpoint: Endpoint) -> None:
        self._wire: Final = _TimedSocket(sock)
        self._http: Final = HTTPConnection(endpoint.host, endpoint.port)
        self._http.default_port = 443 if endpoint.tls else 80  # for the header Host
        self._http.auto_open = 0
        self._http.sock = self._wire
        self._used = False

    def ask(self, request: Request, deadline: Deadline) -> tuple[Reply, bool]:
        """The answer, and whether the connection may be used again."""
        self._wire.deadline = deadline
        used, self._used = self._used, True
        try:
            response = self._begun(request)
        except HUNG_UP as exc:
            if used:
                raise _Stale from exc
            raise
        with response:
            body, whole = _body(response)
            reply = Reply(response.status, response.reason, response.headers, body)
            return reply, whole and not response.will_close

    def is_quiet(self) -> bool:
        """Whether nothing has come since the last answer, the end of the connection included."""
        poll = select.poll()
        poll.register(self._wire.fileno(), select.POLLIN)
        return not poll.poll(0)

    def close(self) -> None:
        self._http.close()
        self._wire.hang_up()

    def _begun(self, request: Request) -> HTTPResponse:
        # A server that does not like a body may answer and hang up before it has all of it. If it
        # hung up without a word, getresponse() says so.
        with contextlib.suppress(*HUNG_UP):
            self._http.request(request.method, request.path, request.body, dict(request.headers))
        return self._http.getresponse()


def _body(response: HTTPResponse) -> tuple[bytearray, bool]:
    """What is read of a body, and whether that is all of it.

    Raises IncompleteRead if it breaks off, BodyTooLong if a good answer has more than BODY_BYTES.
    """
    good = response.status == 200
    limit = BODY_BYTES if good else ERROR_BYTES
    if good and response.length is not None and response.length > limit:
        raise BodyTooLong
    body = bytearray()
    while piece := response.read(min(PIECE_BYTES, limit + 1 - len(body))):
        body += piece
        if len(body) > limit and good:
            raise BodyTooLong
        if len(body) > limit:
            return body[:limit], False
    if response.length:  # http.client takes an end that comes too early for the end
        raise IncompleteRead(b"", response.length)
    return body, True


class _TimedSocket:
    """What http.client needs of a socket. All reads and writes of a call share its deadline."""

    deadline: Deadline

    def __init__(self, sock: socket.socket) -> None:
        self._sock: Final = sock

    def sendall(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            self._sock.settimeout(self.deadline.left())
            rest = rest[self._sock.send(rest) :]

    def receive(self, buffer: Any) -> int:
        self._sock.settimeout(self.deadline.left())
        return self._sock.recv_into(buffer)

    def makefile(self, mode: str) -> io.BufferedReader:
        """For one response, which closes it; the socket stays open."""
        return io.BufferedReader(_Incoming(self))

    def fileno(self) -> int:
        return self._sock.fileno()

    def close(self) -> None:
        """Nothing: http.client calls this when it has the headers of a last response."""

    def hang_up(self) -> None:
        self._sock.close()


class _Incoming(io.RawIOBase):
    """The bytes that come over a wire."""

    def __init__(self, wire: _TimedSocket) -> None:
        self._wire: Final = wire

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._wire.receive(buffer)


class _Names:
    """The addresses of a host, looked up by a thread: the system's resolver has no time limit."""

    def __init__(self, host: str, port: int) -> None:
        self._host: Final = host
        self._port: Final = port
        self._lock: Final = threading.Lock()
        self._lookup: Future[list[tuple[int, Any]]] | None = None

    def find(self, deadline: Deadline) -> list[tuple[int, Any]]:
        """At least one (family, address) for a socket. Raises gaierror and TimeoutError."""
        if self._is_address():
            return self._found()
        with self._lock:
            # Whoever comes while one is under way waits for that one: never more than one thread.
            if self._lookup is None or self._lookup.done():
                self._lookup = Future()
                threading.Thread(target=self._look_up, args=(self._lookup,), daemon=True).start()
            lookup = self._lookup
        return lookup.result(deadline.left())

    def _is_address(self) -> bool:
        with contextlib.suppress(ValueError):
            ipaddress.ip_address(self._host)
            return True
        return False

    def _look_up(self, lookup: Future[list[tuple[int, Any]]]) -> None:
        try:
            lookup.set_result(self._found())
        except (OSError, UnicodeError) as exc:
            lookup.set_exception(exc)

    def _found(self) -> list[tuple[int, Any]]:
        found = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        return [(family, address) for family, _, _, _, address in found]


def _trusting() -> ssl.SSLContext:
    """The system's certificates, or those that SSL_CERT_FILE names (OpenSSL reads it)."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
