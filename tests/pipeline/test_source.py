import pathlib
import time
import tracemalloc
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from composer.pipeline import report
from composer.pipeline.document import Keys
from composer.pipeline.source import (
    MAX_BYTES,
    MAX_DEPTH,
    MAX_KEY,
    MAX_NODES,
    MAX_PROBLEMS,
    MAX_SCALAR,
    load,
)
from tests.pipeline.reading import PORTRAIT, codes, read, said


def test_data_is_what_was_written() -> None:
    document = read(PORTRAIT)
    assert document.problems == ()
    assert document.data == {
        "version": 1,
        "nodes": {
            "halo": {"type": "blur", "in": ["a", "b c"]},
            "big": {"radius": 64, "empty": None, "text": "one\ntwo\n"},
            "list": ["x", "y z"],
        },
    }


def test_keys_are_the_text_that_is_written() -> None:
    document = read("on: 1\ntrue: 2\n~: 3\n010: 4\n1.0: 5\n'q': 6\n'<<': 7\n${env:X}: 8\n")
    assert document.problems == ()
    assert list(document.data) == ["on", "true", "~", "010", "1.0", "q", "<<", "${env:X}"]


def test_problems_of_the_whole_file_come_together_and_in_order() -> None:
    document = read("a: 010\nb: !x 1\nb: 2\nc: &y ${env:NO}\nd: [1\n")
    assert codes(document) == ["bad-number", "tag", "duplicate-key", "alias", "bad-env", "yaml"]
    assert document.data == {}


def test_what_is_not_wrong_stays_usable() -> None:
    document = read("a: 1\na: {b: 2}\nc: 010\nd: ${env:NO}\ne: [1, *x]\n")
    assert document.data == {"a": 1, "c": "010", "d": "${env:NO}", "e": [1, None]}
    assert ("a", "b") not in document.keys


ENV = {
    "W": "640",
    "EMPTY": "",
    "ZERO": "010",
    "TOKEN": "s3cret: {x}",
    "LONG": "v" * 10_000,
    "BYTES": "\udcff",
}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        pytest.param(" " * MAX_BYTES, "not-a-mapping", id="largest file"),
        pytest.param(" " * (MAX_BYTES + 1), "too-big", id="file"),
        pytest.param("é" * (MAX_BYTES // 2 + 1), "too-big", id="file in bytes"),
        pytest.param("a: " + "x" * (MAX_SCALAR + 1), "too-big", id="value"),
        pytest.param("a: " + "[" * MAX_DEPTH + "]" * MAX_DEPTH, "too-deep", id="brackets"),
        pytest.param("a:\n " + "- " * MAX_DEPTH + "x", "too-deep", id="dashes"),
        pytest.param(f"a: [{'x,' * MAX_NODES}]", "too-many", id="values"),
        pytest.param("? " + "x" * (MAX_KEY + 1) + "\n: 1", "bad-key", id="key"),
        pytest.param("a: " + "9" * 41, "bad-number", id="digits"),
    ],
)
def test_what_is_over_a_limit_is_refused(text: str, code: str) -> None:
    assert codes(read(text)) == [code]
    assert codes(read(text.encode())) == [code]


def test_what_is_at_the_limits_is_read() -> None:
    brackets, items = MAX_DEPTH - 1, MAX_NODES - 3
    assert read(f"a: {'[' * brackets}{']' * brackets}").problems == ()
    assert read("a:\n " + "- " * brackets + "x").problems == ()
    assert len(read(f"a: [{'x,' * items}]").data["a"]) == items
    assert len(read("a: " + "x" * MAX_SCALAR).data["a"]) == MAX_SCALAR
    assert read("x" * MAX_KEY + ": 1").data == {"x" * MAX_KEY: 1}


def test_the_limits_say_what_they_are() -> None:
    assert said("#" * (MAX_BYTES + 1)) == (
        "p.yaml: too-big: the file is larger than 64 KiB\n"
        "  move parts of it into files of their own (type: pipeline)"
    )
    deep = f"a: {'[' * 40}"
    assert said(deep) == (
        "p.yaml:1:35: too-deep: more than 32 lists and mappings inside each other\n"
        f"  {deep}\n"
        f"  {' ' * 34}^"
    )


def test_after_a_hundred_problems_the_rest_is_not_read() -> None:
    document = read("a: 010\n" + "a: 1\n" * 5000)
    assert len(document.problems) == MAX_PROBLEMS + 1
    assert document.problems[-1].message == "the rest of the file is not checked"
    assert document.data == {}


