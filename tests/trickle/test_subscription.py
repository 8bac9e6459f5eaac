"""What a subscriber decides, fed with answers and times."""

from collections.abc import Mapping

import pytest

from composer.trickle import wire
from composer.trickle.subscription import (
    AHEAD_SECONDS,
    STRANGE,
    Ask,
    GiveUp,
    Over,
    Step,
    Subscription,
    Take,
)


def mind(start: int = wire.CURRENT, late: float = 0.0) -> Subscription:
    return Subscription(start, late=late, lost=30, chance=lambda: 1.0)


def ok(seq: int | str) -> tuple[int, Mapping[str, str]]:
    return 200, {wire.SEQ: str(seq)}


def missing(latest: int | str | None) -> tuple[int, Mapping[str, str]]:
    return 470, {} if latest is None else {wire.LATEST: str(latest)}


def told(
    here: Subscription, *answers: tuple[int, Mapping[str, str]], step: float = 0.0
) -> list[Step]:
    return [here.replied(*answer, number * step) for number, answer in enumerate(answers)]


def test_segments_follow_each_other() -> None:
    here = mind()
    assert here.first() == Ask(wire.CURRENT)
    assert told(here, ok(7), ok(8), ok(9)) == [Take(7, False), Take(8, False), Take(9, False)]  # noqa: FBT003
    assert here.after(9) == Ask(10)


def test_a_number_that_was_skipped_is_a_gap() -> None:
    assert told(mind(), ok(3), ok(1003))[1] == Take(1003, gap=True)


@pytest.mark.parametrize(
    ("answer", "step"),
    [
        pytest.param((200, {wire.CLOSED: "terminated", wire.SEQ: "3"}), Over(), id="closed"),
        pytest.param((470, {wire.CLOSED: "x", wire.LATEST: "3"}), Over(), id="closed and 470"),
        pytest.param((404, {}), Over(), id="gone"),
        pytest.param(
            (302, {"Location": "http://elsewhere"}),
            GiveUp("the server sent us elsewhere, which is not followed"),
            id="redirect",
        ),
    ],
)
def test_the_end(answer: tuple[int, Mapping[str, str]], step: Step) -> None:
    here = mind()
    told(here, ok(3))
    assert here.replied(*answer, 1.0) == step


@pytest.mark.fault("F-03")
def test_a_channel_that_is_late_is_waited_for() -> None:
    here = mind(late=10)
    found = told(here, *[(404, {})] * 12, step=1)
    assert found == [Ask(wire.CURRENT, AHEAD_SECONDS)] * 10 + [Over()] * 2
    here = mind(late=10)
    assert told(here, ok(0), (404, {})) == [Take(0, gap=False), Over()]


def test_behind_the_window_it_jumps_and_says_so() -> None:
    here = mind()
    assert told(here, ok(3), missing(20), ok(20)) == [
        Take(3, gap=False),
        Ask(20),
        Take(20, gap=True),
    ]


def test_ahead_of_the_edge_it_waits_and_does_not_jump() -> None:
    here = mind()
    wait = Ask(4, AHEAD_SECONDS)
    assert told(here, ok(3), missing(4), missing(3), ok(4)) == [
        Take(3, gap=False),
        wait,
        wait,
        Take(4, gap=False),
    ]


def test_a_server_that_counts_anew_is_followed() -> None:
    here = mind()
    assert told(here, ok(50), missing(3), ok(3), ok(4)) == [
        Take(50, gap=False),
        Ask(3),
        Take(3, gap=True),
        Take(4, gap=False),
    ]


@pytest.mark.parametrize("latest", [None, "x", "-5", "9" * 30, ""])
@pytest.mark.fault("F-06")
def test_a_470_that_says_nothing_leads_to_the_next_segment_without_haste(
    latest: str | None,
) -> None:
    here = mind()
    assert told(here, ok(3), missing(latest)) == [
        Take(3, gap=False),
        Ask(wire.NEXT, AHEAD_SECONDS),
    ]


@pytest.mark.fault("F-05")
def test_one_470_after_another_is_not_a_tight_loop() -> None:
    here = mind()
    steps = told(here, ok(3), *[missing(10 * number) for number in range(2, 9)])
    assert [step.after for step in steps[1:] if isinstance(step, Ask)] == [0, *[0.25] * 6]


def test_failures_are_tried_slower_and_slower_and_then_given_up() -> None:
    here = mind()
    steps = [here.failed(float(second)) for second in (0, 1, 2, 3, 4, 5, 29)]
    assert [step.after for step in steps if isinstance(step, Ask)] == [
        0.1,
        0.2,
        0.4,
        0.8,
        1.6,
        2,
        2,
    ]
    assert isinstance(here.failed(30.0), GiveUp)


def test_a_success_ends_a_row_of_failures() -> None:
    here = mind()
    here.replied(503, {}, 0.0)
    assert here.replied(*ok(0), 29.0) == Take(0, gap=False)
    assert here.replied(500, {}, 40.0) == Ask(1, 0.1)


@pytest.mark.fault("F-15")
def test_a_server_that_repeats_itself_is_not_followed_for_ever() -> None:
    here = mind()
    steps = told(here, ok(3), *[ok(3)] * STRANGE)
    assert isinstance(steps[-1], GiveUp)
    assert steps[1] == Ask(4, AHEAD_SECONDS)


def test_an_answer_without_a_number_is_the_segment_that_was_asked_for() -> None:
    here = mind()
    assert told(here, ok(3), (200, {})) == [Take(3, gap=False), Take(4, gap=False)]
