from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from composer.node.positions import Position, PositionX, PositionY, place

POSITION: TypeAdapter[int | str] = TypeAdapter(Position)


@pytest.mark.parametrize(
    ("position", "first"),
    [
        pytest.param(24, 24, id="pixels"),
        pytest.param(-24, -24, id="outside"),
        pytest.param("24", 24, id="pixels as text"),
        pytest.param("-24", -24, id="outside as text"),
        pytest.param("left", 0, id="left"),
        pytest.param("left+24", 24, id="left and more"),
        pytest.param("top+24", 24, id="top and more"),
        pytest.param("top-24", -24, id="above the top"),
        pytest.param("right", 60, id="right"),
        pytest.param("right-24", 36, id="right and less"),
        pytest.param("right+8", 68, id="past the right"),
        pytest.param("bottom-24", 36, id="bottom and less"),
        pytest.param("center", 30, id="center"),
        pytest.param("center+10", 40, id="center and more"),
        pytest.param("center-10", 20, id="center and less"),
        pytest.param(" right - 24 ", 36, id="spaces"),
    ],
)
def test_a_thing_of_40_in_a_room_of_100(position: int | str, first: int) -> None:
    assert place(POSITION.validate_python(position), extent=40, room=100) == first


def test_what_is_larger_than_the_room_is_cut_on_both_sides() -> None:
    assert place("center", extent=140, room=100) == -20
    assert place("right", extent=140, room=100) == -40


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("middle", id="another word"),
        pytest.param("right24", id="no sign"),
        pytest.param("right-", id="no number"),
        pytest.param("24px", id="a unit"),
        pytest.param("", id="nothing"),
        pytest.param("right-24; x", id="more behind it"),
        pytest.param(True, id="a bool"),
        pytest.param(None, id="null"),
        pytest.param(1.5, id="half a pixel"),
        pytest.param([24], id="a list"),
    ],
)
def test_what_is_no_position_is_refused_with_what_to_write(value: Any) -> None:
    with pytest.raises(ValidationError, match="write pixels, 'right-24', 'bottom-24' or 'center'"):
        POSITION.validate_python(value)


@pytest.mark.parametrize("value", [100_001, -100_001, "right-100001", "999999"])
def test_a_position_far_away_is_refused(value: int | str) -> None:
    with pytest.raises(ValidationError, match="is more than 100000 pixels from the edge"):
        POSITION.validate_python(value)


def test_numbers_become_pixels_and_words_stay() -> None:
    given = [POSITION.validate_python(value) for value in (7, 7.0, "+7", "right-7")]
    assert given == [7, 7, 7, "right-7"]


def test_an_editor_is_offered_a_number_or_a_text() -> None:
    kinds = [each["type"] for each in POSITION.json_schema()["anyOf"]]
    assert kinds == ["integer", "string"]


@pytest.mark.parametrize(
    ("kind", "value"), [(PositionX, "bottom-24"), (PositionX, " top"), (PositionY, "right+3")]
)
def test_a_direction_has_its_own_words(kind: Any, value: str) -> None:
    with pytest.raises(ValidationError, match="counts along the other side"):
        TypeAdapter(kind).validate_python(value)


def test_both_directions_know_the_center() -> None:
    assert TypeAdapter(PositionX).validate_python("right-24") == "right-24"
    assert TypeAdapter(PositionY).validate_python("center") == "center"
