"""Charts of what was measured, as SVG: drawn from the JSON, so that they can be drawn anew."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure

from bench import results
from bench.growth import CURVES, Curve, name_of
from bench.results import Spread

OURS, PEER, LIMIT, OTHER = "#1f77b4", "#d62728", "#7f7f7f", "#bcbd22"
COLORS: Final = {"byoc": OURS, "pytrickle": PEER, "FFmpeg": LIMIT, "GStreamer": OTHER}

Bars = Sequence[tuple[str, Spread]]


def table() -> Path:
    """Bars of the table's main numbers: ours, the peer's, FFmpeg's and GStreamer's."""
    body = results.load("table")
    found: Mapping[str, Mapping[str, Spread]] = body["found"]
    one, most = found["passthrough, 720p"], found["at the most, 720p"]
    panels: tuple[tuple[str, Bars], ...] = (
        ("CPU per picture, ms", _bars(one, "{} cpu ms", ffmpeg="ffmpeg cpu ms, paced")),
        ("delay p50, ms", _bars(one, "{} p50 ms")),
        ("memory, MB", _bars(one, "{} memory MB")),
        ("pictures per second at the most", _bars(most, "{} fps", ffmpeg="ffmpeg fps")),
    )
    figure = Figure(figsize=(11, 2.9), layout="constrained")
    for place, (title, bars) in enumerate(panels, 1):
        _draw_bars(figure.add_subplot(1, len(panels), place), title, bars)
    return _saved(figure, "table", f"720p30 passthrough over trickle; {_where(body)}")


def growth() -> Path:
    """A panel for each curve: CPU per picture, and the delay at p50 and p95."""
    body = results.load("growth")
    figure = Figure(figsize=(11, 5.4), layout="constrained")
    for place, curve in enumerate(CURVES, 1):
        _draw_curve(figure.add_subplot(2, 3, place), curve, body["found"])
    return _saved(figure, "growth", f"360p30 unless said otherwise; {_where(body)}")


def _bars(numbers: Mapping[str, Spread], name: str, ffmpeg: str = "") -> Bars:
    asked = {
        "byoc": name.format("byoc"),
        "pytrickle": name.format("pytrickle"),
        "FFmpeg": ffmpeg,
        "GStreamer": name.format("gstreamer"),
    }
    return [(who, numbers[key]) for who, key in asked.items() if key in numbers]


def _draw_bars(axes: Any, title: str, bars: Bars) -> None:
    for place, (who, value) in enumerate(bars):
        spread = [[value.median - value.least], [value.most - value.median]]
        axes.bar(place, value.median, color=COLORS[who], yerr=spread, capsize=3)
        axes.text(place, value.median, f" {value.median:.3g}", ha="center", va="bottom")
    axes.set_xticks(range(len(bars)), [who for who, _ in bars], fontsize=8)
    axes.set_title(title, fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_curve(axes: Any, curve: Curve, found: Mapping[str, Mapping[str, Spread]]) -> None:
    xs = [point.x for point in curve.points]
    for name, color in (("cpu ms", OURS), ("p50 ms", OTHER), ("p95 ms", PEER)):
        values = [found[name_of(curve, point)][name] for point in curve.points]
        axes.plot(xs, [each.median for each in values], "o-", color=color, label=name, ms=3)
        axes.fill_between(
            xs, [e.least for e in values], [e.most for e in values], color=color, alpha=0.15, lw=0
        )
    axes.set_xlabel(curve.unit, fontsize=8)
    axes.set_title(curve.name, fontsize=9)
    axes.set_ylim(bottom=0)
    if max(xs) > 0 and curve.name == "sessions":
        axes.set_yscale("symlog", linthresh=10)
    axes.legend(fontsize=7, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)


def _where(body: Mapping[str, Any]) -> str:
    machine = body["machine"]
    return (
        f"{machine['cpu']}, {machine['cores']} cores, Python {machine['python']},"
        f" commit {body['commit']}; medians of {body['runs']} runs, bars: least and most"
    )


def _saved(figure: Figure, name: str, said: str) -> Path:
    figure.suptitle(said, fontsize=8, color="#555555")
    path = results.FOLDER / f"{name}.svg"
    # The same numbers give the same file.
    with mpl.rc_context({"svg.hashsalt": name}):
        figure.savefig(path, metadata={"Date": None})
    return path
