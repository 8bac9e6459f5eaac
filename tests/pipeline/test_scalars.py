"""What plain values mean."""

from typing import Any

import pytest

from tests.pipeline.reading import read


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
