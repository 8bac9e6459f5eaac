"""Since when an input brings what an output is made of."""

import pytest

from composer.session.supply import Supply


def fed(*times: float, answered: bool = True) -> Supply:
    supply = Supply(quiet=2.0, silent=10.0)
    for time in times:
        supply.came(time, time if answered else 0.0)
    return supply


@pytest.mark.parametrize(
    ("times", "since"),
    [
        pytest.param((3.0,), 3.0, id="from the first moment"),
        pytest.param((3.0, 4.0, 5.9), 3.0, id="as long as it comes"),
        pytest.param((3.0, 4.0, 30.0, 31.0), 30.0, id="anew from its return"),
        pytest.param((3.0, 30.0, 60.0), 60.0, id="anew from each return"),
        pytest.param((3.0, 7.0), 7.0, id="after a short silence, too, where all was answered"),
    ],
)
def test_it_lasts_since_it_began_or_returned(times: tuple[float, ...], since: float) -> None:
    assert fed(*times).since == since


def test_bursts_that_nothing_answers_are_one_input() -> None:
    assert fed(3.0, 8.0, 13.0, 18.0, answered=False).since == 3.0
    assert fed(3.0, 8.0, 13.0, 30.0, answered=False).since == 30.0


def test_it_comes_until_it_was_silent_for_long() -> None:
    assert not fed().lasts(5.0)
    assert fed(3.0).lasts(12.9)
    assert not fed(3.0).lasts(13.0)
