import re
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations, pairwise

import pytest

from composer.plot.draw import Arrow, Box, mermaid, svg

SVG = "{http://www.w3.org/2000/svg}"
PICTURE = "yuv420p 1280x720"

Graph = tuple[list[Box], list[Arrow]]
Point = tuple[float, float]


@dataclass(frozen=True)
class Area:
    x: float
    y: float
    right: float
    bottom: float

    def overlaps(self, other: "Area") -> bool:
        apart = self.right <= other.x or other.right <= self.x
        return not (apart or self.bottom <= other.y or other.bottom <= self.y)

    def holds(self, other: "Area") -> bool:
        return (
            self.x <= other.x
            and self.y <= other.y
            and other.right <= self.right
            and other.bottom <= self.bottom
        )

    def distance(self, point: Point) -> float:
        """From the point to the border; 0 on it."""
        x, y = point
        outside = max(self.x - x, x - self.right, self.y - y, y - self.bottom)
        return abs(outside)


# Graphs to draw.


def chain(length: int) -> Graph:
    boxes = [Box(f"step_{i}", "blur", (f"radius {i}",)) for i in range(length)]
    boxes[0] = Box("step_0", "webrtc_in", kind="source")
    return boxes, [Arrow(a.name, b.name, PICTURE) for a, b in pairwise(boxes)]


def chain_with_sound(length: int) -> Graph:
    boxes, arrows = chain(length)
    sound = Arrow(boxes[0].name, boxes[-1].name, "s16 48 kHz", "sound", "audio")
    return boxes, [*arrows, sound]


def diamond() -> Graph:
    boxes = [
        Box("camera", "webrtc_in", kind="source"),
        Box("faces", "face_detect", ("threshold 0.6",)),
        Box("small", "resize", ("width 320",), "convert"),
        Box("mask", "ellipse"),
        Box("blur", "region_blur", kind="sink"),
    ]
    arrows = [
        Arrow("camera", "small", PICTURE),
        Arrow("camera", "faces", PICTURE),
        Arrow("small", "mask", "yuv420p 320x180"),
        Arrow("faces", "blur", "boxes", "regions", "data"),
        Arrow("mask", "blur", "gray 320x180", "mask"),
        Arrow("camera", "blur", PICTURE, "image"),
    ]
    return boxes, arrows


def fan(branches: int) -> Graph:
    styles = [Box(f"style_{i}", "stylize") for i in range(branches)]
    out = [Arrow("camera", style.name, PICTURE) for style in styles]
    into = [Arrow(style.name, "grid", "rgb24 640x360", f"tile_{style.name}") for style in styles]
    ends = [Box("camera", "webrtc_in", kind="source"), Box("grid", "mosaic", kind="sink")]
    return [ends[0], *styles, ends[1]], out + into


def two_and_two() -> Graph:
    boxes = [
        Box("left", "file", kind="source"),
        Box("right", "file", kind="source"),
        Box("mix", "crossfade"),
        Box("screen", "display", kind="sink"),
        Box("tape", "record", kind="sink"),
    ]
    arrows = []
    for source in ("left", "right"):
        arrows.append(Arrow(source, "mix", PICTURE, source))
        arrows.append(Arrow(source, "mix", "s16 48 kHz", f"{source}_sound", "audio"))
    arrows.append(Arrow("mix", "screen", PICTURE))
    arrows.append(Arrow("mix", "tape", PICTURE, "image"))
    arrows.append(Arrow("mix", "tape", "s16 48 kHz", "sound", "audio"))
    return boxes, arrows


def staged() -> Graph:
    boxes, arrows = diamond()
    stage = {"small": "gpu 0", "mask": "gpu 0", "blur": "gpu 0", "faces": "gpu 1"}
    return [replace(box, group=stage.get(box.name, "")) for box in boxes], arrows


GRAPHS = [
    pytest.param(([Box("only", "test_card")], []), id="single box"),
    pytest.param(([Box(name, "test_card") for name in "abcde"], []), id="disconnected boxes"),
    pytest.param(([Box(n, "x") for n in "abcd"], [Arrow("b", "d", PICTURE)]), id="two parts"),
    pytest.param(chain(5), id="chain of 5"),
    pytest.param(chain(12), id="chain of 12"),
    pytest.param(chain(100), id="chain of 100"),
    pytest.param(chain_with_sound(5), id="sound past 3 boxes"),
    pytest.param(chain_with_sound(14), id="sound past 12 boxes"),
    pytest.param(diamond(), id="diamond"),
    pytest.param(staged(), id="stages"),
    pytest.param(fan(12), id="fan of 12"),
    pytest.param(two_and_two(), id="two sources and two sinks"),
]
every_graph = pytest.mark.parametrize("graph", GRAPHS)


