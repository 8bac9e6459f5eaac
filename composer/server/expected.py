"""Expected: sessions that are on their way from another process."""

import asyncio
from typing import Final

ARRIVAL_SECONDS: Final = 15.0
"""How long whoever asks for such a session waits for it: it is there with the next segment."""


class ExpectedSessions:
    """Names that are expected here. Whoever asks for one of them waits until it is settled: the
    session is here then, or nowhere.
    """

    def __init__(self) -> None:
        self._expected: dict[str, asyncio.Future[None]] = {}

    @property
    def names(self) -> frozenset[str]:
        """Those that are not settled."""
        return frozenset(self._expected)

    def expect(self, name: str) -> None:
        if name not in self._expected:
            self._expected[name] = asyncio.get_running_loop().create_future()

    def settle(self, name: str) -> None:
        """It is here, or will never be."""
        if (arrival := self._expected.pop(name, None)) is not None:
            arrival.set_result(None)

    async def of(self, name: str = "") -> None:
        """Return when a session is settled, all of them without a name. Raises TimeoutError."""
        waiting = [self._expected[each] for each in self._expected if name in ("", each)]
        if waiting:
            async with asyncio.timeout(ARRIVAL_SECONDS):
                await asyncio.wait(waiting)
