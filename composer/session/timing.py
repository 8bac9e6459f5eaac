"""Timing: how long a session waits for what, in seconds."""

from dataclasses import dataclass, replace
from typing import Final

REMOVE_SECONDS: Final = 1.0
"""How long the server of the channels may take to close one."""

LINGERS: Final = 5
"""How often a session that is stopped looks whether more of its input comes."""


@dataclass(frozen=True)
class Timing:
    """Seconds. Together, drain and flush stay below the 10 s that a gateway waits for a stop.

    stall: after which a session that gives nothing ends itself. stuck: after which one ends itself
    that does not move, though nobody waits for what it gives; one that does not end then is held
    against the process.
    catch_up: what readers have for the last segment, where its channel is closed behind it. setup,
    change: what nodes have to be set up at the start, and another plan to take over. check: what a
    node's own validators have for a change of params. unusable: how long nothing may come of an
    input that comes.
    """

    status: float = 5.0
    data: float = 1 / 3
    data_keepalive: float = 20.0
    lease: float = 60.0
    quiet: float = 2.0
    stall: float = 20.0
    stuck: float = 60.0
    lost: float = 30.0
    linger: float = 0.1
    drain: float = 4.0
    give_up: float = 1.0
    flush: float = 3.0
    catch_up: float = 0.5
    setup: float = 90.0
    change: float = 300.0
    check: float = 1.0
    unusable: float = 30.0

    @property
    def close(self) -> float:
        """What a channel has to send its last segments once its writer is done."""
        return self.flush / 2

    @property
    def end(self) -> float:
        """The longest that an end in order takes, from its reason to the last channel."""
        return self.linger * LINGERS + self._behind_the_input

    @property
    def _behind_the_input(self) -> float:
        """Channels that are late are given half of flush once more."""
        return self.drain + self.give_up + self.flush + self.close + self.catch_up + REMOVE_SECONDS

    def ending_within(self, seconds: float) -> "Timing":
        """The same with an end that takes no longer."""
        part = min(1.0, seconds / self._behind_the_input)
        shorter = {name: getattr(self, name) * part for name in _OF_THE_END}
        return replace(self, **shorter)


_OF_THE_END: Final = ("drain", "give_up", "flush", "catch_up")
