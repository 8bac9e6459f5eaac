import pathlib
import time
import tracemalloc
from collections.abc import Mapping
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from composer.errors import Problem, Span
from composer.pipeline import report
from composer.pipeline.source import (
    MAX_BYTES,
    MAX_DEPTH,
    MAX_KEY,
    MAX_NODES,
    MAX_PROBLEMS,
    MAX_SCALAR,
    Document,
    Keys,
    did_you_mean,
    dotted,
    load,
    parse,
)


def read(text: bytes | str, env: Mapping[str, str] | None = None) -> Document:
    return parse(text, "p.yaml", env or {})


def said(text: bytes | str, env: Mapping[str, str] | None = None) -> str:
    """What the reader of a broken file sees, without the count."""
    document = read(text, env)
    return report.text(document.problems, {"p.yaml": document.lines}).rpartition("\n")[0]


def codes(document: Document) -> list[str]:
    return [problem.code for problem in document.problems]


PORTRAIT = """\
version: 1
nodes:   # one per line
  halo: {type: blur, in: [a, "b c"]}
  big:
    radius: 64
    empty:
    text: |
      one
      two
  list:
  - x
  -  y z
"""


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


def test_a_span_ends_with_its_line() -> None:
    document = read('a: "one  \n  two"\nb: [1,  # first\n  2]\nc: x y\n  z\n')
    assert document.data == {"a": "one two", "b": [1, 2], "c": "x y z"}
    assert document.value(("a",)) == Span(1, 4, 4)
    assert document.value(("b",)) == Span(3, 4, 12)
    assert document.value(("c",)) == Span(5, 4, 3)


@pytest.mark.parametrize(
    "text", ["ä: '猫'\r\nb: 1\r\n", "ä: '猫'\rb: 1\r", "\ufeffä: '猫'\nb: 1\n"]
)
def test_columns_count_characters_whatever_the_line_ends(text: str) -> None:
    for document in (read(text), read(text.encode())):
        assert document.data == {"ä": "猫", "b": 1}
        assert document.value(("ä",)) == Span(1, 4, 3)
        assert document.value(("b",)) == Span(2, 4, 1)
        assert document.lines == ("ä: '猫'", "b: 1", "")


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


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        pytest.param("raduis", "did you mean 'radius'?", id="letters swapped"),
        pytest.param("RADIUS", "did you mean 'radius'?", id="capitals"),
        pytest.param("Typo", "did you mean 'Type'?", id="spelled as it is known"),
        pytest.param("strength", "", id="nothing is close"),
        pytest.param("radius" * 1000, "", id="too long to look for"),
    ],
)
def test_one_close_word_is_suggested(word: str, hint: str) -> None:
    assert did_you_mean(word, ["radios", "radius", "Type"]) == hint


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("Null", None),
        ("nUll", "nUll"),
        ("true", True),
        ("True", True),
        ("TRUE", True),
        ("tRue", "tRue"),
        ("false", False),
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("Off", "Off"),
        ("y", "y"),
        ("0", 0),
        ("-0", 0),
        ("+12", 12),
        ("0x1F", 31),
        ("0o17", 15),
        ("-0x1F", "-0x1F"),
        ("0b11", "0b11"),
        ("1_000", "1_000"),
        ("1,000", "1,000"),
        ("1e3", 1000.0),
        ("-1.5E-1", -0.15),
        (".5", 0.5),
        ("5.", 5.0),
        ("01.5", 1.5),
        (".inf", float("inf")),
        ("-.INF", float("-inf")),
        (".", "."),
        ("e3", "e3"),
        ("12:30:00", "12:30:00"),
        ("2020-01-01", "2020-01-01"),
        ("1.2.3", "1.2.3"),
        ("=", "="),
        ("١٢", "١٢"),
        ("'1'", "1"),
        ('"true"', "true"),
        ("''", ""),
        ("| \n  1\n", "1\n"),
    ],
)
def test_a_plain_value_means_what_yaml_1_2_says(written: str, value: Any) -> None:
    document = read(f"a: {written}")
    assert document.problems == ()
    assert document.data == {"a": value}
    assert type(document.data["a"]) is type(value)


def test_keys_are_the_text_that_is_written() -> None:
    document = read("on: 1\ntrue: 2\n~: 3\n010: 4\n1.0: 5\n'q': 6\n'<<': 7\n${env:X}: 8\n")
    assert document.problems == ()
    assert list(document.data) == ["on", "true", "~", "010", "1.0", "q", "<<", "${env:X}"]


