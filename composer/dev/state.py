"""What the page shows, as plain data: the plan, live numbers, params, problems, reloads."""

import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from composer.compiler import plan as plans
from composer.compiler.plan import Plan
from composer.dev.ongoing import Ongoing
from composer.engine.account import Report
from composer.node.formats import Kind
from composer.pipeline import report
from composer.server.manifest import params_schema
from composer.server.reload import Reload
from composer.session.session import Session
from composer.session.status import State, state_of

WINDOW_SECONDS: Final = 1.5
"""Rates are of so much time, so that they neither jump nor lag."""

RELOADS: Final = 12
"""Reloads that are remembered."""


@dataclass(frozen=True)
class _Sample:
    """The counts of a run at one time: by node (taken, given, seconds), by edge (taken)."""

    at: float
    nodes: Mapping[str, tuple[int, int, float]]
    edges: Mapping[str, int]


class Meter:
    """Turns the account of a run, looked at now and then, into rates."""

    def __init__(self) -> None:
        self._session = ""
        self._samples: deque[_Sample] = deque()
        self._report: Report | None = None

    def look(self, session: Session | None, now: float) -> None:
        """Note how far a session is."""
        if session is None or session.name != self._session:
            self._samples.clear()
            self._report = None
        if session is None:
            return
        self._session = session.name
        self._report = found = session.execution.account()
        self._samples.append(
            _Sample(
                now,
                {name: (c.taken, c.given, c.seconds) for name, c in found.nodes.items()},
                {name: count.taken for name, count in found.edges.items()},
            )
        )
        while len(self._samples) > 2 and now - self._samples[1].at >= WINDOW_SECONDS:
            self._samples.popleft()

    def nodes(self) -> dict[str, dict[str, Any]]:
        """By node: fps and ms lately; taken, given, dropped by reason and errors so far."""
        if self._report is None:
            return {}
        return {
            name: {
                **self._node_rates(name),
                "taken": count.taken,
                "given": count.given,
                "dropped": _present(count.left_out),
                "errors": count.errors,
                "about": {key: str(value) for key, value in count.about.items()},
            }
            for name, count in self._report.nodes.items()
        }

    def edges(self) -> dict[str, dict[str, Any]]:
        """By edge ("a.image -> b.image"): fps lately, how many wait now, dropped by reason."""
        if self._report is None:
            return {}
        return {
            name: {
                "fps": self._edge_rate(name),
                "queue": max(0, count.offered - count.taken - sum(count.dropped.values())),
                "dropped": _present(count.dropped),
            }
            for name, count in self._report.edges.items()
        }

    def _node_rates(self, name: str) -> dict[str, float]:
        first, last = self._samples[0], self._samples[-1]
        before, after = first.nodes.get(name, (0, 0, 0.0)), last.nodes.get(name, (0, 0, 0.0))
        # A source takes nothing, a sink gives nothing that is counted as taken elsewhere.
        taken, given = after[0] - before[0], after[1] - before[1]
        frames, seconds = max(taken, given), last.at - first.at
        work = after[2] - before[2]
        return {
            "fps": round(frames / seconds, 1) if seconds > 0 and frames >= 0 else 0.0,
            "ms": round(work * 1000 / frames, 2) if frames > 0 else 0.0,
        }

    def _edge_rate(self, name: str) -> float:
        first, last = self._samples[0], self._samples[-1]
        count = last.edges.get(name, 0) - first.edges.get(name, 0)
        seconds = last.at - first.at
        return round(count / seconds, 1) if seconds > 0 and count >= 0 else 0.0


def live(plan: Plan, meter: Meter) -> dict[str, Any]:
    """Numbers of nodes and edges. A node's fps is that of its pictures, where an edge tells it."""
    nodes, edges = meter.nodes(), meter.edges()
    for link in plan.links:
        rate = edges.get(str(link), {}).get("fps")
        if rate is None or link.format.kind is not Kind.PICTURE:
            continue
        for end in (link.start, link.end):
            step = plan.steps[end]
            if end in nodes and not (step.inputs and step.outputs):
                nodes[end]["fps"] = rate
    return {"nodes": nodes, "edges": edges}


def _present(counts: Mapping[str, int]) -> dict[str, int]:
    return {reason: count for reason, count in dict(counts).items() if count}


class Reloads:
    """The last reloads and the problems of the newest one."""

    def __init__(self) -> None:
        self.lines: dict[str, Sequence[str]] = {}
        self._kept: deque[dict[str, Any]] = deque(maxlen=RELOADS)

    def add(self, reload: Reload) -> None:
        self.lines |= reload.lines
        self._kept.appendleft(
            {
                "at_ms": round(time.time() * 1000),
                "outcome": str(reload.outcome),
                "changed": list(reload.changed),
                "nodes": list(reload.nodes),
                "milliseconds": round(reload.milliseconds, 1),
                "problems": len(reload.problems),
            }
        )

    def as_data(self) -> list[dict[str, Any]]:
        """The newest first."""
        return list(self._kept)

    def located(self, problems: Sequence[Any]) -> list[dict[str, Any]]:
        """Problems as `byoc check --format json` has them, each with the text of its line."""
        found = report.as_json(problems)
        for each in found:
            lines = self.lines.get(each["file"], ())
            line = each["line"]
            each["text"] = lines[line - 1] if line and line <= len(lines) else ""
        return found


def graph(plan: Plan) -> dict[str, Any]:
    """The plan as `byoc plan --json` has it, without its params."""
    made = plans.as_data(plan)
    del made["params"]
    return made


def params(plan: Plan, session: Session | None) -> dict[str, Any]:
    """JSON Schema of what may be changed, and what each is worth now."""
    defaults = {name: each.value for name, each in plan.params.items() if "/" not in name}
    values = session.changes.told() if session is not None else {}
    return {"schema": params_schema(plan), "values": defaults | values}


def session(ongoing: Ongoing) -> dict[str, Any]:
    """How the session is, and what was last wrong with it."""
    running = ongoing.session
    about: dict[str, Any] = {
        "paused": ongoing.paused,
        "started": ongoing.started,
        "failure": ongoing.failure or ongoing.fed,
        "input": ongoing.ends.reads,
        "output": ongoing.ends.gives,
        "output_bytes": ongoing.output.bytes,
    }
    if running is None:
        return about | {"name": "", "state": "OFFLINE", "error": "", "errors": {}, "loading": []}
    status = running.status()["inference_status"]
    now = state_of(running)
    if now is State.DEGRADED_INPUT and not ongoing.ends.reads:
        now = State.ONLINE  # nobody waits for the input it has
    return about | {
        "name": running.name,
        "state": str(now),
        "error": status["last_error"] or "",
        "errors": status["errors"],
        "loading": status["loading"],
    }
