"""What a worker says about itself: to probes, of its versions, its devices and its figures."""

import importlib.metadata
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from composer.server import bodies, hardware, metrics, openapi, traffic, vitals
from composer.server.routes import answer, as_json
from composer.session import watchdog
from composer.threads import LEFT_BEHIND

if TYPE_CHECKING:  # which has these answers among its routes
    from composer.server.worker import Offer, Worker

VERSION: Final = importlib.metadata.version("byoc-composer")


class About:
    """The answers of one process, and those of each pipeline that it serves."""

    def __init__(self, worker: "Worker") -> None:
        self._worker = worker

    # one pipeline

    async def capability_of(self, offer: "Offer") -> web.Response:
        return as_json(self._worker.capabilities[offer.name].manifest)

    async def version_of(self, offer: "Offer") -> web.Response:
        return self._versioned(offer.name)

    async def health_of(self, offer: "Offer") -> web.Response:
        return self._healthy({self._worker.streams[offer.name].health})

    # all of them together

    async def capabilities(self, request: web.Request) -> web.Response:
        manifests = [each.manifest for each in self._worker.capabilities.values()]
        return as_json({"capabilities": manifests})

    async def version(self, request: web.Request) -> web.Response:
        return self._versioned(",".join(self._worker.capabilities))

    async def health(self, request: web.Request) -> web.Response:
        return self._healthy({streams.health for streams in self._worker.streams.values()})

    def _versioned(self, model_id: str) -> web.Response:
        pipeline = self._worker.pipeline
        return answer(bodies.Version(pipeline=pipeline, model_id=model_id, version=VERSION))

    def _healthy(self, states: set[str]) -> web.Response:
        """The worst of some states, where no GPU is lost."""
        there = states | {"ERROR"} if self._worker.lost else states
        worst = next(state for state in ("ERROR", "LOADING", "OK", "IDLE") if state in there)
        return answer(bodies.Health.model_validate({"status": worst}))

    # probes

    async def ready(self, request: web.Request) -> web.Response:
        """Whether streams may start."""
        why = ""
        if self._worker.lost:
            why = f"a GPU is lost: {self._worker.lost}"
        elif self._worker.closing.is_set():
            why = "the worker comes to its end"
        elif not self._worker.ready.is_set():
            why = "the worker loads"
        else:
            why = self._worker.headroom.why_no_start()
        return _probed(why)

    async def live(self, request: web.Request) -> web.Response:
        """Whether the work is fresh. Whoever asks may end the process, and with it all streams, so
        a session comes to its own end first where it can. It is named to who shows a token alone.
        What there is too little of is said, too, and asks for nothing while anything runs.
        """
        here = self._worker.capabilities.values()
        sessions = [session for capability in here for session in capability.sessions.values()]
        named = self._worker.admission.knows(request)
        stuck = [
            f"session {each.name}: {why}" if named else f"a session: {why}"
            for each in sessions
            if (why := watchdog.stuck(each))
        ]
        stuck += [
            f"{threads.left_behind} of {threads.kind!r} hang, so no more is begun"
            for threads in self._worker.places
            if threads.crowded
        ]
        headroom, busy = self._worker.headroom, self._worker.slots.used > 0
        stuck += [why for why in (LEFT_BEHIND.why_anew, headroom.why_anew(busy=busy)) if why]
        return _probed("; ".join(stuck), beside=headroom.strained)

    # the process

    async def app_version(self, request: web.Request) -> web.Response:
        return answer(bodies.AppVersion(version=VERSION))

    async def hardware_info(self, request: web.Request) -> web.Response:
        return as_json(self._named() | {"gpu_info": hardware.info()})

    async def hardware_stats(self, request: web.Request) -> web.Response:
        return as_json(self._named() | {"gpu_stats": hardware.stats()})

    def _named(self) -> dict[str, Any]:
        names = ",".join(self._worker.capabilities)
        return {"pipeline": self._worker.pipeline, "model_id": names}

    async def openapi(self, request: web.Request) -> web.Response:
        worker = self._worker
        offers = [
            (offer.name, offer.path, worker.capabilities[offer.name].manifest["params"])
            for offer in worker.offers
        ]
        token = bool(worker.tokens)
        return as_json(openapi.document(offers, VERSION, token=token, reloads=worker.reloads))

    async def metrics(self, request: web.Request) -> web.Response:
        """Figures; those of each session by its name to who shows a token alone."""
        return self._figures(named=self._worker.admission.knows(request))

    async def metrics_apart(self, request: web.Request) -> web.Response:
        """All figures, at the port that has nothing else."""
        return self._figures(named=True)

    def _figures(self, *, named: bool) -> web.Response:
        worker = self._worker
        others = [*traffic.families(worker.reception), *vitals.families(worker.headroom)]
        text = metrics.text(worker.capabilities.values(), worker.slots.most, others, named=named)
        return web.Response(body=text, headers={"Content-Type": metrics.CONTENT_TYPE})


def _probed(why: str, beside: str = "") -> web.Response:
    """beside: what is said where all is well."""
    return answer(bodies.Probe(ok=not why, why=why or beside), 503 if why else 200)
