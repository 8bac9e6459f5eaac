"""The worker: its sockets, its capabilities, and an end in good order."""

import asyncio
import contextlib
import gc
import logging
import os
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn

from aiohttp import web

from composer import exits
from composer.compiler.compile import Compiled, plan_of, ready
from composer.compiler.plan import Mode, Plan
from composer.device import cuda
from composer.engine import loading
from composer.engine.oneshot import JobLimits
from composer.errors import SettingsInvalid, words_of
from composer.exits import Exit
from composer.isolation.placement import Placement
from composer.limits import WireLimits
from composer.parser import Parser
from composer.pipeline.spec import Isolation
from composer.server import descriptors, supervision
from composer.server.admission import Admission
from composer.server.application import application, figures
from composer.server.capability import Capability, Slots
from composer.server.connection import HttpRunner
from composer.server.door import Door
from composer.server.forwarding import Forwarding
from composer.server.headroom import Headroom
from composer.server.heir import Heir
from composer.server.journal import LAST_WORDS, Journal
from composer.server.last_words import LastWords
from composer.server.manifest import manifest
from composer.server.reception import Reception
from composer.server.registration import Offered, Registration
from composer.server.revival import Fall, Revival
from composer.server.routes import Streams
from composer.server.same_origin import SameOrigin, called
from composer.server.settings import Settings
from composer.server.tries import Tries
from composer.server.upgrade import Command
from composer.server.upgrades import Upgrades
from composer.session.ending import Reason
from composer.session.session_record import SessionRecord
from composer.session.timing import Timing
from composer.threads import Places
from composer.trickle.http import Http
from composer.trickle.outbound import Outbound
from composer.trickle.reach import Reach
from composer.trickle.server_log import SERVER_LOG

log: Final = logging.getLogger(__name__)

HEAD_SECONDS: Final = 20.0
"""How long the head of a request may take to come, and a connection may be idle."""

KNOWN_AS: Final = (
    "its numbers, localhost, a name without a dot, and what CAPABILITY_URL and BYOC_NAMES say;"
    " with CAPABILITY_TOKEN set, by any name"
)
"""What a caller is told who has called it something else."""

SWITCH_SECONDS: Final = 0.0005
"""For how long a thread may keep Python's lock from others."""

LAST_SECONDS: Final = 0.1
"""What a thread may take behind the end of its session."""

SPARE_SECONDS: Final = 2.0
"""What is kept of the time to end for what did not end by itself, a tenth of it at the most."""


@dataclass(frozen=True)
class Offer:
    """One pipeline to serve: its capability's name, and below which path.

    offered: what orchestrators are told about it. compiled: what one-shot jobs run.
    """

    name: str
    plan: Plan
    manifest: Mapping[str, Any]
    path: str = ""
    offered: Offered | None = None
    compiled: Compiled | None = None
    file: Path | None = None


