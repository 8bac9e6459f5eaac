"""Where a problem is said to be, and what of a hidden value is shown there."""

from composer.compiler.location import Location
from composer.errors import Span
from composer.pipeline import source
from tests.stubs import graph_of

DOC = source.parse("a: {b: 1}\nc: ${env:TOKEN}\n", "p.yaml", {"TOKEN": "hunter"})


def test_a_problem_has_its_place() -> None:
    _, problems = graph_of("nodes:\n  s: {type: count}\n  a: {type: pas}\n  o: {type: collect}")
    assert problems[0].span == Span(4, 13, 3)
    assert "'pass'" in problems[0].hint


def test_what_is_below_has_its_name_and_its_place() -> None:
    place = Location(DOC, ()).below("a", "b")
    assert place.name == "a.b"
    assert place.problem("bad-value", "no").span == Span(1, 8, 1)
    assert place.problem("bad-value", "no", key=True).span == Span(1, 5, 1)


def test_a_mapping_is_one_and_a_value_is_none() -> None:
    assert Location(DOC, ("a",)).is_mapping
    assert not Location(DOC, ("a", "b")).is_mapping
    assert not Location(DOC, ("x", "y")).is_mapping


def test_a_value_of_the_environment_is_shown_as_it_was_written() -> None:
    hidden, open_ = Location(DOC, ("c",)), Location(DOC, ("a", "b"))
    assert [hidden.hidden, open_.hidden] == [True, False]
    assert hidden.as_written("got 'hunter'", "hunter") == "got ${env:TOKEN}"
    assert open_.as_written("got 'hunter'", "hunter") == "got 'hunter'"
