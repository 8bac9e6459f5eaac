"""One segment gathered as a whole, within its limits."""

import asyncio
import errno
import os
from collections import Counter

import pytest

from composer.room import Room
from composer.spool import SHORT
from composer.trickle.message import Message
from tests import clocks


def test_a_message_comes_out_whole_and_gives_its_room_back() -> None:
    async def test() -> None:
        room, left_out = Room(3 * SHORT), Counter[str]()
        message = Message(4 * SHORT, 20.0, room, left_out)
        message.begin()
        for _ in range(3):
            message.add(b"x" * SHORT)
        text = message.end(whole=True)
        assert text is not None
        assert (text.size, room.used) == (3 * SHORT, 2 * SHORT)  # a short one needs none
        message.forget()
        assert (room.used, left_out) == (0, {})

    asyncio.run(test())


def test_an_empty_one_and_a_broken_one_are_nothing() -> None:
    async def test() -> None:
        left_out = Counter[str]()
        message = Message(100, 20.0, Room(100), left_out)
        message.begin()
        assert message.end(whole=True) is None
        message.begin()
        message.add(b"x")
        assert message.end(whole=False) is None
        assert left_out == {"too_long": 1}

    asyncio.run(test())


def test_what_is_too_long_or_finds_no_room_is_left_out_and_the_next_one_is_not() -> None:
    async def test() -> None:
        room, left_out = Room(SHORT), Counter[str]()
        message = Message(4 * SHORT, 20.0, room, left_out)
        for size, reason in ((5, "too_long"), (3, "full")):
            message.begin()
            message.add(b"x" * SHORT * size)
            message.add(b"x")
            assert message.end(whole=True) is None
            assert (left_out[reason], room.used) == (1, 0)
        message.begin()
        message.add(b"x" * 2 * SHORT)
        assert message.end(whole=True) is not None

    asyncio.run(test())


def test_one_that_does_not_come_to_its_end_is_left_out_in_its_time() -> None:
    async def test() -> None:
        room, left_out = Room(SHORT), Counter[str]()
        message = Message(4 * SHORT, 20.0, room, left_out)
        message.begin()
        await asyncio.sleep(30.0)  # for its first byte a message has all the time there is
        message.add(b"x" * 2 * SHORT)
        await asyncio.sleep(19.0)
        assert (room.used, left_out) == (SHORT, {})
        await asyncio.sleep(2.0)
        assert (room.used, left_out) == (0, {"late": 1})
        message.add(b"x" * 2 * SHORT)
        assert message.end(whole=True) is None

    clocks.ran_skipping(test)


def test_one_that_the_system_has_no_file_for_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(name: str) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    async def test() -> None:
        room, left_out = Room(SHORT), Counter[str]()
        message = Message(4 * SHORT, 20.0, room, left_out)
        message.begin()
        message.add(b"x" * 2 * SHORT)
        assert message.end(whole=True) is None
        assert (room.used, left_out) == (0, {"full": 1})

    monkeypatch.setattr(os, "memfd_create", none_left)
    asyncio.run(test())
