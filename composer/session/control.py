"""What a caller asks of a running session: one path for REST and for the control channel."""

from collections.abc import Collection, Mapping
from typing import Any, Final

from composer.errors import Overdue, ParamRejected, ParserLost, Problem
from composer.parser import Parser
from composer.parsing import TooMuch, UnreadableJson
from composer.pipeline.spec import shown
from composer.spool import Spool

MOST_PARAMS: Final = 256
"""Most params in one change."""

STANDARD: Final = ("width", "height", "max_framerate", "detect_out_resolution")
"""What every client of the network may send, whether a pipeline knows it or not (contract 2.4)."""

_YES_NO: Final = ("true", "1", "yes", "false", "0", "no")


class Unheard(Exception):
    """A message that may hold a change, and cannot be read: why."""


async def message(body: Spool, parser: Parser) -> Mapping[str, Any] | None:
    """The change in a message of the control channel; None for a keepalive and for garbage.

    Raises Unheard for one that may hold a change, and cannot be read here or now.
    """
    try:
        given = (await parser.read(body)).value
    except (TooMuch, Overdue, ParserLost) as exc:
        raise Unheard(f"the message {exc}" if isinstance(exc, TooMuch) else str(exc)) from exc
    except UnreadableJson:
        return None
    if not isinstance(given, dict) or not given or given == {"keep": "alive"}:
        return None
    return given


def values(given: Any, known: Collection[str]) -> dict[str, Any]:
    """The params that a body sets. `known`: the names that the pipeline has.

    {"params": {...}} is unwrapped; null is nothing. Standard params that the pipeline does not have
    are checked and left out. Raises ParamRejected.
    """
    if given is None:
        return {}
    if isinstance(given, dict) and set(given) == {"params"} and "params" not in known:
        given = given["params"] or {}
    if not isinstance(given, dict):
        said = f"params should be an object, got {type(given).__name__}"
        raise ParamRejected([Problem("bad-params", said, "params")])
    if len(given) > MOST_PARAMS:
        said = f"there are {len(given)} params; {MOST_PARAMS} are the most"
        raise ParamRejected([Problem("too-many", said, "params")])
    foreign = {name: given[name] for name in STANDARD if name in given and name not in known}
    if problems := _checked(foreign, given):
        raise ParamRejected(problems)
    return {name: value for name, value in given.items() if name not in foreign}


def _checked(foreign: Mapping[str, Any], given: Mapping[str, Any]) -> list[Problem]:
    """The rules of contract 2.4 for standard params that nobody here takes."""
    problems = []
    for name in ("width", "height"):
        if name in foreign and (_integer(foreign[name]) or 0) <= 0:
            problems.append(_wrong(name, "a whole number above 0", foreign[name]))
    if ("width" in foreign or "height" in foreign) and ("width" in given) != ("height" in given):
        missing = "height" if "width" in given else "width"
        said = "width and height come together"
        problems.append(Problem("bad-value", f"{missing} is missing: {said}", missing))
    rate = foreign.get("max_framerate", 1)
    if not 1 <= (_integer(rate) or 0) <= 60:
        problems.append(_wrong("max_framerate", "a whole number from 1 to 60", rate))
    wish = foreign.get("detect_out_resolution", True)
    if not isinstance(wish, bool) and not _is_yes_or_no(wish):
        problems.append(_wrong("detect_out_resolution", "true or false", wish))
    return problems


def _integer(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        return int(value) if len(value) < 10 and value.isascii() and value.isdigit() else None
    return value if isinstance(value, int) else None


def _is_yes_or_no(value: Any) -> bool:
    """Whether it is one of the words, or one of the numbers among them."""
    if isinstance(value, str):
        return len(value) < 6 and value.lower() in _YES_NO
    return isinstance(value, int) and value in (0, 1)


def _wrong(name: str, wanted: str, value: Any) -> Problem:
    return Problem("bad-value", f"{name} should be {wanted}, got {shown(value)}", name)
