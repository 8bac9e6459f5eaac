import numpy as np
import pytest

from composer.pictures.means import over_chroma


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (3, 5), (8, 7), (64, 33)])
@pytest.mark.parametrize("shift", [(0, 0), (1, 0), (1, 1)])
def test_each_is_the_mean_of_what_it_covers(size: tuple[int, int], shift: tuple[int, int]) -> None:
    luma = np.random.default_rng(1).integers(0, 256, size, np.uint8)
    given = over_chroma(luma, shift)
    wide, tall = 1 << shift[0], 1 << shift[1]
    assert given.shape == (-(-size[0] // tall), -(-size[1] // wide))
    for (row, column), mean in np.ndenumerate(given):
        block = luma[row * tall : (row + 1) * tall, column * wide : (column + 1) * wide]
        assert mean == block.mean()
