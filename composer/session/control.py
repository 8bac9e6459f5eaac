"""What a caller asks of a running session: one path for REST and for the control channel."""

import json
from collections.abc import Collection, Mapping
from typing import Any, Final

from composer import strictjson
from composer.errors import ParamRejected, Problem

MOST_PARAMS: Final = 256
"""Most params in one change."""

STANDARD: Final = ("width", "height", "max_framerate", "detect_out_resolution")
"""What every client of the network may send, whether a pipeline knows it or not (contract 2.4)."""

_YES_NO: Final = ("true", "1", "yes", "false", "0", "no")


def decoded(body: bytes) -> Any:
    """What a JSON body holds; NaN and infinities are refused where a field takes them.

    Raises ValueError: a sentence for the caller.
    """
    try:
        return strictjson.read(body.decode())
    except RecursionError:
        raise ValueError("the body is nested too deeply") from None
    except UnicodeDecodeError:
        raise ValueError("the body is not UTF-8") from None
    except json.JSONDecodeError as exc:
        raise ValueError(f"the body is not JSON: {exc.msg} at character {exc.pos}") from None


def message(body: bytes) -> Mapping[str, Any] | None:
    """The change in a message of the control channel; None for a keepalive and for garbage."""
    try:
        given = decoded(body)
    except ValueError:
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
    if not isinstance(wish, bool) and str(wish).lower() not in _YES_NO:
        problems.append(_wrong("detect_out_resolution", "true or false", wish))
    return problems


def _integer(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        return int(value) if value.isascii() and value.isdigit() and len(value) < 10 else None
    return value if isinstance(value, int) else None


def _wrong(name: str, wanted: str, value: Any) -> Problem:
    return Problem("bad-value", f"{name} should be {wanted}, got {value!r:.100}", name)
