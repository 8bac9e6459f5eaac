"""Connections come in as long as there are descriptors for what runs."""

import asyncio
import os
import socket

import pytest
from aiohttp import web

from composer.server import descriptors, door
from composer.server.door import Door
from tests.server.streams import Stage, numbers, pieces, ran, serving


async def connected(stage: Stage, count: int) -> list[asyncio.StreamWriter]:
    """Connections that say nothing; the system takes them for a worker that does not."""
    host, port = stage.worker.address.removeprefix("http://").split(":")
    return [(await asyncio.open_connection(host, int(port)))[1] for _ in range(count)]


@pytest.mark.parametrize("what", ["descriptors", "connections"])
@pytest.mark.fault("F-65")
def test_too_many_wait_while_what_runs_goes_on_and_that_is_said_once(
    what: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        async with serving() as stage:
            stream = await stage.start()
            if what == "descriptors":
                # The ends of those who come are open in this process, too.
                most = descriptors.used() + descriptors.RESERVE + 60 + 20
                monkeypatch.setattr(descriptors, "limit", lambda: most)
            else:
                monkeypatch.setattr(door, "MOST_CONNECTIONS", 10)
            waiting = await connected(stage, 60)
            try:
                await stream.publish(pieces(20), speed=4)
                await stream.until(lambda: len(numbers(stream.output)) == 20)
                # Those who came first and say nothing make room for who has something to say.
                assert (await stage.get("/health"))[0] == 200
                assert (await stage.get("/health"))[0] == 200
            finally:
                for writer in waiting:
                    writer.close()

    ran(test)
    (said,) = [message for message in caplog.messages if "let in" in message]
    assert said.startswith("nobody is let in, what runs goes on: ")
    assert "Traceback" not in caplog.text


def test_an_error_of_the_system_keeps_nobody_out_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    accept, failures = asyncio.SelectorEventLoop.sock_accept, [OSError(24, "Too many open files")]

    async def failing(loop: asyncio.BaseEventLoop, listening: socket.socket) -> object:
        if failures:
            raise failures.pop()
        return await accept(loop, listening)

    monkeypatch.setattr(asyncio.SelectorEventLoop, "sock_accept", failing)

    async def test() -> None:
        async with serving() as stage:
            assert (await stage.get("/health"))[0] == 200
            assert failures == []

    ran(test)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "0.0.0.0", "::", ""])
def test_addresses_to_listen_at(host: str) -> None:
    sockets = door.bound(host, 0)
    try:
        for listening in sockets:
            port = listening.getsockname()[1]
            near = "::1" if listening.family == socket.AF_INET6 else "127.0.0.1"
            socket.create_connection((near, port), 5).close()
        families = {listening.family for listening in sockets}
        assert len(families) == len(sockets)
    finally:
        for listening in sockets:
            listening.close()


def test_an_address_that_is_taken_is_said() -> None:
    (taken,) = door.bound("127.0.0.1", 0)
    with taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=rf"127\.0\.0\.1', {port}\): address already in use"):
            door.bound("127.0.0.1", port)


def test_a_process_that_a_node_forks_holds_no_port() -> None:
    """It may outlive the worker, and the next one has to listen there."""
    (listening,) = door.bound("127.0.0.1", 0)
    port = listening.getsockname()[1]
    ours, theirs = socket.socketpair()
    child = os.fork()
    if not child:
        ours.close()
        theirs.send(b"!")
        theirs.recv(1)  # until the test has looked
        os._exit(0)
    theirs.close()
    ours.recv(1)
    listening.close()
    try:
        (again,) = door.bound("127.0.0.1", port)
        again.close()
    finally:
        ours.close()
        os.waitpid(child, 0)


# from one process to the next


def says(name: str) -> web.Server:
    """Answers with who it is."""

    async def answer(request: web.BaseRequest) -> web.Response:
        return web.Response(text=name, headers={"Connection": "close"})

    return web.Server(answer)


async def answer(port: int) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    said = await reader.read()
    writer.close()
    return said.rpartition(b"\r\n")[2].decode()


def test_nobody_is_refused_while_one_follows_another() -> None:
    async def test() -> None:
        async with asyncio.TaskGroup() as group:
            old = Door("127.0.0.1", 0)
            old.open(says("old"), group)
            port = int(old.address.rsplit(":", 1)[1])
            inherited = [socket.socket(fileno=socket.dup(each)) for each in old.descriptors]
            new = Door("", 0, inherited)
            assert new.address == old.address
            assert await answer(port) == "old"
            await old.close()
            knocking = asyncio.ensure_future(answer(port))  # while nobody accepts
            await asyncio.sleep(0.05)
            assert not knocking.done()
            new.open(says("new"), group)
            assert await knocking == "new"
            await old.give_back()
            assert await answer(port) == "new"
            await new.give_back()
            with pytest.raises(ConnectionRefusedError):
                await answer(port)

    ran(test)


def test_one_that_was_closed_may_open_again_and_twice_is_once() -> None:
    async def test() -> None:
        async with asyncio.TaskGroup() as group:
            here = Door("127.0.0.1", 0)
            for _ in range(2):
                here.open(says("x"), group)
                here.open(says("y"), group)
                assert await answer(int(here.address.rsplit(":", 1)[1])) == "x"
                await here.close()
            await here.give_back()

    ran(test)


def test_an_address_of_six_is_written_with_brackets() -> None:
    async def test() -> None:
        async with asyncio.TaskGroup() as group:
            here = Door("::1", 0)
            try:
                here.open(says("x"), group)
            except OSError:
                pytest.skip("there is no IPv6 here")
            assert here.address.startswith("http://[::1]:")
            await here.give_back()

    ran(test)
