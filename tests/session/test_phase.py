"""The phases of a session: the moves there are, and what goes on in each."""

import asyncio

import pytest

from composer.session.phase import ACTIVITIES, MOVES, Activity, Life, Phase

ORDER = list(Phase)


def lived(*phases: Phase) -> Life:
    life = Life()
    for phase in phases:
        life.move(phase)
    return life


def test_every_phase_has_its_moves_and_its_activities() -> None:
    assert MOVES.keys() == ACTIVITIES.keys() == set(Phase)
    assert set().union(*ACTIVITIES.values()) == set(Activity)


def test_a_life_only_goes_forward_and_can_break_off_anywhere() -> None:
    for phase, others in MOVES.items():
        assert all(ORDER.index(other) > ORDER.index(phase) for other in others)
        if phase not in (Phase.CLOSING, Phase.OVER):
            assert Phase.CLOSING in others


def test_what_was_ended_is_not_begun_again() -> None:
    """An activity has one run of phases: it is begun once and ended once."""
    for activity in Activity:
        places = [place for place, phase in enumerate(ORDER) if activity in ACTIVITIES[phase]]
        assert places == list(range(places[0], places[-1] + 1))


@pytest.mark.parametrize("phase", Phase)
def test_a_move_that_there_is_not_is_a_mistake(phase: Phase) -> None:
    if phase in MOVES[Phase.SETTING_UP]:
        assert lived(phase).phase is phase
        return
    life = lived()
    with pytest.raises(ValueError, match=f"a session goes from SETTING_UP to no {phase.name}"):
        life.move(phase)
    assert life.phase is Phase.SETTING_UP


@pytest.mark.parametrize("first", [(), (Phase.LIVE,)])
def test_whoever_waits_for_its_end_and_for_its_last_moment_hears_of_both(
    first: tuple[Phase, ...],
) -> None:
    async def test() -> None:
        life = lived(*first)
        assert not life.ending
        ends = asyncio.ensure_future(life.ends())
        life.move(Phase.DRAINING)
        assert life.ending
        await ends
        life.move(Phase.FLUSHING)
        life.move(Phase.CLOSING)
        assert not life.over.is_set()
        life.move(Phase.OVER)
        assert life.over.is_set()

    asyncio.run(test())