class Worker:
    """Serves offers until it is told to end.

    async with Worker(...).serving() as worker: ... await worker.ended()

    journal: taken by this process, or to be by an heir. resume_s, culprit: see revival. heir: where
    another process began this one to take its place. isolation: of all sessions; None: as each
    pipeline says. session_memory: bytes that one of them may have which is isolated, 0 for any
    number.
    """

    def __init__(
        self,
        offers: Sequence[Offer],
        *,
        host: str = "127.0.0.1",
        port: int = 8000,
        metrics_port: int | None = None,
        capacity: int = 1,
        tokens: Sequence[str] = (),
        names: Sequence[str] = (),
        trickle_hosts: Sequence[str] = (),
        verify_tls: bool = True,
        ca_file: str = "",
        drain_s: float = 20.0,
        loading_s: float = 20.0,
        pipeline: str = "byoc",
        orchestrators: Sequence[str] = (),
        orch_secret: str = "",
        reloads: bool = False,
        memory_mib: int = 0,
        journal: Journal | None = None,
        resume_s: float = 60.0,
        culprit: str = "",
        heir: Heir | None = None,
        timing: Timing = Timing(),  # noqa: B008 - it is frozen
        limits: JobLimits = JobLimits(),  # noqa: B008 - it is frozen
        wire: WireLimits = WireLimits(),  # noqa: B008 - it is frozen
        isolation: Isolation | None = None,
        session_memory: int = 0,
    ) -> None:
        self.reloads, self.journal = reloads, journal
        self._resume_s, self._culprit, self._heir = resume_s, culprit, heir
        ports = (port,) if metrics_port is None else (port, metrics_port)
        inherited = heir.sockets if heir is not None else ()
        doors = (*inherited[: len(ports)], *[()] * (len(ports) - len(inherited)))
        self.doors = tuple(Door(host, *each) for each in zip(ports, doors, strict=True))
        """Where it is reached, and where its figures are, if they have a port of their own."""
        self._servers: list[web.Server | None] = []
        self.forwarding = Forwarding()
        self.handed_over = False
        """Whether another process has its place, and the name at the orchestrators."""
        self.registrations: list[Registration] = []
        self._orchestrators, self._orch_secret = tuple(orchestrators), orch_secret
        self.offers = tuple(offers)
        self.capabilities: dict[str, Capability] = {}
        self.ready, self.closing = asyncio.Event(), asyncio.Event()
        self.lost = ""
        """What a GPU said that is lost to this process."""
        self.left_behind = False
        """Whether something that it began goes on in a thread, and may do so for ever."""

        self.slots, self.places = Slots(capacity), Places(capacity)
        self.limits = limits
        self.parser = Parser(wire)
        self.reception = Reception(self.parser, capacity)
        self.headroom = Headroom(memory_mib << 20, self._shed_soon)
        self.placement = Placement(isolation, session_memory)
        self.tokens = tuple(tokens)
        self._reach = Reach.of(trickle_hosts, orchestrators)
        self.admission = Admission(self.tokens, Tries(), SameOrigin(called(names), KNOWN_AS))
        self._tls = (verify_tls, ca_file)
        self._drain_s, self.loading_s = drain_s, loading_s
        self.pipeline, self.timing = pipeline, timing
        self.streams: dict[str, Streams] = {}

    # its life

    async def run(self, listening: Callable[["Worker"], Awaitable[None]]) -> None:
        """Serve; `listening` is awaited once the port is open, and its return is the end."""
        async with AsyncExitStack() as stack:
            stack.callback(self.placement.close)
            outbound = Outbound(self._reach, verify_tls=self._tls[0], ca_file=self._tls[1])
            self.outbound = await stack.enter_async_context(outbound)
            stack.push_async_callback(self.forwarding.close)
            async with asyncio.TaskGroup() as group:
                runners = [_runner(application(self, outbound, group)), _runner(figures(self))]
                registering: list[asyncio.Task[None]] = []
                self._loop, self._group = asyncio.get_running_loop(), group
                self.headroom.begin()
                keeping: list[asyncio.Task[None]] = []
                try:
                    left = await self._left()
                    for runner in runners:
                        await runner.setup()
                    self._servers = [runner.server for runner in runners]
                    if self._heir is None:
                        self.listen()
                    if await self._prepared() and await self._admitted(group):
                        keeping = self._keep(outbound, group, left)
                        registering = self._register(outbound.common, group)
                        await listening(self)
                finally:
                    self.closing.set()
                    until = asyncio.get_running_loop().time() + self.drain_s
                    await self._unregister(registering)
                    for task in keeping:
                        task.cancel()
                    await self._close(until - min(SPARE_SECONDS, self.drain_s / 10))
                    for door in self.doors:
                        await door.give_back()
                    for runner in runners:
                        await runner.cleanup()
                    if self.journal is not None:
                        await self.journal.close()
                    self.left_behind = self.left_behind or self.places.left_behind > 0
                    self.parser.close()
                    self.headroom.end()

    def end(self) -> None:
        """Take no more sessions. Whoever let it run brings it to its end then."""
        self.closing.set()

    def failed(self, failure: BaseException) -> None:
        """A session or a job failed; with a lost GPU all others will."""
        if not self.lost and cuda.lost(failure):
            self.lost = words_of(failure).splitlines()[0]
            log.critical("a GPU is lost, and only another process can use it: %s", self.lost)
            self.end()

    def _shed_soon(self) -> None:
        """Memory is about to run out. Called in another thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._shed)

    def _shed(self) -> None:
        """End the session that began last, so that the system ends nothing; one at a time, since
        its memory comes back with its end.
        """
        here = [
            session for each in self.capabilities.values() for session in each.sessions.values()
        ]
        if not here or any(session.life.ending for session in here):
            return
        newest = max(here, key=lambda session: session.began)
        newest.end(Reason.OVERLOAD, f"memory runs out: {self.headroom.memory}")

    @property
    def drain_s(self) -> float:
        """Seconds that what goes on has for its end. Jobs do not go over to another process."""
        return max(self._drain_s, self.limits.seconds) if self.handed_over else self._drain_s

    @property
    def address(self) -> str:
        """Where it is reached, "" before it listens."""
        return self.doors[0].address

    @property
    def metrics_address(self) -> str:
        """Where its figures are, "" where they have no port of their own."""
        return self.doors[1].address if len(self.doors) > 1 else ""

    def listen(self) -> None:
        """Accept requests; raises OSError where a port is taken."""
        for door, server in zip(self.doors, self._servers, strict=False):
            assert server is not None  # its runner is set up
            door.open(server, self._group)

    async def _admitted(self, group: asyncio.TaskGroup) -> bool:
        """Whether requests may be answered here, and sessions begun. An heir waits for that."""
        if self._heir is None:
            return True
        admission = asyncio.ensure_future(self._heir.admitted(self, group))
        closing = asyncio.ensure_future(self.closing.wait())
        try:
            await asyncio.wait({admission, closing}, return_when=asyncio.FIRST_COMPLETED)
            if self.closing.is_set() or not admission.result():
                return False
        finally:
            admission.cancel()
            closing.cancel()
        self.listen()
        return True

    async def _prepared(self) -> bool:
        """Load libraries and models before the first session, and keep the models after the last;
        False where the end came first: whatever loads is not waited for. Raises NodeFailed.
        """
        load = asyncio.ensure_future(self._load([each.plan for each in self.offers]))
        closing = asyncio.ensure_future(self.closing.wait())
        try:
            await asyncio.wait({load, closing}, return_when=asyncio.FIRST_COMPLETED)
            if self.closing.is_set():
                self.left_behind = not load.done()
                return False
            await load
        finally:
            load.cancel()
            closing.cancel()
        self.ready.set()
        return True

    async def _load(self, plans: Sequence[Plan]) -> None:
        """Raises NodeFailed and Stalled."""
        here = [plan for plan in plans if not self.placement.isolates(plan)]
        await self.places.loads.run(None, loading.load, here)
        await self.placement.prepare(plans)

    async def _left(self) -> list[SessionRecord]:
        """The streams that are left of the process before this one. Whoever asks for one of them
        waits.
        """
        if self.journal is None or self._heir is not None:
            return []
        records = await self.places.loads.run(None, self.journal.left)
        for record in records:
            if record.capability in self.capabilities:
                self.capabilities[record.capability].expected.expect(record.name)
        return records

    def _keep(
        self, outbound: Outbound, group: asyncio.TaskGroup, left: Sequence[SessionRecord]
    ) -> list[asyncio.Task[None]]:
        """Keep the streams for the process after this one, and go on with those that are left, or
        are handed over.
        """
        tasks: list[asyncio.Task[None]] = []
        if self._heir is not None:
            tasks.append(group.create_task(self._heir.run(self, group)))
        if self.journal is None:
            return tasks
        revival = Revival(
            self.capabilities,
            self.journal,
            outbound,
            Fall(self.journal.alive_at, self._culprit),
            resume_s=self._resume_s,
            timing=self.timing,
        )
        tasks.append(group.create_task(self.journal.run()))
        return [*tasks, group.create_task(revival.run(left))]

    def _register(self, http: Http, group: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        """Make every offer known everywhere, in the background."""
        self.registrations = [
            Registration(
                http,
                orchestrator,
                self._orch_secret,
                offer.offered,
                self._free,
            )
            for offer in self.offers
            if offer.offered is not None
            for orchestrator in self._orchestrators
        ]
        return [group.create_task(each.run()) for each in self.registrations]

    def _free(self) -> int:
        """How many more sessions there is room for, with those that are on their way here."""
        here = self.capabilities.values()
        coming = sum(len(each.expected.names - each.sessions.keys()) for each in here)
        return self.slots.most - self.slots.used - coming

    async def _unregister(self, tasks: list[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        if not self.handed_over:  # or the name is another process's
            await asyncio.gather(*(each.close() for each in self.registrations))

    def renew(self) -> None:
        """A request was answered 401: the orchestrators have dropped us (contract 2.8)."""
        for each in self.registrations:
            each.renew()

    async def _close(self, until: float) -> None:
        """Sessions and jobs come to their end by then, or are left behind."""
        left = max(0.0, until - asyncio.get_running_loop().time())
        reason = Reason.FAILED if self.lost else Reason.SHUTDOWN
        here = self.capabilities.values()
        try:
            async with asyncio.timeout(left):
                await asyncio.gather(*(each.end_all(reason, left, self.lost) for each in here))
                await self.slots.empty.wait()
        except TimeoutError:
            self.left_behind = True
            names = ", ".join(name for each in here for name in each.sessions)
            log.warning(
                "%d streams and jobs did not end in time: %s", self.slots.used, names or "jobs"
            )
            for each in here:
                each.abandon()


def _runner(app: web.Application) -> HttpRunner:
    return HttpRunner(
        app,
        handle_signals=False,
        handler_cancellation=True,
        access_log=None,
        logger=SERVER_LOG,
        keepalive_timeout=HEAD_SECONDS,
        auto_decompress=False,  # how far a body may grow is the reception's to say
        shutdown_timeout=1.0,
    )


def offers(files: Sequence[tuple[Path, Compiled]], settings: Settings) -> list[Offer]:
    """One offer per pipeline file. Raises SettingsInvalid when two have the same name, and
    PipelineInvalid.
    """
    made: list[Offer] = []
    for file, compiled in files:
        ready(compiled)
        plan = plan_of(compiled, Mode.LIVE)
        alone = settings.name if len(files) == 1 else ""
        name = alone or plan.graph.capability or file.stem
        if any(name == each.name for each in made):
            raise SettingsInvalid(
                f"{file}: two pipelines are called {name!r}; give each its own `capability:`"
            )
        path = f"/{name}" if len(files) > 1 else ""
        offered = Offered(
            name,
            settings.url + path,
            settings.description or plan.graph.description,
            settings.price_per_unit,
            settings.price_scaling,
            settings.currency,
            next(iter(settings.tokens), ""),
        )
        made.append(Offer(name, plan, manifest(name, plan), path, offered, compiled, file))
    return made


def serve(offers: Sequence[Offer], settings: Settings, say: Callable[[str], None]) -> Exit:
    """Serve until SIGTERM or SIGINT; gives the exit code, where nothing keeps the process from its
    end, and ends it else.

    Raises OSError where a port is taken, NodeFailed where a model cannot be loaded.
    """
    descriptors.raise_limit()
    try:
        return asyncio.run(_serve(offers, settings, say))
    finally:
        exits.at_signals()  # there is nothing to bring to an end any more


def _worker(offers: Sequence[Offer], settings: Settings) -> Worker:
    """Raises SettingsInvalid where its folder cannot be used."""
    heir = Heir.of()
    journal, culprit = _journal(settings, heir)
    return Worker(
        offers,
        host=settings.host,
        port=settings.port,
        metrics_port=settings.metrics_port,
        capacity=settings.capacity,
        tokens=settings.tokens,
        names=settings.known_names,
        trickle_hosts=settings.hosts,
        verify_tls=settings.verify_tls,
        ca_file=settings.ca_file,
        drain_s=settings.drain_s,
        loading_s=settings.loading_s,
        pipeline=settings.pipeline,
        orchestrators=settings.orchestrator_urls,
        orch_secret=settings.orch_secret.get_secret_value(),
        reloads=settings.reload,
        memory_mib=settings.memory_mib,
        timing=Timing(unusable=settings.input_s),
        limits=JobLimits(input_bytes=settings.wire.file),
        wire=settings.wire,
        journal=journal,
        resume_s=settings.resume_s,
        culprit=culprit,
        heir=heir,
        isolation=settings.isolation or None,
        session_memory=settings.session_memory_mib << 20,
    )


def _journal(settings: Settings, heir: Heir | None) -> tuple[Journal | None, str]:
    """Where sessions are kept, and which of them took the process before this one down; from here
    on this one says it, too. Raises SettingsInvalid.
    """
    if not settings.state:
        return None, ""
    journal = Journal(Path(settings.state))
    journal.open()
    if heir is None:
        journal.take()
    words = LastWords(journal.folder / LAST_WORDS)
    if words.culprit or words.before.startswith("Fatal"):
        log.error("the process before this one was taken down:\n%s", words.before)
    words.listen()
    return journal, words.culprit


def share_interpreter() -> None:
    """From here on a thread of this process gives Python's lock up sooner to one that waits for it:
    the loop and each stream's threads would wait for all that compute, 5 ms for each.
    """
    sys.setswitchinterval(SWITCH_SECONDS)


async def _serve(offers: Sequence[Offer], settings: Settings, say: Callable[[str], None]) -> Exit:
    share_interpreter()
    command = Command.of_this_process(settings.secrets)
    worker = _worker(offers, settings)
    loop = asyncio.get_running_loop()
    folder = worker.journal.folder if worker.journal is not None else None
    upgrades = Upgrades(worker, command, settings.upgrade_s, folder)

    def soon(call: Callable[[], object]) -> Callable[[], object]:
        return lambda: loop.call_soon_threadsafe(call)

    exits.at_signals(soon(worker.end))
    exits.at_hangup(soon(upgrades.want), soon(worker.end))

    def code() -> Exit:
        return Exit.GPU_LOST if worker.lost else Exit.ENDED

    async def listening(here: Worker) -> None:
        # What is there now stays: looking through it for garbage would only hold up streams.
        gc.freeze()
        for offer in offers:
            say(f"{offer.name} at {here.address}{offer.path}")
        if here.metrics_address:
            say(f"figures at {here.metrics_address}/metrics")
        supervision.notify(f"READY=1\nMAINPID={os.getpid()}")
        upgrading = asyncio.ensure_future(upgrades.run())
        await here.closing.wait()
        if not here.handed_over:
            upgrading.cancel()
        await asyncio.wait({upgrading})
        loop.call_later(here.drain_s, lambda: _leave(code()))

    try:
        await worker.run(listening)
    except BaseExceptionGroup as group:  # of the worker's task group
        first = group.exceptions[0]
        if not worker.ready.is_set():
            raise first from None
        log.exception("the worker made a mistake", exc_info=first)
        _leave(Exit.BUG)
    if worker.left_behind or worker.lost or _left():
        _leave(code())  # here: the end of the loop, and of Python, waits for every thread
    return code()


def _leave(code: Exit) -> NoReturn:
    if left := _left():
        log.error("nodes that do not end are left behind: %s", ", ".join(left))
    exits.leave(code)


def leave_behind() -> None:
    """End the process with 0 where threads of nodes would keep it from ending."""
    if _left():
        _leave(Exit.ENDED)


def _left() -> list[str]:
    """Threads of nodes that still work; those whose work is done have a moment to end."""
    until = time.monotonic() + LAST_SECONDS
    found = [each for each in threading.enumerate() if each.name.startswith(("stage ", "setup "))]
    for thread in found:
        thread.join(max(0.0, until - time.monotonic()))
    return [each.name for each in found if each.is_alive()]
