"""Where boxes, arrows and labels lie, whatever the graph."""

import re
import time
from dataclasses import replace
from itertools import combinations

import pytest

from composer.plot import mermaid, svg
from composer.plot.drawing import Arrow, GraphBox
from tests.plot.drawn import (
    Area,
    area,
    box_areas,
    child,
    cross,
    groups,
    label_area,
    line_points,
    parse,
    texts,
    tip,
    view,
)
from tests.plot.graphs import (
    PICTURE,
    Graph,
    chain,
    chain_with_sound,
    diamond,
    every_graph,
    fan,
    staged,
)

# What must hold for every graph.


@every_graph
def test_every_box_and_every_arrow_is_drawn_once(graph: Graph) -> None:
    root = parse(graph)
    drawn = [(g.get("data-start"), g.get("data-end")) for g in groups(root, "arrow")]
    assert sorted(g.get("data-name", "") for g in groups(root, "box")) == sorted(
        box.name for box in graph[0]
    )
    assert sorted(drawn, key=str) == sorted(((a.start, a.end) for a in graph[1]), key=str)


@every_graph
def test_boxes_do_not_overlap(graph: Graph) -> None:
    areas = box_areas(parse(graph))
    assert [
        pair for pair in combinations(areas, 2) if areas[pair[0]].overlaps(areas[pair[1]])
    ] == []


@every_graph
def test_arrows_run_from_border_to_border(graph: Graph) -> None:
    root = parse(graph)
    areas = box_areas(root)
    for arrow in groups(root, "arrow"):
        assert areas[arrow.get("data-start", "")].distance(line_points(arrow)[0]) < 0.2
        assert areas[arrow.get("data-end", "")].distance(tip(arrow)) < 0.2


@every_graph
def test_no_arrow_runs_through_a_box(graph: Graph) -> None:
    root = parse(graph)
    for name, box in box_areas(root).items():
        inner = Area(box.x + 0.2, box.y + 0.2, box.right - 0.2, box.bottom - 0.2)
        for arrow in groups(root, "arrow"):
            through = [p for p in line_points(arrow) if inner.overlaps(Area(*p, *p))]
            assert through == [], f"{arrow.attrib} runs through {name}"


@every_graph
def test_labels_lie_inside_the_view_and_on_nothing(graph: Graph) -> None:
    root = parse(graph)
    labels = [label_area(text) for text in texts(root, "label")]
    assert len(labels) == len(graph[1])
    assert all(view(root).holds(label) for label in labels)
    assert not any(a.overlaps(b) for a, b in combinations(labels, 2))
    assert not any(a.overlaps(b) for a in labels for b in box_areas(root).values())


@every_graph
def test_everything_lies_inside_the_view(graph: Graph) -> None:
    root = parse(graph)
    page = view(root)
    assert all(page.holds(box) for box in box_areas(root).values())
    points = [point for arrow in groups(root, "arrow") for point in line_points(arrow)]
    assert all(page.holds(Area(*point, *point)) for point in points)


@every_graph
def test_the_same_graph_gives_the_same_bytes(graph: Graph) -> None:
    assert svg.document(*graph, "title") == svg.document(*graph, "title")
    assert mermaid.flowchart(*graph, "title") == mermaid.flowchart(*graph, "title")


@every_graph
def test_half_a_second_is_enough(graph: Graph) -> None:
    began = time.process_time()
    svg.document(*graph)
    assert time.process_time() - began < 0.5


# What makes it worth looking at.


@pytest.mark.parametrize(
    "graph",
    [
        pytest.param(diamond(), id="diamond"),
        pytest.param(staged(), id="stages"),
        pytest.param(fan(12), id="fan"),
        pytest.param(chain_with_sound(6), id="sound"),
    ],
)
def test_a_planar_graph_has_no_crossings(graph: Graph) -> None:
    lines = [line_points(arrow) for arrow in groups(parse(graph), "arrow")]
    assert not any(cross(a, b) for a, b in combinations(lines, 2))


