"""What a worker and the process of a session say to each other, and how it is written down.

The worker's words are pickled, since it is trusted. What the process says is JSON that is checked,
since native code in it took apart what a stranger sent.
"""

import asyncio
import pickle
import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from composer import strictjson
from composer.engine.account import Report
from composer.isolation.conduit import Garbled
from composer.isolation.failure import Failure
from composer.isolation.parcel import Parcel
from composer.media.mpegts.written import Written
from composer.session.egress import EgressCount
from composer.session.timing import Timing

LONGEST_STATEMENT: Final = 1024 * 1024
"""Bytes of one message of a session's process: the account of the largest graph there is."""

_SIZE: Final = struct.Struct("<I")


# what the worker says


@dataclass(frozen=True)
class Begin:
    """Set a plan up and run it. takes_input, gives_output, gives_data: which ends it has. params:
    what callers have set. memory: bytes that it may have, 0 for any number. after: what another
    process has written.
    """

    parcel: Parcel
    session: str
    beside: int
    alone: bool
    timing: Timing
    params: Mapping[str, Any]
    takes_input: bool
    gives_output: bool
    gives_data: bool
    log_level: int
    memory: int
    after: "GoOn | None" = None


@dataclass(frozen=True)
class Rehearse:
    """Load what a plan needs, and say whether that went well."""

    parcel: Parcel


@dataclass(frozen=True)
class SetParams:
    """A change that was accepted."""

    version: int
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Prepare:
    """Make another plan ready. parcel: with the change that leads to it. call: what its answer, and
    what becomes of it, are known by.
    """

    call: int
    parcel: Parcel


@dataclass(frozen=True)
class Replace:
    """Put in, or discard, what was prepared in another call."""

    call: int
    prepared: int
    discard: bool


@dataclass(frozen=True)
class GoOn:
    """Before anything comes in: go on behind what another process has written."""

    call: int
    written: Written | None
    shift: int


@dataclass(frozen=True)
class EndInput:
    """Nothing more comes in."""


@dataclass(frozen=True)
class Company:
    """Whether there are no other sessions now."""

    alone: bool


@dataclass(frozen=True)
class Abandon:
    """Nothing more is to be worked on."""


@dataclass(frozen=True)
class SendData:
    """There is room for more data."""


Order = (
    Begin
    | Rehearse
    | SetParams
    | Prepare
    | Replace
    | GoOn
    | EndInput
    | Company
    | Abandon
    | SendData
)


# what the process says


class _Statement(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Answered(_Statement):
    """What came of a call; BEGUN is that of the start."""

    kind: Literal["answered"] = "answered"
    call: int
    failure: Failure | None = None


class Noticed(_Statement):
    """What happened while it runs, but for changes that hold and the end."""

    kind: Literal["noticed"] = "noticed"
    happened: Literal["error", "loading", "ready", "kept"]
    node: str
    said: str
    seconds: float | None


class Applied(_Statement):
    """Changes up to this one hold from a time on. moving: params that go there step by step."""

    kind: Literal["applied"] = "applied"
    version: int
    seconds: float
    moving: Mapping[str, float]


class InputAccount(BaseModel):
    """How an input is, as composer.session.ingress.Ingress says it. Times are monotonic seconds."""

    waiting: int = 0
    given_at: float = 0.0
    video_at: float = 0.0
    audio_at: float = 0.0
    parsed: bool = False
    overdrawn: bool = False
    tracks: list[tuple[str, str]] = []
    unreadable: list[str] = []
    unread: int = 0
    units: Counter[str] = Counter()
    dropped: Counter[str] = Counter()


class Accounted(_Statement):
    """How it is. moving: as in Applied. shift, written: as composer.session.egress says them."""

    kind: Literal["accounted"] = "accounted"
    report: Report
    work: Mapping[str, int]
    inside: Mapping[str, int]
    moving: Mapping[str, float]
    input: InputAccount
    output: EgressCount
    shift: int
    written: Written | None
    data_dropped: Counter[str]


class Data(_Statement):
    """Whole lines for the data channel."""

    kind: Literal["data"] = "data"
    lines: str


class Logged(_Statement):
    """A record of its log. about: session, node and pts, where they are known."""

    kind: Literal["logged"] = "logged"
    logger: str
    level: int
    message: str
    about: Mapping[str, str | int | float]
    error: str | None


class RunEnded(_Statement):
    """The run is over."""

    kind: Literal["ended"] = "ended"
    failure: Failure | None


Statement = Answered | Noticed | Applied | Accounted | Data | Logged | RunEnded
BEGUN: Final = 0

_STATEMENT: Final[TypeAdapter[Statement]] = TypeAdapter(
    Annotated[Statement, Field(discriminator="kind")]
)


def written(statement: Statement) -> bytes:
    """As bytes for the socket."""
    data = strictjson.text(statement.model_dump()).encode()
    return _SIZE.pack(len(data)) + data


def ordered(order: Order) -> bytes:
    """As bytes for the socket."""
    data = pickle.dumps(order, pickle.HIGHEST_PROTOCOL)
    return _SIZE.pack(len(data)) + data


async def hear(reader: asyncio.StreamReader) -> tuple[Statement, int] | None:
    """What a session's process says next, and in how many bytes; None where it says nothing any
    more. Raises Garbled.
    """
    data = await _next(reader, LONGEST_STATEMENT)
    if data is None:
        return None
    try:
        return _STATEMENT.validate_json(data), len(data)
    except ValidationError as exc:
        raise Garbled(f"a message with {exc.error_count()} mistakes") from None


async def obey(reader: asyncio.StreamReader) -> Order | None:
    """What the worker wants next, None where it is gone."""
    data = await _next(reader, None)
    order: Order | None = None if data is None else pickle.loads(data)
    return order


async def _next(reader: asyncio.StreamReader, most: int | None) -> bytes | None:
    try:
        (size,) = _SIZE.unpack(await reader.readexactly(_SIZE.size))
        if most is not None and size > most:
            raise Garbled(f"a message of {size} bytes")
        return await reader.readexactly(size)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
