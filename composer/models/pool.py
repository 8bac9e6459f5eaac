"""Pool: what is loaded once for everybody in this process who wants the same."""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

log: Final = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass
class _Entry:
    """One loaded thing. loading: held while it is loaded, so that others wait for it."""

    close: Callable[[Any], None]
    loading: threading.Lock = field(default_factory=threading.Lock)
    loaded: bool = False
    value: Any = None
    leases: int = 0


class Lease(Generic[T]):
    """A hold on a shared value. close() gives it back, once; the value is not used after that."""

    def __init__(self, pool: "Pool", key: Hashable, value: T) -> None:
        self.value: Final = value
        self._pool, self._key = pool, key
        self._open = True

    def close(self) -> None:
        if self._open:
            self._open = False
            self._pool._give_back(self._key)


class Pool:
    """Values by key, each loaded by the first who asks and closed after the last.

    idle: how many that nobody uses are kept for whoever comes next, the latest used ones.
    """

    def __init__(self, idle: int = 0) -> None:
        self.idle = idle
        self._lock = threading.Lock()
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()

    def lease(
        self, key: Hashable, load: Callable[[], T], close: Callable[[T], None] = lambda value: None
    ) -> Lease[T]:
        """The value of this key, loaded now if nobody has. What load() raises is raised here."""
        with self._lock:
            entry = self._entries.setdefault(key, _Entry(close))
            entry.leases += 1
        try:
            with entry.loading:
                if not entry.loaded:
                    entry.value, entry.loaded = load(), True
        except BaseException:
            self._give_back(key)
            raise
        return Lease(self, key, entry.value)

    def sizes(self) -> Mapping[Hashable, int]:
        """Key -> leases, of all that is loaded."""
        with self._lock:
            return {key: each.leases for key, each in self._entries.items() if each.loaded}

    def clear(self) -> None:
        """Close what nobody uses."""
        self._close(self._unused(0))

    def _give_back(self, key: Hashable) -> None:
        with self._lock:
            self._entries[key].leases -= 1
            self._entries.move_to_end(key)
        self._close(self._unused(self.idle))

    def _unused(self, kept: int) -> list[_Entry]:
        """Take out what nobody uses beyond `kept`, the oldest first, and what failed to load."""
        with self._lock:
            unused = [key for key, each in self._entries.items() if not each.leases]
            broken = [key for key in unused if not self._entries[key].loaded]
            whole = [key for key in unused if self._entries[key].loaded]
            gone = broken + whole[: max(0, len(whole) - kept)]
            return [self._entries.pop(key) for key in gone]

    def _close(self, entries: list[_Entry]) -> None:
        for entry in entries:
            if entry.loaded:
                entry.close(entry.value)


POOL: Final = Pool()
"""The pool of this process. A server sets `idle`, so that a model outlives its last session."""

LEASES_PER_MODEL: Final = 2
"""What a node leases: its model, and its turn at it."""
