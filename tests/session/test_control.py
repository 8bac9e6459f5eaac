"""What a caller asks of a session, before anybody looks at the values."""

import asyncio
import json
import math
from collections.abc import Mapping
from typing import Any

import pytest

from composer import parsing
from composer.errors import ParamRejected
from composer.limits import WireLimits
from composer.parser import Parser
from composer.session import control
from composer.spool import Spool


def heard(body: bytes) -> Mapping[str, Any] | None:
    """The change in a message of control."""
    parser = Parser(WireLimits())
    try:
        return asyncio.run(control.message(Spool.of(body), parser))
    finally:
        parser.close()


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
        ({"detect_out_resolution": "TRUE"}, [], {}),
        ({"detect_out_resolution": 1}, [], {}),
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
        ({"detect_out_resolution": None}, ["detect_out_resolution"]),
        ({"detect_out_resolution": 2}, ["detect_out_resolution"]),
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
        (b"[" * 4_000, "too deeply"),
    ],
)
@pytest.mark.fault("F-77")
def test_bodies_that_cannot_be_read(body: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parsing.parsed(body, 200_000)
    assert heard(body) is None


def test_numbers_that_json_does_not_have_are_left_for_the_field_to_refuse() -> None:
    body = b'{"a": NaN, "b": -Infinity, "c": 1e400, "d": ' + b"9" * 5000 + b"}"
    found = dict(heard(body) or {})
    assert math.isnan(found.pop("a"))
    assert found == {"b": -math.inf, "c": math.inf, "d": math.inf}


def test_messages_of_the_control_channel() -> None:
    assert heard(b'{"keep":"alive"}') is None
    assert heard(b"{}") is None
    assert heard(b"[1]") is None
    large = {"prompt": "x" * 2_000_000}
    assert heard(json.dumps(large).encode()) == large


def test_a_message_that_may_be_a_change_and_cannot_be_read_is_no_garbage() -> None:
    with pytest.raises(control.Unheard, match="the message has more than 5000 values"):
        heard(b'{"points": [' + b"0," * 5000 + b"0]}")
