from pathlib import Path
from typing import Annotated, NamedTuple

import pytest

from composer import RGB, YUV, Batching, Detections, Layouts, Mask, Node, OwnYUV, Picture, Record
from composer.compiler import plan as plans
from composer.compiler.plan import Mode, Plan
from composer.device import cuda
from tests import stubs
from tests.stubs import good_graph, plan_of


def nodes(text: str, mode: Mode = Mode.FILE, /, **classes: type[Node]) -> Plan:
    return plan_of(f"nodes: {{{text}}}", mode, **classes)


def stages(plan: Plan) -> list[tuple[str, ...]]:
    return [stage.steps for stage in plan.stages]


def inboxes(plan: Plan) -> dict[str, str]:
    return {f"{link.end}.{link.end_port}": str(link.inbox) for link in plan.links if link.inbox}


def converters(plan: Plan) -> list[str]:
    return [name for name, step in plan.steps.items() if step.convert is not None]


# formats


def test_a_chain_that_stays_in_yuv_has_no_conversion() -> None:
    plan = nodes("s: {type: flexible}, a: {type: pass}, b: {type: shrink}, o: {type: encode}")
    assert plan.conversions == 0
    assert {str(link.format) for link in plan.links} == {"yuv420p 2x2"}


def test_a_node_that_may_choose_gives_what_the_next_one_takes() -> None:
    plan = nodes(
        "s: {type: count}, a: {type: shrink, width: 1280, height: 720}, o: {type: show_picture}",
        show_picture=show("rgb24"),
    )
    assert converters(plan) == []
    assert str(plan.steps["a"].outputs["image"]) == "rgb24 1280x720"


def show(*layouts: str) -> type[Node]:
    if layouts == ("rgb24",):

        class ShowRgb(Node):
            def process(self, image: Annotated[Picture, Layouts("rgb24")]) -> None: ...

        return ShowRgb

    class ShowMore(Node):
        def process(self, image: Annotated[Picture, Layouts("rgba", "yuv420p")]) -> None: ...

    return ShowMore


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


def test_a_preferred_layout_is_not_worth_a_conversion() -> None:
    plan = nodes("s: {type: count}, o: {type: more}", more=show("rgba", "yuv420p"))
    assert converters(plan) == []


def test_the_small_picture_is_converted_and_not_the_large_one() -> None:
    plan = nodes(
        "s: {type: flexible, width: 1920, height: 1080},"
        " small: {type: shrink, width: 320, height: 180, in: s}, a: {type: show, in: small},"
        " o: {type: encode, in: s}"
    )
    assert converters(plan) == ["small:rgb24array"]
    assert str(plan.steps["small:rgb24array"].outputs["out"]) == "rgb24 array 320x180"


def test_a_gated_node_keeps_the_format_of_what_passes_it() -> None:
    plan = nodes(
        "s: {type: count}, a: {type: shrink, every: 2}, o: {type: shrink_end}",
        shrink_end=show("rgb24"),
    )
    a = plan.steps["a"]
    assert a.inputs["image"].layout == a.outputs["image"].layout


def test_a_gated_node_without_a_common_format_keeps_its_own() -> None:
    class Developed(Node):
        def process(self, image: RGB) -> OwnYUV:
            raise NotImplementedError

    plan = nodes(
        "s: {type: count}, a: {type: developed, every: 2}, o: {type: collect}", developed=Developed
    )
    assert str(plan.steps["a"].inputs["image"]) == "rgb24 array"
    assert str(plan.steps["a"].outputs["image"]) == "yuv420p"


def test_an_edge_without_a_way_names_both_ends() -> None:
    class Coded(stubs.Decode):
        def port_layouts(self, port: str) -> tuple[str, ...]:
            return ("coded",) if port == "audio" else ()

    graph = good_graph("nodes:\n  s: {type: coded}\n  o: {type: listen, in: s.audio}", coded=Coded)
    plan, problems = plans.make(graph)
    assert plan is None
    assert [(each.code, each.message) for each in problems] == [
        (
            "type-mismatch",
            "o.audio takes samples, but s.audio gives coded packet, and there is no way between"
            " them",
        )
    ]
    assert problems[0].span is not None
    assert problems[0].span.line == 4


def test_detections_become_a_record_where_one_is_taken() -> None:
    class Write(Node):
        def process(self, record: Record) -> None: ...

    plan = nodes("s: {type: count}, m: {type: model}, o: {type: write}", write=Write)
    assert converters(plan) == ["s:rgb24array", "m:record"]


@pytest.mark.parametrize("mode", Mode)
def test_sound_stays_coded_where_nobody_needs_samples(mode: Mode) -> None:
    plan = nodes("s: {type: decode}, o: {type: encode}", mode)
    assert [str(link.format) for link in plan.links if link.end_port == "audio"] == ["coded packet"]
    plan = nodes(
        "s: {type: decode}, v: {type: volume, in: s.audio}, o: {type: encode,"
        " in: {image: s, audio: v}}",
        mode,
    )
    assert [str(link.format) for link in plan.links if "audio" in str(link)] == ["samples"] * 2


