"""Bytes that are given out, and come back."""

from composer.room import Room


def test_no_more_is_given_out_than_there_is() -> None:
    room = Room(10)
    assert room.take(6)
    assert not room.take(5)
    assert room.take(4)
    room.give_back(6)
    assert (room.used, room.take(7), room.take(6)) == (4, False, True)
