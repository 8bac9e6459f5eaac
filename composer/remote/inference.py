"""A model that another program serves, over the Open Inference Protocol (KServe V2)."""

import math
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from numpy.typing import NDArray

from composer.errors import ComposerError
from composer.remote import rpc
from composer.remote.link import Deadline, Endpoint
from composer.remote.rest import Rest
from composer.remote.transport import Broken, Failed, Transport
from composer.remote.v2 import Metadata, RemoteValue, Unreadable, Unsendable, shown

__all__ = ["Metadata", "RemoteFailed", "RemoteInvalid", "RemoteValue", "ServedModel"]

PORTS: Final[Mapping[str, int]] = {"http": 80, "https": 443, "grpc": 0}
"""Scheme -> the port of an address that has none; 0: it has to have one."""

PAUSE_SECONDS: Final = 0.05
"""Before a call is tried again, doubled each time: a server that restarts needs a moment."""

MOST_CHARS: Final = 256
"""Length of a model's name or version."""

_HOST: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9.])?")
_PREFIX: Final = re.compile(r"(/[A-Za-z0-9._~!$&'()*+,;=:@%-]+)*")
_TOKEN: Final = re.compile(r"[!-~]*")

T = TypeVar("T")


class RemoteFailed(ComposerError):
    """The server could not be asked, or did not do what was asked: which, which model, and why."""


class RemoteInvalid(ValueError):
    """An address, a model or a token that cannot be used, in one sentence without secrets."""


class ServedModel:
    """One model of one server. Any thread may call; a call blocks its thread until `timeout`.

    url: http://, https:// or grpc://, a host, a port and for HTTP perhaps a path in front of /v2.
    timeout: seconds for a whole call, connecting and every try included. retries: how often a call
    is tried again after a lost connection or the statuses 429, 502, 503 and 504.
    token: sent as `Authorization: Bearer`. now: a clock, in seconds.
    Raises RemoteInvalid. Nothing is connected before the first call.
    """

    def __init__(
        self,
        url: str,
        model: str,
        version: str = "",
        *,
        timeout: float = 1.0,
        retries: int = 1,
        token: str = "",
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        if not (math.isfinite(timeout) and timeout > 0):
            raise RemoteInvalid(f"a timeout is a number of seconds above 0, got {timeout}")
        if retries < 0:
            raise RemoteInvalid(f"retries are a number from 0 on, got {retries}")
        if not _TOKEN.fullmatch(token):
            raise RemoteInvalid("the token has characters that a header cannot carry")
        _check("model", model)
        if version:
            _check("version", version)
        address = _Address.parse(url)
        self._name: Final = _named(address, model, version)
        self._timeout: Final = timeout
        self._retries: Final = retries
        self._now: Final = now
        self._closed: Final = threading.Event()
        self._transport: Final = _transport(address, model, version, token)

    def ready(self) -> bool:
        """Whether the server can run the model now. Raises RemoteFailed if it cannot be asked."""
        return self._call(self._transport.ready)

    def metadata(self) -> Metadata:
        """What the model takes and gives. Raises RemoteFailed."""
        return self._call(self._transport.metadata)

    def infer(
        self, inputs: Mapping[str, NDArray[Any]], outputs: Sequence[str] = ()
    ) -> dict[str, NDArray[Any]]:
        """Run the model once. An array of dtype object holds bytes objects (BYTES on the wire).

        outputs: names to return; all that the model has if left out.
        Returns new arrays, of whatever dtype and shape the server says.
        Raises RemoteFailed, also for an answer that is not what the protocol says.
        """
        found = self._call(lambda deadline: self._transport.infer(inputs, outputs, deadline))
        missing = [name for name in outputs if name not in found]
        if missing:
            there = ", ".join(f"'{shown(name)}'" for name in found) or "nothing"
            raise self._failed(f"it did not return {missing[0]!r}, only {there}")
        return {name: found[name] for name in outputs} if outputs else found

    def close(self) -> None:
        """Hang up. A call that runs goes on to its timeout at the longest; over gRPC it fails."""
        self._closed.set()
        self._transport.close()

    def _call(self, ask: Callable[[Deadline], T]) -> T:
        """Ask until it works, the tries or the time are used up."""
        deadline = Deadline(self._timeout, self._now)
        pause = PAUSE_SECONDS
        for left in range(self._retries, -1, -1):
            if self._closed.is_set():
                raise self._failed("its client is closed")
            try:
                return ask(deadline)
            except TimeoutError as exc:
                raise self._failed(f"no answer within {self._timeout:g} s") from exc
            except Broken as exc:
                if not left or pause >= _left(deadline):
                    raise self._failed(str(exc)) from exc
            except (Failed, Unreadable, Unsendable) as exc:
                raise self._failed(str(exc)) from exc
            self._closed.wait(pause)
            pause *= 2
        raise AssertionError("the last try returns or raises")

    def _failed(self, why: str) -> RemoteFailed:
        return RemoteFailed(f"{self._name}: {why}")


@dataclass(frozen=True, slots=True)
class _Address:
    """An address taken apart. prefix: path in front of /v2, without a slash at its end."""

    scheme: str
    host: str
    port: int
    prefix: str

    @classmethod
    def parse(cls, url: str) -> "_Address":
        """Raises RemoteInvalid. What is wrong may hold a password, so it is not repeated."""
        scheme = url.partition("://")[0]
        if "://" not in url or scheme not in PORTS:
            raise RemoteInvalid("the address should start with http://, https:// or grpc://")
        if not (url.isascii() and url.isprintable()) or " " in url:
            raise RemoteInvalid("the address has characters that an address cannot have")
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError as exc:
            raise RemoteInvalid("the address has no proper host and port") from exc
        if "@" in parts.netloc:
            raise RemoteInvalid("the address holds a user or a password; give a token instead")
        if not _is_host(host):
            raise RemoteInvalid("the address has no proper host")
        if "?" in url or "#" in url:
            raise RemoteInvalid("the address goes on behind its path; leave out ? and #")
        prefix = parts.path.rstrip("/")
        if not _PREFIX.fullmatch(prefix) or (prefix and scheme == "grpc"):
            raise RemoteInvalid("the address has a path that cannot be used")
        if not (port := port if port is not None else PORTS[scheme]):
            raise RemoteInvalid("the address needs a port above 0, like grpc://localhost:8001")
        return cls(scheme, host, port, prefix)

    @property
    def place(self) -> Endpoint:
        return Endpoint(self.host, self.port, self.scheme == "https")


def _is_host(host: str) -> bool:
    if ":" not in host:
        return len(host) < 254 and _HOST.fullmatch(host) is not None
    try:
        return IPv6Address(host).scope_id is None
    except ValueError:
        return False


def _check(what: str, name: str) -> None:
    """name: what becomes a part of a path. Raises RemoteInvalid."""
    if not name or name in (".", "..") or not name.isprintable() or len(name) > MOST_CHARS:
        raise RemoteInvalid(f"'{shown(name)}' is not the name of a {what}")


def _named(address: _Address, model: str, version: str) -> str:
    which = f"{model!r} version {version!r}" if version else repr(model)
    return f"model {which} at {address.place}"


def _transport(address: _Address, model: str, version: str, token: str) -> Transport:
    if address.scheme != "grpc":
        return Rest(address.place, address.prefix, model, version, token)
    try:
        return rpc.Rpc(address.place, model, version, token)
    except ImportError as exc:
        raise RemoteInvalid(f"grpc:// needs tritonclient: {rpc.INSTALL}") from exc


def _left(deadline: Deadline) -> float:
    try:
        return deadline.left()
    except TimeoutError:
        return 0.0
