"""Channels whose server lies to whoever writes to them, beside a session that may lose nothing."""

import asyncio

import pytest

from composer.testing import scripts
from tests.faults.neighbour import Attack, attacked
from tests.server.streams import pieces, ran

pytestmark = pytest.mark.slow

OUTPUTS = {
    "unread": scripts.unread,
    "answered_early": scripts.answered_early,
    "reset_while_written": scripts.reset_while_written,
    "every_third_fails": scripts.every_third_fails,
    "silence": scripts.silence,
    "noise": scripts.noise,
}


@pytest.mark.fault("F-37", "F-38", "F-39")
def test_an_output_that_takes_nothing_costs_its_own_session_only() -> None:
    async def test() -> None:
        async with attacked("publish_url", OUTPUTS) as (_, neighbour, attacks):
            async with asyncio.TaskGroup() as sending:
                for attack in attacks.values():
                    sending.create_task(attack.stream.publish(pieces(25)))
            await neighbour.sent()
            for attack in attacks.values():
                assert 0 < attack.peer.asked["POST"] < 60

    ran(test, 60)


@pytest.mark.fault("F-36")
def test_an_output_that_has_ended_ends_its_session() -> None:
    async def test() -> None:
        lies = {"ended": scripts.ended_for_writers}
        async with attacked("publish_url", lies) as (_, _neighbour, attacks):
            (attack,) = attacks.values()
            sending = asyncio.ensure_future(attack.stream.publish(pieces(50)))
            await attack.stream.until(lambda: attack.reason != "")
            assert attack.reason == "output_closed"
            sending.cancel()

    ran(test, 60)


@pytest.mark.fault("F-41")
def test_events_that_nobody_takes_hold_no_picture_up() -> None:
    lies = {name: OUTPUTS[name] for name in ("unread", "silence", "noise")}

    async def test() -> None:
        async with attacked("events_url", lies) as (_, neighbour, attacks):

            async def published(attack: Attack) -> None:
                await attack.stream.publish(pieces(25))

            async with asyncio.TaskGroup() as sending:
                for attack in attacks.values():
                    sending.create_task(published(attack))
            await neighbour.sent()
            for attack in attacks.values():
                await attack.stream.until(lambda attack=attack: len(attack.stream.output) > 0)  # type: ignore[misc]

    ran(test, 60)
