"""Own code: whether anybody's code runs when the settings of a node are checked."""

from collections.abc import Callable
from typing import Any, Final

from composer.node.node import Node

_TRUSTED: Final = ("composer.", "pydantic.", "pydantic_core.")
"""Where functions lie that come back at once, and raise nothing but ValueError."""

_CALLED: Final = ("function", "missing", "default_factory", "post_init")
"""What pydantic-core's schemas call the functions that they call."""


def checks_with(cls: type[Node]) -> bool:
    """Whether a class has validators of its own, or types that have, beside those of this package:
    they may take any time, and raise anything.
    """
    schema = getattr(cls, "__pydantic_core_schema__", None)
    return not isinstance(schema, dict) or any(map(_is_foreign, _functions(schema, cls)))


def _functions(schema: Any, cls: type[Node]) -> list[Any]:
    """All that is called for a schema."""
    found: list[Any] = []
    waiting = [schema]
    while waiting:
        part = waiting.pop()
        if isinstance(part, list | tuple):
            waiting.extend(part)
        elif isinstance(part, dict):
            found += [_called(part[key], cls) for key in _CALLED if part.get(key)]
            found += [cls.__init__] if part.get("custom_init") else []
            waiting += (value for key, value in part.items() if key not in _APART)
    return found


_APART: Final = ("metadata", "serialization", "function")
"""What of a schema has nothing to do with checking, or was looked at."""


def _called(named: Any, cls: type[Node]) -> Any:
    """The function itself: pydantic-core names it, wraps it, or has it."""
    if isinstance(named, str):
        return getattr(cls, named)
    return named.get("function") if isinstance(named, dict) else named


def _is_foreign(function: Callable[..., Any] | None) -> bool:
    module = str(getattr(function, "__module__", ""))
    # pydantic puts a function of its own around one of the class.
    wraps = getattr(function, "__name__", "") == "wrapped_model_post_init"
    return wraps or not f"{module}.".startswith(_TRUSTED)
