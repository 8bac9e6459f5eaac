"""Reload: a pipeline file that has changed, in the place of the plan that runs."""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

import watchfiles
from watchfiles._rust_notify import RustNotify

from composer.compiler import change
from composer.compiler.change import Change
from composer.compiler.compile import Compiled, compile_file, plan_of, ready
from composer.compiler.plan import Mode, Plan
from composer.errors import NodeFailed, PipelineInvalid, Problem, Stalled
from composer.node import registry
from composer.node.registry import Registry
from composer.server.capability import Capability
from composer.server.manifest import manifest

SETTLE_MS: Final = 40
"""How long a file must rest: editors write in two goes, or replace a file by another."""

COMPILE_SECONDS: Final = 60.0
"""What compiling a file may take; nodes' own code takes part in it."""


class Outcome(StrEnum):
    """What became of a save."""

    PATCHED = "patched"  # live values changed, from one frame to the next
    REBUILT = "rebuilt"  # some nodes were built anew, the others went on
    REFUSED = "refused"  # there are problems; what ran goes on
    UNCHANGED = "unchanged"


@dataclass(frozen=True)
class Reload:
    """One reload. changed: names of files. nodes: what was patched or built anew. lines: the text
    of every file that was read, for carets.
    """

    outcome: Outcome
    changed: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    milliseconds: float = 0.0
    lines: Mapping[str, Sequence[str]] = field(default_factory=dict)


class Reloader:
    """Keeps what a capability runs like its file. One reload goes on at a time."""

    def __init__(
        self, file: Path, compiled: Compiled, installed: Registry, capability: Capability
    ) -> None:
        self.problems: tuple[Problem, ...] = ()
        """Of the last attempt."""

        self._file, self._registry, self._capability = file, installed, capability
        self._lines = compiled.lines
        self._one = asyncio.Lock()
        self._stamps = self._stamped()

    @property
    def plan(self) -> Plan:
        """What runs."""
        return self._capability.plan

    def files(self) -> frozenset[Path]:
        """The files that it follows: the pipeline's, those that they name, and nodes' Python."""
        folder = self._file.parent
        found = {self._file.resolve()} | {Path(name).resolve() for name in self._lines}
        for name in self._lines:
            found.add((folder / name).resolve())
        for step in self.plan.steps.values():
            found |= change.files_of(step)
        python = {path for path in found if path.suffix == ".py"} | registry.followed()
        for path in python:
            found |= registry.files_of(path)
        return frozenset(path for path in found if path.is_file())

    async def written(self) -> frozenset[Path]:
        """The files that were written since the last reload. Raises Stalled, where disks hang."""
        return await self._capability.places.changes.run(COMPILE_SECONDS, self._written)

    def _written(self) -> frozenset[Path]:
        now = self._stamped()
        return frozenset(path for path, stamp in now.items() if self._stamps.get(path) != stamp)

    def _stamped(self) -> dict[Path, tuple[int, int]]:
        stats = {path: path.stat() for path in self.files()}
        return {path: (stat.st_mtime_ns, stat.st_size) for path, stat in stats.items()}

    async def reload(self, changed: Collection[Path] = (), *, everything: bool = False) -> Reload:
        """Compile the file and go over to it; what runs goes on where that cannot be done.

        changed: the files that were written. everything: build every node but the sources anew.
        """
        async with self._one:
            began = time.perf_counter()
            touched = frozenset(path.resolve() for path in changed)
            done = await self._reload(touched, everything=everything)
            self._stamps = self._stamped()
            reload = Reload(
                done.outcome,
                tuple(sorted(path.name for path in touched)),
                done.nodes,
                done.problems,
                (time.perf_counter() - began) * 1000,
                self._lines,
            )
        self.problems = reload.problems
        return reload

    async def _reload(self, touched: Collection[Path], *, everything: bool) -> Reload:
        registry.forget(touched)
        try:
            plan = await self._capability.places.changes.run(COMPILE_SECONDS, self._compiled)
        except PipelineInvalid as exc:
            return Reload(Outcome.REFUSED, problems=tuple(exc.problems))
        except Stalled as exc:
            problem = Problem("cannot-run", str(exc), file=str(self._file))
            return Reload(Outcome.REFUSED, problems=(problem,))
        except OSError as exc:
            problem = Problem("missing-file", str(exc.strerror or exc), file=str(self._file))
            return Reload(Outcome.REFUSED, problems=(problem,))
        found = change.between(self.plan, plan, touched)
        if everything:
            found = _everything(plan, found)
        if found.nothing:
            return Reload(Outcome.UNCHANGED)
        try:
            await self._capability.replace(plan, found)
        except (NodeFailed, Stalled) as exc:
            return Reload(Outcome.REFUSED, problems=(self._blamed(exc, plan),))
        self._capability.manifest = manifest(self._capability.name, plan)
        if found.only_live:
            return Reload(Outcome.PATCHED, nodes=tuple(found.values))
        return Reload(Outcome.REBUILT, nodes=(*found.built, *found.values))

    def _compiled(self) -> Plan:
        compiled = compile_file(self._file, self._registry)
        self._lines = compiled.lines
        ready(compiled)
        return plan_of(compiled, Mode.LIVE)

    def _blamed(self, exc: Exception, plan: Plan) -> Problem:
        """A node that cannot be set up, at its place in the file."""
        node = plan.graph.nodes.get(exc.node) if isinstance(exc, NodeFailed) else None
        if node is None:
            return Problem("cannot-run", str(exc), file=str(self._file))
        return node.place.problem("cannot-run", str(exc), key=True)

    async def watch(self, told: Callable[[Reload], None]) -> None:
        """Reload whenever a file that it follows is written. Endless."""
        folders = {path.parent for path in self.files()} | {self._file.resolve().parent}
        async for batch in watchfiles.awatch(
            *_outermost(folders), debounce=SETTLE_MS * 4, step=SETTLE_MS, watch_filter=None
        ):
            paths = {_whole(path) for _, path in batch}
            # What could not be read may need a file that was not there before.
            here = paths if self.problems else paths & (self.files() | {self._file.resolve()})
            if here := {path for path in here if _counts(path)}:
                told(await self.reload(here))


