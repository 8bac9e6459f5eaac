"""Since when something stands."""

from composer.session.freshness import Freshness


def test_the_part_that_has_not_moved_for_longest() -> None:
    fresh = Freshness()
    fresh.look({"a": 1, "b": 1}, 10.0)
    assert fresh.oldest(10.0)[1] == 0.0
    fresh.look({"a": 1, "b": 2}, 11.0)
    assert fresh.oldest(13.0) == ("a", 3.0)
    fresh.look({"a": 2, "b": 2}, 14.0)
    assert fresh.oldest(14.0) == ("b", 3.0)


def test_what_has_nothing_to_do_does_not_stand() -> None:
    fresh = Freshness()
    assert fresh.oldest(9.0) == ("", 0.0)
    fresh.look({"a": 1}, 10.0)
    fresh.look({}, 11.0)
    assert fresh.oldest(20.0) == ("", 0.0)
    fresh.look({"a": 1}, 21.0)
    assert fresh.oldest(21.0) == ("a", 0.0)


def test_of_several_that_stand_the_first_is_named() -> None:
    fresh = Freshness()
    fresh.look({"a": 1, "b": 1}, 10.0)
    fresh.look({"a": 2, "b": 1}, 12.0)
    assert fresh.standing(14.0, 4.0) == ""
    assert fresh.standing(14.5, 4.0) == "a for 2 s"
    fresh.look({"a": 3, "b": 1}, 14.5)
    assert fresh.standing(15.0, 4.0) == "b for 5 s"
