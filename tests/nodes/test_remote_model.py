"""The node that asks a model of another server, with a server on a socket."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from composer import Context, Node
from composer.compiler.compile import compile_file, plan_of
from composer.compiler.plan import Mode
from composer.engine.run import Media, Run
from composer.node.node import BadSetting, Batching
from composer.node.registry import Registry
from composer.remote.inference import RemoteFailed
from composer.testing import gradient, run_node
from nodes.remote_model import RemoteModel
from tests.remote.played import Act, Played, Request, binary, says

METADATA = {
    "name": "m",
    "platform": "played",
    "inputs": [{"name": "image", "datatype": "FP32", "shape": [-1, 3, -1, -1]}],
    "outputs": [{"name": "out", "datatype": "FP32", "shape": [-1, 3, -1, -1]}],
}


def inverting(request: Request) -> Act:
    """A model that turns a picture over."""
    if request.method == "GET":
        return says(200, METADATA)
    length = int(request.headers["Inference-Header-Content-Length"])
    (image,) = request.head()["inputs"]
    levels = 1 - np.frombuffer(request.body[length:], "<f4")
    output = {**image, "name": "out", "parameters": {"binary_data_size": levels.nbytes}}
    return binary([output], levels.astype("<f4").tobytes())


def shaped(url: str, **fields: Any) -> Node:
    return RemoteModel(url=url, model="m", **fields).shaped(Path(), Batching())


def test_a_picture_goes_there_and_comes_back() -> None:
    with Played(inverting).serving() as url:
        out = run_node(shaped(url, post="image"), image=gradient(64, 48))
    np.testing.assert_allclose(out, 255 - gradient(64, 48).astype(int), atol=3)


def test_it_says_who_answers() -> None:
    with Played(inverting).serving() as url:
        node = shaped(url, post="image")
        node.setup(Context("far", Path(), {}, {}))
        assert node.about() == {
            "engine": "played",
            "server": url,
            "calls": 0,
            "items": 0,
            "largest_batch": 0,
        }
        node.close()


def test_a_token_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_TOKEN", "hush")
    played = Played(inverting)
    with played.serving() as url:
        run_node(shaped(url, post="image", token_env="MODEL_TOKEN"), image=gradient(64, 48))
    assert {each.headers["Authorization"] for each in played.requests} == {"Bearer hush"}


def test_a_server_that_does_not_say_what_it_takes_is_told_by_the_file() -> None:
    def silent(request: Request) -> Act:
        if request.method == "GET":
            return says(200, {"name": "m", "platform": "", "inputs": [], "outputs": []})
        return inverting(request)

    with Played(silent).serving() as url:
        takes = {"image": {"layout": "nchw"}}
        out = run_node(shaped(url, post="image", takes=takes), image=gradient(64, 48))
        with pytest.raises(Exception, match="name it in `takes:`"):
            run_node(shaped(url, post="image"), image=gradient(64, 48))
    assert out.shape == (48, 64, 3)


def test_a_server_that_is_not_there_is_said_at_the_start() -> None:
    with Played(inverting).serving() as url:
        pass
    with pytest.raises(RemoteFailed, match="localhost"):
        run_node(shaped(url, post="image"), image=gradient(64, 48))


@pytest.mark.parametrize(
    ("fields", "at", "said"),
    [
        ({"url": "ftp://x", "post": "image"}, ("url",), "should start with http:"),
        ({"url": "http://h:1", "post": "detections"}, ("post",), "it takes a `head:`"),
        ({"url": "http://h:1", "post": "image", "gives": {"a": {}}}, ("post",), "`gives` says"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_asked(
    fields: dict[str, Any], at: tuple[str, ...], said: str
) -> None:
    with pytest.raises(BadSetting, match=said) as caught:
        shaped(**fields)
    assert caught.value.at == at


def test_a_call_that_fails_follows_on_error(tmp_path: Path) -> None:
    """Every second answer is an error; the last good picture is held in its place."""
    count = 0

    def failing(request: Request) -> Act:
        nonlocal count
        if request.method == "GET":
            return says(200, METADATA)
        count += 1
        return inverting(request) if count % 2 == 0 else says(503, {"error": "no luck"})

    file = tmp_path / "p.yaml"
    with Played(failing).serving() as url:
        file.write_text(
            "version: 1\nnodes:\n"
            "  source: {type: test_source, width: 64, height: 48, fps: 20, duration: 0.5}\n"
            f"  far: {{type: remote_model, url: '{url}', model: m, retries: 0, post: raw,"
            " on_error: hold_last, concurrency: 1}\n"
            "  mean: {type: ./mean.py:Mean}\n"
            f"  log: {{type: record, path: {tmp_path}/log.jsonl}}\n"
        )
        (tmp_path / "mean.py").write_text(
            "from composer import Array, Node, Record\n\n\n"
            "class Mean(Node):\n"
            '    """The mean."""\n\n'
            "    def process(self, array: Array) -> Record:\n"
            "        return {'mean': float(array.mean())}\n"
        )
        run = Run(plan_of(compile_file(file, Registry.installed()), Mode.FILE), Media())
        run.start()
        report = run.wait()
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert report.nodes["far"].errors == 5
    assert len(lines) == 9  # nothing could be held at the first one
    assert report.nodes["far"].dropped["error"] == 1
