"""POST /process: a one-shot job over HTTP (docs/process.md). A client who leaves ends the work."""

import asyncio
import base64
import binascii
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import BodyPartReader, web

from composer import strictjson
from composer.compiler.compile import Compiled
from composer.engine.oneshot import FORMATS, Job, Limits, Order, Result, TooLarge, UnknownKind
from composer.errors import (
    ComposerError,
    MediaError,
    NodeFailed,
    ParamRejected,
    PipelineInvalid,
    Problem,
)
from composer.server.capability import Full, Slots
from composer.server.routes import Handler, refusal

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
CHUNK: Final = 45_000
"""Bytes of the result in one event: 60,000 characters of base64, below the 64 KiB of a line."""

METADATA_LIMIT: Final = 4096
"""Characters of X-Metadata; beyond it the params are left out."""


@dataclass(frozen=True, slots=True)
class Jobs:
    """What the handlers work with. default: the pipeline of /process, "" for the only one.

    slots: the room of the worker, of which a job takes one while it runs. beat: seconds between two
    progress events. closing: set when no job may begin any more. failed: told why one failed.
    """

    pipelines: Mapping[str, Compiled]
    slots: Slots
    limits: Limits = field(default_factory=Limits)
    default: str = ""
    beat: float = 2.0
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    failed: Callable[[BaseException], None] = lambda failure: None


class _Refused(Exception):
    def __init__(self, status: int, said: str) -> None:
        super().__init__(said)
        self.status = status


def routes(jobs: Jobs, guard: Callable[[Handler], Handler]) -> list[web.RouteDef]:
    """The routes of a worker; guard: see routes.guarded()."""

    async def process(request: web.Request) -> web.StreamResponse:
        if jobs.closing.is_set():
            return refusal(503, "the worker takes no jobs any more", retry=True)
        try:
            return await _process(request, jobs)
        except Full:
            return refusal(503, "all slots of this worker are taken", retry=True)
        except (_Refused, ComposerError) as exc:
            return _error(exc)

    size = r"{width:\d{1,5}}x{height:\d{1,5}}"
    paths = ("", f"/{size}", "/{pipeline}", f"/{{pipeline}}/{size}")
    return [web.post(f"/process{path}", guard(process)) for path in paths]


async def _process(request: web.Request, jobs: Jobs) -> web.StreamResponse:
    compiled = _pipeline(request, jobs)
    if jobs.slots.used >= jobs.slots.most:  # else the body would be read for nothing
        raise Full
    asked = await _asked(request, jobs.limits)
    if asked is None:
        return web.Response()
    order, streams = _order(request, asked)
    jobs.slots.take()
    try:
        job = await asyncio.to_thread(Job, compiled, order, jobs.limits)
        return await _worked(request, job, jobs, streams=streams)
    finally:
        jobs.slots.give_back()


def _pipeline(request: web.Request, jobs: Jobs) -> Compiled:
    name = request.match_info.get("pipeline") or jobs.default
    if not name and len(jobs.pipelines) == 1:
        name = next(iter(jobs.pipelines))
    if name not in jobs.pipelines:
        raise _Refused(404, f"there is no pipeline {name[:100]!r}")
    return jobs.pipelines[name]


# the request


async def _asked(request: web.Request, limits: Limits) -> dict[str, Any] | None:
    """What query, body and path say, as one mapping; None for an empty body."""
    asked: dict[str, Any] = dict(request.query)
    if request.content_type == "multipart/form-data":
        asked |= await _parts(request, limits.input_bytes)
    else:
        # base64 is a third longer than what it holds
        body = await _read(
            request.content.iter_chunked(1 << 16), limits.input_bytes * 4 // 3 + 4096
        )
        if not body:
            return None
        if request.content_type == "application/json":
            asked |= _object(body, "the body")
            if isinstance(image := asked.pop("image", ""), str):
                asked["file"] = _base64(image)
        else:
            asked["file"] = body
    return asked | {
        key: request.match_info[key] for key in ("width", "height") if key in request.match_info
    }


async def _parts(request: web.Request, limit: int) -> dict[str, Any]:
    asked: dict[str, Any] = {}
    try:
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader) or not part.name:
                raise _Refused(400, "every part of the form needs a name")
            data = await _read(_chunks(part), limit if part.name == "file" else 1 << 16)
            asked[part.name] = data if part.name == "file" else data.decode()
            if len(asked) > 16:
                raise _Refused(400, "the form has more than 16 parts")
    except ValueError as exc:
        raise _Refused(400, "the form cannot be read") from exc
    return asked


async def _chunks(part: BodyPartReader) -> AsyncIterator[bytes]:
    while chunk := await part.read_chunk(1 << 16):
        yield bytes(chunk)


