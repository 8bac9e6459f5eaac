"""What a process has used, as its kernel counts it."""

import os
import time
from pathlib import Path
from typing import Final

TICKS: Final = os.sysconf("SC_CLK_TCK")


def cpu_of(pid: int) -> float:
    """Seconds of CPU of all threads that it has or had. Raises OSError where it is gone.

    Its own clock (clock_getcpuclockid(3)) counts nanoseconds; /proc counts hundredths of a second.
    """
    return time.clock_gettime(~pid << 3 | 2)


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


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))
