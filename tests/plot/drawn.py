"""What an SVG shows, read back from it."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from composer.plot import svg
from tests.plot.graphs import Graph

SVG = "{http://www.w3.org/2000/svg}"

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


def parse(graph: Graph, title: str = "") -> ET.Element:
    return ET.fromstring(svg.document(*graph, title))


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
