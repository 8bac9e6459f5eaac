"""An inference server on a socket that answers as a test says, request by request.

It knows the wire by itself and uses nothing of composer.models, so both cannot be wrong alike.
"""

import contextlib
import json
import queue
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.message import Message
from http.client import parse_headers
from typing import Any, Final

import numpy as np

DTYPES: Final = {
    "BOOL": "?",
    "UINT8": "u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}

SIP_BYTES: Final = 1 << 18
SIP_SECONDS: Final = 0.03


@dataclass(frozen=True, slots=True)
class Request:
    """What came. connection: which one it came over, counted from 0."""

    connection: int
    method: str
    path: str
    headers: Message
    body: bytes

    def head(self) -> dict[str, Any]:
        """The JSON of the body."""
        length = self.headers["Inference-Header-Content-Length"]
        found: dict[str, Any] = json.loads(
            self.body if length is None else self.body[: int(length)]
        )
        return found

    def is_binary(self) -> bool:
        return self.headers["Inference-Header-Content-Length"] is not None


@dataclass(frozen=True, slots=True)
class Act:
    """Bytes that are sent, and what happens then."""

    data: bytes
    then: str = (
        "wait"  # for a request; or "go on" with the next act, "hang up", "stall" until the end
    )
    pace: float = 0.0  # seconds between two bytes; 0: all at once


Script = Act | Callable[[Request], Act]


def says(status: int, body: bytes | dict[str, Any] = b"", **headers: str) -> Act:
    """A whole answer."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {"Content-Length": str(len(data))} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in named.items())
    return Act(f"HTTP/1.1 {status} Said\r\n{lines}\r\n".encode() + data)


def binary(outputs: list[dict[str, Any]], tensors: bytes = b"") -> Act:
    """An inference answered with tensors as bytes."""
    head = json.dumps({"model_name": "m", "outputs": outputs}).encode()
    return says(200, head + tensors, Inference_Header_Content_Length=str(len(head)))


def echo(request: Request) -> Act:
    """Every input comes back as it was sent, as bytes."""
    asked = request.head()
    assert request.is_binary()
    assert asked["parameters"] == {"binary_data_output": True}
    length = int(request.headers["Inference-Header-Content-Length"])
    return binary(asked["inputs"], request.body[length:])


def echo_lists(request: Request) -> Act:
    """Every input comes back as a list; tensors as bytes are refused as MLServer does."""
    if request.is_binary():
        return says(422, {"detail": [{"type": "json_invalid"}]})
    asked = request.head()
    assert "parameters" not in asked
    return says(200, {"model_name": "m", "outputs": asked["inputs"]})


def bytes_to_lists(request: Request) -> Act:
    """Tensors are taken as bytes, but come back as lists."""
    length = int(request.headers["Inference-Header-Content-Length"])
    rest = request.body[length:]
    outputs = []
    for each in request.head()["inputs"]:
        size = each.pop("parameters")["binary_data_size"]
        outputs.append(each | {"data": unpacked(each["datatype"], rest[:size])})
        rest = rest[size:]
    assert not rest
    return says(200, {"outputs": outputs})


def unpacked(datatype: str, data: bytes) -> list[Any]:
    if datatype != "BYTES":
        numbers: list[Any] = np.frombuffer(data, DTYPES[datatype]).tolist()
        return numbers
    found = []
    while data:
        (size,) = struct.unpack_from("<I", data)
        found.append(data[4 : 4 + size].decode())
        data = data[4 + size :]
    return found


class Played:
    """Answers each request with the next of the script, and with the last one from then on.

    reading: how bodies are read, "whole", "in sips" or "not".
    """

    def __init__(self, *script: Script, reading: str = "whole") -> None:
        self._script: Final = list(script)
        self._reading: Final = reading
        self._lock: Final = threading.Lock()
        self._over: Final = threading.Event()
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []
        self.requests: Final[list[Request]] = []
        self.hung_up: Final[queue.SimpleQueue[int]] = queue.SimpleQueue()

    @property
    def connections(self) -> list[int]:
        """Over which connection each request came."""
        return [each.connection for each in self.requests]

    @contextlib.contextmanager
    def serving(self, tls: ssl.SSLContext | None = None) -> Iterator[str]:
        """The address, while it serves."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            accepting = threading.Thread(target=self._accept, args=(listener, tls))
            accepting.start()
            scheme = "http" if tls is None else "https"
            try:
                yield f"{scheme}://localhost:{listener.getsockname()[1]}"
            finally:
                self._over.set()
                listener.shutdown(socket.SHUT_RDWR)
                accepting.join()
                for sock in self._sockets:
                    with contextlib.suppress(OSError):
                        sock.shutdown(socket.SHUT_RDWR)
                for thread in self._threads:
                    thread.join()

    def _accept(self, listener: socket.socket, tls: ssl.SSLContext | None) -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(len(self._threads), sock, tls))
            self._sockets.append(sock)
            self._threads.append(thread)
            thread.start()

    def _serve(self, number: int, plain: socket.socket, tls: ssl.SSLContext | None) -> None:
        # OSError: the client went away, which the tests of its deadlines are about
        with self._leaving(number), plain, contextlib.suppress(OSError):
            sock = plain if tls is None else tls.wrap_socket(plain, server_side=True)
            with sock, sock.makefile("rb") as incoming:
                while (request := self._read(number, incoming)) is not None:
                    if not self._answer(request, sock):
                        return

    @contextlib.contextmanager
    def _leaving(self, number: int) -> Iterator[None]:
        """Says in `hung_up` when a connection has ended, whoever ended it."""
        yield
        self.hung_up.put(number)

    def _read(self, number: int, incoming: Any) -> Request | None:
        line = incoming.readline().decode()
        if not line:
            return None
        method, path, _ = line.split(" ")
        headers = parse_headers(incoming)
        size = int(headers.get("Content-Length", "0"))
        if self._reading == "in sips":
            while incoming.read(SIP_BYTES) and not self._over.wait(SIP_SECONDS):
                pass
        body = incoming.read(size) if self._reading == "whole" else b""
        return Request(number, method, path, headers, body)

    def _next(self, request: Request) -> Act:
        with self._lock:
            script = self._script.pop(0) if len(self._script) > 1 else self._script[0]
        return script if isinstance(script, Act) else script(request)

    def _answer(self, request: Request, sock: socket.socket) -> bool:
        """Whether the connection goes on."""
        with self._lock:
            self.requests.append(request)
        while (act := self._next(request)).then == "go on":
            sock.sendall(act.data)
        return self._perform(act, sock)

    def _perform(self, act: Act, sock: socket.socket) -> bool:
        """Whether the connection goes on."""
        if not act.pace:
            sock.sendall(act.data)
        for at in range(len(act.data) if act.pace else 0):
            if self._over.wait(act.pace):
                return False
            sock.sendall(act.data[at : at + 1])
        if act.then == "stall":
            self._over.wait()
        return act.then == "wait"
