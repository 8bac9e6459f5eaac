"""`byoc dev`: channels, a worker, an input and a page in one process, until it is told to end."""

import asyncio
import secrets
import signal
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from composer.compiler.compile import Compiled, compile_file, plan_of, ready
from composer.compiler.plan import Mode
from composer.dev import feed, terminal
from composer.dev.ongoing import Ongoing, ends
from composer.dev.studio import Studio
from composer.errors import MediaError, NodeFailed, PipelineInvalid, Problem
from composer.limits import WireLimits
from composer.node import registry
from composer.node.registry import Registry
from composer.server.capability import Capability
from composer.server.manifest import manifest
from composer.server.reception import Reception
from composer.server.reload import Reload, Reloader, Saves
from composer.server.worker import Offer, Worker, leave_behind
from composer.trickle.http import open_http
from composer.trickle.server import TrickleServer

CAPACITY: Final = 4
"""One session is shown; the others are free for whoever tries the worker's own interface."""


@dataclass(frozen=True)
class Wishes:
    """What the caller asked for. clip, camera: "" for none. ports: 0 for a free one. wire: what may
    come in.
    """

    clip: str = ""
    camera: str = ""
    port: int = 0
    trickle_port: int = 0
    wire: WireLimits = WireLimits()  # noqa: RUF009 - it is frozen


def once_fine(
    file: Path,
    installed: Registry,
    told: Callable[[Sequence[Problem], Mapping[str, Sequence[str]]], None],
) -> Compiled | None:
    """The file, compiled, once nothing is wrong with it; each save below its folder is looked at.

    told: what is wrong, and the lines of the files. None where Ctrl-C came first. Raises OSError
    for a file that cannot be read when it begins.
    """
    compiled = compile_file(file, installed)
    if not _problems(compiled):
        return compiled
    saves = Saves(file.resolve().parent)
    try:
        while True:
            with suppress(OSError):  # an editor puts another file in its place just now
                compiled = compile_file(file, installed)
            if not (problems := _problems(compiled)):
                return compiled
            told(problems, compiled.lines)
            registry.forget(saves.wait())
    except KeyboardInterrupt:
        return None


def _problems(compiled: Compiled) -> Sequence[Problem]:
    try:
        ready(compiled)
        plan_of(compiled, Mode.LIVE)
    except PipelineInvalid as exc:
        return exc.problems
    return ()


def run(
    file: Path,
    compiled: Compiled,
    registry: Registry,
    wishes: Wishes,
    say: Callable[[str], None],
) -> None:
    """Until q, SIGINT or SIGTERM.

    Raises OSError where a port is taken or the clip is not there, NodeFailed, PipelineInvalid.
    """
    ready(compiled)
    if wishes.clip and "://" not in wishes.clip and not Path(wishes.clip).is_file():
        raise FileNotFoundError(f"{wishes.clip}: there is no such file")
    try:
        asyncio.run(Development(file, compiled, registry, wishes, say).run())
    except BaseExceptionGroup as group:  # of the worker's task group
        found = group.split(lambda exc: isinstance(exc, OSError | NodeFailed))
        first = _first(found[0])
        if first is not None and found[1] is None:
            raise first from None
        raise
    leave_behind()


def _first(group: BaseExceptionGroup[BaseException] | None) -> BaseException | None:
    while group is not None:
        first = group.exceptions[0]
        if not isinstance(first, BaseExceptionGroup):
            return first
        group = first
    return None


class Development:
    """Everything that `byoc dev` starts, and the order in which it ends."""

    def __init__(
        self,
        file: Path,
        compiled: Compiled,
        registry: Registry,
        wishes: Wishes,
        say: Callable[[str], None],
    ) -> None:
        self._file, self._compiled, self._registry = file, compiled, registry
        self._wishes, self._say = wishes, say
        self._plan = plan_of(compiled, Mode.LIVE)
        self._token = secrets.token_urlsafe(24)
        self._asked = asyncio.Event()

    async def run(self, listening: Callable[[Studio], None] = lambda studio: None) -> None:
        """Until end() is called. listening: told of the studio when it can be asked."""
        name = self._plan.graph.capability or self._file.stem
        offer = Offer(name, self._plan, manifest(name, self._plan), compiled=self._compiled)
        # Nobody but this process needs to find the channels: they have no other lock.
        channels = TrickleServer(base_path=secrets.token_urlsafe(18), autocreate=False)
        worker = Worker(
            [offer],
            port=0,
            capacity=CAPACITY,
            tokens=(self._token,),
            trickle_hosts=("127.0.0.1",),
            drain_s=6.0,
            wire=self._wishes.wire,
        )
        async with AsyncExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="byoc-")))
            base = await stack.enter_async_context(
                channels.serving("127.0.0.1", self._wishes.trickle_port)
            )
            http = await stack.enter_async_context(open_http())

            async def until_ended(here: Worker) -> None:
                capability = here.capabilities[name]
                opened = feed.source(self._wishes.clip, self._wishes.camera, self._registry, folder)
                ongoing = Ongoing(capability, channels, base, http, partial(feed.LiveFeed, opened))
                await self._live(capability, ongoing, here.reception, listening)

            await worker.run(until_ended)

    def end(self) -> None:
        """Come to an end."""
        self._asked.set()

    async def _live(
        self,
        capability: Capability,
        ongoing: Ongoing,
        reception: Reception,
        listening: Callable[[Studio], None],
    ) -> None:
        reloader = Reloader(self._file, self._compiled, self._registry, capability)
        studio = Studio(self._token, ongoing, reloader, lambda reload: told(reload), reception)

        def told(reload: Reload) -> None:
            self._say(terminal.line(reload))
            studio.reloaded(reload)

        async with studio.serving(self._wishes.port) as link, asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(ongoing.run()),
                group.create_task(studio.run()),
                group.create_task(reloader.watch(told)),
            ]
            keys = self._keys(group, studio, ongoing)
            with terminal.keys(keys) as read, _signals(self.end):
                watched = len(reloader.files())
                self._say(terminal.ready(link, watched, self._input(), keys=read))
                listening(studio)
                await self._asked.wait()
            for task in tasks:
                task.cancel()

    def _keys(
        self, group: asyncio.TaskGroup, studio: Studio, ongoing: Ongoing
    ) -> dict[str, Callable[[], None]]:
        def rebuild() -> None:
            group.create_task(studio.rebuild())

        def snapshot() -> None:
            group.create_task(self._snapshot(studio))

        def pause() -> None:
            ongoing.pause(paused=not ongoing.paused)
            self._say("paused; p goes on" if ongoing.paused else "goes on")

        return {"r": rebuild, "p": pause, "s": snapshot, "q": self.end}

    async def _snapshot(self, studio: Studio) -> None:
        try:
            self._say(str(await terminal.saved(studio.snapshot(), Path.cwd())))
        except (MediaError, OSError) as exc:
            self._say(f"no snapshot: {exc}")

    def _input(self) -> str:
        if self._wishes.camera:
            return self._wishes.camera
        if self._wishes.clip:
            return f"{self._wishes.clip}, over and over"
        return "moving bars" if ends(self._plan).reads else "the pipeline makes its own pictures"


@contextmanager
def _signals(end: Callable[[], None]) -> Iterator[None]:
    """SIGINT and SIGTERM end it, while the block runs."""
    loop = asyncio.get_running_loop()
    both = (signal.SIGINT, signal.SIGTERM)
    try:
        for each in both:
            loop.add_signal_handler(each, end)
        yield
    finally:
        for each in both:
            loop.remove_signal_handler(each)
