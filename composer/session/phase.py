"""Phase: where a session is in its life, and what it does there."""

import asyncio
from collections.abc import Mapping
from enum import Enum, auto
from typing import Final


class Phase(Enum):
    """Where a session is in its life. It only ever goes forward."""

    SETTING_UP = auto()  # its nodes are being set up
    LIVE = auto()
    LINGERING = auto()  # stopped: the last bytes of its input may still be on their way
    DRAINING = auto()  # what was taken in comes out
    FLUSHING = auto()  # what waits for the network is sent
    CLOSING = auto()  # what it had is given back
    OVER = auto()  # nobody knows it any more


MOVES: Final[Mapping[Phase, frozenset[Phase]]] = {
    Phase.SETTING_UP: frozenset({Phase.LIVE, Phase.DRAINING, Phase.CLOSING}),
    Phase.LIVE: frozenset({Phase.LINGERING, Phase.DRAINING, Phase.CLOSING}),
    Phase.LINGERING: frozenset({Phase.DRAINING, Phase.CLOSING}),
    Phase.DRAINING: frozenset({Phase.FLUSHING, Phase.CLOSING}),
    Phase.FLUSHING: frozenset({Phase.CLOSING}),
    Phase.CLOSING: frozenset({Phase.OVER}),
    Phase.OVER: frozenset(),
}
"""Every move that there is. CLOSING is where one that breaks goes at once, from wherever it is."""


class Activity(Enum):
    """What a session does all the while, each in a task of its own."""

    READ_CONTROL = auto()
    READ_INPUT = auto()
    WATCH = auto()
    WRITE_OUTPUT = auto()
    WRITE_EVENTS = auto()
    WRITE_DATA = auto()


_READS: Final = frozenset({Activity.READ_CONTROL, Activity.READ_INPUT})
_WRITES: Final = frozenset({Activity.WRITE_OUTPUT, Activity.WRITE_EVENTS, Activity.WRITE_DATA})

ACTIVITIES: Final[Mapping[Phase, frozenset[Activity]]] = {
    Phase.SETTING_UP: frozenset(),
    Phase.LIVE: _READS | _WRITES | {Activity.WATCH},
    Phase.LINGERING: _READS | _WRITES,
    Phase.DRAINING: _WRITES,
    Phase.FLUSHING: _WRITES,
    Phase.CLOSING: frozenset(),
    Phase.OVER: frozenset(),
}
"""What goes on in which phase: it begins in the first that has it, and ends behind the last one."""


class Life:
    """The phase of one session. Used on the loop only."""

    def __init__(self) -> None:
        self.phase = Phase.SETTING_UP
        self.over: Final = asyncio.Event()
        """Set when it is OVER."""

        self._ends: Final = asyncio.Event()

    @property
    def ending(self) -> bool:
        """Whether something has ended it."""
        return self.phase not in (Phase.SETTING_UP, Phase.LIVE)

    def move(self, to: Phase) -> None:
        """Go on to another phase. Raises ValueError for a move that there is not."""
        if to not in MOVES[self.phase]:
            raise ValueError(f"a session goes from {self.phase.name} to no {to.name}")
        self.phase = to
        if self.ending:
            self._ends.set()
        if to is Phase.OVER:
            self.over.set()

    async def ends(self) -> None:
        """Return when something has ended it."""
        await self._ends.wait()
