"""Ending: why a session ended."""

from dataclasses import dataclass
from enum import StrEnum

from composer.errors import ComposerError


class Reason(StrEnum):
    """Why a session ended."""

    STOPPED = "stopped"  # somebody asked for it
    CONTROL_CLOSED = "control_closed"
    INPUT_CLOSED = "input_closed"
    OUTPUT_CLOSED = "output_closed"
    LOST = "lost"  # the server of the channels is gone
    IDLE = "idle"  # no word from the gateway and no input
    FINISHED = "finished"  # the pipeline's own source ended
    OVERLOAD = "overload"  # its input costs more than one session may take
    BAD_INPUT = "bad_input"  # what came was nothing that the pipeline can use
    FAILED = "failed"
    SHUTDOWN = "shutdown"
    HANDED_OVER = "handed_over"  # another process goes on with it

    @property
    def ours(self) -> bool:
        """Whether the caller did not want it, and another worker may do better."""
        return self in (Reason.SHUTDOWN, Reason.FAILED)


@dataclass(frozen=True)
class Ending:
    """Why a session ended. failure: a sentence where something went wrong, else ""."""

    reason: Reason
    failure: str = ""

    def __str__(self) -> str:
        return f"{self.reason}, {self.failure}" if self.failure else str(self.reason)


class Unstarted(ComposerError):
    """A session ended while its nodes were still set up."""

    def __init__(self, ending: Ending) -> None:
        self.ending = ending
        super().__init__(f"it ended while it was set up: {ending}")
