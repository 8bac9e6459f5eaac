"""Memory that nobody needs any more goes back to the system."""

import ctypes
import logging
from collections.abc import Callable
from typing import Final

log: Final = logging.getLogger(__name__)


def _trimmer() -> Callable[[int], int] | None:
    """glibc's malloc_trim; None where the C library is another one."""
    try:
        found: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError, TypeError):
        log.debug("this C library has no malloc_trim")
        return None
    return found


_trim: Final = _trimmer()


def give_back() -> None:
    """Hand freed memory back. glibc keeps what the threads of a session had, for ever: a worker of
    many short sessions would grow without a leak anywhere.
    """
    if _trim is not None:
        _trim(0)
