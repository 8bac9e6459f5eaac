"""The worker as a whole: several pipelines, what it says about itself, and its end."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from string import Formatter
from typing import Any, ClassVar

import pytest
from aiohttp import web
from aiohttp.abc import ResolveResult
from prometheus_client.parser import text_string_to_metric_families

from composer import Context
from composer.compiler.compile import compile_file
from composer.limits import WireLimits
from composer.models.engine import Engine
from composer.models.pool import POOL
from composer.node.registry import Registry
from composer.server import worker as workers
from composer.server.application import application
from composer.server.manifest import manifest
from composer.server.settings import Settings
from composer.server.worker import SWITCH_SECONDS, Offer, Worker, share_interpreter
from composer.session.ending import Reason
from composer.session.session import Session
from composer.testing.orchestrator import Orchestrator
from composer.trickle import resolver
from composer.trickle.http import open_http
from composer.trickle.outbound import Outbound
from nodes.onnx import Onnx
from tests import networks
from tests.server.streams import QUICK, live_plan, numbers, pieces, ran, serving, threaded
from tests.stubs import reach

BRIGHT = """
capability: bright
description: Change the brightness
params: {brightness: light.brightness}
nodes:
  source: {type: decode}
  light: {type: color, brightness: 0, queue: 300, on_full: wait}
  out: {type: encode, keyframe_s: 0.4, queue: 300, on_full: wait}
