"""Loss: what is said of a process that ended before its time."""

import logging
import signal

from composer.errors import ProcessLost
from composer.isolation.messages import Logged
from composer.isolation.records import log_again


def of(status: int, node: str) -> ProcessLost:
    """One that ended by itself. status: its exit code, or the number of a signal below zero. node:
    that was at work, "" for none.
    """
    where = f" in node {node!r}" if node else ""
    if status >= 0:
        return ProcessLost(f"its process ended with exit code {status}{where}", f"exit {status}")
    try:
        name = signal.Signals(-status).name
    except ValueError:  # one of those for real time
        name = f"signal {-status}"
    why = ", perhaps since memory ran out" if name == "SIGKILL" else ""
    return ProcessLost(f"its process was killed by {name}{where}{why}", name)


def log(failure: ProcessLost, stack: str, session: str) -> None:
    """Say so in the log of the worker. stack: where its threads were, "" where nobody knows."""
    record = Logged(
        logger=__name__, level=logging.ERROR, message=str(failure), about={}, error=stack or None
    )
    log_again(record, session)
