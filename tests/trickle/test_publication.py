"""What a publisher decides, fed with answers and times."""

import pytest

from composer.trickle import wire
from composer.trickle.publication import LOST_SECONDS, MOST_FAILURES, Delivery, Publication, Retry


def mind(*, lasting: bool = False) -> Publication:
    return Publication(lasting=lasting, chance=lambda: 1.0)


def test_numbers_are_given_out_once() -> None:
    here = mind()
    assert [here.take() for _ in range(4)] == [0, 1, 2, 3]
    assert Publication(7).take() == 7


@pytest.mark.parametrize(
    ("status", "closed", "ended", "delivery"),
    [
        (200, False, True, Delivery.DONE),
        (200, False, False, Delivery.LOST),
        (200, True, True, Delivery.OVER),
        (404, False, False, Delivery.OVER),
        (302, False, True, Delivery.GIVE_UP),
        (500, False, True, Delivery.LOST),
    ],
)
def test_what_an_answer_to_something_sent_means(
    *, status: int, closed: bool, ended: bool, delivery: Delivery
) -> None:
    headers = {wire.CLOSED: "terminated"} if closed else {}
    assert mind().replied(status, headers, 0.0, sent=True, ended=ended) is delivery


def test_what_was_not_sent_is_tried_again_slower_and_slower() -> None:
    here = mind()
    waits = [here.failed(float(second), sent=False) for second in range(7)]
    assert waits == [Retry(wait) for wait in (0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0)]
    assert here.replied(503, {}, 7.0, sent=False, ended=False) == Retry(2.0)


def test_a_channel_that_takes_nothing_is_given_up_unless_it_lasts() -> None:
    here, lasting = mind(), mind(lasting=True)
    for each in (here, lasting):
        each.failed(0.0, sent=False)
    assert here.failed(LOST_SECONDS, sent=False) is Delivery.GIVE_UP
    assert isinstance(lasting.failed(LOST_SECONDS, sent=False), Retry)


def test_segments_that_break_one_after_another_are_given_up_unless_it_lasts() -> None:
    here, lasting = mind(), mind(lasting=True)
    deliveries = [here.failed(0.0, sent=True) for _ in range(MOST_FAILURES)]
    assert deliveries == [*[Delivery.LOST] * (MOST_FAILURES - 1), Delivery.GIVE_UP]
    assert {lasting.failed(0.0, sent=True) for _ in range(50)} == {Delivery.LOST}


def test_a_segment_that_went_well_ends_a_row_of_failures() -> None:
    here = mind()
    for _ in range(5):
        for _ in range(MOST_FAILURES - 1):
            assert here.failed(0.0, sent=True) is Delivery.LOST
        assert here.replied(200, {}, 1.0, sent=True, ended=True) is Delivery.DONE
