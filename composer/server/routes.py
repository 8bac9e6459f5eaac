"""What the worker answers to an orchestrator: a session's start, params, stop and state."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from aiohttp import web
from pydantic import BaseModel, ValidationError

from composer import strictjson
from composer.engine.params import Patch
from composer.errors import Crowded, NodeFailed, ParamRejected, Problem, ProcessLost, Stalled
from composer.parsing import ParsedJson
from composer.pipeline.spec import sentence, shown
from composer.server import bodies
from composer.server.capability import Capability, Full, Overtaken, StillEnding, Strained, Taken
from composer.server.reception import Reception
from composer.server.reload import Outcome, Reloader
from composer.session.changes import ASKED_A_SECOND
from composer.session.channels import Channels
from composer.session.ending import Ending, Reason, Unstarted
from composer.session.patience import came_within
from composer.session.session import Session
from composer.session.status import error_of, rates_of, state_of
from composer.trickle.outbound import ChannelsRefused
from composer.trickle.reach import Reach, Unwritable

log: Final = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

APPLY_SECONDS: Final = 0.25
"""How long the answer to a change waits for the frame it holds from."""

STOP_SECONDS: Final = 8.0
"""How long the answer to a stop waits for the end; a gateway gives up after 10 (contract 2.5)."""

RETRY_SECONDS: Final = 5
"""What a caller is told to wait when there is no room."""

REFUSED: Final = "a channel may not be used"

NOT_PUBLIC: Final = (
    "is at an address that is not public; a worker with an orchestrator only goes to its hosts"
    " there, and to those of the setting trickle_hosts"
)

TOO_OFTEN: Final = f"a stream takes {ASKED_A_SECOND:g} changes a second"

SEVERAL: Final = "several streams run; name one in X-Stream-Id"


def as_json(
    value: Any, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """An answer of JSON."""
    return web.json_response(value, status=status, headers=headers, dumps=strictjson.text)


def answer(
    body: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    return as_json(body.model_dump(), status, headers)


def refusal(
    status: int, message: str, problems: Sequence[Problem] = (), *, retry: bool = False
) -> web.Response:
    """An answer that says what is wrong with a request, and with which field."""
    said = [bodies.problem(each) for each in problems]
    headers = {"Retry-After": str(RETRY_SECONDS)} if retry else None
    return answer(bodies.Refusal(message=message, problems=said), status, headers)


class Streams:
    """The handlers of one capability.

    ready: set when sessions may start. closing: set when none may start any more. reception: where
    bodies come in. reach: where channels may be.
    """

    def __init__(
        self,
        capability: Capability,
        ready: asyncio.Event,
        closing: asyncio.Event,
        reception: Reception,
        *,
        loading_seconds: float = 20.0,
        reach: Reach,
    ) -> None:
        self._capability, self._ready, self._closing = capability, ready, closing
        self._reception, self._loading_seconds, self._reach = reception, loading_seconds, reach

    async def start(self, request: web.Request) -> web.Response:
        # First: while the worker loads, bodies would wait that were read already.
        if not await self._may_start():
            return refusal(503, "the worker takes no streams now", retry=True)
        async with self._reception.reading(request, "start") as said:
            return await self._started(said)

    async def _started(self, said: ParsedJson) -> web.Response:
        try:
            asked = bodies.Start.model_validate(said.value)
        except ValidationError as exc:
            return _unreadable(exc)
        channels = Channels(
            asked.control_url,
            asked.events_url,
            asked.subscribe_url,
            asked.publish_url,
            asked.data_url,
        )
        if refused := self._unreachable(channels):
            return refused
        if self._closing.is_set():  # since the body began to come
            return refusal(503, "the worker takes no streams now", retry=True)
        name = asked.gateway_request_id
        try:
            await self._capability.expected.of(name)
            session = await self._capability.start(name, channels, asked.params)
        except TimeoutError:
            return refusal(503, f"stream {name!r} is on its way from another process", retry=True)
        except ParamRejected as exc:
            return refusal(_status(said), str(exc), exc.problems)
        except ChannelsRefused as exc:
            return refusal(422, REFUSED, [_bad(name, NOT_PUBLIC) for name in exc.which])
        except (NodeFailed, ProcessLost) as exc:
            return refusal(500, str(exc))
        except Crowded as exc:
            return refusal(503, str(exc), retry=True)
        except Stalled as exc:
            return refusal(504, str(exc))
        except (Full, Strained, Taken, StillEnding, Overtaken, Unstarted) as exc:
            return self._not_started(name, exc)
        return answer(
            bodies.Started(
                message="the stream is started", request_id=name, current_state=_current(session)
            )
        )

    def _not_started(self, name: str, why: Exception) -> web.Response:
        """Where it was nobody's mistake that a stream does not run."""
        match why:
            case Full():
                most = self._capability.slots.most
                return refusal(503, f"all {most} streams of this worker are taken", retry=True)
            case Strained():
                return refusal(503, str(why), retry=True)
            case StillEnding():
                return refusal(503, f"stream {name!r} has not come to its end yet", retry=True)
            case Overtaken():
                return refusal(409, f"stream {name!r} was asked for again, and that one counts")
            case Unstarted(ending=Ending(reason=Reason.SHUTDOWN)):
                return refusal(503, "the worker takes no streams now", retry=True)
            case Unstarted(ending=ending):
                status = 500 if ending.reason is Reason.FAILED else 409
                return refusal(status, f"stream {name!r} ended while it was set up: {ending}")
        return refusal(409, f"stream {name!r} runs already, with other channels or params")

    async def params(self, request: web.Request) -> web.Response:
        await self._arrived(request)
        session = self._session(request)
        if isinstance(session, web.Response):
            return session
        if (rest := session.changes.turn()) is None:
            return refusal(429, TOO_OFTEN, retry=True)
        await asyncio.sleep(rest)
        said = await self._reception.json(request, "params", empty=b"{}")
        try:
            patch = await session.changes.change(said.value)
        except ParamRejected as exc:
            malformed = any(each.code == "bad-params" for each in exc.problems)
            return refusal(400 if malformed else _status(said), str(exc), exc.problems)
        answered = await updated(session, patch)
        await self._capability.kept()
        return answered

    async def stop(self, request: web.Request) -> web.Response:
        await self._reception.skipped(request, "stop")  # it may hold anything (contract 2.5)
        await self._arrived(request)
        name = request.headers.get("X-Stream-Id", "")
        if name:
            session = self._capability.sessions.get(name)
        else:
            active = self._active()
            if len(active) > 1:
                return refusal(400, SEVERAL)
            # A stop may come twice, and the second one waits for the same end.
            session = next(iter(active or self._capability.sessions.values()), None)
        if session is None:
            return answer(bodies.Stopped(message="no such stream runs", request_id=name))
        session.end(Reason.STOPPED)
        message = "the stream is stopped"
        if not await came_within(session.over.wait(), STOP_SECONDS):
            log.warning("it has not ended in time", extra={"session": session.name})
            message = "the stream ends, but is not over yet"
        return answer(
            bodies.Stopped(message=message, request_id=session.name, reason=session.reason)
        )

    async def status(self, request: web.Request) -> web.Response:
        """The shape of contract 2.6, for people and tools, with every stream by its id."""
        return as_json(self.state())

    def state(self) -> dict[str, Any]:
        streams = self._capability.status()
        first = next(iter(self._capability.sessions.values()), None)
        health = self.health
        body: dict[str, Any] = {
            "status": health,
            "state": health,
            "error_message": None,
            "pipeline_ready": self._ready.is_set(),
            "startup_complete": self._ready.is_set(),
            "pipeline_state": health,
            "active_streams": len(streams),
            "client_active": bool(streams),
            "additional_info": {},
            "streams": streams,
        }
        if first is not None:
            body |= {
                "client_running": True,
                "error_message": error_of(first) or None,
                "fps": rates_of(first),
                "current_params": {"gateway_request_id": first.name, **first.changes.told()},
            }
        return body

    @property
    def health(self) -> str:
        if not self._ready.is_set():
            return "LOADING"
        return "OK" if self._capability.sessions else "IDLE"

    def _session(self, request: web.Request) -> Session | web.Response:
        name = request.headers.get("X-Stream-Id", "")
        active = self._active()
        if not name and len(active) > 1:
            return refusal(400, SEVERAL)
        for session in active:
            if not name or session.name == name:
                return session
        return refusal(404, f"no stream {name!r} runs here" if name else "no stream runs here")

    async def _arrived(self, request: web.Request) -> None:
        """Wait for the stream that is meant, where it is on its way from another process. Raises
        HTTPServiceUnavailable where that takes long.
        """
        try:
            await self._capability.expected.of(request.headers.get("X-Stream-Id", ""))
        except TimeoutError:
            raise web.HTTPServiceUnavailable from None

    def _active(self) -> list[Session]:
        """The sessions that nothing has ended."""
        sessions = self._capability.sessions.values()
        return [session for session in sessions if not session.life.ending]

    async def _may_start(self) -> bool:
        if self._closing.is_set():
            return False
        try:
            async with asyncio.timeout(self._loading_seconds):
                await self._ready.wait()
        except TimeoutError:
            return False
        return not self._closing.is_set()

    def _unreachable(self, channels: Channels) -> web.Response | None:
        """The refusal of channels that may not be where they are said to be."""
        problems, status = [], 422
        for name, address in asdict(channels).items():
            try:
                said = self._reach.wrong_with(address) if address else ""
            except Unwritable as exc:
                said, status = str(exc), 400
            if said:
                problems.append(_bad(name, said))
        return refusal(status, REFUSED, problems) if problems else None


