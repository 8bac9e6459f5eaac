"""Bodies on their way in: a place before the first byte, a time, and room for all together."""

import asyncio
import errno
import gc
import gzip
import io
import json
import os
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from composer import YUV, Context, Live, Node
from composer.limits import KIB, MIB, WireLimits
from composer.server.reception import KINDS
from tests import clocks, stubs
from tests.server.streams import PASS, Stage, ran, serving

QUICK = WireLimits(body_s=0.2, file_s=0.2)

ROUTES = {
    "/stream/start": "start",
    "/stream/params": "params",
    "/stream/stop": "stop",
    "/process": "job",
    "/reload": "reload",
}

FORM = b"multipart/form-data; boundary=x"


class Raw:
    """One request, byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def answer(self) -> tuple[int, dict[str, str], Any]:
        """Status, headers and what the body says."""
        status = int((await self._reader.readline()).split()[1])
        headers = {}
        while line := (await self._reader.readline()).strip():
            name, _, value = line.decode().partition(":")
            headers[name] = value.strip()
        body = await self._reader.readexactly(int(headers["Content-Length"]))
        return status, headers, json.loads(body)


JSON = "Content-Type: application/json\r\n"


@asynccontextmanager
async def asking(
    stage: Stage, path: str, length: int, body: bytes = b"", head: bytes = b""
) -> AsyncIterator[Raw]:
    """A request whose body is to have so many bytes, and these to begin with."""
    host, port = stage.worker.address.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    raw = Raw(reader, writer)
    try:
        first = f"POST {path} HTTP/1.1\r\nHost: worker\r\n"
        if b"Content-Type" not in head:
            first += JSON
        await raw.send(first.encode() + b"Content-Length: %d\r\n" % length + head + b"\r\n" + body)
        yield raw
    finally:
        writer.close()


async def sent(stage: Stage, path: str, body: bytes, **headers: str) -> tuple[int, Any]:
    """The answer to a body, its headers with _ for -."""
    named = {"Content-Type": "application/json"}
    named |= {name.replace("_", "-"): value for name, value in headers.items()}
    address = stage.worker.address + path
    async with stage.http.post(address, data=io.BytesIO(body), headers=named) as answer:
        return answer.status, await answer.json()


async def until(stage: Stage, kind: str, count: int) -> None:
    """So many bodies of a kind are there: a worker that answers has looked at what came before."""
    while len(stage.worker.reception.here[kind]) != count:
        await stage.get("/health")


def is_empty(stage: Stage) -> bool:
    reception = stage.worker.reception
    return not any(reception.here.values()) and not reception.parser.room.used


@asynccontextmanager
async def of_file(folder: Path, **options: Any) -> AsyncIterator[Stage]:
    """A worker of a file that may be reloaded."""
    file = folder / "p.yaml"
    file.write_text(f"version: 1\n{PASS}\n")
    async with serving(file=file, reloads=True, **options) as stage:
        yield stage


# time


@pytest.mark.parametrize("path", ROUTES)
def test_a_body_that_does_not_come_is_given_up_and_its_place_is_free(
    path: str, tmp_path: Path
) -> None:
    async def test() -> None:
        async with of_file(tmp_path, wire=QUICK) as stage:
            stream = await stage.start()
            name = f"X-Stream-Id: {stream.name}\r\n".encode()
            async with asking(stage, path, 9, b"{", name) as slow:
                status, _, said = await slow.answer()
            assert status == 408
            assert said["message"] == "the body has not come in 0.2 s"
            assert is_empty(stage)
            assert stage.worker.reception.refused == {(ROUTES[path], "late"): 1}
            assert stage.sessions[stream.name].reason is None
            await stream.stop()

    ran(test)


def test_a_form_and_a_packed_body_have_no_more_time() -> None:
    async def test() -> None:
        async with serving(wire=QUICK) as stage:
            form = b"Content-Type: " + FORM + b"\r\n"
            async with asking(stage, "/process", 9999, b"--x\r\n", form) as slow:
                assert (await slow.answer())[0] == 408
            packed = b"Content-Encoding: gzip\r\n"
            async with asking(stage, "/stream/start", 9999, b"\x1f\x8b", packed) as slow:
                assert (await slow.answer())[0] == 408
            assert is_empty(stage)

    ran(test)


def test_a_client_who_leaves_has_no_place_any_more() -> None:
    async def test() -> None:
        async with serving() as stage:
            async with asking(stage, "/stream/start", 4 * MIB, b"{" * MIB):
                await until(stage, "start", 1)
            await until(stage, "start", 0)
            assert is_empty(stage)

    ran(test)


# places


def test_no_more_bodies_of_a_kind_come_at_once_than_may() -> None:
    async def test() -> None:
        async with serving(wire=WireLimits(bodies=2)) as stage:
            stream = await stage.start()
            async with (
                asking(stage, "/stream/start", 9, b"{"),
                asking(stage, "/stream/start", 9, b"{"),
                asking(stage, "/stream/start", 9, b"{") as third,
            ):
                status, headers, said = await third.answer()
                assert (status, headers["Retry-After"]) == (503, "5")
                assert said["message"] == "2 such bodies come already"
                # Whoever changes or stops a stream is not in their way.
                assert (await stream.params({"width": 64, "height": 64}))[0] == 200
                assert (await stream.stop())[0] == 200
            assert stage.worker.reception.refused == {("start", "places"): 1}

    ran(test)


def test_who_is_slow_leaves_when_others_wait_for_the_place() -> None:
    async def test() -> None:
        async with serving(wire=WireLimits(bodies=1)) as stage:
            async with asking(stage, "/stream/start", 9, b"{") as slow:
                await until(stage, "start", 1)
                with clocks.clock().skipping():
                    await asyncio.sleep(2.0)
                assert (await stage.start()).status == 200
                status, _, said = await slow.answer()
                assert status == 408
                assert said["message"] == "the body comes too slowly, and others wait"
            assert is_empty(stage)
            assert stage.worker.reception.refused == {("start", "slow"): 1}

    clocks.ran(test)


def test_a_crowd_of_slow_bodies_keeps_nobody_from_starting() -> None:
    async def test() -> None:
        async with serving(wire=WireLimits(bodies=8), capacity=20) as stage:
            async with asyncio.TaskGroup() as group:
                leave = asyncio.Event()

                async def slow(number: int) -> None:
                    async with asking(stage, "/stream/start", 99, b"{" * (number % 7)):
                        await leave.wait()

                for number in range(100):
                    group.create_task(slow(number))
                await until(stage, "start", 8)
                with clocks.clock().skipping():
                    await asyncio.sleep(2.0)
                streams = [await stage.start() for _ in range(10)]
                assert [stream.status for stream in streams] == [200] * 10
                for stream in streams:
                    await stream.stop()
                leave.set()

    clocks.ran(test)


# room


def test_all_that_waits_has_a_limit_and_short_bodies_need_none_of_it() -> None:
    async def test() -> None:
        async with serving(wire=WireLimits(waiting=16 * MIB, file=MIB)) as stage:
            stream = await stage.start()
            async with asking(stage, "/stream/start", 11 * MIB, b" " * 10 * MIB) as first:
                held = 10 * MIB - 256 * KIB
                while stage.worker.parser.room.used < held:
                    await stage.get("/health")
                async with asking(stage, "/stream/params", 11 * MIB, b" " * 10 * MIB) as second:
                    status, headers, said = await second.answer()
                assert (status, headers["Retry-After"]) == (503, "5")
                assert said["message"] == "other bodies wait, of 16777216 bytes at the most"
                assert (await stream.params({"width": 64, "height": 64}))[0] == 200
                assert stage.worker.parser.room.used == held
                await first.send(b" " * MIB)
                status, _, said = await first.answer()
                assert (status, said["message"][:24]) == (400, "the body is not JSON: Ex")
            assert is_empty(stage)
            assert stage.worker.reception.refused == {("params", "room"): 1}

    ran(test)


def test_who_is_slow_gives_its_room_to_who_is_not() -> None:
    async def test() -> None:
        async with serving(wire=WireLimits(waiting=16 * MIB, file=MIB)) as stage:
            async with asking(stage, "/stream/start", 11 * MIB, b" " * 10 * MIB) as slow:
                while stage.worker.parser.room.used < 9 * MIB:
                    await stage.get("/health")
                with clocks.clock().skipping():
                    await asyncio.sleep(19.0)  # it has one more
                    slow_ones = [each for each in stage.worker.reception.here["start"]]
                    assert len(slow_ones) == 1
                    slow_ones[0].bytes = 1000  # as if it had sent no more
                async with asking(stage, "/stream/start", 11 * MIB, b" " * 11 * MIB) as second:
                    assert (await second.answer())[0] == 400
                assert (await slow.answer())[0] == 408

    clocks.ran(test)


def test_what_a_start_says_keeps_its_room_until_it_is_answered() -> None:
    """Else any number of starts could wait for the same nodes, with 12 MB each."""
    held = stubs.Held()

    class Slow(Node):
        """A source, which nobody goes by while it is set up."""

        text: str = Live("")

        def setup(self, ctx: Context) -> None:
            held()

        def process(self) -> Iterator[YUV]:
            yield stubs.picture(0, width=64, height=64)

    async def test() -> None:
        text = "params: {words: n.text}\nnodes: {n: {type: slow}, o: {type: encode}}"
        async with serving(
            text, {"slow": Slow}, wire=WireLimits(waiting=14 * MIB, file=MIB)
        ) as stage:
            at = {"gateway_request_id": "one", "params": {"words": "x" * 8 * MIB}}
            body = json.dumps(at).encode()
            first = asyncio.ensure_future(sent(stage, "/stream/start", body))
            await asyncio.to_thread(held.reached.wait, 20)
            assert not stage.worker.reception.here["start"]
            assert (await sent(stage, "/stream/start", body))[0] == 503
            held.allowed.set()
            assert (await first)[0] == 200
            assert is_empty(stage)
            assert (await sent(stage, "/stream/start", body))[0] == 200  # it runs already

    ran(test)


# size


@pytest.mark.parametrize("path", [path for path in ROUTES if ROUTES[path] in ("start", "params")])
def test_each_body_has_the_size_of_its_place(path: str) -> None:
    async def test() -> None:
        async with serving(wire=WireLimits(start=2 * KIB, params=KIB)) as stage:
            stream = await stage.start()
            most = {"/stream/start": 2048, "/stream/params": 1024}[path]
            name = f"X-Stream-Id: {stream.name}\r\n".encode()
            async with asking(stage, path, most + 1, head=name) as told:  # before a byte of it came
                status, _, said = await told.answer()
            assert (status, said["message"]) == (413, f"the body has more than {most} bytes")
            chunks = f"Transfer-Encoding: chunked\r\n{name.decode()}{JSON}"
            host, port = stage.worker.address.removeprefix("http://").split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(f"POST {path} HTTP/1.1\r\nHost: w\r\n{chunks}\r\n".encode())
            writer.write(b"800\r\n" + b" " * 2048 + b"\r\n1\r\n \r\n")
            status, _, said = await Raw(reader, writer).answer()
            assert (status, said["message"]) == (413, f"the body has more than {most} bytes")
            writer.close()
            await stream.stop()

    ran(test)


@pytest.mark.parametrize("body", [b"x" * 100_000, b"\xff\x00", b"stream ended", b""])
@pytest.mark.parametrize("encoding", ["", "gzip", "br"])
def test_what_a_stop_holds_does_not_matter(body: bytes, encoding: str) -> None:
    async def test() -> None:
        async with serving() as stage:
            stream = await stage.start()
            headers = {"X-Stream-Id": stream.name}
            headers |= {"Content-Encoding": encoding} if encoding else {}
            address = stage.worker.address + "/stream/stop"
            async with stage.http.post(address, data=body, headers=headers) as answer:
                assert (answer.status, (await answer.json())["reason"]) == (200, "stopped")

    ran(test)


# what it says


def deflated(data: bytes) -> bytes:
    """Without the head that zlib puts before it."""
    return zlib.compress(data, wbits=-zlib.MAX_WBITS)


GOOD = json.dumps({"width": 64, "height": 48, "note": "x" * 300_000}).encode()


@pytest.mark.parametrize(
    ("encoding", "body", "status", "said"),
    [
        ("gzip", gzip.compress(b"{}", mtime=0), 200, "the params are accepted"),
        ("GZIP", gzip.compress(b"{}", mtime=0), 200, "the params are accepted"),
        ("identity", b"{}", 200, "the params are accepted"),
        ("deflate", zlib.compress(b"{}"), 200, "the params are accepted"),
        ("deflate", deflated(b"{}"), 200, "the params are accepted"),
        ("gzip", gzip.compress(GOOD, mtime=0), 422, "there is no param 'note'"),
        (
            "gzip",
            gzip.compress(b" " * 100_000_000, mtime=0),
            413,
            "the body has more than 12582912 bytes",
        ),
        ("gzip", b"\x1f\x8b" + bytes(200), 400, "the body is not what gzip makes"),
        ("gzip", gzip.compress(GOOD, mtime=0)[:-9], 400, "the body is not what gzip makes"),
        ("deflate", b"\xff" * 50, 400, "the body is not what deflate makes"),
        ("br", b"\xff" * 50, 415, "a body may be packed by gzip and deflate, not by 'br'"),
        ("gzip, gzip", b"", 415, "a body may be packed by gzip and deflate, not by 'gzip, gzip'"),
        ("", b"", 200, "the params are accepted"),
        ("", b"{", 400, "the body is not JSON: Expecting property name enclosed in double quotes"),
        ("", b'{"caption":"\xff"}', 400, "the body is not UTF-8"),
        ("", b"caption=p", 400, "the body is not JSON: Expecting value at character 0"),
        ("", "{}".encode("utf-16"), 400, "the body is not UTF-8"),
        ("", b"[" * 4000, 400, "the body is nested too deeply"),
        ("", b"[" * 100_000, 413, "the body has more than 5000 values"),
        ("", b'{"a":' * 100_000, 413, "the body has more than 5000 values"),
        ("", b"[" + b"[]," * 4_000_000 + b"0]", 413, "the body has more than 5000 values"),
        ("", b'{"\\ud800": 1}', 422, "there is no param '\\ud800'"),
        ("", b'{"' + b"k" * 1_000_000 + b'": 1}', 422, f"there is no param '{'k' * 98}"),
    ],
)
def test_what_cannot_be_used_is_said_in_the_same_form(
    encoding: str, body: bytes, status: int, said: str
) -> None:
    async def test() -> None:
        async with serving() as stage:
            stream = await stage.start()
            packed = {"Content_Encoding": encoding} if encoding else {}
            found, told = await sent(
                stage, "/stream/params", body, X_Stream_Id=stream.name, **packed
            )
            assert found == status
            assert told["status"] == ("success" if status == 200 else "error")
            assert told["message"].startswith(said)
            assert is_empty(stage)
            await stream.stop()

    ran(test)


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (
            b'--x\r\nContent-Disposition: form-data; name="params"\r\n\r\n{\r\n--x--',
            400,
            "params is",
        ),
        (
            b'--x\r\nContent-Disposition: form-data; name="params"\r\n\r\n{"a": ['
            + b"[]," * 2_000_000
            + b"0]}\r\n--x--",
            413,
            "params has more than 5000 values",
        ),
        (
            b'--x\r\nContent-Disposition: form-data; name="format"\r\n\r\n'
            + b"x" * 100_000
            + b"\r\n--x--",
            413,
            "the part 'format' has more than 65536 bytes",
        ),
        (
            b'--x\r\nContent-Disposition: form-data; name="format"\r\n\r\n\xff\r\n--x--',
            400,
            "the form holds text that is not UTF-8",
        ),
        (b"\r\n" * 1_000_000, 400, "the form has no end"),
    ],
)
def test_what_a_form_of_a_job_cannot_be_is_said_in_the_same_form(
    body: bytes, status: int, said: str
) -> None:
    async def test() -> None:
        async with serving() as stage:
            found, told = await sent(stage, "/process", body, Content_Type=FORM.decode())
            assert (found, told["status"]) == (status, "error")
            assert told["message"].startswith(said)
            assert is_empty(stage)

    ran(test)


@pytest.mark.parametrize("kind", ["as text", "as an object"])
def test_params_of_a_job_in_json_are_bounded_in_either_form(kind: str) -> None:
    async def test() -> None:
        many: dict[str, list[list[int]]] = {"a": [[]] * 6000}
        params = json.dumps(many) if kind == "as text" else many
        async with serving() as stage:
            body = json.dumps({"params": params}).encode()
            headers = {"Content-Type": "application/json"}
            status, told = await stage.post("/process", body, headers=headers)
            assert status == 413
            assert told["message"].endswith(" has more than 5000 values")

    ran(test)


def test_where_no_process_can_be_begun_a_long_body_is_answered_503(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test() -> None:
        async with serving() as stage:
            monkeypatch.setattr("sys.executable", "/nowhere/python")
            status, told = await sent(stage, "/stream/start", b'"' + b"x" * MIB + b'"')
            assert (status, told["message"][:43]) == (
                503,
                "no process that reads JSON can be begun: [E"[:43],
            )
            assert is_empty(stage)

    ran(test)


def test_where_the_system_has_no_file_left_a_long_body_is_answered_503(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def none_left(name: str) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    async def test() -> None:
        async with serving() as stage:
            stream = await stage.start()
            monkeypatch.setattr(os, "memfd_create", none_left)
            status, told = await sent(stage, "/stream/start", b'"' + b"x" * MIB + b'"')
            assert status == 503
            assert told["message"] == "there is no memory for the body: Too many open files"
            many = b'{"a": [' + b"0," * 6000 + b"0]}"  # short, and yet read apart
            status, told = await sent(stage, "/stream/params", many, X_Stream_Id=stream.name)
            assert status == 503
            assert told["message"].startswith("there is no file to read JSON from: ")
            assert is_empty(stage)
            assert (await stream.stop())[0] == 200

    ran(test)


def test_every_kind_has_a_limit_of_its_name() -> None:
    limits = WireLimits()
    assert all(getattr(limits, kind) for kind in KINDS)
    assert set(ROUTES.values()) | {"dev"} == set(KINDS)


@pytest.mark.parametrize(
    ("path", "kind", "body", "status"),
    [
        ("/stream/start", "", b"[" + b"[]," * 400_000 + b"0]", 413),
        ("/stream/start", "", b'"' + b"x" * MIB, 400),
        ("/stream/start", "", b'"' + b"x" * 13 * MIB, 413),
        ("/process", "application/json", b'{"image": "' + b"AAAA" * 300_000 + b'"}', 415),
        ("/process", "application/json", b'{"image": "' + b"A?AA" * 300_000 + b'"}', 400),
        ("/process", "text/plain", b"x" * MIB, 415),
        (
            "/process",
            FORM.decode(),
            b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\n' + b"x" * MIB,
            400,
        ),
    ],
)
def test_no_body_leaves_a_file_behind(path: str, kind: str, body: bytes, status: int) -> None:
    """At once: a cycle would keep megabytes until somebody looks for garbage."""

    def files() -> int:
        return sum("spool" in os.readlink(f"/proc/self/fd/{each}") for each in held())

    def held() -> list[str]:
        return [
            each for each in os.listdir("/proc/self/fd") if os.path.islink(f"/proc/self/fd/{each}")
        ]

    async def test() -> None:
        async with serving() as stage:
            kinds = {"Content_Type": kind} if kind else {}
            for _ in range(3):
                found, _ = await sent(stage, path, body, **kinds)
                assert found == status
                async with asking(stage, path, 4 * MIB, b" " * MIB):  # and leaves
                    await until(stage, "job" if path == "/process" else "start", 1)
                await until(stage, "job" if path == "/process" else "start", 0)
            assert files() == 0

    gc.disable()
    try:
        ran(test)
    finally:
        gc.enable()


def test_the_process_that_reads_ends_with_its_worker() -> None:
    async def test() -> None:
        async with serving() as stage:
            assert (await sent(stage, "/stream/start", b'"' + b"x" * MIB + b'"'))[0] == 400
            process = stage.worker.parser._process
            assert process is not None
            assert process._popen.poll() is None
        assert process._popen.poll() is not None

    ran(test)
