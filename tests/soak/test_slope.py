import random

import pytest

from tests.soak.slope import slope

MINUTES = [at / 6 for at in range(60)]


def noisy(grows: float, seed: int = 1) -> list[float]:
    chance = random.Random(seed)
    return [100 + grows * minute + chance.gauss(0, 2) for minute in MINUTES]


def test_a_line_without_noise_is_known_exactly() -> None:
    found = slope(MINUTES, [3 + 2 * minute for minute in MINUTES])
    assert (round(found.value, 6), round(found.low, 6), round(found.high, 6)) == (2, 2, 2)
    assert found.exceeds(1.9)
    assert not found.exceeds(2.1)


def test_the_interval_holds_the_truth_in_most_cases() -> None:
    found = [slope(MINUTES, noisy(0.5, seed)) for seed in range(200)]
    inside = sum(each.low < 0.5 < each.high for each in found)
    assert 180 <= inside <= 199


def test_noise_alone_does_not_grow() -> None:
    alarms = sum(slope(MINUTES, noisy(0.0, seed)).exceeds(0.3) for seed in range(200))
    assert alarms <= 2


def test_a_small_leak_in_noise_is_found() -> None:
    assert all(slope(MINUTES, noisy(1.0, seed)).exceeds(0.5) for seed in range(20))


def test_values_that_resemble_their_neighbours_are_taken_in_blocks() -> None:
    chance, value, values = random.Random(5), 0.0, []
    for _ in MINUTES:
        value = 0.9 * value + chance.gauss(0, 1)
        values.append(value)
    alone, blocks = slope(MINUTES, values), slope(MINUTES, values, block=6)
    assert blocks.high - blocks.low > alone.high - alone.low


def test_too_few_points_are_told() -> None:
    with pytest.raises(ValueError, match="3 points say nothing of a slope; 4 are the least"):
        slope([1, 2, 3], [1, 2, 3])