def test_what_a_session_leaves_to_a_port_holds_for_no_file() -> None:
    class Coder(stubs.Encode):
        def live_layouts(self, port: str) -> tuple[str, ...]:
            return ("samples",) if port == "audio" else ()

    for mode, sound in ((Mode.FILE, "coded packet"), (Mode.LIVE, "samples")):
        plan = nodes("s: {type: decode}, o: {type: coder}", mode, coder=Coder)
        assert [str(link.format) for link in plan.links if "audio" in str(link)] == [sound]


# stages


def test_neighbours_share_a_stage_and_sources_have_their_own() -> None:
    plan = nodes("s: {type: count}, a: {type: pass}, b: {type: paint}, o: {type: collect}")
    assert stages(plan) == [("s",), ("a", "b", "o")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            "s: {type: count}, a: {type: pass}, b: {type: pass, concurrency: 2},"
            " o: {type: collect}",
            [("s",), ("a",), ("b",), ("o",)],
            id="concurrency",
        ),
        pytest.param(
            "s: {type: count}, a: {type: pass}, b: {type: pass, queue: 3}, o: {type: collect}",
            [("s",), ("a",), ("b", "o")],
            id="an inbox that was asked for",
        ),
        pytest.param(
            "s: {type: count}, a: {type: pass}, o: {type: encode}",
            [("s",), ("a",), ("o",)],
            id="an end that merges",
        ),
        pytest.param(
            "s: {type: count}, a: {type: pass}, m: {type: model}, o: {type: drain}",
            [("s",), ("a", "a:rgb24array"), ("m",), ("o",)],
            id="a node that blocks",
        ),
        pytest.param(
            "s: {type: count}, a: {type: pass}, b: {type: pass, in: a}, c: {type: pass, in: a},"
            " m: {type: mix, in: {base: b, top: c}}, o: {type: collect}",
            [("s",), ("a",), ("b",), ("c",), ("m", "o")],
            id="a fan-out and a join",
        ),
    ],
)
def test_stages(text: str, expected: list[tuple[str, ...]]) -> None:
    class Drain(Node):
        def process(self, detections: Detections) -> None: ...

    assert stages(nodes(text, drain=Drain)) == expected


def test_concurrency_is_the_number_of_workers() -> None:
    plan = nodes("s: {type: count}, a: {type: pass, concurrency: 3}, o: {type: collect}")
    assert {stage.name: stage.workers for stage in plan.stages} == {"s": 1, "a": 3, "o": 1}


class Net(Node):
    """Waits for something outside Python, like a model."""

    stateless = blocking = overlaps = batches = True
    devices = ("cpu", "cuda")

    def process(self, image: RGB) -> Detections:
        raise NotImplementedError


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


class End(Node):
    def process(self, detections: Detections) -> None:
        raise NotImplementedError


def test_a_model_with_state_has_one_thread() -> None:
    class Remembering(Net):
        stateless = False

    plan = nodes("s: {type: count}, m: {type: net}, o: {type: end}", net=Remembering, end=End)
    assert {stage.name: stage.workers for stage in plan.stages}["m"] == 1


# devices and batches


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


# inboxes


@pytest.mark.parametrize(
    ("mode", "image", "audio"),
    [
        pytest.param(Mode.FILE, "4 wait", "64 wait", id="file"),
        pytest.param(Mode.LIVE, "2 drop_oldest after 500 ms", "64 wait", id="live"),
    ],
)
def test_inboxes_by_default(mode: Mode, image: str, audio: str) -> None:
    plan = nodes("s: {type: decode}, o: {type: encode}", mode)
    assert inboxes(plan) == {"o.image": image, "o.audio": audio}


@pytest.mark.parametrize(
    ("options", "mode", "expected"),
    [
        pytest.param("queue: 9", Mode.FILE, "9 wait", id="size"),
        pytest.param("queue: 9", Mode.LIVE, "9 drop_oldest", id="size, live"),
        pytest.param("on_full: drop_newest", Mode.FILE, "4 drop_newest", id="rule"),
        pytest.param("on_full: wait", Mode.LIVE, "2 wait", id="wait in a session"),
        pytest.param("max_age_ms: 80", Mode.LIVE, "2 drop_oldest, 80 ms at most", id="age"),
    ],
)
def test_inbox_options(options: str, mode: Mode, expected: str) -> None:
    plan = nodes(f"s: {{type: count}}, a: {{type: pass, {options}}}, o: {{type: collect}}", mode)
    assert inboxes(plan) == {"a.image": expected}


class Two(Node):
    def process(self, image: YUV, other: YUV) -> None:
        raise NotImplementedError


