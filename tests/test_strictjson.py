"""JSON that every reader can read."""

import copy
import json
import math
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from composer import strictjson
from composer.strictjson import MOST_TOLD


class Word(StrEnum):
    ONE = "one"


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def strict(text: str) -> Any:
    def refused(constant: str) -> Any:
        raise AssertionError(f"{constant} is not JSON")

    text.encode()
    return json.loads(text, parse_constant=refused)


@pytest.mark.parametrize(
    ("value", "read"),
    [
        pytest.param({"a": [1, 2.5, None, True, "é"]}, {"a": [1, 2.5, None, True, "é"]}, id="JSON"),
        pytest.param({"a": math.nan, "b": [math.inf]}, {"a": None, "b": [None]}, id="no number"),
        pytest.param(np.array([1.0, np.nan]), [1.0, None], id="array"),
        pytest.param({"a": np.float32(0.5), "b": np.int64(7)}, {"a": 0.5, "b": 7}, id="scalars"),
        pytest.param("a\ud800b", "a\ufffdb", id="half of a character"),
        pytest.param({"\udcff": "\U0001f600"}, {"\ufffd": "\U0001f600"}, id="in a key"),
        pytest.param("\ud83d\ude00", "\U0001f600", id="two halves of one"),
        pytest.param("a \\ud800 written out", "a \\ud800 written out", id="no escape"),
        pytest.param({(1, 2): 3, 4: 5}, {"(1, 2)": 3, "4": 5}, id="keys"),
        pytest.param(MappingProxyType({"a": (1,)}), {"a": [1]}, id="mapping"),
        pytest.param([Word.ONE, Path("a/b")], ["one", "a/b"], id="its text"),
        pytest.param([10**5000, math.nan], [None, None], id="huge"),
    ],
)
@pytest.mark.parametrize("form", [{}, {"ensure_ascii": False}, {"indent": 2}])
def test_whatever_it_is_told_it_writes_what_others_read(
    value: Any, read: Any, form: dict[str, Any]
) -> None:
    assert strict(strictjson.text(value, **form)) == read


def test_a_value_without_end_ends() -> None:
    endless: list[Any] = []
    endless.append(endless)
    assert "null" in strictjson.text(endless)
    assert "null" in strictjson.text(deep(100_000))


def test_it_is_ascii_on_one_line_unless_asked() -> None:
    assert strictjson.text({"a": "é\n"}) == '{"a": "\\u00e9\\n"}'
    assert strictjson.text({"a": "é"}, ensure_ascii=False) == '{"a": "é"}'


@pytest.mark.parametrize(
    ("value", "said"),
    [
        pytest.param(math.nan, "finite number", id="not a number"),
        pytest.param([{"a": -math.inf}], "finite number", id="deep"),
        pytest.param(10**400, "finite number", id="huge"),
        pytest.param("\ud800", "half of a character", id="text"),
        pytest.param({"\udcff": 1}, "half of a character", id="key"),
        pytest.param(deep(strictjson.MOST_DEPTH + 1), "inside each other", id="nested"),
        pytest.param(deep(100_000), "inside each other", id="nested very deeply"),
    ],
)
def test_why_a_value_cannot_be_held(value: Any, said: str) -> None:
    assert said in strictjson.why_not(value)


@pytest.mark.parametrize(
    "value", [None, True, 2**1000, 1.5, "\U0001f600", [1, {"a": ()}], deep(strictjson.MOST_DEPTH)]
)
def test_what_can_be_held(value: Any) -> None:
    assert strictjson.why_not(value) == ""


@pytest.mark.parametrize(
    "value",
    [None, 1.5, "x" * MOST_TOLD, [1.5] * 4000, {"a": "x" * 30_000, "b": [True] * 200}],
)
def test_what_is_not_long_is_told_as_it_is(value: Any) -> None:
    assert strictjson.brief(value) is value


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("ab" * 20_000, f"{'ab' * 32}... (40000 characters, crc32 "),
        ("\ud800" * 40_000, "\ud800" * 64 + "... (40000 characters, crc32 "),
        ([[1, "x"]] * 5000, "a list (5000 values, crc32 "),
        ({"a": "x" * 40_000, "b": 1}, "a mapping (2 values, crc32 "),
    ],
)
def test_what_is_long_is_told_by_its_beginning_and_a_mark(value: Any, told: str) -> None:
    assert strictjson.brief(value).startswith(told)
    assert strictjson.brief(copy.deepcopy(value)) == strictjson.brief(value)


def test_long_values_that_differ_anywhere_are_told_apart() -> None:
    values: list[Any] = ["x" * 40_000, "x" * 39_999 + "y", ["x" * 40_000], ["x" * 40_000, "x"]]
    values += [{"a": values[0]}, {"b": values[0]}, [values[0], 1], [values[0], 2], [[values[0]]]]
    assert len({strictjson.brief(value) for value in values}) == len(values)


def test_numbers_without_end_are_read_as_what_they_are() -> None:
    found = strictjson.read(f"[NaN, 1e400, -Infinity, {'9' * 5000}, {'9' * 400}]")
    assert [strictjson.why_not(each) for each in found] == [" should be a finite number"] * 5
