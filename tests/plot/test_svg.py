"""Text that users wrote, in an SVG."""

from composer.plot import mermaid
from composer.plot.drawing import Arrow, GraphBox
from tests.plot.drawn import SVG, child, groups, parse, texts

WILD = "a\"<&>'\n\x00\ud800b]]>"


def test_markup_in_text_stays_text() -> None:
    boxes = [
        GraphBox(WILD, "</text>", ("<b>&amp;</b>",), group="<g>"),
        GraphBox("end", "x", group="<g>"),
    ]
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
    root = parse(([GraphBox(long, "x", (long,))], []))
    (name,) = texts(root, "name")
    assert name.text is not None
    assert name.text.endswith("…")
    assert len(name.text) < 40
    assert child(groups(root, "box")[0], "title").text == f"{long}\nx\n{long}"


def test_many_settings_are_counted_instead_of_shown() -> None:
    root = parse(([GraphBox("a", "b", tuple(f"line {i}" for i in range(20)))], []))
    assert [text.text for text in texts(root, "setting")][-2:] == ["line 7", "… 12 more"]


def test_a_type_that_repeats_the_name_is_shown_once() -> None:
    assert texts(parse(([GraphBox("blur", "blur")], [])), "type") == []


def test_nothing_is_drawn_as_an_empty_card() -> None:
    assert groups(parse(([], [])), "box") == []
    assert mermaid.flowchart([], []) == "flowchart LR\n"