class Saves:
    """The files that are written below a folder, from the moment at which this is made."""

    def __init__(self, folder: Path) -> None:
        # watchfiles' own functions watch only while they wait, and a save may come before that.
        self._notify = RustNotify(
            [str(folder)],
            debug=False,
            force_polling=False,
            poll_delay_ms=0,
            recursive=True,
            ignore_permission_denied=True,
        )

    def wait(self) -> frozenset[Path]:
        """Some that were written. Raises KeyboardInterrupt."""
        while True:
            seen = self._notify.watch(SETTLE_MS * 4, SETTLE_MS, 0, None)
            if isinstance(seen, str):  # a signal: there is no other end of waiting here
                raise KeyboardInterrupt
            if paths := frozenset(filter(_counts, (_whole(path) for _, path in seen))):
                return paths


def _whole(path: str) -> Path:
    return Path(path).resolve()


def _counts(path: Path) -> bool:
    """Whether a file is somebody's work, not an editor's or Python's own."""
    ours = not path.name.startswith(".") and not path.name.endswith(("~", ".swp", ".tmp", ".pyc"))
    return ours and "__pycache__" not in path.parts


def _everything(plan: Plan, found: Change) -> Change:
    named = [name for name, step in plan.steps.items() if step.settings is not None and step.inputs]
    return Change(
        found.values, tuple(dict.fromkeys((*found.built, *named))), found.gone, found.moved
    )


def _outermost(folders: Collection[Path]) -> list[Path]:
    """The folders that are in no other one: they are watched with all below them."""
    return [each for each in folders if not any(other in each.parents for other in folders)]
