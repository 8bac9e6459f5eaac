"""Steps, converters among them, and what the plan decides for each."""

from typing import NamedTuple

import pytest

from composer import RGB, YUV, Batching, Detections, Mask, Node, Record
from composer.compiler import plan as plans
from composer.compiler.plan import Mode
from composer.device import cuda
from tests.compiler.plans import End, Net, converters, nodes


def test_one_converter_serves_all_who_take_the_same() -> None:
    plan = nodes(
        "s: {type: count}, a: {type: show, in: s}, b: {type: show, in: s}, c: {type: model, in: s},"
        " d: {type: blur, in: {image: s, regions: c}}, o: {type: collect}"
    )
    assert converters(plan) == ["s:rgb24array"]
    assert [link.end for link in plan.out_of("s:rgb24array")] == ["a", "b", "c"]


def test_outputs_of_one_node_do_not_share_a_converter() -> None:
    plan = nodes(
        "s: {type: count}, split: {type: split}, a: {type: show, in: split.image},"
        " b: {type: show, in: split.other}"
    )
    assert converters(plan) == ["split.image:rgb24array", "split.other:rgb24array"]
    assert [(link.start_port, link.end) for link in plan.out_of("split")] == [
        ("image", "split.image:rgb24array"),
        ("other", "split.other:rgb24array"),
    ]


def test_a_mask_and_a_picture_of_one_node_do_not_share_a_converter() -> None:
    class Cut(NamedTuple):
        front: RGB
        inside: Mask

    class Matte(Node):
        def process(self, image: RGB) -> Cut:
            raise NotImplementedError

    plan = nodes(
        "s: {type: count}, m: {type: matte}, a: {type: collect, in: m.front},"
        " b: {type: collect, in: m.inside}",
        matte=Matte,
    )
    assert converters(plan)[1:] == ["m.front:yuv420p", "m.inside:yuv420p"]


def test_detections_become_a_record_where_one_is_taken() -> None:
    class Write(Node):
        def process(self, record: Record) -> None: ...

    plan = nodes("s: {type: count}, m: {type: model}, o: {type: write}", write=Write)
    assert converters(plan) == ["s:rgb24array", "m:record"]


def test_concurrency_is_the_number_of_workers() -> None:
    plan = nodes("s: {type: count}, a: {type: pass, concurrency: 3}, o: {type: collect}")
    assert {stage.name: stage.workers for stage in plan.stages} == {"s": 1, "a": 3, "o": 1}


@pytest.mark.parametrize(
    ("options", "mode", "workers"),
    [
        pytest.param("", Mode.FILE, 2, id="file"),
        pytest.param("", Mode.LIVE, 1, id="live"),
        pytest.param("batch: {max: 6}", Mode.FILE, 6, id="batch on a file"),
        pytest.param("batch: {max: 1}", Mode.FILE, 2, id="batch of one"),
        pytest.param("batch: {max: 6}", Mode.LIVE, 1, id="batch of sessions"),
        pytest.param("concurrency: 1", Mode.FILE, 1, id="one was asked for"),
        pytest.param("concurrency: 3, batch: {max: 6}", Mode.FILE, 3, id="three were asked for"),
        pytest.param("concurrency: 3", Mode.LIVE, 3, id="three were asked for, live"),
    ],
)
def test_on_files_a_model_has_threads_for_its_batch_and_two_at_least(
    options: str, mode: Mode, workers: int
) -> None:
    plan = nodes(f"s: {{type: count}}, m: {{type: net, {options}}}, o: {{type: end}}", mode,
                 net=Net, end=End)  # fmt: skip
    assert {stage.name: stage.workers for stage in plan.stages}["m"] == workers


def test_a_model_with_state_has_one_thread() -> None:
    class Remembering(Net):
        stateless = False

    plan = nodes("s: {type: count}, m: {type: net}, o: {type: end}", net=Remembering, end=End)
    assert {stage.name: stage.workers for stage in plan.stages}["m"] == 1


@pytest.mark.parametrize(
    ("option", "device"),
    [
        pytest.param("device: cpu", "cpu", id="cpu"),
        pytest.param("device: cuda", "cuda:0", id="the first of several"),
        pytest.param("device: 'cuda:1'", "cuda:1", id="the second"),
        pytest.param("device: auto", "cuda:0" if cuda.count() else "cpu", id="what there is"),
        pytest.param("every: 1", "cuda:0" if cuda.count() else "cpu", id="nothing said"),
    ],
)
def test_the_plan_says_where_a_node_runs(option: str, device: str) -> None:
    text = f"s: {{type: count}}, m: {{type: net, {option}}}, o: {{type: end}}"
    plan = nodes(text, net=Net, end=End)
    assert (plan.steps["m"].device, plan.steps["s"].device) == (device, "cpu")
    assert plans.as_data(plan)["steps"]["m"]["device"] == device


def test_the_plan_says_how_many_frames_go_in_one_call() -> None:
    text = "s: {type: count}, m: {type: net, batch: {max: 6}}, n: {type: net, in: s}"
    plan = nodes(f"{text}, o: {{type: end, in: m}}, p: {{type: end, in: n}}", net=Net, end=End)
    assert plan.steps["m"].batch == Batching(6, 4.0)
    steps = plans.as_data(plan)["steps"]
    assert steps["m"]["batch"] == {"most": 6, "delay_ms": 4.0}
    assert "batch" not in steps["n"]


@pytest.mark.parametrize(
    ("node", "mode", "error"),
    [
        pytest.param("pass", Mode.FILE, "fail", id="file"),
        pytest.param("pass", Mode.LIVE, "pass", id="session"),
        pytest.param("model", Mode.LIVE, "hold_last", id="session, nothing can pass"),
        pytest.param("pass, on_error: drop", Mode.LIVE, "drop", id="as written"),
    ],
)
def test_on_error(node: str, mode: Mode, error: str) -> None:
    class Drain(Node):
        def process(self, image: YUV | None = None, found: Detections | None = None) -> None: ...

    plan = nodes(f"s: {{type: count}}, a: {{type: {node}}}, o: {{type: drain}}", mode, drain=Drain)
    assert plan.steps["a"].on_error == error


@pytest.mark.parametrize(
    ("node", "fallback"),
    [
        pytest.param("pass, every: 2", "pass", id="picture to picture"),
        pytest.param("model, every: 2", "hold_last", id="picture to detections"),
        pytest.param("pass, every: 2, else: drop", "drop", id="as written"),
    ],
)
def test_fallback(node: str, fallback: str) -> None:
    class Drain(Node):
        def process(self, image: YUV | None = None, found: Detections | None = None) -> None: ...

    plan = nodes(f"s: {{type: count}}, a: {{type: {node}}}, o: {{type: drain}}", drain=Drain)
    assert plan.steps["a"].fallback == fallback