async def _read(chunks: AsyncIterator[bytes] | Any, limit: int) -> bytes:
    data = bytearray()
    async for chunk in chunks:
        data += chunk
        if len(data) > limit:
            raise TooLarge(f"the body has more than {limit} bytes")
    return bytes(data)


def _object(text: str | bytes, what: str) -> dict[str, Any]:
    try:
        found = strictjson.read(text if isinstance(text, str) else text.decode())
    except (ValueError, RecursionError) as exc:
        raise _Refused(400, f"{what} is not JSON") from exc
    if not isinstance(found, dict):
        raise _Refused(400, f"{what} should be a JSON object")
    return found


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(text.partition("base64,")[2] or text, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise _Refused(400, "image is not base64") from exc


def _order(request: web.Request, asked: Mapping[str, Any]) -> tuple[Order, bool]:
    """The order, and whether progress is wanted as a stream."""
    params = asked.get("params", {})
    if isinstance(params, str):
        params = _object(params, "params")
    if not isinstance(params, dict):
        raise _Refused(400, "params should be a JSON object")
    size = None
    if "width" in asked or "height" in asked:
        size = (int(_number(asked, "width")), int(_number(asked, "height")))
    accept = request.headers.get("Accept", "")
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


# the work


async def _worked(
    request: web.Request, job: Job, jobs: Jobs, *, streams: bool
) -> web.StreamResponse:
    """Whatever happens here, the work has ended when this returns."""
    work = asyncio.ensure_future(asyncio.to_thread(job.run))
    try:
        if streams:
            return await _streamed(request, job, work, jobs.beat)
        return _answer(await asyncio.shield(work))
    finally:
        if not work.done():
            job.abort()
            await asyncio.wait([work])
        if not work.cancelled() and (failure := work.exception()) is not None:
            jobs.failed(failure)  # the caller was told already, or is not there to be told


def _answer(result: Result) -> web.Response:
    headers = {"X-Metadata": _metadata(result), "Content-Type": TYPES[result.format]}
    return web.Response(body=result.body, headers=headers)


async def _streamed(
    request: web.Request, job: Job, work: "asyncio.Future[Result]", beat: float
) -> web.StreamResponse:
    done, _ = await asyncio.wait([work], timeout=beat)
    if done and (failure := work.exception()) is not None:
        raise failure  # early enough for a status
    answer = web.StreamResponse(headers={"Content-Type": STREAM, "Cache-Control": "no-cache"})
    await answer.prepare(request)
    while not done:
        await answer.write(
            _event("progress", strictjson.text({"media_seconds": job.media_seconds}))
        )
        done, _ = await asyncio.wait([work], timeout=beat)
    try:
        await _send(answer, work.result())
    except ComposerError as exc:
        await answer.write(_event("error", _safe({"error": _told(exc)[1]})))
    await answer.write(b"data: [DONE]\n\n")
    await answer.write_eof()
    return answer


async def _send(answer: web.StreamResponse, result: Result) -> None:
    about = dict(json.loads(_metadata(result))) | {
        "content_type": TYPES[result.format],
        "bytes": len(result.body),
    }
    await answer.write(_event("metadata", _safe(about)))
    for start in range(0, len(result.body), CHUNK):
        chunk = base64.b64encode(result.body[start : start + CHUNK]).decode()
        await answer.write(_event("chunk", chunk))


def _event(name: str, data: str) -> bytes:
    return f"event: {name}\ndata: {data}\n\n".encode()


def _safe(data: Any) -> str:
    """JSON on one line that cannot be taken for the end of the stream."""
    return strictjson.text(data).replace("[DONE]", "\\u005bDONE]")


def _metadata(result: Result) -> str:
    said = strictjson.text(result.metadata)
    if len(said) <= METADATA_LIMIT:
        return said
    return strictjson.text({**result.metadata, "params": None})


# what went wrong


def _error(exc: Exception) -> web.Response:
    status, said, problems = _told(exc)
    return refusal(status, said, problems)


def _told(exc: Exception) -> tuple[int, str, Sequence[Problem]]:
    """Status, sentence and problems for a failure, without paths or what a node's own code says."""
    if isinstance(exc, _Refused):
        return exc.status, str(exc), ()
    if isinstance(exc, ParamRejected | PipelineInvalid):
        return 422, str(exc), exc.problems
    if isinstance(exc, NodeFailed):
        if isinstance(exc.__cause__, MediaError):
            return 422, str(exc.__cause__), ()
        return 500, f"node {exc.node!r} failed in {exc.doing}", ()
    for kind, status in ((TooLarge, 413), (UnknownKind, 415), (MediaError, 400)):
        if isinstance(exc, kind):
            return status, str(exc), ()
    return 500, f"the job failed: {type(exc).__name__}", ()