def test_an_inbox_waits_for_nobody_where_that_would_hold_up_others() -> None:
    plan = nodes(
        "s: {type: count}, a: {type: collect, in: s}, b: {type: collect, in: s}", Mode.LIVE
    )
    assert set(inboxes(plan).values()) == {"2 drop_oldest"}
    both = "s: {type: count}, t: {type: count}, p: {type: two, in: {image: s, other: t}}"
    assert set(inboxes(nodes(both, Mode.LIVE, two=Two)).values()) == {"2 drop_oldest"}


def test_an_inbox_drops_before_the_converter_that_works_for_it_alone() -> None:
    plan = nodes("s: {type: count}, o: {type: show, queue: 1, on_full: drop_oldest}")
    assert inboxes(plan) == {"s:rgb24array.in": "1 drop_oldest"}
    assert stages(plan) == [("s",), ("s:rgb24array", "o")]


def test_an_inbox_of_several_workers_lies_behind_the_converter() -> None:
    text = "s: {type: count}, m: {type: net, queue: 9}, o: {type: end}"
    found = inboxes(nodes(text, net=Net, end=End))
    assert (found["s:rgb24array.in"], found["m.image"]) == ("4 wait", "9 wait")


def test_an_inbox_lies_on_both_sides_of_a_converter_with_a_thread_of_its_own() -> None:
    # If only one of them waited, the other would drop what this node should not miss.
    text = "s: {type: count}, m: {type: net, queue: 9, on_full: wait}, o: {type: end}"
    found = inboxes(nodes(text, Mode.LIVE, net=Net, end=End))
    assert (found["s:rgb24array.in"], found["m.image"]) == ("9 wait", "9 wait")


def test_an_inbox_of_a_join_holds_for_its_converters() -> None:
    class Pair(Node):
        def process(self, image: RGB, other: YUV) -> None:
            raise NotImplementedError

    text = "s: {type: count}, t: {type: count}, p: {type: pair, in: {image: s, other: t}, queue: 7}"
    found = inboxes(nodes(text, Mode.LIVE, pair=Pair))
    assert found == {
        "s:rgb24array.in": "7 drop_oldest",
        "p.image": "7 drop_oldest",
        "p.other": "7 drop_oldest",
    }


def test_an_inbox_does_not_drop_for_others_that_share_the_converter() -> None:
    plan = nodes(
        "s: {type: count}, a: {type: show, queue: 1, on_full: drop_newest, in: s},"
        " b: {type: show, in: s}"
    )
    assert inboxes(plan) == {
        "s:rgb24array.in": "4 wait",
        "a.image": "1 drop_newest",
        "b.image": "4 wait",
    }


# errors and gates by mode


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


# copies


@pytest.mark.parametrize(
    ("text", "copies"),
    [
        pytest.param("a: {type: fresh}, b: {type: paint}, o: {type: collect}", [], id="alone"),
        pytest.param("b: {type: paint}, o: {type: collect}", ["b"], id="source keeps a hold"),
        pytest.param(
            "a: {type: fresh}, b: {type: paint, in: a}, o: {type: mix_end, in: {base: a, top: b}}",
            ["b"],
            id="somebody else holds it",
        ),
        pytest.param(
            "a: {type: fresh}, b: {type: pass}, c: {type: paint}, o: {type: collect}",
            ["c"],
            id="handed on as it came",
        ),
        pytest.param(
            "a: {type: fresh, every: 2, else: hold_last}, b: {type: paint}, o: {type: collect}",
            ["b"],
            id="held for the next frame",
        ),
        pytest.param(
            "a: {type: fresh, every: 2}, b: {type: paint}, o: {type: collect}",
            ["b"],
            id="passed by, from a source that keeps a hold",
        ),
        pytest.param(
            "a: {type: fresh}, b: {type: fresh, every: 2}, c: {type: paint}, o: {type: collect}",
            [],
            id="passed by, and new before",
        ),
        pytest.param(
            "a: {type: tint}, b: {type: paint}, o: {type: collect}", [], id="made by a converter"
        ),
    ],
)
def test_copies_only_where_somebody_else_may_hold_the_picture(text: str, copies: list[str]) -> None:
    class MixEnd(Node):
        def process(self, base: YUV, top: YUV) -> None: ...

    plan = nodes("s: {type: count}, " + text, mix_end=MixEnd)
    assert [name for name, step in plan.steps.items() if step.copies] == copies


# as data


def test_as_data_is_plain() -> None:
    plan = plan_of(
        "capability: demo\nparams: {level: a.level}\n"
        "nodes: {s: {type: count}, a: {type: pass}, o: {type: show}}"
    )
    data = plans.as_data(plan)
    assert data["conversions"] == 1
    assert data["stages"][1] == {"name": "a", "steps": ["a", "a:rgb24array", "o"], "workers": 1}
    assert data["edges"][0] == {
        "from": "s.image",
        "to": "a.image",
        "format": "yuv420p",
        "inbox": "4 wait",
    }
    assert data["params"] == {"level": {"to": ["a.level"], "change": "live", "value": 0.0}}
    assert data["steps"]["a:rgb24array"]["type"] == "convert"
    assert plan.steps["a"].folder == Path("/nowhere")
