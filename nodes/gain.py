"""Make the sound louder or quieter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import av
import numpy as np

from composer import Audio, Live, Node

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAMPLES: Final = {
    "u8": "u1",
    "s16": "i2",
    "s32": "i4",
    "s64": "i8",
    "flt": "f4",
    "dbl": "f8",
}
"""Sample format -> NumPy type (libavutil/samplefmt.h)."""

OFFSETS: Final = {"u8": 128}
"""Where silence is in formats that are not signed."""


class Gain(Node):
    """Make the sound louder or quieter, or silent.

    audio: a block in any sample format and layout; gives the same ones. What gets too loud is cut
    at full scale. A change is spread over one block, so that it does not click. A gain of 0 dB
    hands the blocks on as they are.
    """

    db: float = Live(0.0, ge=-60, le=24, description="decibels; 6 doubles, -6 halves, 0 leaves it")
    mute: bool = Live(default=False, description="silence, whatever db says")

    _factor: float | None = None

    def process(self, audio: Audio) -> Audio:
        goal = 0.0 if self.mute else 10 ** (self.db / 20)
        start = goal if self._factor is None else self._factor
        self._factor = goal
        if start == goal == 1:
            return audio
        return scaled(audio, start, goal)


def scaled(block: av.AudioFrame, start: float, goal: float) -> av.AudioFrame:
    """A new block whose samples are multiplied by a factor that goes from `start` to `goal`."""
    new = av.AudioFrame(block.format.name, block.layout, block.samples)
    new.sample_rate = block.sample_rate
    new.pts, new.time_base = block.pts, block.time_base
    packed = block.format.packed.name
    together = 1 if block.format.is_planar else block.layout.nb_channels
    factor: Any = goal
    if start != goal:
        ramp = np.arange(1, block.samples + 1) / block.samples
        factor = np.repeat(start + (goal - start) * ramp, together)
    count = block.samples * together
    for target, source in zip(new.planes, block.planes, strict=True):
        samples = np.frombuffer(memoryview(source), SAMPLES[packed], count)
        loud = _multiplied(samples, factor, OFFSETS.get(packed, 0))
        np.frombuffer(memoryview(target), SAMPLES[packed], count)[:] = loud
    return new


def _multiplied(samples: NDArray[Any], factor: Any, offset: int) -> NDArray[Any]:
    if samples.dtype.kind == "f":
        loud: NDArray[Any] = samples * np.asarray(factor, samples.dtype)
        np.clip(loud, -1, 1, out=loud)
        return loud
    # float32 holds 16 bits exactly; 32 bits need float64, which cuts 64 bits to 53
    wide = np.float32 if samples.dtype.itemsize <= 2 else np.float64
    loud = samples.astype(wide)
    loud -= offset
    loud *= np.asarray(factor, wide)
    loud += offset
    lowest, highest = np.iinfo(samples.dtype).min, np.iinfo(samples.dtype).max
    if int(wide(highest)) > highest:  # rounded up to one more than fits
        highest = int(np.nextafter(wide(highest), wide(0)))
    np.clip(np.rint(loud, out=loud), lowest, highest, out=loud)
    return loud.astype(samples.dtype)
