"""The routes of a worker: which request its pipelines, and the process as a whole, answer how."""

import asyncio
from typing import TYPE_CHECKING

from aiohttp import web
from aiohttp.typedefs import Middleware

from composer.node.registry import Registry
from composer.server import process
from composer.server.about import About
from composer.server.capability import Capability
from composer.server.reload import Reloader
from composer.server.routes import (
    Handler,
    Streams,
    kept,
    lenient,
    reloading,
    said_as_json,
)
from composer.trickle.outbound import Outbound

if TYPE_CHECKING:  # which is made of it
    from composer.server.worker import Offer, Worker


def application(worker: "Worker", outbound: Outbound, group: asyncio.TaskGroup) -> web.Application:
    """All routes of a worker, and with them a Capability for each offer."""
    app, about = _bare(worker, worker.forwarding.middleware), About(worker)
    for offer in worker.offers:
        capability = Capability(
            offer.name,
            offer.plan,
            worker.slots,
            outbound,
            group,
            worker.timing,
            worker.failed,
            worker.places,
            worker.parser,
            worker.journal,
            worker.headroom.why_no_start,
            worker.placement.begin,
        )
        capability.manifest = offer.manifest
        worker.capabilities[offer.name] = capability
        worker.streams[offer.name] = Streams(
            capability,
            worker.ready,
            worker.closing,
            worker.reception,
            loading_seconds=worker.loading_s,
            reach=outbound.reach,
        )
        _add_streams(app, offer, worker.streams[offer.name], worker)
        _add_reload(app, offer, worker)
        if offer.path or len(worker.offers) == 1:
            _add_about_one(app, offer, about)
    _add_jobs(app, worker)
    _add_about(app, about, several=len(worker.offers) > 1)
    return app


def figures(worker: "Worker") -> web.Application:
    """What is at the port of the figures."""
    app = _bare(worker)
    app.router.add_get("/metrics", About(worker).metrics_apart)
    return app


def _bare(worker: "Worker", *outermost: Middleware) -> web.Application:
    """An application without routes."""
    around = [*outermost, said_as_json, worker.admission.middleware]
    return web.Application(middlewares=around)


def _add_streams(app: web.Application, offer: "Offer", streams: Streams, worker: "Worker") -> None:
    def guarded(handler: Handler, *, json: bool = False) -> Handler:
        return worker.admission.guarded(handler, worker.renew, json=json)

    start = guarded(streams.start, json=True)
    # A stop may hold anything, and comes without a type (contract 2.5).
    calls: tuple[tuple[str, str, Handler], ...] = (
        ("POST", "/stream/start", start),
        ("POST", "/stream/params", guarded(streams.params, json=True)),
        ("POST", "/stream/stop", guarded(streams.stop)),
        ("GET", "/stream/status", guarded(streams.status)),
    )
    for method, path, handler in calls:
        for prefix in ("", "/api"):
            app.router.add_route(method, lenient(offer.path + prefix + path), handler)
    app.router.add_post(lenient(offer.path + "/live-video-to-video"), start)


def _add_reload(app: web.Application, offer: "Offer", worker: "Worker") -> None:
    if not worker.reloads or offer.file is None or offer.compiled is None:
        return
    here = worker.capabilities[offer.name]
    reloader = Reloader(offer.file, offer.compiled, Registry.installed(), here)
    # Who mistakes the token here is no orchestrator, so none has dropped us.
    reload = kept(reloading(reloader, worker.reception))
    guarded = worker.admission.guarded(reload, lambda: None)
    app.router.add_post(lenient(offer.path + "/reload"), guarded)


def _add_about_one(app: web.Application, offer: "Offer", about: About) -> None:
    async def capability(request: web.Request) -> web.Response:
        return await about.capability_of(offer)

    async def version(request: web.Request) -> web.Response:
        return await about.version_of(offer)

    async def health(request: web.Request) -> web.Response:
        return await about.health_of(offer)

    app.router.add_get(offer.path + "/capability", capability)
    app.router.add_get(offer.path + "/version", version)
    app.router.add_get(offer.path + "/health", health)


def _add_jobs(app: web.Application, worker: "Worker") -> None:
    """One-shot jobs: each pipeline by its name, the first one without."""
    compiled = {offer.name: offer.compiled for offer in worker.offers if offer.compiled is not None}
    if not compiled:
        return
    jobs = process.Jobs(
        compiled,
        worker.slots,
        worker.places.jobs,
        worker.reception,
        worker.limits,
        default=next(iter(compiled)),
        closing=worker.closing,
        failed=worker.failed,
        why_none=worker.headroom.why_no_start,
    )
    app.add_routes(process.routes(jobs, lambda job: worker.admission.guarded(job, worker.renew)))


def _add_about(app: web.Application, about: About, *, several: bool) -> None:
    """What a process has once, however many pipelines it serves."""
    get = app.router.add_get
    get("/ready", about.ready)
    get("/live", about.live)
    get("/app-version", about.app_version)
    get("/hardware/info", about.hardware_info)
    get("/hardware/stats", about.hardware_stats)
    get("/metrics", about.metrics)
    get("/openapi.json", about.openapi)
    if several:
        get("/health", about.health)
        get("/version", about.version)
        get("/capability", about.capabilities)
