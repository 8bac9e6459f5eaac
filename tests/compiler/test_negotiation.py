"""The Format on each end of each edge."""

import pytest

from composer import RGB, Node, OwnYUV
from composer.compiler.lowering import lower
from composer.compiler.plan import Mode
from tests import stubs
from tests.compiler.plans import converters, nodes, show
from tests.stubs import good_graph


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
    plan, problems = lower(graph)
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