def test_an_emoji_written_as_two_escapes_is_one_character() -> None:
    assert read('{"a": "\\ud83d\\ude00"}').data == {"a": "😀"}


BROKEN = [
    pytest.param(
        "a:\n\tb: 1\n",
        "p.yaml:2:1: yaml: a tab cannot indent YAML; use spaces\n      b: 1\n  ^^^^",
        id="tab indents",
    ),
    pytest.param(
        "a:\tb\n",
        "p.yaml:1:3: yaml: a tab cannot stand here; use a space\n  a:    b\n    ^^^^",
        id="tab after a colon",
    ),
    pytest.param(
        "a: 1\nb: 'x\nc: 2\n",
        "p.yaml:2:4: yaml: this quote is never closed\n  b: 'x\n     ^",
        id="quote never closed",
    ),
    pytest.param(
        'a: "x\nb: "y"\nc: 1\n',
        "p.yaml:1:4: yaml: the text that starts here ends on line 2, where more follows\n"
        '  a: "x\n     ^ is a closing quote missing?',
        id="quote closed by the next quote",
    ),
    pytest.param(
        "a: [1, 2\nb: 3\n",
        "p.yaml:1:4: yaml: '[' is never closed\n  a: [1, 2\n     ^",
        id="bracket never closed",
    ),
    pytest.param(
        "a:\n  b: {x: [1, 2],\n",
        "p.yaml:2:6: yaml: '{' is never closed\n    b: {x: [1, 2],\n       ^",
        id="brace never closed",
    ),
    pytest.param(
        "a: [1, c: d: e]\n",
        "p.yaml:1:12: yaml: expected ',' or ']' before this\n  a: [1, c: d: e]\n             ^",
        id="comma missing",
    ),
    pytest.param(
        "a: ]\n",
        "p.yaml:1:4: yaml: expected a value, not ']'\n  a: ]\n     ^ put text in quotes",
        id="bracket never opened",
    ),
    pytest.param(
        "a: b: c\n",
        "p.yaml:1:5: yaml: a ':' cannot stand here\n"
        "  a: b: c\n"
        "      ^ put the text in quotes, or indent the line like its neighbours",
        id="two colons",
    ),
    pytest.param(
        "a: 1\nfoo bar # x\nb: 2\n",
        "p.yaml:2:1: yaml: a ':' is missing after this\n"
        "  foo bar # x\n"
        "  ^^^^^^^^^^^ every line of a mapping is 'key: value'",
        id="colon missing",
    ),
    pytest.param(
        "a:\n  b: 1\n c: 2\n",
        "p.yaml:3:2: yaml: this line does not fit the lines above it\n"
        "   c: 2\n"
        "   ^^ indent it exactly like its neighbours",
        id="indentation",
    ),
    pytest.param(
        "a: 'it's'\n",
        "p.yaml:1:8: yaml: this cannot follow the value before it\n"
        "  a: 'it's'\n"
        "         ^^ put the whole value in quotes",
        id="text after a quote",
    ),
    pytest.param(
        "a: - b\n",
        "p.yaml:1:4: yaml: a list item starts on a line of its own\n  a: - b\n     ^",
        id="list item after a key",
    ),
    pytest.param(
        "a: @x\n",
        "p.yaml:1:4: yaml: a value cannot start with '@'\n  a: @x\n     ^ put it in quotes",
        id="reserved sign",
    ),
    pytest.param(
        "a: *.mp4\n",
        "p.yaml:1:4: yaml: a value cannot start with '*'\n  a: *.mp4\n     ^^^^^ put it in quotes",
        id="a glob looks like an alias",
    ),
    pytest.param(
        'a: "c:\\q"\n',
        "p.yaml:1:7: yaml: '\\q' is not an escape\n"
        '  a: "c:\\q"\n'
        "        ^^ use single quotes, or write \\\\ for a backslash",
        id="unknown escape",
    ),
    pytest.param(
        'a: "\\x4"\n',
        "p.yaml:1:5: yaml: '\\x' needs 2 hexadecimal digits after it\n  a: \"\\x4\"\n      ^^",
        id="short escape",
    ),
    pytest.param(
        'a: "\\UFFFFFFFF"\n',
        'p.yaml:1:7: yaml: YAML cannot use this number\n  a: "\\UFFFFFFFF"\n        ^',
        id="escape beyond Unicode",
    ),
    pytest.param(
        "a: |x\n  y\n",
        "p.yaml:1:5: yaml: text starts on the line below '|' or '>'\n  a: |x\n      ^",
        id="text after the block sign",
    ),
    pytest.param(
        "%YAML 3\n---\na: 1\n",
        "p.yaml:1:1: yaml: a line cannot start with '%' here\n"
        "  %YAML 3\n"
        "  ^ remove the line, or put the text in quotes",
        id="directive",
    ),
    pytest.param(
        "a: 1\nb: 2\na:\n  x: 1\n",
        "p.yaml:3:1: duplicate-key: 'a' is also on line 1\n  a:\n  ^",
        id="duplicate key",
    ),
    pytest.param(
        "? [x]\n: 1\n'': 2\n? {a: b}\n: 3\n\"a\\nb\": 4\n",
        "p.yaml:1:3: bad-key: a key must be a word, not a list or a mapping\n"
        "  ? [x]\n"
        "    ^\n"
        "p.yaml:3:1: bad-key: a key cannot be empty\n"
        "  '': 2\n"
        "  ^^\n"
        "p.yaml:4:3: bad-key: a key must be a word, not a list or a mapping\n"
        "  ? {a: b}\n"
        "    ^\n"
        "p.yaml:6:1: bad-key: a key cannot hold line breaks or characters that do not print\n"
        '  "a\\nb": 4\n'
        "  ^^^^^^",
        id="keys that are not words",
    ),
    pytest.param(
        "a: &x 1\nb: *x\n*x : 2\nc: {<<: *x}\n",
        "p.yaml:1:4: alias: anchors are not allowed\n"
        "  a: &x 1\n"
        "     ^^ write the value where it is used\n"
        "p.yaml:2:4: alias: '*x' is an alias, and aliases are not allowed\n"
        "  b: *x\n"
        "     ^^ write the value out, or put the text in quotes\n"
        "p.yaml:3:1: alias: '*x' is an alias, and aliases are not allowed\n"
        "  *x : 2\n"
        "  ^^ put the text in quotes\n"
        "p.yaml:4:5: alias: '<<' would merge another mapping, and merging is not allowed\n"
        "  c: {<<: *x}\n"
        "      ^^ write the fields out",
        id="anchor, aliases and merge",
    ),
    pytest.param(
        "a: !!python/object/apply:os.system [ls]\n",
        "p.yaml:1:4: tag: tags are not allowed\n"
        "  a: !!python/object/apply:os.system [ls]\n"
        "     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ put text that starts with '!' in quotes",
        id="tag",
    ),
    pytest.param(
        "a: 1\n---\nb: 2\n---\nc: 3\n",
        "p.yaml:2:1: many-documents: a second document starts here\n"
        "  ---\n"
        "  ^^^ a file holds one pipeline; remove the '---' or make two files",
        id="two documents",
    ),
    pytest.param(
        "",
        "p.yaml:1:1: not-a-mapping: the file is empty\n"
        "  a pipeline starts with 'version: 1' and has 'nodes:'",
        id="empty",
    ),
    pytest.param(
        "# soon\n---\n",
        "p.yaml:1:1: not-a-mapping: the file is empty\n"
        "  # soon\n"
        "  ^ a pipeline starts with 'version: 1' and has 'nodes:'",
        id="nothing but a comment",
    ),
    pytest.param(
        "\n- a\n- b\n",
        "p.yaml:2:1: not-a-mapping: "
        "the file should be a mapping of keys to values, but it is a list\n"
        "  - a\n"
        "  ^ a pipeline starts with 'version: 1' and has 'nodes:'",
        id="list",
    ),
    pytest.param(
        "hello\n",
        "p.yaml:1:1: not-a-mapping: "
        "the file should be a mapping of keys to values, but it is one value\n"
        "  hello\n"
        "  ^^^^^ a pipeline starts with 'version: 1' and has 'nodes:'",
        id="one word",
    ),
    pytest.param(
        b"a: 1\nb: caf\xe9\n",
        "p.yaml:2:7: encoding: byte 0xe9 is not UTF-8\n"
        "  b: caf\ufffd\n"
        "        ^ save the file as UTF-8",
        id="not UTF-8",
    ),
    pytest.param(
        b"a: 1\nb: \0\xe9\n",
        "p.yaml:2:4: encoding: the character U+0000 cannot stand in YAML text\n"
        "  b: \\x00\ufffd\n"
        "     ^^^^ is this a text file?",
        id="NUL",
    ),
    pytest.param(
        "a: x\x1b[31m\n",
        "p.yaml:1:5: encoding: the character U+001B cannot stand in YAML text\n"
        "  a: x\\x1b[31m\n"
        "      ^^^^ remove it",
        id="control character",
    ),
    pytest.param(
        "a: 'x\u2028y'\n",
        "p.yaml:1:6: encoding: the character U+2028 cannot stand in YAML text\n"
        "  a: 'x\\u2028y'\n"
        "       ^^^^^^ remove it",
        id="line end that editors do not count",
    ),
    pytest.param(
        'a: "\\0"\nb: "\\ud800"\n',
        "p.yaml:1:4: encoding: an escape in this text is not a character\n"
        '  a: "\\0"\n'
        "     ^^^^\n"
        "p.yaml:2:4: encoding: an escape in this text is not a character\n"
        '  b: "\\ud800"\n'
        "     ^^^^^^^^",
        id="escapes that are not characters",
    ),
    pytest.param(
        "a: 010\nb: .nan\nc: 1e999\nd: {e: -00}\n",
        "p.yaml:1:4: bad-number: '010' starts with 0, which some programs read as octal\n"
        "  a: 010\n"
        "     ^^^ put it in quotes to keep it as text\n"
        "p.yaml:2:4: bad-number: '.nan' is not a number\n"
        "  b: .nan\n"
        "     ^^^^ put it in quotes to keep it as text\n"
        "p.yaml:3:4: bad-number: '1e999' is too large for a number\n"
        "  c: 1e999\n"
        "     ^^^^^ put it in quotes to keep it as text\n"
        "p.yaml:4:8: bad-number: '-00' starts with 0, which some programs read as octal\n"
        "  d: {e: -00}\n"
        "         ^^^ put it in quotes to keep it as text",
        id="numbers",
    ),
]


