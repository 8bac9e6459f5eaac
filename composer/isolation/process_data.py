"""ProcessData: what the nodes of a session's process have to say in its data channel."""

from collections import Counter
from collections.abc import Callable
from typing import Final

from composer.session.data_lines import LINES, LONGEST, DataLines

SEGMENT_BYTES: Final = LINES * LONGEST
"""What one segment of data holds at the most."""


class ProcessData:
    """Data that the process has sent; it sends more while what waits here fits one segment.

    wake: called when some came. room: called when there is room for more.
    """

    def __init__(self, wake: Callable[[], None], room: Callable[[], None]) -> None:
        self._lines, self._room = DataLines(wake), room
        self._size, self._owed = 0, False
        self._told: Counter[str] = Counter()

    def told(self, dropped: Counter[str]) -> None:
        """What the process says that it dropped."""
        self._told = dropped

    @property
    def dropped(self) -> Counter[str]:
        return self._told + self._lines.dropped

    @property
    def waiting(self) -> int:
        return self._lines.waiting

    def came(self, lines: str) -> None:
        """Whole lines, each an array of JSON; they are gathered anew with those that wait."""
        for line in lines.split("\n"):
            if line:
                self._lines.put(line.removeprefix("[").removesuffix("]"))
        self._size += len(lines)
        self._owed = True
        self._give_room()

    def take(self) -> bytes:
        """The body of the next segment."""
        body = self._lines.take()
        self._size = max(0, self._size - len(body)) if self._lines.waiting else 0
        self._give_room()
        return body

    def _give_room(self) -> None:
        if self._owed and self._size < SEGMENT_BYTES:
            self._owed = False
            self._room()
