from dataclasses import dataclass
from typing import Any

import pytest

from composer.engine.layers.layer import Memory, Missed, Site
from tests.engine.layers.sites import step_of


@dataclass
class Number:
    value: int = 0


@dataclass
class Other:
    value: int = 7


def test_a_memory_has_one_state_of_each_class() -> None:
    memory = Memory()
    memory.of(Number).value += 1
    memory.of(Number).value += 1
    assert (memory.of(Number), memory.of(Other)) == (Number(2), Other(7))
    assert Memory().of(Number) == Number(0)


@pytest.mark.parametrize(
    ("options", "gated"),
    [
        ({}, []),
        ({"on_error": "drop"}, []),
        ({"when": "on"}, ["when"]),
        ({"every": 2}, ["every"]),
        ({"rate": 5.0}, ["rate"]),
    ],
    ids=str,
)
def test_some_options_let_frames_by(options: dict[str, Any], gated: list[str]) -> None:
    assert Site(step_of(**options)).gated is bool(gated)


def test_what_is_let_by_is_what_else_says() -> None:
    assert Site(step_of(every=2, else_="drop")).missed("why") == Missed("drop", "why")
    assert Site(step_of(every=2)).missed("why") == Missed("pass", "why")
