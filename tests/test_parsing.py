"""How many values a text holds, and what they are; in a process of its own, too."""

import base64
import json
import marshal
import math
import os
from typing import Any

import pytest

from composer import parsing
from composer.parsing import READ, TOO_MUCH, UNREADABLE, TooMuch, UnreadableJson, opened, parsed

MANY = 1000

DATA = os.urandom(3001)
TEXT = base64.b64encode(DATA).decode()


def body(**said: Any) -> bytes:
    return json.dumps(said).encode()


# how many values


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1", 1),
        ('"a, [ and {"', 1),
        ("[1, 2, 3]", 4),
        ('{"a": [1, 2], "b": {"c": null}}', 6),
        ('["a,b", "c\\",[d", "\\\\", ","]', 5),
        ('[{"a": "\\\\\\"[,,"}, []]', 5),  # the empty list counts twice
        ('"' + r"\"," * 50 + '"', 1),
    ],
)
def test_values_are_counted_without_reading_them(text: str, values: int) -> None:
    assert parsing.holds(text.encode(), values)
    assert not parsing.holds(text.encode(), values - 1)
    json.loads(text)


@pytest.mark.parametrize(
    "text",
    [
        "[" + "[]," * MANY + "1]",
        "[" + "{}," * MANY + "1]",
        "[" + "0," * MANY + "1]",
        "[" * (MANY + 1),
        '{"a":' * (MANY + 1),
        "[" + '"",' * MANY + "1]",
        '"" ' * (2 * MANY + 3) + "," * MANY,  # no JSON at all, and still no work without end
        json.dumps({str(number): number for number in range(MANY + 1)}),
    ],
)
def test_more_values_than_may_be_are_refused_before_they_are_read(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json, "loads", None)
    with pytest.raises(TooMuch, match="has more than 1000 values"):
        parsed(text.encode(), MANY)


@pytest.mark.parametrize(
    "value",
    [
        ["x" * 100] * (MANY - 1),
        ",[{" * 10_000,
        {"caption": '"' * 10_000, "list": list(range(MANY - 10))},
        {"a" * 10_000: 1},
    ],
)
def test_a_long_text_of_few_values_is_read(value: Any) -> None:
    assert parsed(json.dumps(value).encode(), MANY) == (value, True)


# what it says


def test_pythons_own_numbers_are_read_and_told() -> None:
    text = f"[NaN, -Infinity, 1e400, {'9' * 5000}]"
    (nan, *others), strict = parsed(text.encode(), MANY)
    assert math.isnan(nan)
    assert (others, strict) == ([-math.inf, math.inf, math.inf], False)
    assert parsed(b'["NaN", 1e400]', MANY) == (["NaN", math.inf], True)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "is not JSON: Expecting value at character 0"),
        (b'{"a": 1', "is not JSON: Expecting ',' delimiter at character 7"),
        (b'{"a": "b', "is not JSON: Unterminated string starting at at character 6"),
        (b"\xff\xfe", "is not UTF-8"),
        (b"[" * 9000, "is nested too deeply"),
    ],
)
def test_what_is_no_json_is_refused_with_its_place(text: bytes, why: str) -> None:
    with pytest.raises(UnreadableJson) as refused:
        parsed(text, 10_000)
    assert str(refused.value) == why


# an object around a picture


@pytest.mark.parametrize("held", [TEXT, f"data:image/png;base64,{TEXT}"])
def test_the_picture_and_the_rest_come_out(held: str) -> None:
    said = {"params": {"by": 3, "text": 'a "quoted" \\ word'}, "stream": True}
    assert opened(body(image=held, **said), "image", MANY) == (said, DATA)
    assert opened(body(**said, image=held), "image", MANY) == (said, DATA)


@pytest.mark.parametrize("held", [b'{"image": null}', b'{"image": ""}', b"{}"])
def test_no_picture_is_no_bytes(held: bytes) -> None:
    assert opened(held, "image", MANY) == ({}, b"")


@pytest.mark.parametrize(("sign", "escape"), [("/", r"\/"), ("/", r"\u002f"), ("+", r"\u002B")])
def test_writers_may_escape(sign: str, escape: str) -> None:
    text = "AAA" + sign * 8 + "A"
    written = body(image=text).replace(sign.encode(), escape.encode())
    assert opened(written, "image", MANY)[1] == base64.b64decode(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"[]", "should be a JSON object"),
        (b'{"image": "' + b"A" * 9, "is not JSON"),
        (body(image=7), "should hold text in base64 as 'image'"),
        (body(image="AAA"), "holds what is not base64 as 'image'"),
        (body(image="AAAA?AAA"), "holds what is not base64 as 'image'"),
        (body(image="AAA=AAAA"), "holds what is not base64 as 'image'"),
        (body(image="Ł" * 8), "holds what is not base64 as 'image'"),
        (body(image=TEXT, other=[0] * MANY), "has more than 1000 values"),
    ],
)
def test_what_is_wrong_with_it_is_said(text: bytes, why: str) -> None:
    with pytest.raises(UnreadableJson, match=why):
        opened(text, "image", MANY)


# as an answer for another process


@pytest.mark.parametrize(
    ("text", "name", "outcome", "said"),
    [
        (b'{"a": [1]}', "", READ, ({"a": [1]}, True)),
        (b'{"a": NaN}', "", READ, None),
        (b'{"image": "AAAA"}', "image", READ, ({}, bytes(3))),
        (b"[1, 2, 3, 4]", "", TOO_MUCH, "has more than 4 values"),
        (b"{", "", UNREADABLE, None),
    ],
)
def test_the_answer_of_the_process(text: bytes, name: str, outcome: int, said: Any) -> None:
    found, answer = parsing.answered(text, 4, name)
    assert found == outcome
    assert said is None or marshal.loads(answer) == said


def test_a_text_that_no_memory_is_there_for_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def loads(*args: Any, **more: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(json, "loads", loads)
    outcome, answer = parsing.answered(b"1", 4, "")
    assert (outcome, marshal.loads(answer)) == (TOO_MUCH, "takes too much memory to read")
