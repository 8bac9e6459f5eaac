"""What a worker's HTTP sessions may connect to."""

import asyncio
import socket
from collections.abc import Mapping

import pytest
from aiohttp.abc import ResolveResult

from composer.trickle import resolver
from composer.trickle.outbound import ChannelsRefused, NotPublic, Outbound
from composer.trickle.reach import Reach
from tests.server.streams import ran
from tests.test_threads import Hanging

FAMILY = socket.AF_UNSPEC
REACH = Reach.of([], ["https://orch.example:8935"])


class Names:
    """The system's names, as a test gives them out. looked_up: those that were asked for."""

    def __init__(self, **addresses: list[str]) -> None:
        self.addresses: dict[str, list[str]] = addresses
        self.looked_up: list[str] = []

    def __call__(self, host: str, port: int, family: int) -> list[ResolveResult]:
        self.looked_up.append(host)
        if host not in self.addresses:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [
            ResolveResult(hostname=host, host=each, port=port, family=2, proto=6, flags=0)
            for each in self.addresses[host]
        ]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    known = Names()
    known.addresses["orch.example"] = ["10.0.0.5"]
    monkeypatch.setattr(resolver, "_looked_up", known)
    return known


async def refused(outbound: Outbound, **channels: str) -> tuple[str, ...]:
    """The channels that are refused."""
    try:
        await outbound.pinned(channels)
    except ChannelsRefused as exc:
        return exc.which
    return ()


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "10.0.0.6",
        "169.254.169.254",
        "0.0.0.0",
        "[::1]",
        "[::ffff:10.0.0.6]",
        "inside.example",
        "INSIDE.example.",
    ],
)
def test_with_an_orchestrator_what_is_not_public_is_refused(names: Names, host: str) -> None:
    names.addresses |= {"inside.example": ["10.0.0.6"], "out.example": ["8.8.8.8"]}

    async def test() -> None:
        async with Outbound(REACH) as outbound:
            found = await refused(
                outbound, control=f"http://{host}/c", events="http://out.example/e", publish=""
            )
            assert found == ("control",)
        async with Outbound(Reach()) as outbound:
            assert await refused(outbound, control=f"http://{host}/c") == ()

    ran(test)


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "127.1", "localhost"])
def test_other_spellings_of_an_address_are_looked_up_as_the_system_does(host: str) -> None:
    async def test() -> None:
        async with Outbound(Reach.of([], ["https://10.0.0.5:8935"])) as outbound:
            assert await refused(outbound, control=f"http://{host}/c") == ("control",)

    ran(test)


@pytest.mark.parametrize(
    "address",
    [
        "https://orch.example:8935/x",
        "https://orch.example.:1/x",
        "https://10.0.0.5:3389/x",
        "https://[::ffff:10.0.0.5]/x",
        "http://named.example/x",
    ],
)
def test_the_operators_own_hosts_may_be_private(names: Names, address: str) -> None:
    names.addresses["named.example"] = ["192.168.0.9"]
    reach = Reach((), Reach.of(["named.example"], ["https://orch.example"]).own, public=True)

    async def test() -> None:
        async with Outbound(reach) as outbound:
            assert await refused(outbound, control=address) == ()

    ran(test)


def test_of_several_addresses_the_public_ones_are_used(names: Names) -> None:
    names.addresses["mixed.example"] = ["127.0.0.1", "8.8.8.8", "fd00::1"]

    async def test() -> None:
        async with Outbound(REACH) as outbound:
            pins = await outbound.pinned({"control": "http://mixed.example/c"})
            found = await pins.resolve("mixed.example", 80, FAMILY)
            assert [(each["host"], each["port"]) for each in found] == [("8.8.8.8", 80)]

    ran(test)


def test_a_name_leads_where_it_led_first(names: Names) -> None:
    names.addresses["moves.example"] = ["8.8.8.8"]
    channels: Mapping[str, str] = {
        "control": "http://moves.example/c",
        "publish": "http://moves.example:81/p",
    }

    async def test() -> None:
        async with Outbound(REACH) as outbound:
            pins = await outbound.pinned(channels)
            names.addresses["moves.example"] = ["127.0.0.1"]
            for port in (80, 81):
                found = await pins.resolve("moves.example", port, FAMILY)
                assert [(each["host"], each["port"]) for each in found] == [("8.8.8.8", port)]
            assert names.looked_up.count("moves.example") == 1
            assert await refused(outbound, **channels) == ("control", "publish"), "another stream"

    ran(test)


def test_a_name_that_is_found_later_is_looked_at_then(names: Names) -> None:
    async def test() -> None:
        async with Outbound(REACH) as outbound:
            pins = await outbound.pinned({"control": "http://late.example/c"})
            with pytest.raises(OSError, match="Name or service not known"):
                await pins.resolve("late.example", 80, FAMILY)
            names.addresses["late.example"] = ["10.9.9.9"]
            with pytest.raises(NotPublic):
                await pins.resolve("late.example", 80, FAMILY)
            names.addresses["late.example"] = ["8.8.4.4"]
            found = await pins.resolve("late.example", 80, FAMILY)
            assert [each["host"] for each in found] == ["8.8.4.4"]

    ran(test)


def test_names_of_callers_that_nobody_answers_for_hold_no_orchestrator_up(
    names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging = Hanging()

    def silent(host: str, port: int, family: int) -> list[ResolveResult]:
        if host.startswith("silent"):
            hanging()
        return names(host, port, family)

    monkeypatch.setattr(resolver, "_looked_up", silent)

    async def test() -> None:
        async with Outbound(REACH) as outbound:
            many = {str(at): f"http://silent{at}.example/c" for at in range(resolver.LOOKUPS + 1)}
            waiting = asyncio.ensure_future(outbound.pinned(many))
            for _ in range(resolver.LOOKUPS):
                await asyncio.to_thread(hanging.begun.acquire)
            assert await refused(outbound, control="https://orch.example:8935/c") == ()
            assert not waiting.done()
            hanging.allowed.set()
            await waiting

    ran(test)
