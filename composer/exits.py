"""How `byoc serve` ends: what its exit code says, and the signals that ask for the end."""

import os
import signal
from collections.abc import Callable
from enum import IntEnum
from functools import partial
from typing import Final, NoReturn

from composer import lines
from composer.errors import ComposerError, PipelineInvalid, SettingsInvalid

LAST_WORDS_SECONDS: Final = 0.5
"""What the end waits for readers of the log."""


class Exit(IntEnum):
    """What the exit code of `byoc serve` says; docs/deploy.md tells operators."""

    ENDED = 0  # it was asked to
    CONFIGURATION = 2  # the pipeline, a setting or the port: the operator can mend it
    RESOURCE = 3  # weights, a model or a device was not there at the start
    GPU_LOST = 4  # while it ran; only a new process helps
    BUG = 70  # of ours: EX_SOFTWARE of sysexits.h
    FORCED = 128 + signal.SIGTERM  # it was asked twice


def code_of(exc: Exception) -> Exit:
    """The exit code for what kept a worker from starting."""
    match exc:
        case PipelineInvalid(problems=problems):
            only_absent = all(each.code == "not-fetched" for each in problems)
            return Exit.RESOURCE if only_absent else Exit.CONFIGURATION
        case SettingsInvalid() | OSError():
            return Exit.CONFIGURATION
        case ComposerError():
            return Exit.RESOURCE
    return Exit.BUG


def at_signals(ask: Callable[[], object] | None = None) -> None:
    """From here on SIGTERM and SIGINT call `ask`, and end the process at once when they come again.

    Without `ask` there is nothing to bring to an end, and the first one ends the process with 0.
    The first process of a container ignores SIGTERM until somebody says what it does.
    """
    steps = iter((ask or partial(leave, Exit.ENDED),))

    def came(number: int, frame: object) -> None:
        next(steps, partial(leave, Exit.FORCED))()

    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, came)


def at_hangup(ask: Callable[[], object], end: Callable[[], object]) -> None:
    """From here on SIGHUP calls `ask`, as it does of other servers, and `end` where it comes since
    the terminal is gone in which the process began.
    """
    seen = os.isatty(0)

    def came(number: int, frame: object) -> None:
        (end if seen and not os.isatty(0) else ask)()

    signal.signal(signal.SIGHUP, came)


def leave(code: Exit) -> NoReturn:
    """End the process at once. No thread is waited for, and no reader of what was said last for
    longer than a moment.
    """
    lines.flush(LAST_WORDS_SECONDS)
    os._exit(code)
