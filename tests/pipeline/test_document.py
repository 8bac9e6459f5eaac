"""What was read, and where each part of it is."""

import pytest

from composer.errors import Problem, Span
from composer.pipeline.document import Keys, dotted
from tests.pipeline.reading import PORTRAIT, read


@pytest.mark.parametrize(
    ("path", "span"),
    [
        pytest.param(("version",), Span(1, 1, 7), id="top level"),
        pytest.param(("nodes", "halo"), Span(3, 3, 4), id="second level"),
        pytest.param(("nodes", "halo", "in"), Span(3, 22, 2), id="inside braces"),
        pytest.param(("nodes", "halo", "in", 1), Span(3, 22, 2), id="a list item has its list's"),
        pytest.param(("nodes", "big", "nope"), Span(4, 3, 3), id="not written, so the one around"),
        pytest.param((), Span(1, 1, 1), id="the root has none"),
    ],
)
def test_a_key_remembers_its_place(path: Keys, span: Span) -> None:
    assert read(PORTRAIT).key(path) == span


@pytest.mark.parametrize(
    ("path", "span"),
    [
        pytest.param((), Span(1, 1, 7), id="the root is at its first key"),
        pytest.param(("version",), Span(1, 10, 1), id="number"),
        pytest.param(("nodes",), Span(3, 3, 4), id="a block mapping is at its first key"),
        pytest.param(("nodes", "halo"), Span(3, 9, 28), id="braces and what is inside"),
        pytest.param(("nodes", "halo", "in"), Span(3, 26, 10), id="brackets"),
        pytest.param(("nodes", "halo", "in", 1), Span(3, 30, 5), id="quotes belong to the text"),
        pytest.param(("nodes", "big", "empty"), Span(6, 11, 1), id="nothing is after its colon"),
        pytest.param(("nodes", "big", "text"), Span(7, 11, 1), id="block text is at its sign"),
        pytest.param(("nodes", "list"), Span(11, 3, 1), id="a block list is at its first dash"),
        pytest.param(("nodes", "list", 1), Span(12, 6, 3), id="list item"),
        pytest.param(("nodes", "list", 7, "x"), Span(11, 3, 1), id="not written"),
    ],
)
def test_a_value_remembers_its_place(path: Keys, span: Span) -> None:
    assert read(PORTRAIT).value(path) == span


def test_a_problem_has_the_place_of_its_path() -> None:
    document = read(PORTRAIT)
    path = ("nodes", "halo", "in", 1)
    assert document.problem("bad-value", "no", path, hint="yes") == Problem(
        "bad-value", "no", "nodes.halo.in[1]", "p.yaml", Span(3, 30, 5), "yes"
    )
    assert document.problem("bad", "no", ("nodes", "big"), on="key").span == Span(4, 3, 3)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), ""),
        (("nodes",), "nodes"),
        (("nodes", "halo", "in", 0), "nodes.halo.in[0]"),
        (("a", 1, 2, "b"), "a[1][2].b"),
        (("", "b"), ".b"),
    ],
)
def test_a_path_is_dotted(path: Keys, text: str) -> None:
    assert dotted(path) == text
