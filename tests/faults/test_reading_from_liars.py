"""Channels whose server lies to whoever reads them, beside a session that may lose nothing."""

from collections.abc import Mapping

import pytest

from composer.session.readers import MOST_MESSAGES
from composer.testing import scripts
from composer.testing.exchange import Script
from composer.testing.peer import Peer
from composer.trickle.subscriber import MOST_SEGMENTS, RESERVE_SECONDS
from tests.faults.neighbour import FRAMES, Attack, attacked
from tests.server.streams import ran

pytestmark = pytest.mark.slow

FEW = 12
"""Requests where each is tried again later and later."""

MOST = MOST_SEGMENTS * (RESERVE_SECONDS + 2 * FRAMES / 25)
"""Requests for segments that there are, in twice the time that a test lasts."""


def asked(attacks: Mapping[str, Attack]) -> dict[str, int]:
    """How often each peer was asked."""
    return {name: attack.peer.asked["GET"] for name, attack in attacks.items()}


def of(*names: str) -> dict[str, Script]:
    return {name: scripts.READING[name] for name in names}


@pytest.mark.fault("F-05", "F-06", "F-15")
def test_numbers_that_lead_nowhere_are_not_followed_without_end() -> None:
    lies = of(
        "the_same_segment",
        "numbers_beyond_measure",
        "numbers_that_are_none",
        "always_behind",
        "behind_without_a_number",
        "behind_a_number_that_is_none",
    )

    async def test() -> None:
        async with attacked("subscribe_url", lies) as (_, neighbour, attacks):
            await neighbour.sent()
            assert max(asked(attacks).values()) < FEW
            for name in list(lies)[:3]:
                attack = attacks[name]
                await attack.stream.until(lambda attack=attack: attack.reason == "lost")  # type: ignore[misc]

    ran(test, 60)


@pytest.mark.fault("F-15")
def test_numbers_that_jump_are_followed_at_a_pace() -> None:
    async def test() -> None:
        lies = of("segments_that_jump")
        async with attacked("subscribe_url", lies) as (_, neighbour, attacks):
            await neighbour.sent()
            assert 0 < asked(attacks)["segments_that_jump"] < MOST

    ran(test, 60)


@pytest.mark.fault("F-03", "F-04", "F-07")
def test_the_end_of_a_channel_is_the_end_of_its_session_however_it_is_said() -> None:
    async def test() -> None:
        lies = {"closed": scripts.closed_with_text, "gone": scripts.refusing(404)}
        async with attacked("subscribe_url", lies) as (_, neighbour, attacks):
            closed = attacks["closed"]
            await closed.stream.until(lambda: closed.reason != "")
            assert (closed.reason, closed.peer.asked["GET"]) == ("input_closed", 1)
            await neighbour.sent()
            assert attacks["gone"].peer.asked["GET"] < FEW

    ran(test, 60)


@pytest.mark.fault("F-08", "F-16")
def test_refusals_and_redirects_are_tried_again_slowly_and_not_followed() -> None:
    async def test() -> None:
        elsewhere = Peer(scripts.empty_segments)
        async with elsewhere.serving() as target:
            statuses = (400, 403, 429, 500, 503, 999)
            lies = {f"status-{status}": scripts.refusing(status) for status in statuses}
            lies["redirect"] = scripts.redirecting(f"{target}/x/0")
            async with attacked("subscribe_url", lies) as (_, neighbour, attacks):
                await neighbour.sent()
                assert max(asked(attacks).values()) < FEW
            assert not elsewhere.asked

    ran(test, 60)


@pytest.mark.fault("F-09", "F-10", "F-11", "F-19")
def test_segments_that_break_off_or_stand_still_hold_nobody_up() -> None:
    lies = of(
        "silence",
        "silence_within",
        "cut_within",
        "cut_without_a_length",
        "reset_within",
        "reset_at_once",
    )

    async def test() -> None:
        async with attacked("subscribe_url", lies) as (stage, neighbour, attacks):
            await neighbour.sent()
            assert max(asked(attacks).values()) < MOST
            assert asked(attacks)["silence"] == 1
            assert asked(attacks)["reset_at_once"] < FEW
            _, status = await stage.get("/stream/status")
            gaps = {name: each["input_status"]["gaps"] for name, each in status["streams"].items()}
            assert all(gaps[name] for name in ("cut_within", "reset_within"))
            assert gaps["quiet"] == 0

    ran(test, 60)


@pytest.mark.fault("F-77")
def test_answers_that_are_none_are_refused_and_tried_again_slowly() -> None:
    lies = of(
        "long_header",
        "noise",
        "two_lengths",
        "negative_length",
        "other_protocol",
        "no_content",
        "packed",
    )

    async def test() -> None:
        async with attacked("subscribe_url", lies) as (_, neighbour, attacks):
            await neighbour.sent()
            counts = asked(attacks)
            assert counts.pop("packed") < MOST, "a segment that nobody can read, like any other"
            assert max(counts.values()) < FEW

    ran(test, 60)


@pytest.mark.fault("F-80")
def test_a_control_channel_that_lies_is_its_sessions_affair() -> None:
    lies = of("segments_that_jump", "the_same_segment", "always_behind", "noise", "reset_within")

    async def test() -> None:
        async with attacked("control_url", lies) as (_, neighbour, attacks):
            await neighbour.sent()
            assert max(asked(attacks).values()) < MOST * MOST_MESSAGES / MOST_SEGMENTS

    ran(test, 60)
