"""Watchdog: ends a session that nobody wants any more, or that gives nothing though it should."""

import logging
from typing import TYPE_CHECKING, Final

from composer.session.ending import Reason
from composer.session.patience import came_within

if TYPE_CHECKING:
    from composer.session.session import Session

log: Final = logging.getLogger(__name__)


async def watch(session: "Session") -> None:
    """Until it ends, for whatever reason."""
    timing = session.timing
    while not session.life.ending:
        look_at_input(session)
        if failure := session.input_check.ended():
            session.fail(Reason.BAD_INPUT, failure)
            return
        if failure := output_stalled(session) or session.watch.hangs(session.execution):
            session.fail(Reason.FAILED, failure)
            return
        left = session.watch.wanted_for(session.execution, session.readers.heard_at)
        if left <= 0:
            session.end(Reason.IDLE, "no control message and no input")
        look = min(timing.stall, timing.stuck, timing.unusable) / 4
        await came_within(session.life.ends(), min(left, look))


def look_at_input(session: "Session") -> None:
    """Note whether anything comes of it; where nothing does, the events say what it is."""
    before = session.input_check.said
    session.input_check.look(session.execution)
    if (said := session.input_check.said) and said != before:
        session.events.put("input_unusable", error=said)
        log.warning("nothing comes of the input: %s", said, extra={"session": session.name})


def output_stalled(session: "Session") -> str:
    """Why it should end, since nothing comes out though it should; "" for nothing. An input that is
    of no use has a time of its own.
    """
    return "" if session.input_check.said else session.watch.output_stalled(session.execution)


def stuck(session: "Session") -> str:
    """What of it should have ended long ago, "" for nothing. What hangs in a process of its own is
    ended with that, and held against nobody; one that waits for another process does not hang.
    """
    if session.takeover.is_awaited or (session.execution.expendable and not session.life.ending):
        return ""
    return session.watch.stuck(session.life, session.execution)
