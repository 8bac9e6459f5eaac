"""A graph as Mermaid text, for a README."""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from composer import strictjson
from composer.plot.cards import card_texts
from composer.plot.drawing import Arrow, GraphBox, by_group, several_inputs
from composer.plot.lettering import LABEL_SIZE, clean, fit
from composer.plot.mesh import ranks
from composer.plot.palette import KEY, LIGHT, STYLES


def flowchart(boxes: Sequence[GraphBox], arrows: Sequence[Arrow], title: str = "") -> str:
    """The graph as a Mermaid flowchart. Box names become n0, n1: `end` alone breaks a flowchart."""
    ids = {box.name: f"n{index}" for index, box in enumerate(boxes)}
    several = several_inputs(arrows)
    direction = "LR" if max(ranks(boxes, arrows).values(), default=0) < 7 else "TB"
    lines = (
        ["---", f"title: {strictjson.text(clean(title), ensure_ascii=False)}", "---"]
        if clean(title)
        else []
    )
    lines.append(f"flowchart {direction}")
    for index, (group, members) in enumerate(by_group(boxes).items()):
        drawn = [mermaid_box(ids[box.name], box) for box in members]
        if group:
            drawn = [f'subgraph g{index}["{entities(group)}"]', *indent(drawn), "end"]
        lines += indent(drawn)
    for arrow in arrows:
        line = "-.->" if arrow.kind == "audio" else "-->"
        text = mermaid_label(arrow, several)
        lines.append(f"    {ids[arrow.start]} {line}{text} {ids[arrow.end]}")
    lines += indent(mermaid_colours(boxes, arrows))
    return "\n".join(lines) + "\n"


SHAPES: Final = {"source": "([{}])", "node": "({})", "sink": "([{}])", "convert": "[{}]"}


def entities(text: str) -> str:
    """Text inside Mermaid's quotes. Whatever is not plainly a word becomes a character code."""
    return re.sub(r"[^\w \-.,:()/+=…]", lambda match: f"#{ord(match[0])};", fit(text, LABEL_SIZE))


def indent(lines: Iterable[str]) -> list[str]:
    return [f"    {line}" for line in lines]


def mermaid_box(ident: str, box: GraphBox) -> str:
    texts = [f"<b>{entities(box.name)}</b>"]
    texts += [entities(text) for text, style, _ in card_texts(box) if style != "name"]
    return ident + SHAPES[box.kind].format(f'"{"<br/>".join(texts)}"') + f":::{box.kind}"


def mermaid_label(arrow: Arrow, several: set[str]) -> str:
    words = [entities(arrow.label), entities(arrow.port) if arrow.end in several else ""]
    text = "<br/>".join(word for word in words if word)
    return f'|"{text}"|' if text else ""


def mermaid_colours(boxes: Sequence[GraphBox], arrows: Sequence[Arrow]) -> list[str]:
    used = {box.kind for box in boxes}
    lines = [f"classDef {kind} {style}" for kind, style in STYLES.items() if kind in used]
    for kind in KEY:
        which = ",".join(str(i) for i, arrow in enumerate(arrows) if arrow.kind == kind)
        if which and kind != "picture":
            lines.append(f"linkStyle {which} {LIGHT[f'{kind} .line']}")
    return lines
