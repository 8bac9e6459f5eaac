"""A channel without a network: the ring, the numbers, the budget."""

import pytest

from composer.trickle.channel import Budget, Channel, LimitReached


def channel(budget: Budget) -> Channel:
    return Channel("video/mp2t", 0.0, budget, 100)


def written(to: Channel, seq: int, data: bytes) -> None:
    segment = to.to_write(seq)
    assert segment is not None
    to.began(seq, 0.0)
    segment.append(data)
    segment.close()


def test_the_budget_is_back_at_its_start_after_a_drop() -> None:
    budget = Budget(100)
    made = channel(budget)
    for seq in range(8):
        written(made, seq, b"x" * 10)
    assert budget.left == 50
    made.drop()
    assert budget.left == 100


def test_a_held_segment_is_counted_until_it_is_released() -> None:
    budget = Budget(100)
    made = channel(budget)
    written(made, 0, b"x" * 10)
    segment = made.to_read(0)
    assert segment is not None
    segment.hold()
    made.drop()
    assert (budget.left, segment.read(0, 10)) == (90, b"x" * 10)
    segment.release()
    assert budget.left == 100


def test_a_reader_may_ask_for_the_first_two_before_they_are_there() -> None:
    made = channel(Budget(100))
    assert made.to_read(0) is not None
    assert made.to_read(1) is not None
    assert made.to_read(2) is None


def test_what_does_not_fit_ends_the_segment() -> None:
    segment = channel(Budget(5)).to_write(0)
    assert segment is not None
    with pytest.raises(LimitReached):
        segment.append(b"x" * 6)
    assert segment.closed
