"""Which nodes have their settings looked at by code of their own."""

from typing import Annotated, Any

import pytest
from pydantic import AfterValidator, field_validator, model_validator

from composer import YUV, Live, Node, Paint
from composer.node import own_code
from tests import stubs


class Plain(Node):
    """Types, ranges and colours are looked at by this package."""

    level: float = Live(0.0, ge=0, le=1)
    names: tuple[str, ...] = ()
    color: Paint = "red"
    _held: int = 0

    def process(self, image: YUV) -> YUV:
        return image


class OneField(Plain):
    """Looks at a field."""

    @field_validator("level")
    @classmethod
    def _looked_at(cls, value: float) -> float:
        return value


class AllFields(Plain):
    """Looks at all of them together."""

    @model_validator(mode="after")
    def _looked_at(self) -> "AllFields":
        return self


def looked_at(value: int) -> int:
    return value


class OfAType(Plain):
    """Has a type that looks."""

    number: Annotated[int, AfterValidator(looked_at)] = 0


class WhenMade(Plain):
    """Looks when it is made."""

    def model_post_init(self, context: Any) -> None:
        super().model_post_init(context)


class Made(Plain):
    """Is made otherwise."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)


@pytest.mark.parametrize(
    ("cls", "own"),
    [
        (Plain, False),
        (stubs.Pass, False),
        (OneField, True),
        (AllFields, True),
        (OfAType, True),
        (WhenMade, True),
        (Made, True),
    ],
)
def test_whose_code_looks_at_settings(cls: type[Node], own: bool) -> None:  # noqa: FBT001
    assert own_code.checks_with(cls) is own
