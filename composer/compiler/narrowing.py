"""Whether the range, the choices and the start of a param suit the fields that it sets."""

from typing import Any

from composer.compiler.location import Location
from composer.compiler.params import Param
from composer.errors import Problem


def check(param: Param, place: Location) -> list[Problem]:
    """What is wrong with its min, max, choices and ramp."""
    return _check_range(param, place) or _check_values(param, place)


def _check_range(param: Param, place: Location) -> list[Problem]:
    problems = []
    for key, bound in (("min", param.spec.min), ("max", param.spec.max)):
        if bound is None:
            continue
        at = place.below(key)
        if param.kind in ("string", "boolean", "array", "object"):
            message = f"{at.name}: only numbers have a range"
            problems.append(at.problem("bad-value", message, key=True))
        else:
            problems += _check_fits(param, bound, at)
    return problems


def _check_values(param: Param, place: Location) -> list[Problem]:
    spec, problems = param.spec, []
    if spec.min is not None and spec.max is not None and spec.min > spec.max:
        at = place.below("min")
        message = f"{at.name} should not be greater than max, got {spec.min:g}"
        problems.append(at.problem("bad-value", message))
    for index, choice in enumerate(spec.choices or ()):
        problems += _check_fits(param, choice, place.below("choices", index))
    if spec.ramp_ms and param.kind not in ("number", ""):
        at = place.below("ramp_ms")
        message = f"{at.name}: only a number that may have a fraction moves gradually"
        problems.append(at.problem("bad-value", message, key=True))
    return problems


def _check_fits(param: Param, value: Any, place: Location) -> list[Problem]:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    try:
        param.fitted(value)
    except ValueError as exc:
        message = place.as_written(f"{place.name}{exc}", value)
        return [place.problem("bad-value", message)]
    return []


def check_start(param: Param, place: Location) -> list[Problem]:
    """Whether the value that the first field has suits the param and its other fields."""
    try:
        if len(param.targets) > 1:
            param.fitted(param.value)
        if param.targets:
            param.within(param.value)
    except ValueError as exc:
        first = param.targets[0]
        message = f"{place.name}: the value of {first.node}.{first.field}{exc}"
        hint = "give the param a `default:` that fits"
        return [place.problem("bad-value", message, key=True, hint=hint)]
    return []
