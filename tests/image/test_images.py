"""Images as operators use them: built, started, fed over trickle, ended. `make test-image`.

Two pipelines that this repository does not serve elsewhere: one of pixels with a node of its own,
and one with an ONNX model on the CPU. What comes out of the container is what `byoc run` makes.
"""

import asyncio
import io
import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import av
import numpy as np
import pytest

from composer.image.context import LOCK
from composer.media import clip
from composer.testing.orchestrator import Orchestrator, Stream
from tests.clips import BIKES, ROOT, fetched
from tests.image import containers
from tests.image.containers import Container, running

pytestmark = [
    pytest.mark.image,
    pytest.mark.skipif(bool(containers.missing()), reason=containers.missing()),
]

DRAIN_SECONDS = 20.0

NODES = """\
import numpy as np
from composer import RGB, Live, Node
from tone import AMOUNT


class Warm(Node):
    stateless = True
    strength: float = Live(1.0, ge=0, le=1)

    def process(self, image: RGB) -> RGB:
        shift = np.array([AMOUNT, 0, -AMOUNT], np.float32) * self.strength
        return (image + shift).clip(0, 255).astype(np.uint8)
"""

TONE = """\
from packaging.version import Version

AMOUNT = 40 if Version("1.10") > Version("1.9") else 0
"""

PIXELS = """\
version: 1
capability: warm
description: Warmer pictures, with a mark in the corner
params:
  strength: warm.strength
nodes:
  source: {type: decode}
  small:  {type: resize, width: 320, height: 136}
  warm:   {type: ./nodes.py:Warm, strength: 0.5}
  out:    {type: encode, keyframe_s: 1, queue: 300, on_full: wait}
"""


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    name = containers.base(tmp_path_factory.mktemp("base"))
    if containers.running_fails():
        pytest.skip("podman runs no container here, with crun or with runc")
    return name


def built(file: Path, tag: str, base: str, *more: str) -> str:
    """What `byoc image` said while it built."""
    options = ["--tag", tag, "--builder", "buildah", "--base", base, *more]
    done = containers.byoc("image", file.name, *options, cwd=file.parent)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def locked(name: str) -> str:
    """A package that no image holds by itself, with its digests."""
    text = (LOCK / "build.txt").read_text(encoding="utf-8")
    found = re.search(rf"^{name}==(?:.*\\\n)+.*\n", text, re.MULTILINE)
    assert found is not None
    return found[0]


