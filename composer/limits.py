"""Limits: how large and how slow what comes from others may be, in one table.

An operator sets any row of it.
"""

import math
import re
from dataclasses import Field, dataclass, field, fields
from typing import Any, Final

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30

_UNITS: Final = {"": 1, "k": KIB, "m": MIB, "g": GIB}

_NUMBER: Final = re.compile(r"(\d{1,12}(?:\.\d{1,3})?)([kmg]?)", re.IGNORECASE)


def _row(default: float, least: float, said: str) -> Any:
    return field(default=default, metadata={"least": least, "said": said})


@dataclass(frozen=True, slots=True)
class WireLimits:
    """What a worker takes from others. Sizes are bytes, names that end in `_s` are seconds."""

    start: int = _row(12 * MIB, KIB, "body of a start")
    params: int = _row(12 * MIB, KIB, "body of a change of params")
    stop: int = _row(64 * KIB, KIB, "body of a stop; what is beyond it is not looked at")
    reload: int = _row(64 * KIB, KIB, "body of a reload; what is beyond it is not looked at")
    control: int = _row(12 * MIB, KIB, "one message of the control channel")
    job: int = _row(12 * MIB, KIB, "JSON of a job, as its body or as the part `params` of a form")
    file: int = _row(64 * MIB, KIB, "picture or clip of a job, as its body or as a part of a form")
    dev: int = _row(MIB, KIB, "body of a request to the page of `byoc dev`")
    at_once: int = _row(256 * KIB, 0, "JSON that is read on the spot; what is larger, elsewhere")
    values: int = _row(5000, 256, "values in one JSON, where each element and member counts")
    parse_s: float = _row(5.0, 0.1, "reading one JSON elsewhere, and as long to get its turn")
    parse_memory: int = _row(512 * MIB, 64 * MIB, "memory of the process that reads JSON")
    bodies: int = _row(64, 1, "bodies of one kind that come at once; of jobs, as many as slots")
    body_s: float = _row(
        20.0, 0.1, "a body, or a message of control, from its first byte to its last"
    )
    file_s: float = _row(60.0, 0.1, "the same of a job's body")
    waiting: int = _row(256 * MIB, MIB, "all that has come of bodies and messages, and is not read")

    def __post_init__(self) -> None:
        """Raises ValueError: a sentence."""
        for row in fields(self):
            least = row.metadata["least"]
            if getattr(self, row.name) < least:
                raise ValueError(f"{row.name} should be at least {least}")
        for name in ("start", "params", "control", "job", "file"):
            if getattr(self, name) > self.waiting:
                raise ValueError(f"waiting should be at least as much as {name}")


def rows() -> tuple[Field[Any], ...]:
    """Name, default and, in `metadata`, what is `said` of each limit."""
    return fields(WireLimits)


def read(written: str) -> WireLimits:
    """The limits with those that are written, as `start=4M, values=20000`. K, M and G are powers of
    1024. Raises ValueError: a sentence.
    """
    known = {row.name: row for row in rows()}
    changed: dict[str, float] = {}
    for part in filter(None, map(str.strip, written.split(","))):
        name, equals, number = (each.strip() for each in part.partition("="))
        if name not in known or not equals:
            raise ValueError(f"has {part[:60]!r}; NAME=NUMBER is wanted, of {', '.join(known)}")
        if name in changed:
            raise ValueError(f"has {name} twice")
        changed[name] = _number(name, number, in_whole=isinstance(known[name].default, int))
    return WireLimits(**changed)  # type: ignore[arg-type]


def _number(name: str, written: str, *, in_whole: bool) -> float:
    matched = _NUMBER.fullmatch(written)
    if matched is None:
        raise ValueError(f"has {written[:60]!r} for {name}; a number is wanted, as 90 or 4M")
    number = float(matched[1]) * _UNITS[matched[2].lower()]
    return math.floor(number) if in_whole else number
