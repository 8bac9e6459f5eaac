"""The soak finds a leak that was planted, and nothing where there is none."""

import asyncio
from pathlib import Path

import pytest

from tests.faults import served
from tests.soak.__main__ import Soak, grown, soak

LEAK = '''
"""A node that keeps what it should let go."""

from typing import ClassVar

from composer import YUV, Node


class Leak(Node):
    """Keeps 64 KiB of each picture."""

    kept: ClassVar[list[bytearray]] = []

    def process(self, image: YUV) -> YUV:
        self.kept.append(bytearray(b"x" * 65_536))
        return image
'''

LEAKING = served.PIPELINE.replace(
    "  out:", '  leak: {type: "./leak.py:Leak", queue: 300, on_full: wait}\n  out:'
)


def test_what_grows_is_named() -> None:
    seen = Soak()
    for number in range(60):
        steady = {"threads": 12.0 + number % 2, "descriptors": 40.0 + number % 3}
        sample = {"minute": number / 6, "memory_mib": 200.0 + number % 4 + number, **steady}
        seen.samples.append(sample)
    assert grown(seen.slopes()) == ["memory_mib"]


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_planted_leak_is_found(tmp_path: Path) -> None:
    (tmp_path / "leak.py").write_text(LEAK.lstrip(), encoding="utf-8")
    with served.worker(tmp_path, LEAKING) as worker:
        seen = asyncio.run(soak(worker, 1.5, attacks=()))
    assert seen.pictures > 0
    assert "memory_mib" in grown(seen.slopes())
