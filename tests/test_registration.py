"""Registration: what it says, and how long it waits."""

from composer.registration import (
    AGAIN_SECONDS,
    LONGEST_SECONDS,
    REFUSED_SECONDS,
    Answer,
    Offered,
    Rhythm,
)


def test_numbers_are_numbers_and_what_is_not_set_is_left_away() -> None:
    plain = Offered("cap", "http://worker:8000")
    assert plain.body(2) == {
        "name": "cap",
        "url": "http://worker:8000",
        "capacity": 2,
        "price_per_unit": 0,
        "price_scaling": 1,
    }
    full = Offered("cap", "http://worker:8000", "what it does", 5, 10, "USD", "token")
    more = {"description": "what it does", "currency": "USD", "token": "token"}
    assert full.body(0) == plain.body(0) | more | {"price_per_unit": 5, "price_scaling": 10}


def test_failures_are_tried_again_slower_and_slower() -> None:
    rhythm = Rhythm(chance=lambda: 1.0)
    waits = [rhythm.after(Answer.FAILED) for _ in range(8)]
    assert waits == [2, 4, 8, 16, 32, LONGEST_SECONDS, LONGEST_SECONDS, LONGEST_SECONDS]
    assert rhythm.after(Answer.REFUSED) == REFUSED_SECONDS
    assert rhythm.after(Answer.DONE) == AGAIN_SECONDS
    assert rhythm.after(Answer.FAILED) == 2
    assert Rhythm(chance=lambda: 0.0).after(Answer.FAILED) == 1