BOMB = "a: &a [x]\n" + "".join(
    f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n"
    for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
HOSTILE = {
    "a million keys": "".join(f"k{number}: 1\n" for number in range(1_000_000)),
    "keys": "".join(f"k{number}: 1\n" for number in range(7000)),
    "400 KB of brackets": "[" * 400_000,
    "brackets": "[" * MAX_BYTES,
    "brackets on lines": "[\n" * (MAX_BYTES // 2),
    "braces": "{a: " * (MAX_BYTES // 4),
    "dashes": "- " * (MAX_BYTES // 2),
    "question marks": "? " * (MAX_BYTES // 2),
    "empty keys": "?\n" * (MAX_BYTES // 2),
    "empty lists": f"a: [{'[],' * 20_000}]",
    "alias bomb": BOMB,
    "alias to itself": "a: &a [*a]\n",
    "anchors": f"a: [{'&a,' * 20_000}]",
    "10 MB": "a: " + "x" * 10_000_000,
    "python tag": "a: !!python/object/apply:os.system [touch /tmp/x]\n",
    "tag directives": "".join(f"%TAG !{number}! x\n" for number in range(4000)),
    "bad numbers": f"a: [{'010,' * 16_000}]",
    "duplicates": "a: 1\n" * 13_000,
    "digits": "a: " + "9" * 60_000,
    "one long text": 'a: "' + "x " * 32_000 + '"',
    "folded text": "a: >\n" + " x\n" * 21_000,
    "references": "a: '" + "${env:LONG}" * 1400 + "'",
    "bad references": "a: " + "${}" * 5000,
    "open references": "a: " + "${" * 8000,
    "documents": "---\n" * 16_000,
    "empty lines": "\n" * MAX_BYTES,
    "long key": "? " + "x" * 30_000 + "\n:\n" + " - 010\n" * 4000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.fault("F-59")
def test_a_hostile_file_is_refused_quickly(text: str) -> None:
    started = time.perf_counter()
    document = read(text, ENV)
    shown = report.text(document.problems, {"p.yaml": document.lines})
    seconds = time.perf_counter() - started
    assert document.problems
    assert seconds < 1.0  # 0.2 s is promised; a busy machine may take five times that
    assert len(shown) < 100_000


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.fault("F-59")
def test_a_hostile_file_takes_little_memory(text: str) -> None:
    data = text.encode()
    tracemalloc.start()
    try:
        read(data, ENV)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 50e6


def test_a_file_is_read_from_disk(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: ${env:W}\r\n")
    assert load(path, ENV).data == {"a": 640}
    assert load(path, ENV).file == str(path)
    assert load(path, ENV, "shown.yaml").file == "shown.yaml"
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "no.yaml", ENV)


def test_a_file_without_end_is_not_read_to_its_end() -> None:
    assert codes(load(pathlib.Path("/dev/zero"), {})) == ["too-big"]


LETTERS = "a[]{},'\"\\|>#@`~é猫\n\r\t\0\ufeff\u2028\ufdd0"
WORDS_OF_YAML = (
    "b: |: |- |? |\n  |\n    | #|&a |*a|!t |%Y|---\n|...\n|<<: |${|$${|${env:W}|:-|010|1e3|.nan|"
    "\\x|\\ud800|\\U|true|- - "
)
YAMLISH = st.lists(st.sampled_from([*LETTERS, *WORDS_OF_YAML.split("|")]), max_size=40).map("".join)


@settings(max_examples=1000, suppress_health_check=[HealthCheck.too_slow], deadline=2000)
@given(st.one_of(st.text(), YAMLISH, st.binary(), YAMLISH.map(lambda text: "a: " + text)))
@example("%YAML 1." + "9" * 5000 + "\n---\n")
@example('"\\U7FFFFFFF')
@example(b"\xff\xfea\x00")
@example("\ud800")
def test_no_text_makes_parse_raise(text: bytes | str) -> None:
    document = read(text, ENV)
    shown = report.text(document.problems, {"p.yaml": document.lines})
    assert shown.encode()
    for span in (*document.keys.values(), *document.values.values()):
        line = document.lines[span.line - 1]
        assert 1 <= span.column <= len(line) + 1
        assert span.column - 1 + span.length <= len(line) + 1
    for problem in document.problems:
        if problem.span:
            assert 1 <= problem.span.line <= len(document.lines)


# Written by PyYAML as any text; left out is only what parse() refuses or fills in.
WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0$"))
NAMES = st.text(st.characters(codec="utf-8", categories=["L", "N", "P"]), min_size=1, max_size=20)
VALUES = st.recursive(
    WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=10,
)


def leaves(value: Any, path: Keys = ()) -> dict[Keys, str]:
    """Every text in nested data with its path."""
    match value:
        case dict():
            items: Any = value.items()
        case list():
            items = enumerate(value)
        case _:
            return {path: value}
    return {at: leaf for key, inner in items for at, leaf in leaves(inner, (*path, key)).items()}


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    data=st.dictionaries(NAMES, VALUES, max_size=5),
    quote=st.sampled_from(["'", '"']),
    flow=st.booleans(),
    unicode=st.booleans(),
)
def test_data_written_as_yaml_comes_back_with_its_places(
    *, data: dict[str, Any], quote: str, flow: bool, unicode: bool
) -> None:
    text = yaml.safe_dump(
        data, default_style=quote, default_flow_style=flow, allow_unicode=unicode, sort_keys=False
    )
    document = read(text)
    # Unescaped, some characters are refused: U+0085, U+2028 and the like.
    assume(not unicode or codes(document) != ["encoding"])
    assert document.problems == ()
    assert document.data == data
    for path, leaf in leaves(data).items():
        span = document.values[path]
        line = document.lines[span.line - 1]
        written = line[span.column - 1 : span.column - 1 + span.length]
        assert written[0] in "'\""
        if len(written) > 1 and written[-1] == written[0] and "\n" not in leaf:
            assert yaml.safe_load(written) == leaf
    for path in document.keys:
        span = document.keys[path]
        line = document.lines[span.line - 1]
        assert yaml.safe_load(line[span.column - 1 : span.column - 1 + span.length]) == path[-1]
