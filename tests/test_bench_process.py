"""What a process and its machine have used."""

import os
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
