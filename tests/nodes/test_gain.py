from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from composer.testing import bench, run_node, sound
from nodes.gain import Gain


def block(sample_format: str, layout: str, part: float, samples: int = 64) -> av.AudioFrame:
    """A block in which every sample is `part` of full scale."""
    new = av.AudioFrame(sample_format, layout, samples)
    for plane in new.planes:
        values = view(plane, new)
        values[:] = stored(sample_format, part)
    new.sample_rate, new.pts, new.time_base = 44_100, 441, Fraction(1, 44_100)
    return new


TYPES: dict[str, str] = {"u8": "u1", "s16": "i2", "s32": "i4", "s64": "i8", "flt": "f4"}
TYPES["dbl"] = "f8"


def view(plane: Any, of: av.AudioFrame) -> NDArray[Any]:
    count = of.samples * (1 if of.format.is_planar else of.layout.nb_channels)
    return np.frombuffer(plane, TYPES[of.format.packed.name], count)


def stored(sample_format: str, part: float) -> float | int:
    name = sample_format.removesuffix("p")
    if name in ("flt", "dbl"):
        return part
    bits = int(name[1:])
    top: int = 2 ** (bits - 1) - 1
    return round(part * top) + (128 if name == "u8" else 0)


def part_of(value: Any, sample_format: str) -> float:
    name = sample_format.removesuffix("p")
    if name in ("flt", "dbl"):
        return float(value)
    return float((int(value) - (128 if name == "u8" else 0)) / 2 ** (int(name[1:]) - 1))


FORMATS = [name + end for name in TYPES for end in ("", "p")]


@pytest.mark.parametrize("layout", ["mono", "stereo", "5.1"])
@pytest.mark.parametrize("sample_format", FORMATS)
def test_every_format_comes_out_as_it_came_in(sample_format: str, layout: str) -> None:
    given = run_node(Gain(db=-6.0206), audio=block(sample_format, layout, 0.5))
    assert (given.format.name, given.layout.name) == (sample_format, layout)
    assert (given.samples, given.sample_rate, given.pts) == (64, 44_100, 441)
    assert given.time_base == Fraction(1, 44_100)
    for plane in given.planes:
        for value in view(plane, given):
            assert part_of(value, sample_format) == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize("part", [0.9, -0.9])
@pytest.mark.parametrize("sample_format", FORMATS)
def test_what_is_too_loud_is_cut_and_does_not_wrap(sample_format: str, part: float) -> None:
    given = run_node(Gain(db=24), audio=block(sample_format, "stereo", part))
    for value in view(given.planes[0], given):
        assert part_of(value, sample_format) == pytest.approx(np.sign(part), abs=0.01)


def test_silence_stays_silence_in_unsigned_samples() -> None:
    given = run_node(Gain(db=24), audio=block("u8", "mono", 0))
    assert (view(given.planes[0], given) == 128).all()


def test_no_gain_hands_the_block_on() -> None:
    given = block("s16", "stereo", 0.5)
    assert run_node(Gain(), audio=given) is given


def test_mute_is_silence_whatever_db_says() -> None:
    given = run_node(Gain(db=24, mute=True), audio=block("fltp", "stereo", 0.5))
    assert (view(given.planes[1], given) == 0).all()


@pytest.mark.parametrize("sample_format", ["fltp", "flt", "s16"])
def test_a_change_is_spread_over_one_block(sample_format: str) -> None:
    node = Gain(db=0)
    with bench(node) as step:
        step(audio=block(sample_format, "stereo", 0.5))
        node.mute = True
        given = step(audio=block(sample_format, "stereo", 0.5))
        fade = view(given.planes[0], given)
        if not given.format.is_planar:
            assert (fade[::2] == fade[1::2]).all()  # both channels alike
            fade = fade[::2]
        parts = [part_of(value, sample_format) for value in fade]
        assert parts[0] == pytest.approx(0.5 * 63 / 64, abs=0.001)
        assert parts[-1] == 0
        assert np.diff(parts) == pytest.approx(-0.5 / 64, abs=0.001)
        after = step(audio=block(sample_format, "stereo", 0.5))
        assert (view(after.planes[0], after) == 0).all()


def test_the_first_block_already_has_the_gain() -> None:
    given = run_node(Gain(db=-20), audio=sound(np.full((2, 100), 0.5, np.float32)))
    assert given.to_ndarray() == pytest.approx(0.05)


def test_the_input_is_not_changed() -> None:
    given = block("s16", "stereo", 0.5)
    before = view(given.planes[0], given).copy()
    run_node(Gain(db=12), audio=given)
    assert (view(given.planes[0], given) == before).all()