@pytest.mark.parametrize(("text", "expected"), BROKEN)
def test_a_mistake_is_shown_where_it_is(text: bytes | str, expected: str) -> None:
    assert said(text) == expected


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
    ("written", "value"),
    [
        pytest.param("${env:W}", 640, id="one reference is read as a plain value"),
        pytest.param("${env:W:-1}", 640, id="set, so the default waits"),
        pytest.param("${env:NO:-1.5}", 1.5, id="default of a plain value"),
        pytest.param("${env:EMPTY:-true}", True, id="default of an empty one"),
        pytest.param("${env:EMPTY}", None, id="empty"),
        pytest.param("${env:NO:-}", None, id="empty default"),
        pytest.param("'${env:W}'", "640", id="single quotes"),
        pytest.param('"${env:W}"', "640", id="double quotes"),
        pytest.param("${env:W}x${env:W}", "640x640", id="part of a text is text"),
        pytest.param("${env:W}0", "6400", id="part of a number is text"),
        pytest.param("${env:TOKEN}", "s3cret: {x}", id="what comes in is not read as YAML"),
        pytest.param("$${env:W}", "${env:W}", id="literal"),
        pytest.param("$$${env:W}", "$${env:W}", id="literal after a dollar"),
        pytest.param("costs $5 {x}", "costs $5 {x}", id="dollars and braces"),
        pytest.param("{b: ${env:W}}", {"b": 640}, id="inside braces"),
        pytest.param("[${env:W:-1,2}, $${x}, '{}']", [640, "${x}", "{}"], id="inside brackets"),
        pytest.param("[${env:NO:-a: b, #c?}]", ["a: b, #c?"], id="signs in a default"),
        pytest.param("|\n  ${env:W}\n", "640\n", id="block text"),
        pytest.param('["$${", "}"]', ["${", "}"], id="quotes end a reference"),
    ],
)
def test_the_environment_fills_values(written: str, value: Any) -> None:
    document = read(f"a: {written}", ENV)
    assert document.problems == ()
    assert document.data == {"a": value}


