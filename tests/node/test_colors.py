from typing import Any

import PIL.ImageColor
import pytest
from pydantic import TypeAdapter, ValidationError

from composer.node.colors import NAMES, RGBA, Paint, rgba

PAINT: TypeAdapter[str] = TypeAdapter(Paint)


@pytest.mark.parametrize(
    ("paint", "color"),
    [
        pytest.param("#ff8000", (255, 128, 0, 255), id="six digits"),
        pytest.param("#FF800040", (255, 128, 0, 64), id="eight digits, capitals"),
        pytest.param("#f80", (255, 136, 0, 255), id="three digits"),
        pytest.param("#f808", (255, 136, 0, 136), id="four digits"),
        pytest.param("Red", (255, 0, 0, 255), id="a name"),
        pytest.param(" white ", (255, 255, 255, 255), id="spaces"),
        pytest.param("transparent", (0, 0, 0, 0), id="transparent"),
    ],
)
def test_a_colour_is_read(paint: str, color: RGBA) -> None:
    assert rgba(PAINT.validate_python(paint)) == color


@pytest.mark.parametrize("name", sorted(NAMES.keys() - {"transparent"}))
def test_names_mean_what_they_mean_in_css(name: str) -> None:
    assert rgba(name) == PIL.ImageColor.getcolor(name, "RGBA")


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("#ff800", id="five digits"),
        pytest.param("#gg8000", id="no digits"),
        pytest.param("ff8000", id="no hash"),
        pytest.param("bright red", id="no such name"),
        pytest.param("", id="nothing"),
        pytest.param(16, id="a number"),
    ],
)
def test_what_is_no_colour_is_refused_with_what_to_write(value: Any) -> None:
    said = "is not a colour; write '#rrggbb', '#rrggbbaa' or a name such as 'white'"
    with pytest.raises(ValidationError, match=said):
        PAINT.validate_python(value)


def test_a_hash_that_yaml_took_for_a_comment_is_explained() -> None:
    with pytest.raises(ValidationError, match="so put the colour in quotes"):
        PAINT.validate_python(None)
