"""How values are shown to whoever wrote them."""

from typing import Any

import pytest

from composer.pipeline.spec import shown


class Text(str):
    """One that must not be written as a whole."""

    def __repr__(self) -> str:
        raise AssertionError("all of it is written to show its beginning")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "nothing"),
        (True, "true"),
        ([1], "a list"),
        ({"a": 1}, "a mapping"),
        (float("-inf"), "-.inf"),
        ("short", "'short'"),
        ("x" * 58, f"'{'x' * 58}'"),
        ("x" * 59, f"'{'x' * 56}..."),
        (Text("x" * 1_000_000), f"'{'x' * 56}..."),
        (b"x" * 1_000_000, f"b'{'x' * 55}..."),
        (10**400, f"1{'0' * 56}..."),
    ],
)
def test_a_value_is_shown_as_it_was_written_and_cut_where_it_is_long(value: Any, text: str) -> None:
    assert shown(value) == text
