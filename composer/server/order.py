"""Order: what a request for a one-shot job says, in its query, its path and its body.

The body is taken on the loop in the pieces in which it comes, and read on a thread.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import BodyPartReader, web

from composer import strictjson
from composer.engine.oneshot import FORMATS, Order, TooLarge
from composer.errors import ParamRejected, Problem
from composer.server import envelope

TYPES: Final = {
    "png": "image/png",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "rgb": "application/octet-stream",
    "mp4": "video/mp4",
    "mov": "video/quicktime",
    "mkv": "video/x-matroska",
    "ts": "video/mp2t",
    "webm": "video/webm",
    "json": "application/json",
}
"""What each format is called in Content-Type and Accept."""

STREAM: Final = "text/event-stream"
BODY_SECONDS: Final = 60.0
"""How long a body may take to come."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What query, path and body say, the body as it came. form: the parts of a form.

    json: the body is an envelope.
    """

    query: Mapping[str, str]
    path: Mapping[str, str]
    accept: str
    body: Sequence[bytes] = ()
    form: Mapping[str, Sequence[bytes]] = field(default_factory=dict)
    json: bool = False


class OrderRefused(Exception):
    """A request that cannot be used, with the status that says so."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(said)
        self.status = status


async def received(request: web.Request, limit: int) -> Sent:
    """The whole request, of `limit` bytes at the most. Raises OrderRefused for one that cannot be
    used or does not come, and TooLarge.
    """
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await _read(request, limit)
    except TimeoutError:
        raise OrderRefused(408, "the body did not come") from None


async def _read(request: web.Request, limit: int) -> Sent:
    path = {
        key: request.match_info[key] for key in ("width", "height") if key in request.match_info
    }
    query, accept = dict(request.query), request.headers.get("Accept", "")
    if request.content_type == "multipart/form-data":
        return Sent(query, path, accept, form=await _parts(request, limit))
    in_json = request.content_type == "application/json"
    hint = ""
    if in_json and envelope.MOST_BYTES < limit:
        limit = envelope.MOST_BYTES
        hint = " of JSON; send the picture as the body, or in a form"
    body = await _taken(request.content.iter_chunked(1 << 16), limit, hint)
    return Sent(query, path, accept, body, json=in_json)


async def _parts(request: web.Request, limit: int) -> dict[str, list[bytes]]:
    form: dict[str, list[bytes]] = {}
    try:
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader) or not part.name:
                raise OrderRefused(400, "every part of the form needs a name")
            form[part.name] = await _taken(_chunks(part), limit if part.name == "file" else 1 << 16)
            if len(form) > 16:
                raise OrderRefused(400, "the form has more than 16 parts")
    except ValueError as exc:
        raise OrderRefused(400, "the form cannot be read") from exc
    return form


async def _chunks(part: BodyPartReader) -> AsyncIterator[bytes]:
    while chunk := await part.read_chunk(1 << 16):
        yield bytes(chunk)


async def _taken(chunks: AsyncIterator[bytes] | Any, limit: int, hint: str = "") -> list[bytes]:
    """In the pieces in which it came: to join them is work for another thread."""
    pieces, size = [], 0
    async for chunk in chunks:
        pieces.append(chunk)
        size += len(chunk)
        if size > limit:
            raise TooLarge(f"the body has more than {limit} bytes{hint}")
    return pieces


# what it says


def order(sent: Sent) -> tuple[Order, bool]:
    """The order, and whether its progress is wanted as a stream. Raises OrderRefused and
    ParamRejected.

    A caller may make it long: for a thread.
    """
    return _order(sent.accept, {**sent.query, **_said(sent), **sent.path})


def _said(sent: Sent) -> dict[str, Any]:
    """What the body says."""
    if sent.form:
        try:
            texts = {name: b"".join(data) for name, data in sent.form.items()}
            return {name: data if name == "file" else data.decode() for name, data in texts.items()}
        except UnicodeDecodeError as exc:
            raise OrderRefused(400, "the form cannot be read") from exc
    body = b"".join(sent.body)
    if not sent.json:
        return {"file": body}
    try:
        said, picture = envelope.opened(body, "image")
    except ValueError as exc:
        raise OrderRefused(400, str(exc)) from exc
    return {**said, "file": picture}


def _object(text: str, what: str) -> dict[str, Any]:
    try:
        found = strictjson.read(text)
    except (ValueError, RecursionError) as exc:
        raise OrderRefused(400, f"{what} is not JSON") from exc
    if not isinstance(found, dict):
        raise OrderRefused(400, f"{what} should be a JSON object")
    return found


def _order(accept: str, asked: Mapping[str, Any]) -> tuple[Order, bool]:
    """The order, and whether progress is wanted as a stream."""
    params = asked.get("params", {})
    if isinstance(params, str):
        params = _object(params, "params")
    if not isinstance(params, dict):
        raise OrderRefused(400, "params should be a JSON object")
    size = None
    if "width" in asked or "height" in asked:
        size = (int(_number(asked, "width")), int(_number(asked, "height")))
    streams = STREAM in accept or str(asked.get("stream", "")).lower() in ("true", "1")
    accepted = [form for form, kind in TYPES.items() if kind in accept and form != "rgb"]
    form = str(asked.get("format", "")) or (accepted[0] if accepted else "")
    if "format" not in asked and form not in FORMATS:
        form = ""
    seconds = _number(asked, "seconds") if "seconds" in asked else 5.0
    return Order(asked.get("file", b""), params, size, form, seconds), streams


def _number(asked: Mapping[str, Any], name: str) -> float:
    try:
        value = float(asked.get(name, ""))
    except (TypeError, ValueError):
        value = 0.0
    if not 0 < value <= 100_000:
        said = f"{name} should be a number above 0, got {str(asked.get(name))[:40]!r}"
        raise ParamRejected([Problem("bad-value", said, name)])
    return value
