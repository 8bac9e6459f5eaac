"""Order: what a request for a one-shot job says, in its query, its path and its body."""

from collections.abc import Mapping
from contextlib import aclosing, closing
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from composer.engine.oneshot import FORMATS, Order, TooLarge
from composer.errors import ParamRejected, Problem
from composer.server.form import MOST_HEAD, MOST_PARTS, FormRefused, MultipartForm
from composer.server.reception import Coming, Reception, answered
from composer.spool import Spool

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
MOST_TEXT: Final = 64 << 10
"""Bytes of a part of a form that is neither the file nor params."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What query, body and path say, the later before the earlier. file: the picture or clip."""

    asked: Mapping[str, Any]
    accept: str
    file: Spool | bytes = b""


class OrderRefused(Exception):
    """A request that cannot be used, with the status that says so."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(said)
        self.status = status


async def received(request: web.Request, reception: Reception, limit: int) -> Sent | None:
    """The whole request, with a file of `limit` bytes at the most; None where its body is empty.

    Raises OrderRefused for one that cannot be used, TooLarge, and what a Reception raises.
    """
    query, accept = dict(request.query), request.headers.get("Accept", "")
    path = {
        key: request.match_info[key] for key in ("width", "height") if key in request.match_info
    }
    async with reception.place("job", reception.limits.file_s) as coming:
        try:
            body = await _read(request, reception, coming, limit)
        except FormRefused as exc:
            raise OrderRefused(400, str(exc)) from exc
        if body is None:
            return None
        said, file = body
        asked = {**query, **said, **path}
        if isinstance(asked.get("params"), str):
            # Surrogates are refused as what they are: no UTF-8.
            text = asked["params"].encode("utf-8", "surrogatepass")
            asked["params"] = (await reception.parsed(Spool.of(text), "params")).value
    return Sent(asked, accept, file)


async def _read(
    request: web.Request, reception: Reception, coming: Coming, limit: int
) -> tuple[dict[str, Any], Spool | bytes] | None:
    """What the body says, and the picture or clip; None where it is empty."""
    if request.content_type == "multipart/form-data":
        with closing(MultipartForm(request.headers["Content-Type"])) as form:
            return await _form(request, reception, coming, limit, form)
    if request.content_type != "application/json":
        file = await reception.taken(request, coming, limit)
        return ({}, file) if file.size else None
    most = reception.limits.job
    hint = " of JSON; send the picture as the body, or in a form" if most < limit else ""
    with closing(await reception.taken(request, coming, min(most, limit), hint)) as text:
        if not text.size:
            return None
        with answered("the body"):
            return await reception.parser.open(text, "image")


async def _form(
    request: web.Request, reception: Reception, coming: Coming, limit: int, form: MultipartForm
) -> tuple[dict[str, Any], Spool | bytes] | None:
    """The same of the parts of a form; None where it has none."""
    most = {"file": limit, "params": reception.limits.job}
    whole = sum(most.values()) + MOST_PARTS * (MOST_TEXT + MOST_HEAD)
    async with aclosing(reception.pieces(request, coming, whole)) as pieces:
        async for piece in pieces:
            form.feed(piece)
            _check_sizes(form.parts, most)
    form.end()
    said: dict[str, Any] = {}
    for name, part in form.parts.items():
        if name == "params":
            said[name] = (await reception.parsed(part, "params")).value
        elif name != "file":
            said[name] = _text(part)
    return (said, form.parts.pop("file", b"")) if form.parts else None


def _text(part: Spool) -> str:
    try:
        return part.bytes().decode()
    except UnicodeDecodeError:
        raise OrderRefused(400, "the form holds text that is not UTF-8") from None


def _check_sizes(parts: Mapping[str, Spool], most: Mapping[str, int]) -> None:
    """Raises TooLarge."""
    for name, part in parts.items():
        if part.size > (limit := most.get(name, MOST_TEXT)):
            raise TooLarge(f"the part {name[:60]!r} has more than {limit} bytes")


# what it says


def order(sent: Sent) -> tuple[Order, bool]:
    """The order, and whether its progress is wanted as a stream. Raises OrderRefused and
    ParamRejected.

    A caller may make it long: for a thread.
    """
    data = sent.file
    if isinstance(data, Spool):
        with closing(data) as spool:
            data = spool.bytes()
    return _order(sent.accept, {**sent.asked, "file": data})


def _order(accept: str, asked: Mapping[str, Any]) -> tuple[Order, bool]:
    """The order, and whether progress is wanted as a stream."""
    params = asked.get("params", {})
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
