"""Finish: what a session does at its end, step by step."""

import asyncio
import logging
from typing import Final

from composer.session.channels import Channels
from composer.session.deployment import Deployment
from composer.session.ends import InputEnd
from composer.session.patience import came_within
from composer.session.timing import LINGERS, REMOVE_SECONDS, Timing
from composer.trickle.http import Http
from composer.trickle.publisher import remove

log: Final = logging.getLogger(__name__)


async def linger(ingress: InputEnd, timing: Timing) -> None:
    """A stop can overtake the last bytes of the input: read on while some come."""
    for _ in range(LINGERS):
        before = ingress.last_at
        await asyncio.sleep(timing.linger)
        if ingress.last_at == before:
            return


async def drain(deployment: Deployment, timing: Timing) -> None:
    """Let what was taken in come out; what takes too long is given up."""
    deployment.execution.end_input()
    if not deployment.given_up and not await came_within(deployment.over.wait(), timing.drain):
        log.warning("its nodes did not end in time")
        deployment.give_up()
    if deployment.given_up:
        await came_within(deployment.over.wait(), timing.give_up)
    deployment.execution.egress.end()


async def hand_over(http: Http, channels: Channels, timing: Timing) -> None:
    """Close what the gateway reads: it takes another worker at once then, where it would wait
    half a minute for more (contract 3.8).
    """
    if url := channels.publish or channels.data:
        await asyncio.sleep(timing.catch_up)
        await remove(http, url, REMOVE_SECONDS)