def test_values_from_the_environment_are_marked() -> None:
    document = read("a: ${env:W}\nb: [x, 'y ${env:NO:-z}', $${x}]\n", ENV)
    assert document.from_env == {("a",), ("b", 1)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            "a: x ${env:NO}\n",
            "p.yaml:1:6: bad-env: the environment has no NO\n"
            "  a: x ${env:NO}\n"
            "       ^^^^^^^^^ set it, or write ${env:NO:-default}",
            id="not set",
        ),
        pytest.param(
            "a: ${env:BYTES}\n",
            "p.yaml:1:4: bad-env: what the environment has as BYTES is not UTF-8\n"
            "  a: ${env:BYTES}\n"
            "     ^^^^^^^^^^^^",
            id="not text",
        ),
        pytest.param(
            'a: "\\t ${env:W} ${env:A-B}"\n',
            "p.yaml:1:17: bad-env: 'A-B' is not the name of an environment variable\n"
            '  a: "\\t ${env:W} ${env:A-B}"\n'
            "                  ^^^^^^^^^^",
            id="bad name after an escape",
        ),
        pytest.param(
            "a: $${x} ${x}\n",
            "p.yaml:1:10: bad-env: '${x}' is not a reference; they look like ${env:NAME}\n"
            "  a: $${x} ${x}\n"
            "           ^^^^ write $${ for a plain ${",
            id="no scheme",
        ),
        pytest.param(
            "a: ${file:x}\n",
            "p.yaml:1:4: bad-env: '${file:x}' is not a reference; they look like ${env:NAME}\n"
            "  a: ${file:x}\n"
            "     ^^^^^^^^^ write $${ for a plain ${",
            id="unknown scheme",
        ),
        pytest.param(
            "a: 'b ${env:W'\n",
            "p.yaml:1:7: bad-env: '${' is never closed\n"
            "  a: 'b ${env:W'\n"
            "        ^^^^^^^ write $${ for a plain ${",
            id="never closed",
        ),
        pytest.param(
            "a: ${env:NO:-${env:W}}\n",
            "p.yaml:1:4: bad-env: a reference cannot hold another one\n"
            "  a: ${env:NO:-${env:W}}\n"
            "     ^^^^^^^^^^^^^^^^^^ write $${ for a plain ${",
            id="nested",
        ),
        pytest.param(
            "a: >  # ${x}\n  b\n  c ${env:NO}\n",
            "p.yaml:3:5: bad-env: the environment has no NO\n"
            "    c ${env:NO}\n"
            "      ^^^^^^^^^ set it, or write ${env:NO:-default}",
            id="block text",
        ),
        pytest.param(
            'a: "\\x24{x} ${y}"\n',
            "p.yaml:1:4: bad-env: '${x}' is not a reference; they look like ${env:NAME}\n"
            '  a: "\\x24{x} ${y}"\n'
            "     ^^^^^^^^^^^^^^ write $${ for a plain ${\n"
            "p.yaml:1:4: bad-env: '${y}' is not a reference; they look like ${env:NAME}\n"
            '  a: "\\x24{x} ${y}"\n'
            "     ^^^^^^^^^^^^^^ write $${ for a plain ${",
            id="hidden by an escape, so the whole text",
        ),
        pytest.param(
            "a: ${env:ZERO}\n",
            "p.yaml:1:4: bad-number: the value of ZERO starts with 0, "
            "which some programs read as octal\n"
            "  a: ${env:ZERO}\n"
            "     ^^^^^^^^^^^ put it in quotes to keep it as text",
            id="a bad number is not shown",
        ),
    ],
)
def test_a_bad_reference_is_shown_where_it_is(text: str, expected: str) -> None:
    assert said(text, ENV) == expected


def test_references_cannot_make_a_small_file_large() -> None:
    document = read(f"a: [{'x${env:LONG},' * 200}]", ENV)
    assert set(codes(document)) == {"bad-env", "too-many"}
    assert said("a: " + "${env:LONG}" * 7, ENV).splitlines()[0] == (
        "p.yaml:1:70: bad-env: the references in this file come to more than 64 KiB"
    )


@settings(max_examples=100)
@given(st.text("abcde0123", min_size=6))
def test_a_problem_never_shows_a_value_of_the_environment(secret: str) -> None:
    secret = f"0{secret}"
    text = "a: ${env:S}\nb: [x${env:S}${env:NO}, ${env:S:-1}]\na: ${env:S}\nc: '${env:S}\n"
    document = read(text, {"S": secret})
    assert document.problems
    assert secret not in repr(document.problems)


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
def test_a_hostile_file_is_refused_quickly(text: str) -> None:
    started = time.perf_counter()
    document = read(text, ENV)
    shown = report.text(document.problems, {"p.yaml": document.lines})
    seconds = time.perf_counter() - started
    assert document.problems
    assert seconds < 1.0  # 0.2 s is promised; a busy machine may take five times that
    assert len(shown) < 100_000


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
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
