"""The Open Inference Protocol over HTTP.

Tensors travel as bytes behind the JSON where the server knows how (Triton, KServe, OpenVINO's), as
lists of numbers where not (MLServer). No server says which; it is found out by the first inference.
"""

import ssl
from collections.abc import Mapping, Sequence
from enum import Enum
from http import HTTPStatus
from http.client import HTTPException, IncompleteRead
from typing import Any, Final
from urllib.parse import quote, urlsplit

from numpy.typing import NDArray

from composer.remote import v2
from composer.remote.link import BODY_BYTES, BodyTooLong, Deadline, Endpoint, Reply, Request, Server
from composer.remote.transport import Broken, Failed

HEAD_LENGTH: Final = "Inference-Header-Content-Length"
"""Bytes of JSON in front of the tensors (extension_binary_data.md)."""

BUSY: Final = frozenset({429, 502, 503, 504})
"""Statuses after which a second try may go well."""

UNKNOWN_FORM: Final = frozenset({400, 415, 422, 500, 501})
"""What servers that only read JSON say to tensors as bytes: MLServer 1.7 says 422 while the bytes
happen to be UTF-8, and 500 as soon as they are not."""

NOT_READY: Final = frozenset({400, 404, 502, 503, 504})
"""What says that a model is not ready: 400 by Triton and MLServer, 503 by KServe, 404 by both for
a model they do not know; the others by a gateway in front of nobody."""


class Form(Enum):
    """How tensors travel."""

    UNTRIED = "untried"  # as bytes, and if the server does not like that once more as JSON
    BINARY = "binary"  # bytes have been understood: whatever goes wrong has another reason
    JSON = "json"  # JSON has been understood where bytes had not


class Rest:
    """One model of one server."""

    def __init__(self, place: Endpoint, prefix: str, model: str, version: str, token: str) -> None:
        self._server: Final = Server(place)
        versioned = f"/versions/{quote(version, safe='')}" if version else ""
        self._path: Final = f"{prefix}/v2/models/{quote(model, safe='')}{versioned}"
        self._headers: Final = {"Authorization": f"Bearer {token}"} if token else {}
        self._form = Form.UNTRIED

    def ready(self, deadline: Deadline) -> bool:
        reply = self._ask(Request("GET", f"{self._path}/ready", self._headers), deadline)
        if reply.status in NOT_READY:
            return False
        return v2.is_ready(_good(reply).body)

    def metadata(self, deadline: Deadline) -> v2.Metadata:
        reply = self._ask(Request("GET", self._path, self._headers), deadline)
        return v2.metadata(_good(reply).body)

    def infer(
        self, inputs: Mapping[str, NDArray[Any]], outputs: Sequence[str], deadline: Deadline
    ) -> dict[str, NDArray[Any]]:
        if self._form is Form.JSON:
            return _answer(self._infer_json(inputs, outputs, deadline))
        reply = self._infer_binary(inputs, outputs, deadline)
        if self._form is Form.BINARY or reply.status not in UNKNOWN_FORM:
            found = _answer(reply)
            self._form = Form.BINARY
            return found
        return self._infer_otherwise(reply, inputs, outputs, deadline)

    def close(self) -> None:
        self._server.close()

    def _infer_otherwise(
        self,
        first: Reply,
        inputs: Mapping[str, NDArray[Any]],
        outputs: Sequence[str],
        deadline: Deadline,
    ) -> dict[str, NDArray[Any]]:
        """Ask in JSON after bytes were refused: was it the form, or is it the request?"""
        try:
            reply = self._infer_json(inputs, outputs, deadline)
        except v2.Unsendable:
            raise Failed(_said(first)) from None
        if reply.status in UNKNOWN_FORM:
            other = _said(first)
            more = "" if other == _said(reply) else f" (and to tensors as bytes: {other})"
            raise Failed(_said(reply) + more)
        found = _answer(reply)
        self._form = Form.JSON
        return found

    def _infer_binary(
        self, inputs: Mapping[str, NDArray[Any]], outputs: Sequence[str], deadline: Deadline
    ) -> Reply:
        body, length = v2.in_binary(inputs, outputs)
        headers = {"Content-Type": "application/octet-stream", HEAD_LENGTH: str(length)}
        return self._post(headers, body, deadline)

    def _infer_json(
        self, inputs: Mapping[str, NDArray[Any]], outputs: Sequence[str], deadline: Deadline
    ) -> Reply:
        body = v2.in_json(inputs, outputs)
        return self._post({"Content-Type": "application/json"}, body, deadline)

    def _post(self, headers: Mapping[str, str], body: bytes, deadline: Deadline) -> Reply:
        call = Request("POST", f"{self._path}/infer", {**headers, **self._headers}, body)
        return self._ask(call, deadline)

    def _ask(self, call: Request, deadline: Deadline) -> Reply:
        try:
            return self._server.ask(call, deadline)
        except TimeoutError:
            raise
        except IncompleteRead as exc:
            raise Broken("the connection ended inside the answer") from exc
        except BodyTooLong as exc:
            raise Failed(f"the answer is longer than {BODY_BYTES >> 20} MiB") from exc
        except ssl.SSLCertVerificationError as exc:
            raise Failed(f"its certificate is not trusted: {exc.verify_message}") from exc
        except OSError as exc:
            raise Broken(_reason(exc)) from exc
        except UnicodeError as exc:
            raise Failed("the host is not a name that can be looked up") from exc
        except HTTPException as exc:
            raise Failed(f"the answer is not HTTP: {v2.shown(str(exc) or repr(exc))}") from exc


def _answer(reply: Reply) -> dict[str, NDArray[Any]]:
    return v2.answer(_good(reply).body, reply.headers.get(HEAD_LENGTH))


def _good(reply: Reply) -> Reply:
    """The reply if its status is 200. Raises Broken for one of BUSY, Failed for the others."""
    if reply.status == HTTPStatus.OK:
        return reply
    if reply.status in BUSY:
        raise Broken(_said(reply))
    raise Failed(_said(reply))


def _said(reply: Reply) -> str:
    """The status, and what the server says about it."""
    if 300 <= reply.status < 400:
        target = _without_secrets(reply.headers.get("Location", ""))
        return f"it redirects ({reply.status}) to {target}, and redirects are not followed"
    status = f"{reply.status} {v2.shown(reply.reason)}".rstrip()
    words = v2.error(reply.body)
    return f"{status}: {words}" if words else status


def _without_secrets(address: str) -> str:
    """An address for a message; user, password and query stay out."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return "an address that is none"
    host = parts.netloc.rpartition("@")[2]
    return v2.shown(parts._replace(netloc=host, query="", fragment="").geturl()) or "nowhere"


def _reason(exc: OSError) -> str:
    return v2.shown(exc.strerror or str(exc)) or type(exc).__name__
