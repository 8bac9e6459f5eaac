"""POST /process: a one-shot job over HTTP (docs/process.md). A client who leaves ends the work."""

import asyncio
import base64
import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web

from composer import strictjson
from composer.compiler.compile import Compiled
from composer.engine.oneshot import (
    GRACE_SECONDS,
    Job,
    JobLimits,
    Result,
    TooLarge,
    UnknownKind,
)
from composer.errors import (
    ComposerError,
    Crowded,
    MediaError,
    NodeFailed,
    Overdue,
    ParamRejected,
    PipelineInvalid,
    Problem,
)
from composer.server.capability import Full, Slots
from composer.server.order import STREAM, TYPES, OrderRefused, Sent, order, received
from composer.server.reception import Reception
from composer.server.routes import Handler, refusal
from composer.threads import Threads

log: Final = logging.getLogger(__name__)

CHUNK: Final = 45_000
"""Bytes of the result in one event: 60,000 characters of base64, below the 64 KiB of a line."""

PART: Final = 256 << 10
"""Bytes of an answer that are given to the socket at once; it copies what it cannot send."""

SEND_SECONDS: Final = 120.0
"""How long an answer may take to go; a job has its slot until then."""

METADATA_LIMIT: Final = 4096
"""Characters of X-Metadata; beyond it the params are left out."""


@dataclass(frozen=True, slots=True)
class Jobs:
    """What the handlers work with. default: the pipeline of /process, "" for the only one.

    slots: the room of the worker, of which a job takes one until its answer is sent. threads: where
    jobs work. reception: where their bodies come in, as many at once as there are slots. beat:
    seconds between two progress events. closing: set when no job may begin any more. failed: told
    why one failed. why_none: why none may begin now, "" for nothing.
    """

    pipelines: Mapping[str, Compiled]
    slots: Slots
    threads: Threads
    reception: Reception
    limits: JobLimits = field(default_factory=JobLimits)
    default: str = ""
    beat: float = 2.0
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    failed: Callable[[BaseException], None] = lambda failure: None
    why_none: Callable[[], str] = lambda: ""

    @property
    def seconds(self) -> float:
        """What the work of one job may take before it hangs."""
        return self.limits.seconds + GRACE_SECONDS


def routes(jobs: Jobs, guard: Callable[[Handler], Handler]) -> list[web.RouteDef]:
    """The routes of a worker; guard: see Admission.guarded()."""

    async def process(request: web.Request) -> web.StreamResponse:
        if jobs.closing.is_set():
            return refusal(503, "the worker takes no jobs any more", retry=True)
        if why := jobs.why_none():
            return refusal(503, why, retry=True)
        try:
            return await _process(request, jobs)
        except Full:
            return refusal(503, "all slots of this worker are taken", retry=True)
        except Crowded as exc:
            return refusal(503, str(exc), retry=True)
        except (OrderRefused, ComposerError) as exc:
            return _error(exc)

    size = r"{width:\d{1,5}}x{height:\d{1,5}}"
    paths = ("", f"/{size}", "/{pipeline}", f"/{{pipeline}}/{size}")
    return [web.post(f"/process{path}", guard(process)) for path in paths]


async def _process(request: web.Request, jobs: Jobs) -> web.StreamResponse:
    compiled = _pipeline(request, jobs)
    if jobs.threads.crowded:
        raise Crowded("jobs hang, so no more are taken")
    if jobs.slots.used >= jobs.slots.most:  # else the body would be read for nothing
        raise Full
    sent = await received(request, jobs.reception, jobs.limits.input_bytes)
    if sent is None:
        return web.Response()
    jobs.slots.take()
    try:
        job, streams = await jobs.threads.run(jobs.seconds, _job, compiled, sent, jobs.limits)
        return await _worked(request, job, jobs, streams=streams)
    finally:
        jobs.slots.give_back()


def _pipeline(request: web.Request, jobs: Jobs) -> Compiled:
    name = request.match_info.get("pipeline") or jobs.default
    if not name and len(jobs.pipelines) == 1:
        name = next(iter(jobs.pipelines))
    if name not in jobs.pipelines:
        raise OrderRefused(404, f"there is no pipeline {name[:100]!r}")
    return jobs.pipelines[name]


# the work


def _job(compiled: Compiled, sent: Sent, limits: JobLimits) -> tuple[Job, bool]:
    """The job, and whether its progress is wanted as a stream."""
    ordered, streams = order(sent)
    return Job(compiled, ordered, limits), streams


async def _worked(
    request: web.Request, job: Job, jobs: Jobs, *, streams: bool
) -> web.StreamResponse:
    """Whatever happens here, the work has ended when this returns, or hangs and is left behind."""
    work = asyncio.ensure_future(jobs.threads.run(jobs.seconds, job.work))
    try:
        if streams:
            return await _streamed(request, job, work, jobs.beat)
        return await _answered(request, await asyncio.shield(work))
    finally:
        job.abort()
        if not work.done():
            await asyncio.wait([work], timeout=GRACE_SECONDS)
            work.cancel()
        if work.done() and not work.cancelled() and (failure := work.exception()) is not None:
            jobs.failed(failure)  # the caller was told already, or is not there to be told


async def _answered(request: web.Request, result: Result) -> web.StreamResponse:
    headers = {"X-Metadata": _metadata(result), "Content-Type": TYPES[result.format]}
    answer = web.StreamResponse(headers=headers)
    answer.content_length = len(result.body)
    await answer.prepare(request)
    async with _in_time(request):
        for start in range(0, len(result.body), PART):
            await answer.write(result.body[start : start + PART])
        await answer.write_eof()
    return answer


@asynccontextmanager
async def _in_time(request: web.Request) -> AsyncIterator[None]:
    """Break the connection off where the answer does not go: it cannot say so any more."""
    try:
        async with asyncio.timeout(SEND_SECONDS):
            yield
    except TimeoutError:
        log.warning("an answer was not taken in %g s", SEND_SECONDS)
        if request.transport is not None:
            request.transport.abort()


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
    async with _in_time(request):
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
    if isinstance(exc, OrderRefused):
        return exc.status, str(exc), ()
    if isinstance(exc, ParamRejected | PipelineInvalid):
        return 422, str(exc), exc.problems
    if isinstance(exc, NodeFailed):
        if isinstance(exc.__cause__, MediaError):
            return 422, str(exc.__cause__), ()
        return 500, f"node {exc.node!r} failed in {exc.doing}", ()
    kinds = ((TooLarge, 413), (UnknownKind, 415), (MediaError, 400), (Overdue, 504))
    for kind, status in kinds:
        if isinstance(exc, kind):
            return status, str(exc), ()
    return 500, f"the job failed: {type(exc).__name__}", ()
