"""Blame: whatever a node's own code raises is that node's, whose run it ends at the most.

A node is anybody's code. It may call sys.exit(), pass on a cancellation that it has caught, or
raise what its library made of a panic. None of that may reach a thread of a stage or the loop as
itself, where it would mean something else.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from composer.errors import NodeFailed, is_ours


@contextmanager
def blamed(node: str, doing: str) -> Iterator[None]:
    """Raises NodeFailed in the place of all that is raised within. doing: which of its methods."""
    try:
        yield
    except BaseException as exc:  # it is anybody's code
        raise failure_of(node, doing, exc) from exc


def failure_of(
    node: str, doing: str, exc: BaseException, seconds: float | None = None
) -> NodeFailed:
    """What an exception of a node's code is to its run. seconds: the time of its frame. Raises it
    again where it is the user who ends the program.
    """
    if is_ours(exc):
        raise exc
    return NodeFailed(node, doing, exc, seconds)


def without_traceback(failure: BaseException | None) -> None:
    """Let an exception, and what it came of, forget where they were raised: what was at work there
    holds all of its run. For who has told it.
    """
    seen: set[int] = set()
    while failure is not None and id(failure) not in seen:
        seen.add(id(failure))
        failure.__traceback__ = None
        failure = failure.__cause__ or failure.__context__