"""


def test_several_pipelines_have_their_own_paths_and_share_the_room() -> None:
    async def test() -> None:
        offers = []
        for name, text in (
            ("pass", "nodes: {s: {type: decode}, o: {type: encode}}"),
            ("b", BRIGHT),
        ):
            plan = live_plan(text)
            offers.append(Offer(name, plan, manifest(name, plan), f"/{name}"))
        async with Orchestrator().serving() as orchestrator, open_http() as http:
            worker = Worker(offers, port=0, capacity=2, timing=QUICK)

            async def drive(here: Worker) -> None:
                one = await orchestrator.start("pass", url=f"{here.address}/pass")
                two = await orchestrator.start(
                    "b", url=f"{here.address}/b", params={"brightness": 0.2}
                )
                three = await orchestrator.start("b", url=f"{here.address}/b")
                assert [each.status for each in (one, two, three)] == [200, 200, 503]
                assert list(here.capabilities["pass"].sessions) == [one.name]
                assert list(here.capabilities["b"].sessions) == [two.name]
                async with http.get(f"{here.address}/health") as answer:
                    assert await answer.json() == {"status": "OK"}
                async with http.get(f"{here.address}/pass/version") as answer:
                    assert (await answer.json())["model_id"] == "pass"
                async with http.get(f"{here.address}/capability") as answer:
                    known = [each["capability"] for each in (await answer.json())["capabilities"]]
                    assert known == ["pass", "b"]
                async with http.post(f"{here.address}/stream/start", json={}) as answer:
                    assert answer.status == 404
                for each in (one, two):
                    await each.publish(pieces(10), speed=4)
                    await each.until(lambda each=each: len(numbers(each.output)) == 10)  # type: ignore[misc]
                    assert (await each.stop())[0] == 200

            await worker.run(drive)

    ran(test)


def test_the_manifest_says_what_a_caller_needs_and_its_example_starts() -> None:
    async def test() -> None:
        async with serving(BRIGHT) as stage:
            _, said = await stage.get("/capability")
            both = ["audio", "picture"]
            assert said["modalities"] == {"input": both, "output": both}
            assert said["description"] == "Change the brightness"
            brightness = said["params"]["properties"]["brightness"]
            assert (brightness["type"], brightness["default"], brightness["x-change"]) == (
                *("number", 0.0),
                "live",
            )
            body = said["example"]
            assert set(body) >= {"gateway_request_id", "subscribe_url", "publish_url", "params"}
            stream = await stage.start(params=body["params"])
            assert stream.status == 200

    ran(test)


def test_metrics_account_for_every_frame() -> None:
    async def test() -> None:
        async with serving(BRIGHT) as stage:
            stream = await stage.start()
            await stream.publish(pieces(20), speed=4)
            await stream.until(lambda: len(numbers(stream.output)) == 20)
            async with stage.http.get(stage.worker.address + "/metrics") as answer:
                assert answer.headers["Content-Type"].startswith("text/plain")
                text = await answer.text()
            found = {
                (sample.name, sample.labels.get("node") or sample.labels.get("edge", "")): sample
                for family in text_string_to_metric_families(text)
                for sample in family.samples
                if "le" not in sample.labels
            }
            assert found["byoc_sessions", ""].value == 1
            assert found["byoc_capacity", ""].value == 4
            assert found["byoc_node_frames_out_total", "out"].value == 20
            assert found["byoc_node_frames_in_total", "light"].value == 20
            assert found["byoc_edge_queue", "source.image -> light.image"].value == 0
            assert found["byoc_latency_seconds_count", "out"].value == 20
            assert found["byoc_node_seconds_count", "light"].value == 20
            await stream.stop()
            async with stage.http.get(stage.worker.address + "/metrics") as answer:
                ended = [line for line in (await answer.text()).splitlines() if "stopped" in line]
            assert ended == ['byoc_sessions_ended_total{capability="cap",reason="stopped"} 1.0']

    ran(test)


@pytest.mark.parametrize("reload", [False, True])
@pytest.mark.parametrize("names", [["one"], ["one", "two"]])
def test_the_openapi_document_describes_every_route_and_no_other(
    tmp_path: Path, names: list[str], *, reload: bool
) -> None:
    files = [tmp_path / f"{name}.yaml" for name in names]
    for file in files:
        file.write_text("version: 1\nnodes: {s: {type: decode}, o: {type: encode}}")
    compiled = [(file, compile_file(file, Registry.installed())) for file in files]

    async def test() -> None:
        offers = workers.offers(compiled, Settings())
        worker = Worker(offers, port=0, reloads=reload)

        async def compare(here: Worker) -> None:
            async with http.get(f"{here.address}/openapi.json") as answer:
                document = await answer.json()
            described = {
                (method.upper(), path)
                for path, calls in document["paths"].items()
                for method in calls
            }
            assert described == _routes(application(worker, outbound, group))

        async with Outbound() as outbound, open_http() as http, asyncio.TaskGroup() as group:
            await worker.run(compare)

    ran(test)


def _routes(app: web.Application) -> set[tuple[str, str]]:
    """Methods and paths, as a caller would write them: without what takes doubled slashes. HEAD is
    left out, since it comes with every GET.
    """
    return {
        (route.method, re.sub(r"{_\d+}", "", route.resource.canonical))
        for route in app.router.routes()
        if route.method != "HEAD" and route.resource is not None
    }


def test_the_openapi_document_holds() -> None:
    values = {"pipeline": "cap", "width": "64", "height": "32"}

    async def test() -> None:
        async with serving(BRIGHT, tokens=("t",)) as stage:
            _, document = await stage.get("/openapi.json")
            assert document["openapi"].startswith("3.1")
            assert document["security"] == [{"token": []}]
            assert "brightness" in json.dumps(document["components"]["schemas"]["Params-cap"])
            for path, calls in document["paths"].items():
                for method, call in calls.items():
                    real = stage.worker.address + path.format(**values)
                    async with stage.http.request(method, real) as answer:
                        assert str(answer.status) in call["responses"], f"{method} {path}"
                    named = {
                        each["name"] for each in call.get("parameters", ()) if each["in"] == "path"
                    }
                    assert named == {field for _, field, *_ in Formatter().parse(path) if field}
            for reference in _references(document):
                assert reference.rsplit("/", 1)[1] in document["components"]["schemas"]

    ran(test)


@pytest.mark.parametrize("path", ["/process/64x32", "/process/cap/64x32"])
@pytest.mark.parametrize(
    ("query", "body", "status"),
    [
        ({"format": "png", "params": '{"brightness": 0.5}', "stream": "true"}, 64 * 32 * 3, 200),
        ({"seconds": "2"}, 64 * 32 * 3, 200),
        ({}, 0, 200),
        ({}, 64 * 32, 422),
        ({"format": "nonsense"}, 64 * 32 * 3, 422),
        ({"params": "["}, 64 * 32 * 3, 400),
    ],
)
def test_a_job_of_packed_pixels_takes_and_gives_what_the_document_says(
    path: str, query: dict[str, str], body: int, status: int
) -> None:
    async def test() -> None:
        async with serving(BRIGHT) as stage:
            _, document = await stage.get("/openapi.json")
            described = document["paths"]["/process/{pipeline}/{width}x{height}"]["post"]
            async with stage.http.post(
                stage.worker.address + path, data=bytes(body), params=query
            ) as answer:
                assert answer.status == status
                assert str(status) in described["responses"]
            known = {each["name"] for each in described["parameters"] if each["in"] == "query"}
            assert set(query) <= known

    ran(test)


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [each for inner in value.values() for each in _references(inner)]
    if isinstance(value, list):
        return [each for inner in value for each in _references(inner)]
    return []


async def taken_in(session: Session, size: int) -> None:
    """Until so many bytes have come in: that they are at the trickle server is not enough."""
    ingress = session.execution.ingress
    assert ingress is not None
    while ingress.counts.bytes < size:
        await asyncio.to_thread(threading.Event().wait, 0.005)


def test_the_end_of_the_worker_ends_its_streams_in_order() -> None:
    async def test() -> None:
        async with serving(BRIGHT) as stage:
            streams = [await stage.start() for _ in range(3)]
            for each in streams:
                await each.publish(pieces(10), speed=4)
            sessions = list(stage.sessions.values())
            for session in sessions:
                await taken_in(session, sum(len(piece.data) for piece in pieces(10)))
        assert [session.reason for session in sessions] == [Reason.SHUTDOWN] * 3
        for each in streams:
            assert numbers(each.output) == list(range(10))
            assert each.kinds()[-2:] == ["stream_stopped", "status"]

    ran(test)


def test_sigterm_ends_with_0_and_a_second_one_at_once(tmp_path: Path) -> None:
    (tmp_path / "bright.yaml").write_text("version: 1" + BRIGHT)
    byoc = str(Path(sys.executable).with_name("byoc"))
    command = [byoc, "serve", "bright.yaml", "--port", "0"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline().startswith("bright at http://127.0.0.1:")
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(20) == 0


def test_what_cannot_be_served_is_said_before_anything_starts(tmp_path: Path) -> None:
    byoc = str(Path(sys.executable).with_name("byoc"))
    (tmp_path / "a.yaml").write_text("version: 1" + BRIGHT)
    (tmp_path / "b.yaml").write_text("version: 1" + BRIGHT)
    (tmp_path / "broken.yaml").write_text("version: 1\nnodes: {a: {type: bluor}}\n")

    def said(*words: str, **environment: str) -> tuple[int, str]:
        done = subprocess.run(
            [byoc, "serve", *words],
            cwd=tmp_path,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        return done.returncode, done.stderr

    code, text = said("a.yaml", "b.yaml")
    assert (code, "two pipelines are called 'bright'" in text) == (2, True)
    assert said("broken.yaml")[0] == 2
    code, text = said("a.yaml", "--port", "99999")
    assert (code, "--port (BYOC_PORT) should be less than" in text) == (2, True)
    code, text = said("a.yaml", CAPABILITY_CAPACITY="many")
    assert (code, "--capacity (CAPABILITY_CAPACITY)" in text) == (2, True)


@pytest.mark.fault("F-60")
def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    async def test() -> None:
        async with serving(BRIGHT) as stage:
            port = stage.worker.address.rsplit(":", 1)[1]
            (tmp_path / "a.yaml").write_text("version: 1" + BRIGHT)
            process = await asyncio.create_subprocess_exec(
                *(str(Path(sys.executable).with_name("byoc")), "serve", "a.yaml"),
                *("--port", port),
                cwd=tmp_path,
                stderr=subprocess.PIPE,
            )
            _, error = await process.communicate()
            assert process.returncode == 2
            assert b"address already in use" in error

    ran(test)


@pytest.mark.fault("F-78")
def test_heads_and_bodies_that_do_not_come_are_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(workers, "HEAD_SECONDS", 0.2)

    async def test() -> None:
        async with serving(BRIGHT, wire=WireLimits(body_s=0.2)) as stage:
            host, port = stage.worker.address.removeprefix("http://").split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"POST /stream/start HTTP/1.1\r\nHost:")
            assert await reader.read() == b""
            writer.close()
            reader, writer = await asyncio.open_connection(host, int(port))
            head = b"POST /stream/start HTTP/1.1\r\nContent-Type: application/json\r\n"
            writer.write(head + b"Host: x\r\nContent-Length: 9\r\n\r\n{")
            assert (await reader.readline()).startswith(b"HTTP/1.1 408")
            writer.close()
            assert (await stage.get("/health"))[0] == 200

    ran(test)


@pytest.mark.parametrize("name", ["a\nb", "\x00", "x" * 257, ""])
def test_names_that_would_spoil_a_log_are_refused(name: str) -> None:
    async def test() -> None:
        async with serving(BRIGHT) as stage:
            channel = "http://127.0.0.1:9/x"
            body = {"gateway_request_id": name, "control_url": channel, "events_url": channel}
            status, answer = await stage.post("/stream/start", body)
            assert (status, answer["problems"][0]["field"]) == (400, "gateway_request_id")

    ran(test)


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://h/x",
        "http://user:pass@h/x",
        "http://h/x#y",
        "http://",
        "//h/x",
        "http://elsewhere/x",
        "http://allowed:99/x",
    ],
)
@pytest.mark.fault("F-79")
def test_channels_are_only_where_they_may_be(url: str) -> None:
    async def test() -> None:
        async with serving(BRIGHT, trickle_hosts=("allowed:80", "127.0.0.1")) as stage:
            body = {
                "gateway_request_id": "x",
                "control_url": url,
                "events_url": "http://127.0.0.1:9/x-events",
            }
            status, answer = await stage.post("/stream/start", body)
            assert status == 422
            assert [each["field"] for each in answer["problems"]] == ["control_url"]
            assert "passwd" not in answer["message"]

    ran(test)


@pytest.mark.parametrize(
    "url", ["http://" + "a" * 64 + ".test/x", "http://a..b/x", "http://[::1", "http://h/x\ny"]
)
@pytest.mark.parametrize("channel", ["control", "events", "subscribe", "publish", "data"])
def test_channels_that_no_request_can_be_made_to_are_a_400(channel: str, url: str) -> None:
    async def test() -> None:
        async with serving(BRIGHT) as stage:
            body = {"gateway_request_id": "x", f"{channel}_url": url}
            status, answer = await stage.post("/stream/start", body)
            assert status == 400
            assert [each["field"] for each in answer["problems"]] == [f"{channel}_url"]
            assert stage.sessions == {}

    ran(test)


def test_with_an_orchestrator_a_channel_is_private_only_where_that_one_is() -> None:
    async def test() -> None:
        async with Orchestrator().serving() as there:
            known: dict[str, Any] = {"orchestrators": (there.url,), "orch_secret": "secret"}
            async with serving(BRIGHT, **known) as stage:
                inside = "http://127.0.0.2:9/x"
                stream = await stage.start(control_url=inside, events_url=inside)
                assert stream.status == 422
                found = [(each["code"], each["field"]) for each in stream.answer["problems"]]
                assert found == [("bad-url", "control_url"), ("bad-url", "events_url")]
                assert inside not in str(stream.answer)
                stream = await stage.start()
                assert stream.status == 200, "its own host, at another port"
                await stream.stop()
                events = stream.channel("-events").replace("127.0.0.1", "localhost")
                stream = await stage.start(events_url=events)
                assert stream.status == 200, "another name of its own address"
                await stream.stop()

    ran(test)


def test_the_name_of_a_streams_channels_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up: list[str] = []

    def here_at_first(host: str, port: int, family: int) -> list[ResolveResult]:
        looked_up.append(host)
        address = "127.0.0.1" if len(looked_up) == 1 else "127.0.0.9"
        return [ResolveResult(hostname=host, host=address, port=0, family=2, proto=6, flags=0)]

    monkeypatch.setattr(resolver, "_looked_up", here_at_first)
    channels = {"control": "-control", "events": "-events", "subscribe": "", "publish": "-out"}

    async def test() -> None:
        async with serving() as stage:
            base = stage.orchestrator.trickle.replace("127.0.0.1", "channels.example")
            named = {f"{name}_url": f"{base}/one{ending}" for name, ending in channels.items()}
            stream = await stage.start(stream_id="one", **named)
            await stream.publish(pieces(20), speed=0)
            await stream.until(lambda: len(numbers(stream.output)) == 20)
            await stream.stop()
            assert looked_up == ["channels.example"]
            body = {"gateway_request_id": "two", "publish_url": named["publish_url"]}
            assert (await stage.post("/stream/start", body))[0] == 200
            assert looked_up == ["channels.example"] * 2, "each stream has an answer of its own"

    ran(test)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_worker_loads_nothing_that_its_pipeline_does_not_use(tmp_path: Path) -> None:
    (tmp_path / "bright.yaml").write_text("version: 1" + BRIGHT)
    byoc = str(Path(sys.executable).with_name("byoc"))
    command = [byoc, "serve", "bright.yaml", "--port", "0"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        worker.stdout.readline()
        mapped = Path(f"/proc/{worker.pid}/maps").read_text()
        worker.terminate()
        assert worker.wait(20) == 0
    assert "libavcodec" in mapped
    assert not [name for name in ("_imaging", "onnxruntime", "libtorch") if name in mapped]


# models


class Gated(Onnx):
    """An ONNX model whose loading ends when a test lets it."""

    loading: ClassVar[threading.Event]
    allowed: ClassVar[threading.Event]
    loads: ClassVar[list[str]]

    def load(self, ctx: Context) -> Engine:
        self.loads.append(self.model)
        self.loading.set()
        reach(self.allowed)
        return super().load(ctx)


@pytest.fixture
def gated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Gated]]:
    """The node, its model below the working folder, and a pool of its own."""

    class Here(Gated):
        loading, allowed = threading.Event(), threading.Event()
        loads: ClassVar[list[str]] = []

    networks.write(tmp_path, "m.onnx", networks.identity())
    monkeypatch.chdir(tmp_path)
    POOL.clear()
    monkeypatch.setattr(POOL, "idle", 0)
    yield Here
    POOL.clear()
    assert POOL.sizes() == {}


SAME = """
nodes:
  source: {type: decode}
  m: {type: gated, model: m.onnx, post: image, device: cpu, queue: 300, on_full: wait}
  out: {type: encode, keyframe_s: 0.4, queue: 300, on_full: wait}
