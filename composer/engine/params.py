"""Params at run time: changes checked whole, and applied whole between two frames."""

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from composer.compiler.params import Param
from composer.engine.acceptance import Acceptance, Judgement
from composer.errors import ParamRejected, Problem
from composer.node.frames import Snapshot
from composer.node.node import Node


@dataclass(frozen=True, slots=True)
class Ramp:
    """A number on its way: from `start` at `begin` seconds to `end` at `until`."""

    start: float
    end: float
    begin: float
    until: float

    def at(self, seconds: float) -> float:
        if seconds >= self.until:
            return self.end
        part = max(0.0, (seconds - self.begin) / (self.until - self.begin))
        return self.start + (self.end - self.start) * part


@dataclass
class PendingChange:
    """New values that wait for their frame: those of all callers who ask before it comes."""

    version: int
    values: dict[str, Any]
    at: float
    seconds: float | None = None
    applied: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True)
class Patch:
    """A change that was accepted. values: all that waited for its frame then, the newest won."""

    version: int
    values: dict[str, Any]
    _waiting: PendingChange

    @property
    def seconds(self) -> float | None:
        """Time of the first frame it holds for; None while none has come."""
        return self._waiting.seconds

    @property
    def applied(self) -> threading.Event:
        """Set when that frame has come."""
        return self._waiting.applied


PENDING: Final = 256
"""Most patches that may wait for their time; one more is refused."""


class Params:
    """What every param is worth now. Callers patch it from any thread; sources read it per frame.

    Each frame carries the Snapshot that held when it entered, so a patch meets every node at the
    same frame, however many stages are between them. applied: told the time from
    which a change holds.
    """

    def __init__(
        self,
        params: Iterable[Param],
        nodes: Mapping[str, Node],
        applied: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        self.running = False
        """Sources have begun: what their setup() reads cannot change any more."""

        self._applied = applied
        self._acceptance = Acceptance(params, nodes)
        self._lock = threading.Lock()
        self._values: dict[str, Any] = {param.name: param.value for param in self._params.values()}
        self._fields: dict[str, dict[str, Any]] = {}
        self._pending: list[PendingChange] = []
        self._edits: dict[str, dict[str, Any]] = {}
        self._asked: set[str] = set()
        self._ramps: dict[str, Ramp] = {}
        self._version = 0
        self._now = Snapshot(0, {}, dict(self._values))

    @property
    def _params(self) -> Mapping[str, Param]:
        return self._acceptance.params

    def patch(self, values: Mapping[str, Any], at: float = 0.0) -> Patch:
        """Accept a change as a whole, to hold from the first frame at or after `at` seconds.

        Raises ParamRejected with one Problem per param; then nothing has changed.
        """
        while (patch := self.take(self.judged(values, at), at)) is None:
            continue  # somebody else has changed something meanwhile
        return patch

    def asks_nodes(self, values: Mapping[str, Any]) -> bool:
        """Whether code of nodes has a say in a change, so that judging it may take any time."""
        return self._acceptance.asks_nodes(values)

    def judged(self, values: Mapping[str, Any], at: float = 0.0) -> Judgement:
        """Whether a change can be made; it changes nothing and holds nobody up. Raises
        ParamRejected.
        """
        held = self._values if self.running or at > 0 else None
        return self._acceptance.judge(values, held)

    def take(self, judgement: Judgement, at: float = 0.0) -> Patch | None:
        """Make a change that was judged; None where nodes are set otherwise by now, and it has to
        be judged again. Raises ParamRejected where too many wait.
        """
        with self._lock:
            if len(self._pending) >= PENDING and self._newest(at) is None:
                raise ParamRejected([Problem("too-many", f"{PENDING} changes wait already")])
            if judgement.version != self._acceptance.version:
                return None
            self._acceptance.adopt(judgement)
            self._version += 1
            change = self._newest(at)
            if change is None:
                change = PendingChange(self._version, dict(judgement.values), at)
                self._pending.append(change)
                self._pending.sort(key=lambda waiting: (waiting.at, waiting.version))
            else:
                change.values.update(judgement.values)
                change.version = self._version
            return Patch(self._version, dict(change.values), change)

    def _newest(self, at: float) -> PendingChange | None:
        """The change that waits for the same time, if none comes between: the next one joins it."""
        newest = self._pending[-1] if self._pending else None
        return newest if newest is not None and newest.at == at else None

    def edit(self, fields: Mapping[str, Mapping[str, Any]], params: Iterable[Param]) -> None:
        """Take over live fields that the file says otherwise now, from the next frame on. What
        callers have set stays as they set it. params: the same ones, as the file has them now.
        """
        with self._lock:
            self._acceptance.edit(fields, params)
            self._values |= {
                name: param.value for name, param in self._params.items() if name not in self._asked
            }
            for node, values in fields.items():
                kept = {
                    target.field
                    for name in self._asked
                    for target in self._params[name].targets
                    if target.node == node
                }
                free = {name: value for name, value in values.items() if name not in kept}
                self._edits.setdefault(node, {}).update(free)

    def asked(self) -> dict[str, Any]:
        """What callers have set so far."""
        with self._lock:
            waiting = {
                name: value for change in self._pending for name, value in change.values.items()
            }
            moving = {name: ramp.end for name, ramp in self._ramps.items()}
            return {name: self._values[name] for name in self._asked} | moving | waiting

    def at(self, seconds: float) -> Snapshot:
        """What holds for a frame at this time. The same object while nothing changes."""
        if not self._pending and not self._ramps and not self._edits:
            return self._now
        with self._lock:
            waits = not self._pending or self._pending[0].at > seconds
            if waits and not self._ramps and not self._edits:
                return self._now
            for node, values in self._edits.items():
                self._fields.setdefault(node, {}).update(values)
            self._edits = {}
            while self._pending and self._pending[0].at <= seconds:
                self._apply(self._pending.pop(0), seconds)
            for name, ramp in list(self._ramps.items()):
                self._set(name, ramp.at(seconds))
                if seconds >= ramp.until:
                    del self._ramps[name]
            fields = {node: dict(values) for node, values in self._fields.items()}
            self._now = Snapshot(self._now.version + 1, fields, dict(self._values))
            return self._now

    def moving(self) -> dict[str, float]:
        """The values, as of the newest frame, that are on their way to another one."""
        with self._lock:
            return {name: self._values[name] for name in self._ramps}

    def values(self) -> dict[str, Any]:
        """Every param's value, as of the newest frame."""
        return dict(self._now.params)

    def _apply(self, change: PendingChange, seconds: float) -> None:
        self._asked |= change.values.keys()
        for name, value in change.values.items():
            self._ramps.pop(name, None)
            ramp_ms, now = self._params[name].spec.ramp_ms, self._values[name]
            # What was set before the start is where it starts.
            moves = ramp_ms and (self.running or change.at > 0)
            if moves and isinstance(value, float) and isinstance(now, int | float):
                self._ramps[name] = Ramp(now, value, seconds, seconds + ramp_ms / 1000)
            else:
                self._set(name, value)
        change.seconds = seconds
        change.applied.set()
        self._applied(seconds)

    def _set(self, name: str, value: Any) -> None:
        param = self._params[name]
        for key in (name, *param.sets):
            self._values[key] = value
        for target in param.targets:
            self._fields.setdefault(target.node, {})[target.field] = value