def _bad(channel: str, said: str) -> Problem:
    return Problem("bad-url", f"{channel}_url {said}", f"{channel}_url")


def _status(said: ParsedJson) -> int:
    """Of the refusal of what a body holds: NaN and the like are no JSON, a wrong value is."""
    return 422 if said.strict else 400


def _current(session: Session) -> bodies.Current:
    return bodies.Current(
        state=str(state_of(session)), graph=session.graph_hash, params=session.changes.told()
    )


def _unreadable(exc: ValidationError) -> web.Response:
    """A start without what it needs: 400, since nobody can know what was meant."""
    problems = []
    for error in exc.errors(include_url=False):
        at = ".".join(map(str, error["loc"]))
        said = f"{at}{sentence(error)}, got {shown(error['input'])}" if at else "it is no object"
        problems.append(Problem("bad-body", said, at))
    return refusal(400, "; ".join(each.message for each in problems), problems)


# around every handler


async def updated(session: Session, patch: Patch) -> web.Response:
    """The answer to a change that was accepted; it waits a little for the frame it holds from."""
    seconds = await session.changes.applied(patch, APPLY_SECONDS)
    return answer(
        bodies.Updated(
            message="the params are accepted",
            request_id=session.name,
            params=session.changes.told_targets(),
            pts_seconds=seconds,
        )
    )


