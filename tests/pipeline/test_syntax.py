"""Every mistake of the text, said where it is."""

import pytest

from tests.pipeline.reading import said

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