"""


def holds() -> list[int]:
    """How many nodes hold each model that is in memory."""
    return [
        count for key, count in POOL.sizes().items() if isinstance(key, tuple) and key[0] == "onnx"
    ]


def test_a_worker_is_loading_until_its_models_are_there(gated: type[Gated]) -> None:
    async def test() -> None:
        plan = live_plan(SAME, gated=gated)
        worker = Worker([Offer("cap", plan, manifest("cap", plan))], port=0, timing=QUICK)
        ready = asyncio.Event()

        async def listening(here: Worker) -> None:
            ready.set()
            async with http.get(f"{here.address}/health") as answer:
                assert await answer.json() == {"status": "IDLE"}

        async with open_http() as http, asyncio.TaskGroup() as group:
            group.create_task(worker.run(listening))
            await asyncio.to_thread(reach, gated.loading)
            async with http.get(f"{worker.address}/health") as answer:
                assert await answer.json() == {"status": "LOADING"}
            assert not ready.is_set()
            gated.allowed.set()
        assert holds() == [0]

    ran(test)


def test_eight_streams_share_one_model_and_it_outlives_the_last(gated: type[Gated]) -> None:
    gated.allowed.set()

    async def test() -> None:
        async with serving(SAME, nodes={"gated": gated}, capacity=8) as stage:
            assert (holds(), gated.loads) == ([0], ["m.onnx"])
            streams = [await stage.start() for _ in range(8)]
            for each in streams:
                await each.publish(pieces(10), speed=4)
            for each in streams:
                await each.until(lambda each=each: len(numbers(each.output)) == 10)  # type: ignore[misc]
                assert numbers(each.output) == list(range(10))
            assert holds() == [8]
            session = stage.sessions[streams[0].name]
            threaded(session).run.tell()  # else a thread does, some time
            about = session.status()["inference_status"]["models"]["m"]
            assert (about["provider"], about["items"]) == ("CPUExecutionProvider", 80)
            for each in streams:
                assert (await each.stop())[0] == 200
            assert holds() == [0]
            late = await stage.start()
            await late.publish(pieces(10), speed=4)
            await late.until(lambda: len(numbers(late.output)) == 10)
            assert (holds(), gated.loads) == ([1], ["m.onnx"])
            await late.stop()

    ran(test)


@pytest.mark.fault("F-51")
def test_a_model_that_cannot_be_loaded_ends_the_worker_with_its_reason(tmp_path: Path) -> None:
    model = networks.network(
        "x: float32 1x3xHxW",
        "y: float32 1x3xHxW",
        networks.node("Add", "x one", "y"),
        weights={"one": ("int64", [], [1])},
    )
    networks.write(tmp_path, "m.onnx", model)
    (tmp_path / "p.yaml").write_text("version: 1" + SAME.replace("gated", "onnx"))
    byoc = str(Path(sys.executable).with_name("byoc"))
    done = subprocess.run(
        [byoc, "serve", "p.yaml", "--port", "0"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert (done.returncode, done.stdout) == (3, "")
    assert "byoc: node 'm' failed in setup(): ModelFailed: ONNX Runtime cannot load it: cpu: " in (
        done.stderr
    )
    assert "Traceback" not in done.stderr


def test_a_thread_that_computes_lets_others_have_their_turn_soon() -> None:
    before = sys.getswitchinterval()
    try:
        share_interpreter()
        assert sys.getswitchinterval() == pytest.approx(SWITCH_SECONDS)
    finally:
        sys.setswitchinterval(before)
