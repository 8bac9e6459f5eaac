"""Requests that reach a process behind which another one serves already."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web

from composer.server.forwarding import Forwarding
from tests.server.streams import ran


@asynccontextmanager
async def served(app: web.Application) -> AsyncIterator[str]:
    runner = web.AppRunner(app, shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def echo(request: web.Request) -> web.Response:
    body = await request.read()
    said = {
        "who": "new",
        "method": request.method,
        "path": request.raw_path,
        "host": request.headers["Host"],
        "mark": request.headers.getall("X-Mark", []),
        "type": request.headers.get("Content-Type"),
        "body": body.decode(),
    }
    return web.json_response(said, status=409, headers={"Retry-After": "5"})


async def old(request: web.Request) -> web.Response:
    return web.json_response({"who": "old"})


def app(handler: object, forwarding: Forwarding | None = None) -> web.Application:
    made = web.Application(middlewares=[forwarding.middleware] if forwarding else [])
    made.router.add_route("*", "/{path:.*}", handler)  # type: ignore[arg-type]
    return made


def test_what_comes_is_passed_on_as_it_is_and_its_connection_closed() -> None:
    async def test() -> None:
        forwarding = Forwarding()
        async with served(app(echo)) as there, served(app(old, forwarding)) as here:
            async with aiohttp.ClientSession() as http:
                async with http.get(f"{here}/x") as answer:
                    assert (await answer.json(), answer.headers.get("Connection")) == (
                        {"who": "old"},
                        None,
                    )
                forwarding.begin(there)
                headers = [("X-Mark", "1"), ("X-Mark", "2"), ("Host", "a.test")]
                async with http.post(f"{here}//x/%2F?q=1", data=b"body", headers=headers) as answer:
                    said = await answer.json()
                    assert (answer.status, answer.headers["Retry-After"]) == (409, "5")
                    assert answer.headers["Connection"] == "close"
                assert (said["who"], said["method"], said["body"]) == ("new", "POST", "body")
                assert (said["path"], said["host"]) == ("//x/%2F?q=1", "a.test")
                assert said["mark"] == ["1", "2"]
                async with http.get(f"{here}/x") as answer:
                    assert (await answer.json())["type"] is None
                forwarding.end()
                async with http.get(f"{here}/x") as answer:
                    assert (await answer.json()) == {"who": "old"}
        await forwarding.close()

    ran(test)


def test_it_says_when_what_was_begun_here_is_answered() -> None:
    async def test() -> None:
        forwarding, reached, allowed = Forwarding(), asyncio.Event(), asyncio.Event()

        async def slow(request: web.Request) -> web.Response:
            reached.set()
            await allowed.wait()
            return web.Response(text="done")

        async with served(app(slow, forwarding)) as here, aiohttp.ClientSession() as http:
            asking = []
            for path, waited in (("/process", False), ("/stream/start", True)):
                reached.clear()
                asking.append(asyncio.ensure_future(http.get(here + path)))
                await reached.wait()
                assert forwarding.idle.is_set() is not waited
            forwarding.begin("http://127.0.0.1:9")
            allowed.set()
            for each in asking:
                async with await each as answer:
                    assert await answer.text() == "done"
            await forwarding.idle.wait()
        await forwarding.close()

    ran(test)
