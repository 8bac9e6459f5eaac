"""How cost grows: CPU and delay by size, nodes, branches, sessions and params per second."""

import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench import clips, contenders, results, sessions, stream
from bench.results import Numbers, Spread
from bench.stream import Drive
from bench.works import PASS, numbers

SMALL: Final = "360p"
ONE: Final = Drive()


@dataclass(frozen=True)
class Point:
    """One worker to measure, at one place of a curve. crowd: sessions at once, each with the
    pictures alone; 0 for one that is driven as `drive` says.
    """

    x: float
    text: str = PASS
    size: str = SMALL
    drive: Drive = ONE
    crowd: int = 0


@dataclass(frozen=True)
class Curve:
    """What is varied. unit: of x."""

    name: str
    unit: str
    points: tuple[Point, ...]


def chain_of(nodes: int) -> str:
    """A pipeline with so many nodes that each write all of the picture, on its planes."""
    middle = "".join(f"  n{number}: {{type: color, contrast: 1.001}}\n" for number in range(nodes))
    return f"version: 1\nnodes:\n  source: {{type: decode}}\n{middle}  out: {{type: encode}}\n"


def branches_of(count: int) -> str:
    """The picture with so many small ones of itself on it, each by a branch of its own."""
    text = "version: 1\nnodes:\n  source: {type: decode}\n"
    base = "source"
    for number in range(count):
        text += f"  s{number}: {{type: resize, in: source, width: 96, height: 54}}\n"
        text += (
            f"  b{number}: {{type: blend, in: {{base: {base}, top: s{number}}}, opacity: 0.5}}\n"
        )
        base = f"b{number}"
    return text + f"  out: {{type: encode, in: {base}}}\n"


STEERED: Final = (
    "version: 1\nparams: {green: tint.green}\nnodes: {source: {type: decode},"
    " tint: {type: color}, out: {type: encode}}\n"
)
PATCH: Final = (("green", 1.0),)

CURVES: Final = (
    Curve(
        "size",
        "million pixels",
        tuple(
            Point(width * height / 1e6, size=size) for size, (width, height) in clips.SIZES.items()
        ),
    ),
    Curve("nodes", "nodes between", tuple(Point(n, chain_of(n)) for n in (1, 3, 10, 30, 100))),
    Curve("branches", "branches", tuple(Point(n, branches_of(n)) for n in (1, 2, 4, 8))),
    Curve(
        "sessions",
        "sessions",
        tuple(Point(n, crowd=n) for n in (1, 2, 4, 6, 8, 10, 12, 16)),
    ),
    Curve(
        "params",
        "params per second",
        tuple(
            Point(n, STEERED, drive=Drive(patches=n, patch=PATCH)) for n in (0, 10, 100, 300, 1000)
        ),
    ),
)


def measured(seconds: float, runs: int, only: str = "") -> dict[str, dict[str, Spread]]:
    """By curve and place: `size at 0.92`."""
    points = [
        (curve, point) for curve in CURVES if curve.name.startswith(only) for point in curve.points
    ]
    seen: dict[str, list[Numbers]] = {name_of(*each): [] for each in points}
    for number in range(runs):
        for curve, point in points:
            found = _numbers(point, seconds)
            seen[name_of(curve, point)].append(found)
            said = ", ".join(f"{name} {value:.4g}" for name, value in found.items())
            print(f"run {number + 1} of {runs}: {name_of(curve, point)}: {said}", flush=True)
    return {name: results.spreads(each) for name, each in seen.items()}


def name_of(curve: Curve, point: Point) -> str:
    return f"{curve.name} at {point.x:g}"


def _numbers(point: Point, seconds: float) -> Numbers:
    with tempfile.TemporaryDirectory() as name:
        path, clip = Path(name) / "pipeline.yaml", clips.make(point.size, seconds)
        path.write_text(point.text)
        if point.crowd:
            return sessions.measured(path, point.crowd, clip, Path(name))
        return numbers(asyncio.run(stream.run(contenders.byoc(path), clip, point.drive)))
