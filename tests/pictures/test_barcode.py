import numpy as np
import pytest

from composer.pictures import barcode


@pytest.mark.parametrize("number", [0, 1, 29, 65_535, 8_388_609, barcode.LARGEST])
@pytest.mark.parametrize("width", [32, 33, 640, 1279])
def test_a_number_comes_back(number: int, width: int) -> None:
    rows = np.full((2, width), 99, np.uint8)
    barcode.write(rows, number)
    assert barcode.read(rows) == number


def test_it_survives_blur_and_noise() -> None:
    rows = np.zeros((8, 320), np.uint8)
    barcode.write(rows, 123_456)
    blurred = sum(np.roll(rows.astype(int), shift, axis=1) for shift in range(-2, 3)) / 5
    noise = np.random.default_rng(1).integers(-30, 31, rows.shape)
    assert barcode.read(np.clip(blurred + noise, 0, 255).astype(np.uint8)) == 123_456


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param(np.zeros((4, 320), np.uint8), id="black"),
        pytest.param(np.full((4, 320), 255, np.uint8), id="white"),
        pytest.param(np.zeros((4, 31), np.uint8), id="too narrow"),
        pytest.param(np.zeros((0, 320), np.uint8), id="no rows"),
    ],
)
def test_what_is_no_bar_code_is_none(rows: np.ndarray[tuple[int, int], np.dtype[np.uint8]]) -> None:
    assert barcode.read(rows) is None


@pytest.mark.parametrize("cell", range(barcode.CELLS))
def test_one_wrong_cell_is_noticed(cell: int) -> None:
    rows = np.zeros((1, 32), np.uint8)
    barcode.write(rows, 0x5A3C71, 0, 255)
    rows[0, cell] = 255 - rows[0, cell]
    assert barcode.read(rows) is None


def test_numbers_begin_again_after_the_largest() -> None:
    rows = np.zeros((1, 32), np.uint8)
    barcode.write(rows, barcode.LARGEST + 3)
    assert barcode.read(rows) == 2


def test_a_narrow_picture_stays_as_it_is() -> None:
    rows = np.full((2, 31), 7, np.uint8)
    barcode.write(rows, 5)
    assert (rows == 7).all()
