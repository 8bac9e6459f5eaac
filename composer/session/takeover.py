"""Takeover: when a session may begin that another process has, or had."""

import asyncio
from typing import Final

from composer.session.session_record import SessionRecord


class Takeover:
    """before: what another process knows of the session, which waits until go_on(); None where it
    begins here, and its turn has come.
    """

    def __init__(self, before: SessionRecord | None = None) -> None:
        self.before = before
        """What another process knew of it last."""
        self.prepared: Final = asyncio.Event()
        """Set when it could begin at once, if it may."""

        self._come = asyncio.Event()
        if before is None:
            self._come.set()

    @property
    def has_come(self) -> bool:
        """Whether the session and its channels are this process's."""
        return self._come.is_set()

    @property
    def is_awaited(self) -> bool:
        """Whether it could begin, and may not."""
        return self.prepared.is_set() and not self._come.is_set()

    def go_on(self, record: SessionRecord) -> None:
        """It may begin, where another process has left it."""
        self.before = record
        self._come.set()

    def give_up(self) -> None:
        """It ends: nobody waits any more."""
        self._come.set()

    async def comes(self) -> SessionRecord | None:
        """Wait for it, when all else is done. Gives what another process knew then."""
        self.prepared.set()
        await self._come.wait()
        return self.before
