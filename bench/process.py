"""What a process has used, as its kernel counts it."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

TICKS: Final = os.sysconf("SC_CLK_TCK")


def cpu_of(pid: int) -> float:
    """Seconds of CPU of all threads that it has or had. Raises OSError where it is gone.

    Its own clock (clock_getcpuclockid(3)) counts nanoseconds; /proc counts hundredths of a second.
    """
    return time.clock_gettime(~pid << 3 | 2)


def family_cpu_of(pid: int) -> float:
    """The same of it and of all that it and they have begun, also of what has ended."""
    family = family_of(pid)
    return sum(map(cpu_of, family)) + sum(map(_cpu_below, family))


def family_of(pid: int) -> list[int]:
    """It, and all that it and they have begun and that have not ended."""
    parents = dict(_parents())
    family = [pid]
    for one in family:
        family += [child for child, parent in parents.items() if parent == one]
    return family


def _parents() -> Iterator[tuple[int, int]]:
    """Each process and the one that has begun it."""
    for name in os.listdir("/proc"):
        if name.isdecimal() and (stat := _stat(int(name))):
            yield int(name), int(stat[1])


def _cpu_below(pid: int) -> float:
    """Of those that it has begun and that have ended, in hundredths."""
    stat = _stat(pid)
    return sum(map(int, stat[13:15])) / TICKS if stat else 0.0


def _stat(pid: int) -> list[str]:
    """What proc(5) says of a process from its state on; nothing where it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def busy(stat: Path = Path("/proc/stat")) -> float:
    """Seconds that the cores of the machine have worked, whoever for, or were kept from it by other
    machines on the same host (proc(5): all but idle and iowait; guests are in user).
    """
    user, nice, system, _, _, irq, softirq, steal = map(int, stat.read_text().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / TICKS


def peak_of(pid: int) -> int:
    """The most memory that it had, in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024


def family_memory_of(pid: int) -> int:
    """What it and all that they have begun have in memory now, in bytes; what they share counts
    once (proc(5), Pss).
    """
    return sum(map(_share, family_of(pid)))


def _share(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("Pss:")).split()[1]) * 1024


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))
