import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from composer.errors import Problem, Span
from composer.pipeline import report

PORTRAIT = """\
version: 1
nodes:
  halo:
    type: guassian_blur
    radius: 3

  big:
    raduis: 640
""".splitlines()


def shown(line: str, span: Span, hint: str = "") -> list[str]:
    """The source line and the carets under it."""
    problem = Problem("code", "message", file="p.yaml", span=span, hint=hint)
    return report.text([problem], {"p.yaml": [line]}).splitlines()[1:-1]


def test_a_problem_shows_its_line_a_caret_and_a_hint() -> None:
    problem = Problem(
        "unknown-node",
        "no node type 'guassian_blur'",
        "nodes.halo.type",
        "pipelines/portrait.yaml",
        Span(4, 11, 13),
        "did you mean 'gaussian_blur'?",
    )
    assert report.text([problem], {"pipelines/portrait.yaml": PORTRAIT}) == (
        "pipelines/portrait.yaml:4:11: unknown-node: no node type 'guassian_blur'\n"
        "      type: guassian_blur\n"
        "            ^^^^^^^^^^^^^ did you mean 'gaussian_blur'?\n"
        "1 problem"
    )


def test_problems_come_in_the_order_of_the_files() -> None:
    problems = [
        Problem("late", "line 8", file="b.yaml", span=Span(8, 5, 6)),
        Problem("right", "column 11", file="b.yaml", span=Span(4, 11, 13)),
        Problem("left", "column 5", file="b.yaml", span=Span(4, 5, 4)),
        Problem("whole", "no place", file="b.yaml", hint="what to do"),
        Problem("first", "another file", file="a.yaml", span=Span(1, 1)),
    ]
    assert report.text(problems, {"b.yaml": PORTRAIT}) == (
        "a.yaml:1:1: first: another file\n"
        "b.yaml: whole: no place\n"
        "  what to do\n"
        "b.yaml:4:5: left: column 5\n"
        "      type: guassian_blur\n"
        "      ^^^^\n"
        "b.yaml:4:11: right: column 11\n"
        "      type: guassian_blur\n"
        "            ^^^^^^^^^^^^^\n"
        "b.yaml:8:5: late: line 8\n"
        "      raduis: 640\n"
        "      ^^^^^^\n"
        "5 problems"
    )
    assert [problem["code"] for problem in report.as_json(problems)] == [
        "first",
        "whole",
        "left",
        "right",
        "late",
    ]


@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        pytest.param(
            Problem("bad-value", "should be less than 1", "nodes.halo.radius"),
            "nodes.halo.radius: bad-value: should be less than 1\n1 problem",
            id="a param patch has a path instead of a file",
        ),
        pytest.param(
            Problem("too-many", "no room", hint="wait"),
            "too-many: no room\n  wait\n1 problem",
            id="neither file nor path",
        ),
        pytest.param(
            Problem("gone", "cannot be read", "a", "gone.yaml", Span(3, 1), "make it"),
            "gone.yaml:3:1: gone: cannot be read\n  make it\n1 problem",
            id="the file's lines are not known",
        ),
        pytest.param(
            Problem("end", "too short", "a", "p.yaml", Span(99, 1)),
            "p.yaml:99:1: end: too short\n1 problem",
            id="the line is beyond the file",
        ),
        pytest.param(
            Problem("blank", "nothing here", "a", "p.yaml", Span(6, 1), "write something"),
            "p.yaml:6:1: blank: nothing here\n  write something\n1 problem",
            id="the line is blank",
        ),
    ],
)
def test_without_a_line_there_is_no_caret(problem: Problem, expected: str) -> None:
    assert report.text([problem], {"p.yaml": PORTRAIT}) == expected


def test_no_problem_is_counted_too() -> None:
    assert report.text([], {}) == "0 problems"


