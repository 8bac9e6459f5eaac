"""Bytes that wait: in memory, or in a file without a name."""

import os

import pytest

from composer.spool import SHORT, Spool


@pytest.mark.parametrize("sizes", [[], [3], [SHORT], [SHORT + 1], [SHORT - 1, 1, 1], [7] * 99_999])
def test_what_was_added_is_there_in_its_order(sizes: list[int]) -> None:
    pieces = [bytes([number % 251]) * size for number, size in enumerate(sizes)]
    held = Spool()
    for piece in pieces:
        held.add(piece)
    assert held.bytes() == b"".join(pieces)
    assert held.size == sum(sizes)


@pytest.mark.parametrize("size", [3, 3 * SHORT])
def test_a_file_holds_it_for_whoever_asks_and_outlives_it(size: int) -> None:
    held = Spool.of(b"x" * size)
    file = held.file()
    held.add(b"y")
    assert held.bytes() == b"x" * size + b"y"
    held.close()
    held.close()
    assert os.pread(file, size + 2, 0) == b"x" * size + b"y"
    os.close(file)


def test_its_file_goes_with_it() -> None:
    before = os.listdir("/proc/self/fd")
    held, other = Spool.of(bytes(SHORT + 1)), Spool.of(bytes(SHORT + 1))
    assert len(os.listdir("/proc/self/fd")) == len(before) + 2
    held.close()
    del other
    assert os.listdir("/proc/self/fd") == before


def test_it_needs_nothing_that_only_linux_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "memfd_create")
    held = Spool.of(bytes(SHORT))
    held.add(b"end")
    assert held.bytes() == bytes(SHORT) + b"end"
