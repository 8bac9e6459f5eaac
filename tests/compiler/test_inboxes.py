"""How inputs wait where a stage begins."""

import pytest

from composer import RGB, YUV, Node
from composer.compiler.plan import Mode, Plan
from tests.compiler.plans import End, Net, nodes, stages


def inboxes(plan: Plan) -> dict[str, str]:
    return {f"{link.end}.{link.end_port}": str(link.inbox) for link in plan.links if link.inbox}


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