# Reading a picture back.


def parse(graph: Graph, title: str = "") -> ET.Element:
    return ET.fromstring(svg(*graph, title))


def groups(root: ET.Element, style: str) -> list[ET.Element]:
    return [g for g in root.iter(f"{SVG}g") if g.get("class", "").split()[0] == style]


def child(parent: ET.Element, tag: str) -> ET.Element:
    found = parent.find(f"{SVG}{tag}")
    assert found is not None
    return found


def area(element: ET.Element) -> Area:
    x, y, width, height = (float(element.get(name, "")) for name in ("x", "y", "width", "height"))
    return Area(x, y, x + width, y + height)


def box_areas(root: ET.Element) -> dict[str, Area]:
    return {g.get("data-name", ""): area(child(g, "rect")) for g in groups(root, "box")}


def texts(root: ET.Element, style: str) -> list[ET.Element]:
    return [text for text in root.iter(f"{SVG}text") if text.get("class") == style]


def label_area(text: ET.Element) -> Area:
    """Less than any font needs: what overlaps here overlaps on every screen."""
    x, y = float(text.get("x", "")), float(text.get("y", ""))
    half = len(text.text or "") * 5.2 / 2
    return Area(x - half, y - 8, x + half, y + 2)


def view(root: ET.Element) -> Area:
    x, y, width, height = map(float, root.get("viewBox", "").split())
    return Area(x, y, x + width, y + height)


def line_points(arrow: ET.Element) -> list[Point]:
    """The line of an arrow as many points, from its border to its head."""
    commands = re.findall(r"([MLC])([^MLC]*)", child(arrow, "path").get("d", ""))
    points: list[Point] = []
    for command, numbers in commands:
        corners = [pair_of(text) for text in numbers.split()]
        if command == "C":
            points += bezier(points[-1], *corners)
        else:
            points += corners
    return points


def pair_of(text: str) -> Point:
    x, y = text.split(",")
    return float(x), float(y)


def bezier(a: Point, b: Point, c: Point, d: Point) -> Iterator[Point]:
    for step in range(1, 17):
        t = step / 16
        shares = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3)
        xs, ys = zip(a, b, c, d, strict=True)
        yield (
            sum(share * x for share, x in zip(shares, xs, strict=True)),
            sum(share * y for share, y in zip(shares, ys, strict=True)),
        )


def tip(arrow: ET.Element) -> Point:
    head = arrow.findall(f"{SVG}path")[1]
    return pair_of(head.get("d", "").removeprefix("M").split("L")[0])


def cross(first: list[Point], second: list[Point]) -> bool:
    return any(cut(*a, *b) for a in pairwise(first) for b in pairwise(second))


def cut(a: Point, b: Point, c: Point, d: Point) -> bool:
    def side(p: Point, q: Point, r: Point) -> float:
        return (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0])

    return side(a, b, c) * side(a, b, d) < 0 and side(c, d, a) * side(c, d, b) < 0


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
    assert svg(*graph, "title") == svg(*graph, "title")
    assert mermaid(*graph, "title") == mermaid(*graph, "title")


@every_graph
def test_half_a_second_is_enough(graph: Graph) -> None:
    began = time.process_time()
    svg(*graph)
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
    boxes = [Box("file", "read", kind="source"), Box("out", "write", kind="sink")]
    arrows = [Arrow("file", "out", PICTURE, "image"), Arrow("file", "out", "s16", "sound", "audio")]
    picture, sound = (line_points(arrow) for arrow in groups(parse((boxes, arrows)), "arrow"))
    assert sound[0][1] - picture[0][1] >= 10
    assert sound[-1][1] - picture[-1][1] >= 10


def test_a_late_source_stands_next_to_the_box_it_feeds() -> None:
    boxes, arrows = chain(5)
    boxes.append(Box("logo", "image_file", kind="source"))
    areas = box_areas(parse((boxes, [*arrows, Arrow("logo", "step_4", "rgba", "logo")])))
    assert areas["logo"].x > areas["step_2"].right


def test_a_conversion_is_smaller_than_a_node() -> None:
    boxes = [Box("a", "resize", ("width 320",)), Box("b", "resize", ("width 320",), "convert")]
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


