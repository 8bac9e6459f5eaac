"""Footprint: how much memory is taken, and how much there may be before the system ends something.

Where a limit is set for a group of processes (a container's), that counts; else what the machine
has left, whoever has the rest.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path("/")

UNLIMITED: Final = 1 << 60
"""What the first version of control groups calls no limit is a little more than this."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes. limit: 0 where none is known. of: whose they are."""

    used: int
    limit: int
    of: str

    @property
    def left(self) -> int:
        return max(0, self.limit - self.used)

    def __str__(self) -> str:
        return f"{self.used >> 20} of {self.limit >> 20} MiB of {self.of} are in use"


def measured(own_limit: int = 0, root: Path = ROOT) -> Footprint:
    """The one with the least left. own_limit: bytes that this process may take, 0 for any. root:
    where /proc and /sys are.
    """
    known = [*_groups(root), *_machine(root), *_own(own_limit, root)]
    return min(known, key=lambda footprint: footprint.left, default=Footprint(0, 0, "nothing"))


def _own(limit: int, root: Path) -> list[Footprint]:
    pages = _words(root / "proc/self/statm")
    if not limit or len(pages) < 2:
        return []
    return [Footprint(int(pages[1]) * 4096, limit, "this process")]


def _machine(root: Path) -> list[Footprint]:
    known = {
        line.partition(":")[0]: int(line.split()[1]) << 10
        for line in _lines(root / "proc/meminfo")
        if line.endswith(" kB")
    }
    if "MemTotal" not in known or "MemAvailable" not in known:
        return []
    total = known["MemTotal"]
    return [Footprint(total - known["MemAvailable"], total, "the machine")]


def _groups(root: Path) -> list[Footprint]:
    """Of the control groups that this process is in, from the innermost out, those with a limit."""
    found = []
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            top, names = root / "sys/fs/cgroup", _SECOND
        elif "memory" in controllers.split(","):
            top, names = root / "sys/fs/cgroup/memory", _FIRST
        else:
            continue
        here = top / path.lstrip("/")
        # Inside a container the path may be the one that the host knows.
        folders = [folder for folder in (here, *here.parents) if folder.is_relative_to(top)]
        found += [group for folder in folders if (group := _group(folder, *names)) is not None]
    return found


_SECOND: Final = ("memory.max", "memory.current", "inactive_file")
_FIRST: Final = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
"""What the two versions of control groups call a limit, what is used, and what of that is files
that can be let go of.
"""


def _group(folder: Path, limit: str, used: str, files: str) -> Footprint | None:
    most, taken = _words(folder / limit), _words(folder / used)
    if not most or not taken or most[0] == "max" or int(most[0]) >= UNLIMITED:
        return None
    stat = dict(line.split(" ", 1) for line in _lines(folder / "memory.stat"))
    return Footprint(int(taken[0]) - int(stat.get(files, 0)), int(most[0]), "the container")


def _words(path: Path) -> list[str]:
    return " ".join(_lines(path)).split()


def _lines(path: Path) -> list[str]:
    """Of a file that may not be there."""
    try:
        return path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []
