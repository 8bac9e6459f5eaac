"""Status: what is told of a session, by the names of contract 2.6 and 6.2."""

import time
from collections import Counter
from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from composer.engine.account import Report
from composer.session import digest
from composer.session.ending import Reason

if TYPE_CHECKING:
    from composer.session.session import Session


class State(StrEnum):
    """How a session is, as its gateway reads it (contract 6.2)."""

    LOADING = "LOADING"
    ONLINE = "ONLINE"
    DEGRADED_INPUT = "DEGRADED_INPUT"
    DEGRADED_INFERENCE = "DEGRADED_INFERENCE"
    OFFLINE = "OFFLINE"
    ERROR = "ERROR"


def state_of(session: "Session") -> State:
    """As of now."""
    now, trouble = session.now(), session.trouble
    if session.life.ending:
        failed = session.reason in (Reason.FAILED, Reason.OVERLOAD, Reason.BAD_INPUT)
        return State.ERROR if failed else State.OFFLINE
    if trouble.loading:
        return State.LOADING
    if trouble.last_at and now - trouble.last_at < session.timing.status * 2:
        return State.DEGRADED_INFERENCE
    execution = session.execution
    if session.input_check.said:
        return State.DEGRADED_INPUT
    if execution.ingress is not None and session.channels.subscribe:
        if execution.demand.takes_input:
            session.watch.look(execution)
            needs = execution.demand.needs
            last = session.watch.supply.last_at if needs else execution.ingress.last_at
            quiet = now - max(last, session.began) > session.timing.quiet
            return State.DEGRADED_INPUT if quiet else State.ONLINE
    return State.ONLINE


def status_of(session: "Session") -> dict[str, Any]:
    """The state of a session as its gateway keeps it (contract 6.2), times in epoch ms; what was
    left out on each of its channels beside it.
    """
    report, dropped = session.execution.account(), dropped_by(session)
    return {
        "pipeline": session.plan.graph.capability,
        "graph": session.graph_hash,
        "start_time": session.started_ms,
        "state": state_of(session),
        "reason": session.reason,
        "error_message": error_of(session) or None,
        "input_status": _input(session, report) | {"dropped": dropped["input"]},
        "output_status": {
            "lost_segments": session.lost_segments,
            "dropped": dropped["output"],
        },
        "data_status": {"dropped": dropped["data"]},
        "events_status": {"dropped": dropped["events"]},
        "control_status": {"dropped": dropped["control"]},
        "inference_status": _inference(session, report),
    }


def error_of(session: "Session") -> str:
    """What is wrong with it, "" for nothing: why it fails, or why nothing comes of its input."""
    return session.failure or session.input_check.said


def _input(session: "Session", report: Report) -> dict[str, Any]:
    ingress = session.execution.ingress
    return {
        "last_input_time": _ms(session, ingress.last_at if ingress else 0.0),
        "reader": "parser" if ingress and ingress.parsed else "direct",
        "unreadable": ingress.unreadable if ingress else [],
        "gaps": ingress.counts.gaps if ingress else 0,
        "unread_bytes": ingress.counts.unread if ingress else 0,
        "fps": _rate(session, report, inputs=True),
    }


def _inference(session: "Session", report: Report) -> dict[str, Any]:
    trouble, params, before = session.trouble, session.changes.told(), session.takeover.before
    failure = session.ending.failure if session.ending is not None else ""
    return {
        "last_output_time": _ms(session, session.execution.egress.last_at),
        "fps": _rate(session, report, inputs=False),
        "last_params_update_time": _ms(session, session.changes.last_at),
        "last_params": params,
        "last_params_hash": digest.of(params),
        "last_error_time": _ms(session, trouble.last_at),
        "last_error": trouble.last or failure or None,
        "last_restart_time": before.restarted_ms if before is not None else None,
        "last_restart_logs": None,
        "restart_count": before.restarts if before is not None else 0,
        "models": {name: dict(node.about) for name, node in report.nodes.items() if node.about},
        "loading": sorted(trouble.loading),
        "errors": dict(trouble.errors),
    }


def dropped_by(session: "Session") -> dict[str, dict[str, int]]:
    """What was left out on each channel, by reason: units of the input, packets and pictures of the
    output, items of the data, events, and messages of control.
    """
    execution = session.execution
    return {
        "input": _present(execution.ingress.counts.dropped) if execution.ingress else {},
        "output": _present(execution.egress.counts.dropped),
        "data": _present(execution.data.dropped) if execution.data else {},
        "events": _present({"full": session.events.dropped}),
        "control": _present(session.readers.unheard),
    }


def bytes_by(session: "Session") -> dict[str, int]:
    """Bytes of media that came in and went out, by channel."""
    execution = session.execution
    came = execution.ingress.counts.bytes if execution.ingress is not None else 0
    return {"input": came, "output": execution.egress.counts.bytes}


def rates_of(session: "Session") -> dict[str, float]:
    """Units that came in and packets that went out per second, by the names of contract 2.6."""
    execution = session.execution
    came = execution.ingress.counts.units if execution.ingress is not None else Counter[str]()
    went = execution.egress.counts.packets
    seconds = max(session.age, 0.001)
    return {
        f"{way}_{kind}_fps": round(count[kind] / seconds, 2)
        for way, count in (("ingress", came), ("egress", went))
        for kind in ("video", "audio")
    }


def _rate(session: "Session", report: Report, *, inputs: bool) -> float:
    """Items per second over the whole session, at its sources or at its sinks."""
    steps = session.plan.steps
    names = [name for name, step in steps.items() if bool(step.inputs) is not inputs]
    names = [name for name in names if inputs or not steps[name].outputs]
    count = sum(report.nodes[name].given for name in names if name in report.nodes)
    return round(count / report.seconds, 2) if report.seconds > 0 else 0.0


def _present(counts: Mapping[str, int]) -> dict[str, int]:
    return {reason: count for reason, count in dict(counts).items() if count}


def _ms(session: "Session", at: float) -> int | None:
    """A moment of the session's clock as milliseconds since 1970; None for never."""
    return round((time.time() - (session.now() - at)) * 1000) if at else None
