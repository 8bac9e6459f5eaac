"""Stacks: for whom a thread works, as its stack says when the process is taken down.

What a process can still write when native code has failed is the names of the functions that a
thread is in. So the work for a session begins in a function that is called after it.
"""

import hashlib
import re
from collections.abc import Callable
from types import FunctionType
from typing import Final, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_NAMED: Final = re.compile(r" in (session_[0-9a-f]{16})\b")


def name_of(session: str) -> str:
    """What stands for a session in a stack: ids hold anything, names of functions do not."""
    return f"session_{hashlib.sha256(session.encode()).hexdigest()[:16]}"


def working_for(session: str, work: Callable[P, T]) -> Callable[P, T]:
    """The same work, with a frame around it that is called after the session."""
    name = name_of(session)
    code = _named.__code__.replace(co_name=name, co_qualname=name)
    frame = FunctionType(code, {})

    def named(*args: P.args, **kwargs: P.kwargs) -> T:
        result: T = frame(work, args, kwargs)
        return result

    return named


def found_in(stack: str) -> str:
    """The name_of() the session that a stack is of, "" where it says none."""
    match = _NAMED.search(stack)
    return match[1] if match is not None else ""


def _named(work: Callable[..., T], args: tuple[object, ...], kwargs: dict[str, object]) -> T:
    return work(*args, **kwargs)
