"""A drawn graph as one SVG document."""

from collections.abc import Iterator, Sequence
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from composer.plot.cards import Card
from composer.plot.drawing import Arrow, GraphBox
from composer.plot.fences import Fence
from composer.plot.geometry import HEAD, Flow, Rect, number, xy
from composer.plot.layout import Page, page_of
from composer.plot.lettering import (
    LABEL_SIZE,
    SMALL_SIZE,
    TITLE_SIZE,
    WIDEST_TITLE,
    clean,
    fit,
    text_width,
)
from composer.plot.lines import EdgeLine
from composer.plot.palette import DARK, KEY, LIGHT


def document(boxes: Sequence[GraphBox], arrows: Sequence[Arrow], title: str = "") -> str:
    """The graph as one SVG document. Arrows form a DAG; raises graphlib.CycleError otherwise."""
    return render(page_of(boxes, arrows), title)


FONT: Final = "system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif"

SHAPE: Final = {
    "title": f"font-size:{TITLE_SIZE:g}px;font-weight:600",
    "name": "font-weight:600;text-anchor:middle",
    "type": "text-anchor:middle",
    "setting": "text-anchor:middle",
    "box rect": "stroke-width:1.4",
    "convert rect": "stroke-width:1.1;stroke-dasharray:4 3",
    "fence rect": "fill:none;stroke-dasharray:2 3",
    "fence text": f"font-size:{SMALL_SIZE:g}px",
    "line": "fill:none;stroke-width:1.6",
    "audio .line": "stroke-dasharray:6 4",
    "label": f"font-size:{LABEL_SIZE:g}px;text-anchor:middle",
    "port": f"font-size:{SMALL_SIZE:g}px;font-style:italic",
    "label,.byoc-graph .port": "paint-order:stroke;stroke-width:5px;stroke-linejoin:round",
}

MARGIN: Final = 24.0


def css(rules: dict[str, str]) -> str:
    # Every selector starts at our own class: inlined in a page the rules would reach its elements.
    return "".join(f".byoc-graph .{name}{{{rule}}}" for name, rule in rules.items())


def render(page: Page, title: str) -> str:
    heading = fit(title, TITLE_SIZE, WIDEST_TITLE)
    bounds = page.bounds()
    keys = [kind for kind in KEY if any(line.arrow.kind == kind for line in page.lines)]
    keys = keys if len(keys) > 1 else []
    top = MARGIN + (TITLE_SIZE + 14 if heading else 0)
    inner = max(bounds.width, text_width(heading, TITLE_SIZE), KEY_STEP * len(keys))
    width, height = inner + 2 * MARGIN, top + bounds.height + MARGIN + (26 if keys else 0)
    x, y = bounds.x - MARGIN - (inner - bounds.width) / 2, bounds.y - top
    view = " ".join(number(value) for value in (x, y, width, height))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="byoc-graph" role="img" viewBox="{view}" '
        f'width="{number(width)}" height="{number(height)}" font-family="{FONT}">',
        f"<title>{escape(clean(title) or 'graph')}</title>",
        f"<style>{css(SHAPE)}{css(LIGHT)}@media (prefers-color-scheme:dark){{{css(DARK)}}}</style>",
        rect_tag(Rect(x, y, width, height).grown(-0.5, -0.5, -0.5, -0.5), 10, ' class="card"'),
    ]
    if heading:
        parts.append(text_tag("title", heading, x + MARGIN, y + MARGIN + TITLE_SIZE - 2))
    parts += [fence_tags(fence) for fence in page.fences]
    parts += [line_tags(line, page.flow) for line in page.lines]
    parts += [card_tags(drawn, rect) for drawn, rect in page.cards]
    # Words last: their halos cut the lines below them.
    parts += [tag for line in page.lines for tag in word_tags(line, page.flow)]
    parts += [
        key_tags(kind, x + MARGIN + i * KEY_STEP, y + height - 20) for i, kind in enumerate(keys)
    ]
    return "\n".join([*parts, "</svg>"]) + "\n"


def rect_tag(rect: Rect, radius: float, attributes: str = "") -> str:
    return (
        f'<rect x="{number(rect.x)}" y="{number(rect.y)}" width="{number(rect.width)}" '
        f'height="{number(rect.height)}" rx="{number(radius)}"{attributes}/>'
    )


def text_tag(style: str, text: str, x: float, y: float, attributes: str = "") -> str:
    where = f'x="{number(x)}" y="{number(y)}"'
    return f'<text class="{style}" {where}{attributes}>{escape(text)}</text>'


def fence_tags(fence: Fence) -> str:
    words = fit(fence.group, SMALL_SIZE, fence.rect.width - 16)
    text = text_tag("caption", words, fence.rect.x + 9, fence.rect.y + 14)
    group = quoteattr(clean(fence.group))
    return f'<g class="fence" data-group={group}>{rect_tag(fence.rect, 10)}{text}</g>'


def card_tags(drawn: Card, rect: Rect) -> str:
    """A box. Its tooltip has the words in full."""
    box = drawn.box
    full = "\n".join(clean(text) for text in (box.name, box.title, *box.lines))
    parts = [f'<g class="box {box.kind}" data-name={quoteattr(clean(box.name))}>']
    parts.append(f"<title>{escape(full)}</title>")
    radius = {"convert": 6.0, "node": 8.0}.get(box.kind, 16.0)
    parts.append(rect_tag(rect, min(radius, rect.height / 2)))
    x, y = rect.x + rect.width / 2, rect.y + (rect.height - drawn.height) / 2
    for word in drawn.words:
        size = f' font-size="{number(word.size)}"'
        parts.append(text_tag(word.style, word.text, x, y + word.baseline, size))
    return "".join(parts) + "</g>"


def line_tags(line: EdgeLine, flow: Flow) -> str:
    arrow = line.arrow
    along, across = line.curve.knots[-1]
    corners = ((along + HEAD, across), (along, across - HEAD / 2), (along, across + HEAD / 2))
    head = "L".join(xy(flow, *corner) for corner in corners)
    ends = f"data-start={quoteattr(clean(arrow.start))} data-end={quoteattr(clean(arrow.end))}"
    return (
        f'<g class="arrow {arrow.kind}" {ends}><path class="line" d="{line.curve.path(flow)}"/>'
        f'<path class="head" d="M{head}Z"/></g>'
    )


def word_tags(line: EdgeLine, flow: Flow) -> Iterator[str]:
    if line.label:
        rect = line.label.rect
        yield text_tag("label", line.label.text, rect.x + rect.width / 2, rect.bottom - 4.5)
    if line.port:
        rect = line.port.rect
        right = flow is Flow.RIGHT
        anchor = ' text-anchor="end"' if right else ""
        yield text_tag(
            "port", line.port.text, rect.right if right else rect.x, rect.bottom - 3, anchor
        )


KEY_STEP: Final = 92.0


def key_tags(kind: str, x: float, y: float) -> str:
    """An entry of the key below the picture, shown when there are several kinds of arrows."""
    line = f'<path class="line" d="M{number(x)},{number(y)}h24"/>'
    return f'<g class="key {kind}">{line}{text_tag("key port", kind, x + 31, y + 3.5)}</g>'