@pytest.fixture(scope="session")
def pixels(base: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """A capability folder with more in it than its image needs: file, image, what was said."""
    folder = tmp_path_factory.mktemp("warm")
    (folder / "warm.yaml").write_text(PIXELS)
    (folder / "nodes.py").write_text(NODES)
    (folder / "tone.py").write_text(TONE)
    (folder / "requirements.txt").write_text(locked("packaging"))
    (folder / "notes.txt").write_text("not for others")
    said = built(folder / "warm.yaml", "localhost/byoc-test-warm", base)
    return folder / "warm.yaml", "localhost/byoc-test-warm", said


@pytest.fixture(scope="session")
def model(base: str) -> tuple[Path, str, str]:
    """A pipeline with an ONNX model that was fetched from a package."""
    file = ROOT / "pipelines" / "face_blur.yaml"
    said = built(file, "localhost/byoc-test-face", base)
    return file, "localhost/byoc-test-face", said


@asynccontextmanager
async def worker(
    image: str, capacity: int = 1
) -> AsyncIterator[tuple[Orchestrator, Container, str]]:
    """A container that is registered at an orchestrator: they, and its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    async with Orchestrator().serving() as orchestrator:
        env = {
            "BYOC_PORT": str(port),
            "CAPABILITY_URL": address,
            "CAPABILITY_CAPACITY": str(capacity),
            "ORCH_URL": orchestrator.url,
            "ORCH_SECRET": "secret",
            "BYOC_LOG": "json",
        }
        with running(image, env) as container:
            async with asyncio.timeout(60):
                await orchestrator.until(partial(bool, orchestrator.capabilities))
            yield orchestrator, container, address


async def streamed(orchestrator: Orchestrator, params: dict[str, Any]) -> Stream:
    """A clip through the only capability, to its end."""
    name = next(iter(orchestrator.capabilities))
    stream = await orchestrator.start(name, params=params)
    assert stream.status == 200, stream.answer
    await stream.publish(clip.pieces(str(fetched(BIKES))), speed=1.0)
    await stream.stop()
    return stream


def expected(file: Path, target: Path, *more: str) -> list[np.ndarray[Any, Any]]:
    """The pictures that `byoc run` makes of the same clip."""
    command = [sys.executable, "-m", "composer", "run", str(file), *more]
    command += ["--input", str(fetched(BIKES)), "--output", str(target)]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
    return frames(target)


def frames(path: Path) -> list[np.ndarray[Any, Any]]:
    opened: Any
    with av.open(str(path)) as opened:
        return [frame.to_ndarray(format="gray") for frame in opened.decode(video=0)]


def likeness(one: np.ndarray[Any, Any], two: np.ndarray[Any, Any]) -> float:
    """PSNR in dB."""
    error = np.mean((one.astype(np.float32) - two.astype(np.float32)) ** 2)
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


def ended(container: Container) -> float:
    """Seconds from SIGTERM to the end, which has to be one with 0."""
    began = time.monotonic()
    container.signal("TERM")
    assert container.wait() == 0, container.log
    return time.monotonic() - began


def compare(stream: Stream, wanted: list[np.ndarray[Any, Any]], folder: Path) -> None:
    whole = folder / "out.ts"
    whole.write_bytes(b"".join(stream.output))
    came = frames(whole)
    assert len(came) == len(wanted) == 250
    worst = min(likeness(*pair) for pair in zip(came, wanted, strict=True))
    assert worst > 30, f"a picture is only {worst:.1f} dB like the one that it should be"


@pytest.mark.parametrize("kind", ["pixels", "model"])
def test_a_stream_through_a_container_is_what_a_run_makes(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    file, image, _ = request.getfixturevalue(kind)
    params = {"pixels": {"strength": 1.0}, "model": {"strength": 0.5}}[kind]

    async def test() -> Stream:
        async with worker(image) as (orchestrator, container, _):
            stream = await streamed(orchestrator, params)
            assert await asyncio.to_thread(container.healthy), container.log
            assert await asyncio.to_thread(ended, container) < DRAIN_SECONDS
            assert orchestrator.removed == [next(iter(orchestrator.registrations))["name"]]
        return stream

    stream = asyncio.run(test())
    wanted = expected(file, tmp_path / "run.ts", "--set", f"strength={params['strength']}")
    compare(stream, wanted, tmp_path)


def test_sigterm_in_the_middle_of_four_sessions(pixels: tuple[Path, str, str]) -> None:
    """Each gets its last segment whole and is told; nobody new comes in; the end is one with 0."""

    async def test() -> None:
        async with worker(pixels[1], capacity=5) as (orchestrator, container, address):
            streams = [await orchestrator.start("warm", stream_id=f"s{n}") for n in range(4)]
            sending = [
                asyncio.ensure_future(each.publish(clip.pieces(str(fetched(BIKES)))))
                for each in streams
            ]
            for each in streams:
                await each.until(partial(has_begun, each))
            end = asyncio.ensure_future(asyncio.to_thread(ended, container))
            await orchestrator.until(partial(bool, orchestrator.removed))
            late = await orchestrator.start("warm", stream_id="late", url=address)
            assert late.status in (0, 503), late.answer
            assert await end < DRAIN_SECONDS
            for task in sending:
                task.cancel()
            for each in streams:
                await each.until(partial(is_told, each))
                assert len(numbers_of(each)) > 40

    asyncio.run(test())


def has_begun(stream: Stream) -> bool:
    return len(stream.output) > 2


def is_told(stream: Stream) -> bool:
    return "stream_stopped" in stream.kinds()


def numbers_of(stream: Stream) -> list[int]:
    """The times of the pictures of each segment by itself, which has to begin with a keyframe."""
    found: list[int] = []
    opened: Any
    for segment in filter(None, stream.output):
        with av.open(io.BytesIO(segment), format="mpegts") as opened:
            times = [frame.pts for frame in opened.decode(video=0)]
        assert times, "a segment from which nothing can be decoded"
        found += times
    assert found == sorted(set(found))
    return found


def test_a_second_signal_ends_it_at_once(pixels: tuple[Path, str, str]) -> None:
    async def test() -> None:
        async with worker(pixels[1]) as (orchestrator, container, _):
            stream = await orchestrator.start("warm")
            await stream.until(lambda: bool(stream.events))
            container.signal("TERM")
            container.signal("TERM")
            assert await asyncio.to_thread(container.wait) in (0, 143)

    asyncio.run(test())


def test_a_signal_while_it_starts_ends_it(pixels: tuple[Path, str, str]) -> None:
    with running(pixels[1], {"BYOC_PORT": "0"}) as container:
        container.signal("TERM")
        assert container.wait() == 0
        assert container.log == ""  # it was not ready yet


def test_it_holds_what_the_pipeline_uses_and_nothing_else(pixels: tuple[Path, str, str]) -> None:
    _, image, said = pixels
    assert "pipelines/warm.yaml: fine" in said
    assert "10 pictures in, 10 coded" in said
    assert "packages" in said
    with running(image, {"BYOC_PORT": "0"}) as container:
        files = container.call("find", "/app", "/weights", "-type", "f").stdout.split()
        names = {Path(each).relative_to("/app/pipelines").as_posix() for each in files}
        assert names == {"warm.yaml", "nodes.py", "tone.py", "requirements.txt"}
        for module in ("torch", "onnxruntime", "pip"):
            assert container.call("python", "-c", f"import {module}").returncode == 1, module
        asked = ("python", "-IS", "/opt/byoc/health.py", "http://127.0.0.1:9")
        assert container.call(*asked).returncode == 1
        assert container.call("id", "-u").stdout.strip() == "10001"
        assert container.call("touch", "/app/x").returncode != 0
        mine = "-perm -4000 -o -perm -2000".split()
        assert container.call("find", "/opt", "/app", "(", *mine, ")").stdout == ""


def test_it_says_what_it_is(pixels: tuple[Path, str, str]) -> None:
    config = containers.about(pixels[1])
    assert config["User"] == "10001:10001"
    assert config["StopSignal"] == "SIGTERM"
    assert config["Healthcheck"]["Test"][0] == "CMD"
    labels = config["Labels"]
    manifest = json.loads(labels["io.byoc.manifest"])
    assert manifest["capability"] == labels["io.byoc.capability"] == "warm"
    assert manifest["params"]["properties"]["strength"]["maximum"] == 1

    async def served() -> Any:
        async with worker(pixels[1]) as (_, _, address), aiohttp.ClientSession() as http:
            async with http.get(f"{address}/capability") as response:
                return await response.json()

    assert asyncio.run(served()) == manifest


def test_weights_that_are_mounted(base: str, tmp_path: Path) -> None:
    file = ROOT / "pipelines" / "face_blur.yaml"
    image = "localhost/byoc-test-mounted"
    said = built(file, image, base, "--weights", "mounted")
    assert "weights   none" in said
    with running(image, {"BYOC_PORT": "0"}) as container:
        assert container.wait() == 3
        assert "not-fetched" in container.log


def test_a_checkout_is_a_context_too(base: str) -> None:
    """`docker build .` with nothing but the pipeline's path; here it is Buildah that builds."""
    image = "localhost/byoc-test-checkout"
    containers.build(ROOT, image, BASE=base, PIPELINE="pipelines/lut3d.yaml")
    with running(image, {"BYOC_PORT": "0"}) as container:
        files = container.call("find", "/app", "-type", "f").stdout.split()
    assert sorted(files) == ["/app/pipelines/assets/teal_orange.cube", "/app/pipelines/lut3d.yaml"]
