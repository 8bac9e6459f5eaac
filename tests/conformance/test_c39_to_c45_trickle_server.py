"""Trickle server: C-39 answers, C-40 late readers, C-41 window, C-42 posted twice,
C-43 channel deleted, C-44 publisher gone, C-45 idle sweep."""

import asyncio

import pytest

from composer.trickle import wire
from tests import clocks
from tests.trickle.raw import Wire, Wires, ran, wired


def test_c39_answers() -> None:
    async def play() -> None:
        async with wired() as (_, wires):
            for method, path in (("GET", "/c/0"), ("GET", "/c/next"), ("DELETE", "/c/0")):
                assert (await wires.ask(method, path)).status == 404
            unknown = await wires.ask("DELETE", "/c")
            assert (unknown.status, unknown.body) == (400, b"Invalid stream\n")
            for _ in range(2):
                made = await wires.ask("POST", "/c", b"", "Expect-Content: video/mp2t")
                assert (made.status, made.body) == (200, b"")
            posted = await wires.ask("POST", "/c/-1", b"one")
            assert (posted.status, posted.headers["lp-trickle-seq"], posted.body) == (200, "0", b"")
            read = await wires.ask("GET", "/c/0")
            assert (read.status, read.body) == (200, b"one")
            assert read.headers["content-type"] == "video/mp2t"
            assert read.headers["lp-trickle-seq"] == "0"
            assert read.headers["lp-trickle-latest"] == "1"
            following = await wires.ask("GET", "/c/next")
            assert (following.body, following.headers["lp-trickle-latest"]) == (b"1", "1")
            gone = await wires.ask("GET", "/c/7")
            assert (gone.status, gone.body) == (470, b"Entry not found")
            assert gone.headers["lp-trickle-latest"] == "1"
            assert gone.headers["lp-trickle-seq"] == "7"
            assert (await wires.ask("DELETE", "/c/7")).status == 400
            deleted = await wires.ask("DELETE", "/c")
            assert (deleted.status, deleted.body) == (200, b"")

    ran(play())


@pytest.mark.parametrize(
    ("method", "seq"),
    [("GET", "-3"), ("POST", "-2"), ("POST", "-3"), ("DELETE", "-1"), ("GET", "x"), ("POST", "1.")],
)
def test_c39_a_number_nobody_can_mean(method: str, seq: str) -> None:
    async def play() -> None:
        async with wired() as (_, wires):
            await wires.ask("POST", "/c")
            refused = await wires.ask(method, f"/c/{seq}")
            assert (refused.status, refused.body) == (400, b"Invalid idx\n")

    ran(play())


def test_c40_late_readers_get_all_of_a_segment() -> None:
    async def play() -> None:
        async with wired() as (_, wires):
            publisher = await wires.open()
            await publisher.post("/c/0")
            await publisher.piece(b"early")
            first = await reading(wires, "/c/-2", b"early")
            others = [await reading(wires, "/c/0", b"early") for _ in range(3)]
            await publisher.piece(b"late")
            for each in (first, *others):
                assert await each.chunk() == b"late"
            await publisher.piece(b"")
            for each in (first, *others):
                assert await each.chunk() == b""

    ran(play())


def test_c41_window() -> None:
    async def play() -> None:
        async with wired() as (_, wires):
            for seq in range(6):
                await wires.ask("POST", f"/c/{seq}", b"%d" % seq)
            ahead = await wires.open()
            await ahead.post("/c/6", "Expect: 100-continue")
            assert (await ahead.head()).status == 100
            for seq in range(2, 6):
                assert (await wires.ask("GET", f"/c/{seq}")).body == b"%d" % seq
            assert (await wires.ask("GET", "/c/1")).status == 470
            assert (await wires.ask("GET", "/c/7")).status == 470

    ran(play())


def test_c42_a_complete_segment_stays_as_it_is() -> None:
    async def play() -> None:
        async with wired() as (_, wires):
            for seq in range(4):
                await wires.ask("POST", f"/c/{seq}", b"%d" % seq)
            again = await wires.ask("POST", "/c/1", b"other")
            assert (again.status, again.headers["connection"]) == (200, "close")
            assert (await wires.ask("GET", "/c/1")).body == b"1"
            assert (await wires.ask("GET", "/c/next")).body == b"4"

    ran(play())


