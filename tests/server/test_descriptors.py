"""How many files and sockets there are, and what is kept for whom."""

import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from composer.server import descriptors


@pytest.fixture
def limits() -> Iterator[None]:
    """The limit of this process, as it was afterwards."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_those_that_are_open_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    before = descriptors.used()
    opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(5)]
    try:
        assert descriptors.used() == before + 5
        monkeypatch.setattr(descriptors, "_OPEN", Path("/nowhere"))
        assert descriptors.used() >= 5  # as far as that is known there
    finally:
        for number in opened:
            os.close(number)


def test_as_many_are_asked_for_as_there_may_be(limits: None) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    few = descriptors.used() + 100
    resource.setrlimit(resource.RLIMIT_NOFILE, (few, hard))
    assert descriptors.limit() == few
    most = descriptors.MOST if hard == resource.RLIM_INFINITY else min(hard, descriptors.MOST)
    assert descriptors.raise_limit() == descriptors.limit() == most
    assert descriptors.raise_limit() == most


def test_connections_leave_what_runs_needs_and_starts_what_connections_need(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(descriptors, "limit", lambda: 100)
    room = 100 - descriptors.RESERVE
    monkeypatch.setattr(descriptors, "used", lambda: room - 1)
    assert descriptors.room_for_connections() == 1
    assert descriptors.why_no_start().startswith(f"{room - 1} of 100 descriptors are in use")
    monkeypatch.setattr(descriptors, "used", lambda: room)
    assert descriptors.room_for_connections() == 0
    left = room - descriptors.BESIDE - descriptors.PER_SESSION
    monkeypatch.setattr(descriptors, "used", lambda: left)
    assert descriptors.why_no_start() == ""
    monkeypatch.setattr(descriptors, "used", lambda: left + 1)
    assert descriptors.why_no_start() != ""
