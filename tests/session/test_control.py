"""What a caller asks of a session, before anybody looks at the values."""

import json
import math
from typing import Any

import pytest

from composer.errors import ParamRejected
from composer.session import control


@pytest.mark.parametrize(
    ("given", "known", "values"),
    [
        (None, [], {}),
        ({}, [], {}),
        ({"a": 1}, ["a"], {"a": 1}),
        ({"params": {"a": 1}}, ["a"], {"a": 1}),
        ({"params": None}, ["a"], {}),
        ({"params": 3}, ["params"], {"params": 3}),
        ({"params": {"a": 1}, "b": 2}, ["a"], {"params": {"a": 1}, "b": 2}),
        ({"width": 512, "height": "512", "max_framerate": 30, "a": 1}, ["a"], {"a": 1}),
        ({"width": 512, "height": 512}, ["width", "height"], {"width": 512, "height": 512}),
        ({"width": 512, "height": 512}, ["width"], {"width": 512}),
        ({"detect_out_resolution": "no"}, [], {}),
    ],
)
def test_what_a_body_sets(given: Any, known: list[str], values: dict[str, Any]) -> None:
    assert control.values(given, known) == values


@pytest.mark.parametrize(
    ("given", "fields"),
    [
        ([1], ["params"]),
        ("text", ["params"]),
        ({"params": [1]}, ["params"]),
        ({str(each): 1 for each in range(257)}, ["params"]),
        ({"width": 512}, ["height"]),
        ({"width": 0, "height": 10}, ["width"]),
        ({"width": True, "height": "x"}, ["width", "height"]),
        ({"max_framerate": 61}, ["max_framerate"]),
        ({"max_framerate": 30.5}, ["max_framerate"]),
        ({"detect_out_resolution": "perhaps"}, ["detect_out_resolution"]),
    ],
)
def test_what_is_refused_with_its_field(given: Any, fields: list[str]) -> None:
    with pytest.raises(ParamRejected) as refused:
        control.values(given, [])
    assert [problem.at for problem in refused.value.problems] == fields


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "not JSON"),
        (b"", "not JSON"),
        (b"\xff\xfe", "UTF-8"),
        (b"[" * 100_000, "too deeply"),
    ],
)
@pytest.mark.fault("F-77")
def test_bodies_that_cannot_be_read(body: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        control.decoded(body)
    assert control.message(body) is None


def test_numbers_that_json_does_not_have_are_left_for_the_field_to_refuse() -> None:
    body = b'{"a": NaN, "b": -Infinity, "c": 1e400, "d": ' + b"9" * 5000 + b"}"
    found = dict(control.message(body) or {})
    assert math.isnan(found.pop("a"))
    assert found == {"b": -math.inf, "c": math.inf, "d": math.inf}


def test_messages_of_the_control_channel() -> None:
    assert control.message(b'{"keep":"alive"}') is None
    assert control.message(b"{}") is None
    assert control.message(b"[1]") is None
    large = {"prompt": "x" * 2_000_000}
    assert control.message(json.dumps(large).encode()) == large
