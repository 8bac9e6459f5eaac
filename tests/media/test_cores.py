import os
from pathlib import Path

import pytest

from composer.media import cores


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        pytest.param("100000 100000", 1, id="one"),
        pytest.param("50000 100000", 1, id="half of one"),
        pytest.param("900000 100000", None, id="more than there are"),
        pytest.param("max 100000", None, id="no quota"),
        pytest.param("", None, id="not understood"),
    ],
)
def test_a_quota_counts_as_cores(tmp_path: Path, said: str, expected: int | None) -> None:
    quota = tmp_path / "cpu.max"
    quota.write_text(said)
    bound = len(os.sched_getaffinity(0))
    assert cores.count(quota) == (expected or bound)


def test_without_a_quota_all_count(tmp_path: Path) -> None:
    assert cores.count(tmp_path / "none") == len(os.sched_getaffinity(0))
