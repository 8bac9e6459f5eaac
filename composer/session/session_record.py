"""SessionRecord: a session in a few lines of JSON, from which another process can take it up."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pydantic import TypeAdapter, ValidationError

from composer.media.mpegts.written import Written
from composer.session.channels import Channels

if TYPE_CHECKING:
    from composer.session.session import Session

VERSION: Final = 1
"""Of what is written here. Another one is not read: it may mean something else by a name."""


@dataclass(frozen=True)
class SessionRecord:
    """What another process has to know of a session.

    asked: params of its start, by which the same start is known when it comes again. params: what
    callers have set since then and before, as they wrote it. next_input, next_control: the segments
    to be read next, None where none was. shift: see Egress. written: of its output, where it was
    left in order; else the output's channel says it. restarts: how often it was taken up because a
    process was gone, and restarted_ms when last, in ms since 1970. falls: when processes were gone
    that it took down, in seconds since 1970; unexplained: those of which nobody knows why.
    """

    capability: str
    name: str
    channels: Channels
    asked: Any = None
    params: Mapping[str, Any] = field(default_factory=dict)
    started_ms: int = 0
    next_input: int | None = None
    next_control: int | None = None
    shift: int = 0
    written: Written | None = None
    restarts: int = 0
    restarted_ms: int | None = None
    falls: tuple[float, ...] = ()
    unexplained: tuple[float, ...] = ()
    version: int = VERSION

    @classmethod
    def read(cls, text: bytes) -> "SessionRecord":
        """Raises ValueError for what is no record, or one of another version."""
        try:
            record = _RECORD.validate_json(text)
        except ValidationError as exc:
            at = ".".join(str(part) for part in exc.errors()[0]["loc"])
            raise ValueError(f"is no record of a session{f' ({at})' if at else ''}") from None
        if record.version != VERSION:
            raise ValueError(f"is of version {record.version}, and {VERSION} is what is read here")
        return record

    def text(self) -> bytes:
        """JSON in one line. It holds addresses that are secrets."""
        return _RECORD.dump_json(self, exclude_none=True)

    @property
    def key(self) -> str:
        """What it is kept by."""
        return key_of(self.capability, self.name)


_RECORD: Final = TypeAdapter(SessionRecord)


def key_of(capability: str, name: str) -> str:
    """A name for a file of one session: ids of streams may hold anything."""
    return hashlib.sha256(f"{capability}\n{name}".encode()).hexdigest()[:32]


def of(session: "Session", capability: str) -> SessionRecord:
    """A session as it is now."""
    before, egress = session.takeover.before, session.execution.egress
    return SessionRecord(
        capability,
        session.name,
        session.channels,
        session.asked,
        session.changes.given(),
        session.started_ms,
        session.readers.next_input,
        session.readers.next_control,
        egress.shift,
        egress.written() if session.life.ending else None,
        before.restarts if before is not None else 0,
        before.restarted_ms if before is not None else None,
        before.falls if before is not None else (),
        before.unexplained if before is not None else (),
    )
