"""What a process and its machine have used."""

import os
import subprocess
import sys
import time
from pathlib import Path

from bench import process


def test_all_cores_of_the_machine_count_as_busy(tmp_path: Path) -> None:
    stat = tmp_path / "stat"
    stat.write_text("cpu  100 20 30 9999 8888 4 5 6 77 88\ncpu0 1 1 1 1 1 1 1 1 1 1\n")
    assert process.busy(stat) * process.TICKS == 165
    assert process.busy() > 0


def test_the_cpu_of_a_process_is_counted_finely() -> None:
    pid = os.getpid()
    before = process.cpu_of(pid), time.process_time()
    sum(range(10_000))
    after = process.cpu_of(pid), time.process_time()
    assert before[0] <= before[1] < after[0] <= after[1]


def test_what_a_process_has_begun_counts_with_it_also_when_it_has_ended() -> None:
    work = "sum(range(2_000_000))"
    begins = f"import subprocess, sys; {work}; subprocess.run([sys.executable, '-c', {work!r}])"
    waits = "subprocess.Popen([sys.executable, '-c', 'input()']); print(1, flush=True); input()"
    code = f"{begins}; {waits}"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as begun:
        assert begun.stdout is not None
        begun.stdout.readline()
        family = process.family_of(begun.pid)
        assert len(family) == 2
        assert process.family_cpu_of(begun.pid) > process.cpu_of(begun.pid)
        assert process.family_memory_of(begun.pid) > process.family_memory_of(family[1])
        begun.communicate(b"\n\n")