@pytest.mark.parametrize(
    ("line", "span", "expected"),
    [
        pytest.param("a: b", Span(1, 4, 99), ["  a: b", "     ^"], id="longer than the line"),
        pytest.param("a:", Span(1, 3), ["  a:", "    ^"], id="after the last character"),
        pytest.param("a:", Span(1, 50, 3), ["  a:", "    ^"], id="far behind the line"),
        pytest.param("a: b  ", Span(1, 4), ["  a: b", "     ^"], id="spaces at the end"),
        pytest.param("\ta: b", Span(1, 5), ["      a: b", "         ^"], id="tab before"),
        pytest.param("\ta: b", Span(1, 1), ["      a: b", "  ^^^^"], id="tab itself"),
        pytest.param("猫: 犬x", Span(1, 4, 2), ["  猫: 犬x", "      ^^^"], id="wide characters"),
        pytest.param("e\u0301: b", Span(1, 5), ["  e\u0301: b", "     ^"], id="combining accent"),
        pytest.param("a\x1b[2Jb", Span(1, 6), ["  a\\x1b[2Jb", "          ^"], id="terminal code"),
        pytest.param("a\u202eb", Span(1, 2), ["  a\\u202eb", "   ^^^^^^"], id="right to left"),
        pytest.param("a\ud800b", Span(1, 3), ["  a\\ud800b", "         ^"], id="half a character"),
    ],
)
def test_the_caret_stays_under_the_text(line: str, span: Span, expected: list[str]) -> None:
    assert shown(line, span) == expected


@pytest.mark.parametrize(
    ("column", "length", "expected"),
    [
        pytest.param(4, 5, ["  a: " + "x" * 117 + "…", "     ^^^^^"], id="start"),
        pytest.param(200, 3, ["  …" + "x" * 120 + "…", "  " + " " * 41 + "^^^ hint"], id="middle"),
        pytest.param(303, 1, ["  …" + "x" * 120, "  " + " " * 120 + "^ hint"], id="end"),
        pytest.param(
            100, 500, ["  …" + "x" * 120 + "…", "  " + " " * 41 + "^" * 80 + " hint"], id="long"
        ),
    ],
)
def test_a_long_line_is_cut_around_the_caret(column: int, length: int, expected: list[str]) -> None:
    hint = "hint" if column > 4 else ""
    assert shown("a: " + "x" * 300, Span(1, column, length), hint) == expected


def test_messages_and_hints_cannot_move_the_cursor() -> None:
    problem = Problem("code", "a\nb\x1b", file="p\r.yaml", span=Span(1, 1), hint="c\x07")
    assert report.text([problem], {"p\r.yaml": ["x"]}) == (
        "p\\r.yaml:1:1: code: a\\nb\\x1b\n  x\n  ^ c\\x07\n1 problem"
    )


@given(
    st.text(max_size=300),
    st.builds(Span, st.just(1), st.integers(1, 400), st.integers(1, 400)),
    st.text(max_size=20),
)
def test_any_text_is_safe_to_print(line: str, span: Span, words: str) -> None:
    problem = Problem("code", words, file="p.yaml", span=span, hint=words)
    text = report.text([problem], {"p.yaml": [line]})
    assert text.encode()
    assert not any(ord(char) < 32 and char != "\n" for char in text)
    assert len(text.splitlines()) <= 4


def test_as_json_holds_every_field() -> None:
    placed = Problem("code", "message", "a.b", "p.yaml", Span(4, 11, 13), "hint")
    bare = Problem("code", "message")
    expected = [
        {
            "code": "code",
            "message": "message",
            "file": "",
            "line": None,
            "column": None,
            "length": None,
            "at": "",
            "hint": "",
        },
        {
            "code": "code",
            "message": "message",
            "file": "p.yaml",
            "line": 4,
            "column": 11,
            "length": 13,
            "at": "a.b",
            "hint": "hint",
        },
    ]
    assert report.as_json([placed, bare]) == expected
    assert json.loads(json.dumps(report.as_json([placed, bare]))) == expected