def reloading(reloader: Reloader, reception: Reception) -> Handler:
    """Puts the file as it is now in the place of what runs; 422 with what is wrong with it."""

    async def reload(request: web.Request) -> web.StreamResponse:
        await reception.skipped(request, "reload")
        try:
            done = await reloader.reload(await reloader.written())
        except Stalled as exc:
            return refusal(503, str(exc), retry=True)
        if done.outcome is Outcome.REFUSED:
            return refusal(422, "the file is refused; what ran goes on", done.problems)
        said = bodies.Reloaded(
            outcome=done.outcome,
            nodes=list(done.nodes),
            changed=list(done.changed),
            milliseconds=round(done.milliseconds, 1),
        )
        return answer(said)

    return reload


def kept(handler: Handler) -> Handler:
    """Goes on when its caller leaves: what was begun is not left half done."""
    running: set[asyncio.Future[web.StreamResponse]] = set()

    async def going(request: web.Request) -> web.StreamResponse:
        work = asyncio.ensure_future(handler(request))
        running.add(work)
        work.add_done_callback(running.discard)
        return await asyncio.shield(work)

    return going


@web.middleware
async def said_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refusals of aiohttp in our shape; a bug of ours as 500 that tells nothing of its inside."""
    try:
        return await handler(request)
    except web.HTTPException as exc:
        if exc.status < 400:
            raise
        made = refusal(exc.status, exc.reason, retry=exc.status == 503)
        if "Allow" in exc.headers:
            made.headers["Allow"] = exc.headers["Allow"]
        return made
    except (ConnectionError, asyncio.CancelledError):
        raise
    except (Exception, SystemExit):  # what calls sys.exit() here is a node, and ends no worker
        log.exception("%s %s failed", request.method, request.rel_url.raw_path)
        return refusal(500, "the worker made a mistake; its log says which")


def lenient(path: str) -> str:
    """A route that takes doubled slashes, too: addresses are put together (contract 2.1)."""
    parts = [part for part in path.split("/") if part]
    return "".join(f"/{{_{place}:/*}}{part}" for place, part in enumerate(parts))
