"""How a worker writes its log: lines for people, or lines of JSON for machines.

Each record says what it is about where that is known: the session, the node, and the time of the
frame that the node works on. Threads and tasks say where they are with enter(); what a node of
anybody logs while it works has all of it without a word of its own.
"""

import atexit
import logging
import re
import sys
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from fractions import Fraction
from functools import partial
from typing import Any, Final, TextIO

from composer import strictjson
from composer.errors import cut, told
from composer.lines import Lines, Write, to_file, unheld
from composer.lines import flush as flush_lines
from composer.loglimits import MOST_CHARACTERS, MOST_TRACEBACK, Allowance, Tracebacks

log: Final = logging.getLogger(__name__)

EVERY_SECONDS: Final = 1.0
"""A line of a node's code is heard so often; what it says in between is counted."""

FLUSH_SECONDS: Final = 0.5
"""What the end of a process waits for a log that nobody may read."""

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

    def __init__(self, tracebacks: Tracebacks) -> None:
        super().__init__(_TEXT)
        self._tracebacks = tracebacks

    def format(self, record: logging.LogRecord) -> str:
        about = getattr(record, "about", {})
        words = [f"{name} {about[name]}" for name in ("session", "node") if name in about]
        words += [f"pts {about['pts']:.3f}"] if "pts" in about else []
        record.where = f" [{' '.join(words)}]" if words else ""
        record.more = f" (left out before: {about['left_out']})" if "left_out" in about else ""
        record.asctime = self.formatTime(record)
        record.message = _on_one_line(message_of(record))
        below = _stack(record)
        if error := error_of(record, self._tracebacks):
            below.append(error)
        return "\n".join([self.formatMessage(record), *below])


class JsonLines(logging.Formatter):
    """One JSON object per record: time, level, logger, message, and where they are known session,
    node, pts (in seconds), left_out and error.
    """

    def __init__(self, tracebacks: Tracebacks) -> None:
        super().__init__()
        self._tracebacks = tracebacks

    def format(self, record: logging.LogRecord) -> str:
        said: dict[str, Any] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": message_of(record),
            **getattr(record, "about", {}),
        }
        if stack := _stack(record):
            said["stack"] = stack[0]
        if error := error_of(record, self._tracebacks):
            said["error"] = error
        return strictjson.text(said, ensure_ascii=False)


def message_of(record: logging.LogRecord) -> str:
    """What a record says, cut where it is long: what it is put together of may be anybody's."""
    try:
        return cut(record.getMessage(), MOST_CHARACTERS)
    except BaseException as exc:  # noqa: BLE001 - nor does it end whoever logs
        where = f"{record.pathname}:{record.lineno}"
        return f"(a record of {where} cannot be written: {told(exc)})"


def _on_one_line(message: str) -> str:
    """The same with its line ends and other controls as they are written in Python."""
    return _CONTROLS.sub(lambda found: repr(found[0])[1:-1], message)


_CONTROLS: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")


def _stack(record: logging.LogRecord) -> list[str]:
    """What a record says of where threads are: one text, or none."""
    stack = getattr(record, "stack", "")
    return [cut(str(stack).rstrip(), MOST_TRACEBACK)] if stack else []


def error_of(record: logging.LogRecord, tracebacks: Tracebacks) -> str:
    """The traceback of what a record is about, "" for none. What another process has logged comes
    as text.
    """
    if record.exc_info and record.exc_info[1] is not None:
        return tracebacks.of(record.exc_info[1])
    return cut(record.exc_text.rstrip(), MOST_TRACEBACK) if record.exc_text else ""


class Records(logging.Handler):
    """Writes records without ever waiting: neither for whoever reads them, nor for another thread
    that formats one. Holds each session to its allowance.
    """

    def __init__(self, lines: Lines) -> None:
        super().__init__()
        self.allowance, self.warnings = Allowance(), Allowance()
        self._lines = lines

    def handle(self, record: logging.LogRecord) -> bool:
        """Without the lock of logging.Handler, under which a record that takes long to put together
        would hold up all others.
        """
        if not self.filter(record) or not placed(record):
            return False
        about: dict[str, Any] = record.about  # type: ignore[attr-defined]  # placed() sets it
        grave = record.levelno >= logging.WARNING
        left_out = (self.warnings if grave else self.allowance).ask(about.get("session", ""))
        if left_out is None:
            return False
        if left_out := left_out + about.get("left_out", 0):
            record.about = about | {"left_out": left_out}
        self._lines.put(f"{self.format(record)}\n")
        return True

    @property
    def left_out(self) -> int:
        """Records that were not written, since there were too many, or nobody read them."""
        return self.allowance.left_out + self.warnings.left_out + self._lines.lost

    def flush(self) -> None:
        """Wait a moment for what was put, no longer: the end of Python calls it."""
        self._lines.flush(FLUSH_SECONDS)


def configure(form: str) -> Records:
    """Write records of INFO and above to standard error. form: "text" or "json"."""
    make = JsonLines if form == "json" else TextLines
    writer = Records(Lines(_to(sys.stderr), partial(_left_out, form)))
    writer.setFormatter(make(Tracebacks()))
    root = logging.getLogger()
    root.handlers = [writer]
    root.setLevel(logging.INFO)
    logging.captureWarnings(capture=True)  # they would be lines that are no records
    # Whoever sends nonsense gets a 400; a traceback for each would only fill the disk.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    return writer


def left_out() -> int:
    """Records of this process that were not written."""
    return sum(each.left_out for each in logging.getLogger().handlers if isinstance(each, Records))


def catch() -> None:
    """What would write past the log does not any more: what ends a thread, and what nobody can
    raise, are records, and whoever prints waits for no reader.
    """
    threading.excepthook = _thread_ended
    sys.unraisablehook = _unraisable
    sys.stdout, sys.stderr = unheld(sys.stdout), unheld(sys.stderr)
    atexit.register(flush_lines, FLUSH_SECONDS)


def _thread_ended(args: threading.ExceptHookArgs) -> None:
    name = args.thread.name if args.thread is not None else "a thread"
    log.error("%s has ended", name, exc_info=args.exc_value)


def _unraisable(args: Any) -> None:
    what = args.err_msg or "an exception that nobody can raise"
    log.error("%s: %.200r", what, args.object, exc_info=args.exc_value)


def _to(stream: TextIO) -> Write:
    """Writes to where a stream does, past its buffer."""
    try:
        return to_file(stream.fileno())
    except (OSError, ValueError):  # a test's, that has no file
        return lambda data: stream.write(data.decode())


def _left_out(form: str, count: int) -> str:
    message = f"{count} records were left out, since nobody read those before them"
    if form != "json":
        return f"WARNING {__name__}: {message}\n"
    said = {"level": "warning", "logger": __name__, "message": message}
    return f"{strictjson.text(said)}\n"
