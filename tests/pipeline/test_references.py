"""Values from the environment."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.pipeline.reading import codes, read, said

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
