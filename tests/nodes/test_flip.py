"""flip mirrors the picture."""

from typing import Literal

import numpy as np
import pytest

from composer.node.formats import YUV_LAYOUTS
from composer.pictures import pixels
from composer.testing import gradient, picture, run_node
from nodes.flip import Flip


@pytest.mark.parametrize("layout", YUV_LAYOUTS)
@pytest.mark.parametrize(
    ("direction", "rows", "columns"),
    [("horizontal", 1, -1), ("vertical", -1, 1), ("both", -1, -1)],
)
def test_every_plane_is_mirrored(
    layout: str, direction: Literal["horizontal", "vertical", "both"], rows: int, columns: int
) -> None:
    image = picture(gradient(63, 47), layout)
    given = run_node(Flip(direction=direction), image=image)
    for before, after in zip(pixels.planes(image), pixels.planes(given), strict=True):
        assert np.array_equal(after, before[::rows, ::columns])
