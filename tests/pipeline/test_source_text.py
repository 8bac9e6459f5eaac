"""Lines and columns as a reader counts them."""

import pytest

from composer.errors import Span
from tests.pipeline.reading import read


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


def test_an_emoji_written_as_two_escapes_is_one_character() -> None:
    assert read('{"a": "\\ud83d\\ude00"}').data == {"a": "😀"}
