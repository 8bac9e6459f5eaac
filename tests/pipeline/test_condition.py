from typing import Any

import pytest

from composer.pipeline.condition import MAX_LENGTH, parse

VALUES = {"show": True, "off": False, "level": 3, "mood": "calm", "none": None}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("show", True, id="a param"),
        pytest.param("off", False, id="a param that is false"),
        pytest.param("not show", False, id="not"),
        pytest.param("true", True, id="true as in YAML"),
        pytest.param("false", False, id="false as in YAML"),
        pytest.param("none == null", True, id="null as in YAML"),
        pytest.param("level > 2", True, id="greater"),
        pytest.param("level >= 4", False, id="at least"),
        pytest.param("level < 4", True, id="less"),
        pytest.param("level <= 2", False, id="at most"),
        pytest.param("1 < level < 4", True, id="between"),
        pytest.param("3 < level < 4", False, id="not between"),
        pytest.param("level == -3", False, id="negative number"),
        pytest.param('mood == "calm"', True, id="text"),
        pytest.param('mood != "calm"', False, id="other text"),
        pytest.param('mood in ["calm", "wild"]', True, id="in a list"),
        pytest.param('mood not in ("wild",)', True, id="not in a list"),
        pytest.param("show and level > 5", False, id="and"),
        pytest.param("off or level > 2", True, id="or"),
        pytest.param("not (off or level > 5)", True, id="brackets"),
        pytest.param("  show  ", True, id="spaces around"),
        pytest.param("mood > 3", False, id="unlike values"),
        pytest.param("3 in level", False, id="in what holds nothing"),
    ],
)
def test_condition(text: str, expected: bool) -> None:  # noqa: FBT001 - a table
    assert parse(text).holds(VALUES) is expected


def test_names_have_their_columns() -> None:
    assert parse('show and level > 3 or mood == "level"').names == {
        "show": 0,
        "level": 9,
        "mood": 22,
    }


@pytest.mark.parametrize(
    "text",
    [
        "level.real",
        "open('x')",
        "level[0]",
        "level + 1 > 3",
        "lambda: 1",
        "[x for x in mood]",
        "f'{mood}'",
        "(show := 1)",
        "show if off else level",
        "level is 3",
        "b'x' == mood",
        "...",
        "-show",
        "~level",
    ],
)
def test_nothing_else_may_stand_in_a_condition(text: str) -> None:
    with pytest.raises(ValueError, match=r"in a condition; .* params, values|may use ==, !="):
        parse(text)


@pytest.mark.parametrize("text", ["", "level >", "level 3", "level = 3", "show\x00", "(" * 300])
def test_what_is_no_condition(text: str) -> None:
    with pytest.raises(ValueError, match="is not a condition"):
        parse(text)


def test_a_condition_has_a_longest_length() -> None:
    assert parse("x" * MAX_LENGTH).names
    with pytest.raises(ValueError, match=f"is longer than {MAX_LENGTH} characters"):
        parse("x" * (MAX_LENGTH + 1))


def test_below_a_scope_it_reads_the_params_of_the_scope() -> None:
    inside: dict[str, Any] = {"show": True, "a/show": False}
    assert parse("show").holds(inside)
    assert not parse("show").below("a/").holds(inside)
