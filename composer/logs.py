"""How a worker writes its log: lines for people, or lines of JSON for machines.

Each record says what it is about where that is known: the session, the node, and the time of the
frame that the node works on. Threads and tasks say where they are with enter(); what a node of
anybody logs while it works has all of it without a word of its own.
"""

import logging
import sys
import time
from collections.abc import Callable
from contextvars import ContextVar
from fractions import Fraction
from typing import Any, Final

from composer import strictjson

log: Final = logging.getLogger(__name__)

EVERY_SECONDS: Final = 1.0
"""A line of a node's code is heard so often; what it says in between is counted."""

MOST_LINES: Final = 64
"""Lines of code that one thread counts for; more than that would be made up."""

_TEXT: Final = "%(asctime)s %(levelname)s %(name)s%(where)s: %(message)s%(more)s"


class Where:
    """What a thread is at: the session it works for, the node, and the frame's pts."""

    __slots__ = ("_heard", "_now", "node", "pts", "session", "time_base")

    def __init__(self, session: str = "", now: Callable[[], float] = time.monotonic) -> None:
        self.session, self.node = session, ""
        self.pts: int | None = None
        self.time_base = Fraction(1)
        self._now = now
        self._heard: dict[tuple[str, str, int], tuple[float, int]] = {}

    def at(self, node: str, pts: int | None = None, time_base: Fraction = Fraction(1)) -> None:
        """Go to a node, "" for none. Called for every frame, so it does no more than note it."""
        self.node, self.pts, self.time_base = node, pts, time_base

    @property
    def seconds(self) -> float | None:
        """Time of the frame; None outside of frames."""
        if self.pts is None:
            return None
        return round(float(self.pts * self.time_base), 3)

    def left_out(self, record: logging.LogRecord) -> int | None:
        """How many records of the same line of code were left out since the last one; None where
        this one is.
        """
        if not self.node:
            return 0
        line, now = (self.node, record.pathname, record.lineno), self._now()
        due, count = self._heard.pop(line, (now, 0))
        if now < due:
            self._heard[line] = due, count + 1
            return None
        if len(self._heard) >= MOST_LINES:
            del self._heard[next(iter(self._heard))]
        self._heard[line] = now + EVERY_SECONDS, 0
        return count

    def leave(self) -> None:
        """Say what was left out last: nothing more will be said here."""
        count = sum(count for _, count in self._heard.values())
        self._heard.clear()
        self.at("")
        if count:
            log.info("%d more lines of nodes were left out", count)


_NOWHERE: Final = Where()
_here: Final = ContextVar("where", default=_NOWHERE)
_make: Callable[[str], Where] = Where


def note_with(make: Callable[[str], Where]) -> None:
    """Whoever enters from here on is noted by what this makes of a session's name."""
    global _make
    _make = make


def enter(session: str) -> Where:
    """From here on this thread or task, and the tasks that it begins, work for a session."""
    where = _make(session)
    _here.set(where)
    return where


def here() -> Where:
    """What this thread or task is at."""
    return _here.get()


def placed(record: logging.LogRecord) -> bool:
    """Put on a record what it is about; False where it is to be left out. What another process has
    said already stays.
    """
    if hasattr(record, "about"):
        return True
    where = here()
    if hasattr(record, "session"):  # said by whoever logs, and then it is of no node
        where = Where(record.session)
    left_out = where.left_out(record)
    if left_out is None:
        return False
    known = {
        "session": where.session or None,
        "node": where.node or None,
        "pts": where.seconds,
        "left_out": left_out or None,
    }
    record.about = {name: value for name, value in known.items() if value is not None}
    return True


class TextLines(logging.Formatter):
    """One line per record, and more for a traceback."""

    def __init__(self) -> None:
        super().__init__(_TEXT)

    def format(self, record: logging.LogRecord) -> str:
        about = getattr(record, "about", {})
        words = [f"{name} {about[name]}" for name in ("session", "node") if name in about]
        words += [f"pts {about['pts']:.3f}"] if "pts" in about else []
        record.where = f" [{' '.join(words)}]" if words else ""
        record.more = f" (left out before: {about['left_out']})" if "left_out" in about else ""
        return super().format(record)


class JsonLines(logging.Formatter):
    """One JSON object per record: time, level, logger, message, and where they are known session,
    node, pts (in seconds), left_out and error.
    """

    def format(self, record: logging.LogRecord) -> str:
        said: dict[str, Any] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "about", {}),
        }
        if record.exc_info:
            said["error"] = self.formatException(record.exc_info)
        elif record.exc_text:
            said["error"] = record.exc_text
        return strictjson.text(said, ensure_ascii=False)


def configure(form: str) -> None:
    """Write records of INFO and above to standard error. form: "text" or "json"."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else TextLines())
    handler.addFilter(placed)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)
    logging.captureWarnings(capture=True)  # they would be lines that are no records
    # Whoever sends nonsense gets a 400; a traceback for each would only fill the disk.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
