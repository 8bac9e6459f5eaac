import os
from pathlib import Path

import pytest

from composer.media import cores


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        pytest.param("100000 100000", 1, id="one"),
        pytest.param("50000 100000", 1, id="half of one"),
        pytest.param("99900000 100000", None, id="more than there are"),
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


@pytest.mark.parametrize(
    ("pixels", "sessions", "count", "expected"),
    [
        pytest.param(1280 * 720, 1, 16, 1, id="720p needs one"),
        pytest.param(1920 * 1080, 1, 16, 2, id="1080p"),
        pytest.param(3840 * 2160, 1, 64, 8, id="at the most"),
        pytest.param(3840 * 2160, 4, 16, 2, id="shared by four"),
        pytest.param(1920 * 1080, 1, 2, 1, id="few cores"),
        pytest.param(320 * 180, 100, 2, 1, id="one at the least"),
    ],
)
def test_threads_by_size_sessions_and_cores(
    pixels: int, sessions: int, count: int, expected: int
) -> None:
    assert cores.slices(pixels, sessions, count) == expected