# Text that users wrote.

WILD = "a\"<&>'\n\x00\ud800b]]>"


def test_markup_in_text_stays_text() -> None:
    boxes = [Box(WILD, "</text>", ("<b>&amp;</b>",), group="<g>"), Box("end", "x", group="<g>")]
    root = parse((boxes, [Arrow(WILD, "end", "<svg>&")]), '<title>"')
    shown = [text.text for text in root.iter(f"{SVG}text")]
    assert shown == [
        '<title>"',
        "<g>",
        "a\"<&>' b]]>",
        "</text>",
        "<b>&amp;</b>",
        "end",
        "x",
        "<svg>&",
    ]
    assert child(root, "title").text == '<title>"'


def test_long_text_is_cut_and_kept_in_the_tooltip() -> None:
    long = "very_long_" * 30
    root = parse(([Box(long, "x", (long,))], []))
    (name,) = texts(root, "name")
    assert name.text is not None
    assert name.text.endswith("…")
    assert len(name.text) < 40
    assert child(groups(root, "box")[0], "title").text == f"{long}\nx\n{long}"


def test_many_settings_are_counted_instead_of_shown() -> None:
    root = parse(([Box("a", "b", tuple(f"line {i}" for i in range(20)))], []))
    assert [text.text for text in texts(root, "setting")][-2:] == ["line 7", "… 12 more"]


def test_a_type_that_repeats_the_name_is_shown_once() -> None:
    assert texts(parse(([Box("blur", "blur")], [])), "type") == []


def test_nothing_is_drawn_as_an_empty_card() -> None:
    assert groups(parse(([], [])), "box") == []
    assert mermaid([], []) == "flowchart LR\n"


# Mermaid.


def test_mermaid_of_a_small_graph() -> None:
    boxes = [
        Box("camera", "webrtc_in", ("width 1280",), "source"),
        Box("to_rgb", "convert", (), "convert", "gpu 0"),
        Box("end", "region_blur", (), "node", "gpu 0"),
        Box("out", "out", (), "sink"),
    ]
    arrows = [
        Arrow("camera", "to_rgb", PICTURE, "image"),
        Arrow("to_rgb", "end", "rgb f16", "image"),
        Arrow("end", "out", "", "image"),
        Arrow("camera", "out", "s16 48 kHz", "sound", "audio"),
        Arrow("end", "out", "faces", "meta", "data"),
    ]
    assert mermaid(boxes, arrows, 'Blur "faces"') == (
        "---\n"
        'title: "Blur \\"faces\\""\n'
        "---\n"
        "flowchart LR\n"
        '    n0(["<b>camera</b><br/>webrtc_in<br/>width 1280"]):::source\n'
        '    n3(["<b>out</b>"]):::sink\n'
        '    subgraph g1["gpu 0"]\n'
        '        n1["<b>to_rgb</b><br/>convert"]:::convert\n'
        '        n2("<b>end</b><br/>region_blur"):::node\n'
        "    end\n"
        '    n0 -->|"yuv420p 1280x720"| n1\n'
        '    n1 -->|"rgb f16"| n2\n'
        '    n2 -->|"image"| n3\n'
        '    n0 -.->|"s16 48 kHz<br/>sound"| n3\n'
        '    n2 -->|"faces<br/>meta"| n3\n'
        "    classDef source fill:#e9f7ef,stroke:#36a269,color:#1b2330\n"
        "    classDef node fill:#eef3fe,stroke:#5b84d7,color:#1b2330\n"
        "    classDef sink fill:#fef1e6,stroke:#dd8638,color:#1b2330\n"
        "    classDef convert fill:#f8f9fb,stroke:#98a2b3,color:#475467,stroke-dasharray:4 3\n"
        "    linkStyle 3 stroke:#0d9488\n"
        "    linkStyle 4 stroke:#b054c4\n"
    )


def test_mermaid_escapes_what_it_would_read_as_syntax() -> None:
    box = Box('a"]\n%%;', "`x`", ("<b>#35;|",))
    assert '["' not in mermaid([box], []).replace('n0("', "")
    assert (
        'n0("<b>a#34;#93; #37;#37;#59;</b><br/>#96;x#96;<br/>#60;b#62;#35;35#59;#124;"):::node'
        in mermaid([box], [])
    )


def test_a_long_chain_runs_down_in_mermaid() -> None:
    assert mermaid(*chain(12)).startswith("flowchart TB\n")
