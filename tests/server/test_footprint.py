"""How much memory there is, as the system says it in its ways."""

from pathlib import Path

import pytest

from composer.server import footprint
from composer.server.footprint import Footprint

MIB = 1 << 20

MACHINE = "MemTotal: 1048576 kB\nMemFree: 1 kB\nMemAvailable: 262144 kB\nHugePages_Total: 0\n"


def written(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_the_machine_counts_where_nothing_else_has_a_limit(tmp_path: Path) -> None:
    root = written(
        tmp_path,
        {
            "proc/meminfo": MACHINE,
            "proc/self/cgroup": "0::/\n4:memory:/a\n",
            "sys/fs/cgroup/memory/a/memory.limit_in_bytes": "9223372036854771712\n",
            "sys/fs/cgroup/memory/a/memory.usage_in_bytes": "5\n",
            "sys/fs/cgroup/memory.max": "max\n",
            "sys/fs/cgroup/memory.current": "5\n",
        },
    )
    assert footprint.measured(root=root) == Footprint(768 * MIB, 1024 * MIB, "the machine")


@pytest.mark.parametrize(
    ("line", "folder", "names"),
    [
        ("0::/a/b", "sys/fs/cgroup/a/b", ("memory.max", "memory.current", "inactive_file")),
        (
            "4:cpu,memory:/a/b",
            "sys/fs/cgroup/memory/a/b",
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ),
        # Inside a container the group is the root of what is seen.
        ("0::/a/b", "sys/fs/cgroup", ("memory.max", "memory.current", "inactive_file")),
    ],
    ids=["second", "first", "inside"],
)
def test_a_container_with_a_limit_counts_without_the_files_that_it_can_let_go_of(
    tmp_path: Path, line: str, folder: str, names: tuple[str, str, str]
) -> None:
    limit, used, files = names
    root = written(
        tmp_path,
        {
            "proc/meminfo": MACHINE,
            "proc/self/cgroup": f"{line}\n1:name=systemd:/x\n",
            f"{folder}/{limit}": f"{200 * MIB}\n",
            f"{folder}/{used}": f"{180 * MIB}\n",
            f"{folder}/memory.stat": f"anon 1\n{files} {30 * MIB}\n",
        },
    )
    assert footprint.measured(root=root) == Footprint(150 * MIB, 200 * MIB, "the container")


def test_the_group_with_the_least_left_counts(tmp_path: Path) -> None:
    root = written(
        tmp_path,
        {
            "proc/self/cgroup": "0::/pod/app\n",
            "sys/fs/cgroup/pod/app/memory.max": f"{500 * MIB}\n",
            "sys/fs/cgroup/pod/app/memory.current": f"{100 * MIB}\n",
            "sys/fs/cgroup/pod/memory.max": f"{600 * MIB}\n",
            "sys/fs/cgroup/pod/memory.current": f"{550 * MIB}\n",
        },
    )
    found = footprint.measured(root=root)
    assert (found.left, str(found)) == (50 * MIB, "550 of 600 MiB of the container are in use")


def test_what_an_operator_leaves_to_the_process_counts(tmp_path: Path) -> None:
    root = written(tmp_path, {"proc/meminfo": MACHINE, "proc/self/statm": "99 25600 1 1 0 1 0\n"})
    found = footprint.measured(120 * MIB, root)
    assert found == Footprint(100 * MIB, 120 * MIB, "this process")


def test_a_system_that_says_nothing_has_no_limit(tmp_path: Path) -> None:
    assert footprint.measured(root=tmp_path).limit == 0


def test_this_system_says_something() -> None:
    found = footprint.measured(1 << 50)
    assert 0 < found.used < found.limit
