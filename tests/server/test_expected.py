"""Sessions that are on their way."""

import asyncio

import pytest

from composer.server import expected
from composer.server.expected import ExpectedSessions
from tests.server.streams import ran


def test_who_asks_for_one_waits_for_it_and_for_no_other() -> None:
    async def test() -> None:
        coming = ExpectedSessions()
        coming.expect("a")
        coming.expect("a")
        coming.expect("b")
        asking = {name: asyncio.ensure_future(coming.of(name)) for name in ("a", "b", "c", "")}
        await asyncio.wait({asking["c"]})
        coming.settle("a")
        await asking["a"]
        assert coming.names == {"b"}
        assert not asking["b"].done()
        assert not asking[""].done()
        coming.settle("b")
        coming.settle("never")
        await asking["b"]
        await asking[""]

    ran(test)


def test_nobody_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expected, "ARRIVAL_SECONDS", 0.01)

    async def test() -> None:
        coming = ExpectedSessions()
        coming.expect("a")
        with pytest.raises(TimeoutError):
            await coming.of("a")

    ran(test)