@pytest.mark.parametrize("length", [2, 5, 6])
def test_a_short_chain_runs_right_in_one_line(length: int) -> None:
    lines = [line_points(arrow) for arrow in groups(parse(chain(length)), "arrow")]
    assert len({y for line in lines for _, y in line}) == 1
    assert all(line[0][0] < line[-1][0] for line in lines)


def test_a_long_chain_runs_down_in_one_line() -> None:
    lines = [line_points(arrow) for arrow in groups(parse(chain(12)), "arrow")]
    assert len({x for line in lines for x, _ in line}) == 1
    assert all(line[0][1] < line[-1][1] for line in lines)


def test_the_sound_goes_around_and_leaves_the_chain_straight() -> None:
    *chain_arrows, sound = groups(parse(chain_with_sound(5)), "arrow")
    assert len({y for arrow in chain_arrows for _, y in line_points(arrow)}) == 1
    levels = [y for _, y in line_points(sound)]
    assert levels.count(max(levels)) > 4


def test_two_arrows_between_the_same_boxes_run_side_by_side() -> None:
    boxes = [GraphBox("file", "read", kind="source"), GraphBox("out", "write", kind="sink")]
    arrows = [Arrow("file", "out", PICTURE, "image"), Arrow("file", "out", "s16", "sound", "audio")]
    picture, sound = (line_points(arrow) for arrow in groups(parse((boxes, arrows)), "arrow"))
    assert sound[0][1] - picture[0][1] >= 10
    assert sound[-1][1] - picture[-1][1] >= 10


def test_a_late_source_stands_next_to_the_box_it_feeds() -> None:
    boxes, arrows = chain(5)
    boxes.append(GraphBox("logo", "image_file", kind="source"))
    areas = box_areas(parse((boxes, [*arrows, Arrow("logo", "step_4", "rgba", "logo")])))
    assert areas["logo"].x > areas["step_2"].right


def test_a_conversion_is_smaller_than_a_node() -> None:
    boxes = [
        GraphBox("a", "resize", ("width 320",)),
        GraphBox("b", "resize", ("width 320",), "convert"),
    ]
    areas = box_areas(parse((boxes, [])))
    assert areas["b"].right - areas["b"].x < areas["a"].right - areas["a"].x
    assert areas["b"].bottom - areas["b"].y < areas["a"].bottom - areas["a"].y


def test_port_names_are_shown_where_there_are_several_inputs() -> None:
    one = Arrow("step_0", "step_1", PICTURE, "image")
    assert texts(parse((chain(2)[0], [one])), "port") == []
    two = [text.text for text in texts(parse(diamond()), "port")]
    assert sorted(filter(None, two)) == ["image", "mask", "regions"]


def test_a_fence_holds_its_group_and_nobody_else() -> None:
    root = parse(staged())
    areas = box_areas(root)
    fences = [(g.get("data-group"), area(child(g, "rect"))) for g in groups(root, "fence")]
    assert {group for group, _ in fences} == {"gpu 0", "gpu 1"}
    for box in staged()[0]:
        holding = {group for group, fence in fences if fence.overlaps(areas[box.name])}
        assert holding == ({box.group} if box.group else set())
    assert not any(a.overlaps(b) for (_, a), (_, b) in combinations(fences, 2))


def test_a_group_torn_apart_gets_several_fences() -> None:
    boxes, arrows = chain(5)
    boxes = [replace(box, group="" if box.name == "step_2" else "gpu") for box in boxes]
    assert [g.get("data-group") for g in groups(parse((boxes, arrows)), "fence")] == ["gpu", "gpu"]


def test_a_key_explains_the_kinds_when_there_are_several() -> None:
    assert groups(parse(chain(3)), "key") == []
    keys = groups(parse(diamond()), "key")
    assert [child(key, "text").text for key in keys] == ["picture", "data"]


def test_colours_are_given_for_light_and_dark_pages() -> None:
    style = child(parse(chain(2)), "style").text or ""
    assert style.count(".byoc-graph .card{") == 2
    assert "@media (prefers-color-scheme:dark){" in style
    selectors = re.findall(r"[^{}]+(?=\{)", style)
    assert all(s.startswith((".byoc-graph ", "@media")) for s in selectors)
