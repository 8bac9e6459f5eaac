"""Names of hosts, looked up on threads of their own."""

import asyncio
import socket
from typing import Any

import aiohttp
import pytest

from composer.trickle import resolver
from composer.trickle.http import open_http
from composer.trickle.resolver import Resolver
from composer.trickle.server import TrickleServer
from tests.server.streams import ran
from tests.test_threads import Hanging


def test_a_name_leads_to_its_addresses() -> None:
    async def test() -> None:
        here = await Resolver().resolve("localhost", 80, socket.AF_INET)
        assert [(one["hostname"], one["host"], one["port"]) for one in here] == [
            ("localhost", "127.0.0.1", 80)
        ]

    ran(test)


@pytest.mark.fault("F-18")
def test_channels_are_reached_by_name_while_the_shared_threads_are_all_taken() -> None:
    hanging = Hanging()

    async def test() -> None:
        async with TrickleServer().serving() as base, open_http() as http:
            # as many as the pool of a loop has at the most
            taken = [asyncio.ensure_future(asyncio.to_thread(hanging)) for _ in range(32)]
            async with http.get(base.replace("127.0.0.1", "localhost") + "/none") as answer:
                assert answer.status == 405  # a channel is not asked for like that
            hanging.allowed.set()
            await asyncio.gather(*taken)

    ran(test)


@pytest.mark.fault("F-18")
def test_a_name_that_nobody_answers_for_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    hanging = Hanging()

    def silent(*args: Any) -> Any:
        return hanging()

    async def test() -> None:
        monkeypatch.setattr(resolver, "LOOKUP_SECONDS", 0.01)
        monkeypatch.setattr(resolver, "_looked_up", silent)
        async with open_http() as http:
            with pytest.raises(aiohttp.ClientConnectorDNSError, match="name look-up took more"):
                await http.get("http://nowhere.invalid/")
        hanging.allowed.set()

    ran(test)