def test_c43_channel_deleted() -> None:
    async def play() -> None:
        async with wired() as (_, wires):
            await wires.ask("POST", "/c")
            ahead = await wires.open()
            await ahead.post("/c/0", "Expect: 100-continue")
            assert (await ahead.head()).status == 100
            reader = await wires.open()
            # In one write, so that the second waits already when the first is answered.
            head = b"GET /c/%b HTTP/1.1\r\nHost: test\r\n\r\n"
            await reader.send(head % b"next" + head % b"0")
            assert (await reader.answer()).body == b"0"
            assert (await wires.ask("DELETE", "/c")).status == 200
            for each in (ahead, reader):
                told = await each.answer()
                assert (told.status, told.body) == (200, b"")
                assert told.headers["lp-trickle-closed"] == "terminated"
            assert (await wires.ask("GET", "/c/0")).status == 404
            assert (await wires.ask("DELETE", "/c")).status == 400

    ran(play())


@pytest.mark.parametrize("how", ["reset", "delete"])
def test_c44_publisher_gone_in_a_segment(how: str) -> None:
    async def play() -> None:
        async with wired() as (_, wires):
            publisher = await wires.open()
            await publisher.post("/c/0")
            await publisher.piece(b"part")
            reader = await reading(wires, "/c/0", b"part")
            publisher.close()
            # Still open: another connection goes on with it.
            other = await wires.open()
            await other.post("/c/0")
            await other.piece(b"more")
            assert await reader.chunk() == b"more"
            other.close()
            if how == "reset":
                await wires.ask("POST", "/c/1", b"anew", "Lp-Trickle-Reset: 1")
            else:
                assert (await wires.ask("DELETE", "/c/0")).status == 200
            assert await reader.chunk() == b""

    ran(play())


def test_c45_idle_sweep() -> None:
    async def play() -> None:
        now = 0.0
        async with wired(clock=lambda: now) as (server, wires):
            for name in ("idle", "busy", "_kept"):
                await wires.ask("POST", f"/{name}")
            now = wire.IDLE_S
            await wires.ask("POST", "/busy/0")
            server.directory.sweep()
            assert (await wires.ask("GET", "/idle/next")).status == 200
            now += 1
            server.directory.sweep()
            assert (await wires.ask("GET", "/idle/next")).status == 404
            assert (await wires.ask("GET", "/busy/next")).status == 200
            assert (await wires.ask("GET", "/_kept/next")).status == 200

    ran(play())


def test_c45_idle_channels_are_swept_by_the_clock() -> None:
    async def play() -> None:
        now = clocks.clock().time
        async with wired(changefeed=True, clock=now) as (_, wires):
            began = now()
            for name in ("idle", "busy"):
                await wires.ask("POST", f"/{name}")
            reader = await wires.open()
            await reader.ask("GET", "/idle/0")

            async def told() -> float:
                assert (await reader.answer()).headers["lp-trickle-closed"] == "terminated"
                return now()

            swept = asyncio.ensure_future(told())
            for seq in range(4):
                await asyncio.sleep(100)
                await wires.ask("POST", f"/busy/{seq}")
            assert await swept - began >= 300
            assert clocks.clock().skipped <= 400
            assert (await wires.ask("GET", "/idle/next")).status == 404
            assert (await wires.ask("GET", "/busy/next")).status == 200
            changes = [(await wires.ask("GET", f"/_changes/{seq}")).body for seq in range(3)]
            assert changes == [
                b'{"added":["idle"]}',
                b'{"added":["busy"]}',
                b'{"removed":["idle"]}',
            ]

    clocks.ran_skipping(play)


def test_c45_the_feed_tells_what_comes_and_goes() -> None:
    async def play() -> None:
        async with wired(changefeed=True) as (_, wires):
            await wires.ask("POST", "/c")
            await wires.ask("DELETE", "/c")
            assert (await wires.ask("GET", "/_changes/0")).body == b'{"added":["c"]}'
            assert (await wires.ask("GET", "/_changes/1")).body == b'{"removed":["c"]}'

    ran(play())


async def reading(wires: Wires, path: str, begin: bytes) -> Wire:
    """A GET that has got the first bytes of a segment."""
    reader = await wires.open()
    await reader.ask("GET", path)
    assert (await reader.head()).status == 200
    assert await reader.chunk() == begin
    return reader
