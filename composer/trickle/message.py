"""Message: one segment of a channel, gathered as a whole."""

import asyncio
from collections import Counter

from composer.room import Room
from composer.spool import SHORT, Spool, SpoolFailed


class Message:
    """Gathers one after another: begin(), add() and end() each, then forget() what was given.

    longest: bytes of one. seconds: from its first byte to its end, which may never come. room: what
    those of all channels share, where one is longer than most. left_out: counts those that are not
    given.
    """

    def __init__(self, longest: int, seconds: float, room: Room, left_out: Counter[str]) -> None:
        self._longest, self._seconds, self._room = longest, seconds, room
        self._left_out = left_out
        self._gathered: Spool | None = None
        self._held = 0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        self.forget()
        self._gathered = Spool()

    def add(self, data: bytes) -> None:
        if self._gathered is None:
            return
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._seconds, self._give_up, "late")
        size = self._gathered.size + len(data)
        if size > self._longest:
            self._give_up("too_long")
        elif not self._has_room(size):
            self._give_up("full")
        else:
            try:
                self._gathered.add(data)
            except SpoolFailed:
                self._give_up("full")

    def end(self, *, whole: bool) -> Spool | None:
        """All of it; None where that is nothing, or it is left out."""
        text = self._gathered
        if text is not None and not whole:
            self._give_up("too_long")
            return None
        self._gathered = None
        self._stop()
        return text if text is not None and text.size else None

    def forget(self) -> None:
        """Nobody works on it any more."""
        if self._gathered is not None:
            self._gathered.close()
        self._gathered = None
        self._stop()
        self._room.give_back(self._held)
        self._held = 0

    def _has_room(self, size: int) -> bool:
        wanted = max(0, size - SHORT - self._held)
        if not self._room.take(wanted):
            return False
        self._held += wanted
        return True

    def _give_up(self, why: str) -> None:
        self._left_out[why] += 1
        self.forget()

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
