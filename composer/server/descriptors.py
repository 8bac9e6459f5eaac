"""Descriptors: how many files and sockets this process may have open, and what is kept for whom.

Where there are none left, everything fails at once: channels of streams that run cannot be reached
again, and every connection that waits at the port is an error of the loop. So connections and
starts are turned away while there are still enough for what runs.
"""

import fcntl
import os
import resource
from pathlib import Path
from typing import Final

PER_SESSION: Final = 12
"""What a session has open: a socket for each channel, a second one while one segment follows
another, and what wakes its threads.
"""

RESERVE: Final = 12
"""What connections at the port leave, so that what runs can reach its channels again."""

BESIDE: Final = 12
"""What a start leaves beside the reserve, so that somebody can still ask how the worker is."""

MOST: Final = 65536
"""More than this is not asked for: a worker has a thousand streams at the most."""

_OPEN: Final = Path("/proc/self/fd")


def raise_limit() -> int:
    """Ask for as many as this process may have; how many that are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return limit()
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


def limit() -> int:
    """How many this process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST if soft == resource.RLIM_INFINITY else soft


def used() -> int:
    """How many it has open now."""
    try:
        return len(os.listdir(_OPEN))  # one of them is the folder itself
    except OSError:  # not even one is left for looking, or the system has no such folder
        return _lowest_free()


def room_for_connections() -> int:
    """How many connections may still come in."""
    return limit() - RESERVE - used()


def why_no_start() -> str:
    """Why no session may start, "" where one may."""
    count, most = used(), limit()
    if count + PER_SESSION <= most - RESERVE - BESIDE:
        return ""
    return f"{count} of {most} descriptors are in use, and the rest is kept for what runs"


def _lowest_free() -> int:
    """The lowest number that is free: so many are in use at least."""
    try:
        number = fcntl.fcntl(0, fcntl.F_DUPFD, 0)
    except OSError:
        return limit()
    os.close(number)
    return number
