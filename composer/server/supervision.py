"""Supervision: what whoever started this process has to hear, and may not see changed."""

import contextlib
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_INITS: Final = ("catatonit", "docker-init", "dumb-init", "tini")
"""Inits of containers that end with the process they have started."""

_FIRST: Final = Path("/proc/1/comm")


def why_not_succeeded(environment: Mapping[str, str] = os.environ, first: Path = _FIRST) -> str:
    """Why another process cannot take the place of this one, "" where it can: some end all that
    they have started with the process that they started first.
    """
    if os.getpid() == 1:
        return "a container ends with its first process"
    if os.getppid() != 1:
        return ""
    with contextlib.suppress(OSError):
        if (name := first.read_text().strip()) in _INITS:
            return f"the container ends with this process, since its init is {name}"
    if environment.get("INVOCATION_ID") and not environment.get("NOTIFY_SOCKET"):
        return "systemd would end all of the service; set Type=notify and NotifyAccess=all"
    return ""


def notify(said: str, environment: Mapping[str, str] = os.environ) -> None:
    """Tell systemd, where it listens (sd_notify(3)): READY=1, MAINPID=..., several on lines."""
    path = environment.get("NOTIFY_SOCKET", "")
    if not path.startswith(("/", "@")):
        return
    with contextlib.suppress(OSError):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
            out.sendto(said.encode(), path.replace("@", "\0", 1) if path[0] == "@" else path)
