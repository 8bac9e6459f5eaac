"""A colour as somebody writes it in a file: `#rrggbb`, `#rrggbbaa` or a CSS name."""

import re
from functools import lru_cache
from typing import Annotated, Any, Final, TypeAlias

from pydantic import BeforeValidator, WithJsonSchema

NAMES: Final = {
    "aqua": "00ffff",
    "beige": "f5f5dc",
    "black": "000000",
    "blue": "0000ff",
    "brown": "a52a2a",
    "chocolate": "d2691e",
    "coral": "ff7f50",
    "crimson": "dc143c",
    "cyan": "00ffff",
    "darkblue": "00008b",
    "darkgray": "a9a9a9",
    "darkgreen": "006400",
    "darkgrey": "a9a9a9",
    "darkorange": "ff8c00",
    "darkred": "8b0000",
    "deeppink": "ff1493",
    "deepskyblue": "00bfff",
    "dodgerblue": "1e90ff",
    "fuchsia": "ff00ff",
    "gold": "ffd700",
    "gray": "808080",
    "green": "008000",
    "grey": "808080",
    "hotpink": "ff69b4",
    "indigo": "4b0082",
    "ivory": "fffff0",
    "khaki": "f0e68c",
    "lavender": "e6e6fa",
    "lightblue": "add8e6",
    "lightgray": "d3d3d3",
    "lightgreen": "90ee90",
    "lightgrey": "d3d3d3",
    "lime": "00ff00",
    "magenta": "ff00ff",
    "maroon": "800000",
    "navy": "000080",
    "olive": "808000",
    "orange": "ffa500",
    "orangered": "ff4500",
    "orchid": "da70d6",
    "pink": "ffc0cb",
    "plum": "dda0dd",
    "purple": "800080",
    "rebeccapurple": "663399",
    "red": "ff0000",
    "royalblue": "4169e1",
    "salmon": "fa8072",
    "silver": "c0c0c0",
    "skyblue": "87ceeb",
    "slategray": "708090",
    "slategrey": "708090",
    "steelblue": "4682b4",
    "tan": "d2b48c",
    "teal": "008080",
    "tomato": "ff6347",
    "transparent": "00000000",
    "turquoise": "40e0d0",
    "violet": "ee82ee",
    "wheat": "f5deb3",
    "white": "ffffff",
    "yellow": "ffff00",
}
"""CSS colour names (CSS Color Module Level 4, section 6.1): the 16 basic ones and usual others."""

_HEX: Final = re.compile(r"#([0-9a-fA-F]{3,4}|[0-9a-fA-F]{6}|[0-9a-fA-F]{8})")

RGBA: TypeAlias = tuple[int, int, int, int]
"""Red, green, blue and how opaque, each 0..255."""


@lru_cache(maxsize=256)
def rgba(paint: str) -> RGBA:
    """The colour that a text stands for. Raises ValueError with a sentence for the reader."""
    text = paint.strip().lower()
    match = _HEX.fullmatch(text)
    digits = match[1] if match else NAMES.get(text)
    if digits is None:
        raise ValueError("is not a colour; write '#rrggbb', '#rrggbbaa' or a name such as 'white'")
    if len(digits) < 6:
        digits = "".join(digit * 2 for digit in digits)
    red, green, blue, alpha = bytes.fromhex(digits.ljust(8, "f"))
    return red, green, blue, alpha


def checked(value: Any) -> Any:
    """The text itself when it is a colour. Raises ValueError otherwise."""
    if value is None:
        raise ValueError("is empty; in YAML '#' begins a comment, so put the colour in quotes")
    rgba(value if isinstance(value, str) else "")
    return value


Paint: TypeAlias = Annotated[
    str, BeforeValidator(checked), WithJsonSchema({"type": "string", "format": "color"})
]
"""A colour: `#rrggbb`, `#rrggbbaa` (also `#rgb`, `#rgba`) or a CSS name."""
