"""Frame rates as somebody writes them, and the times of frames at a constant rate."""

import re
from fractions import Fraction
from typing import Final

TIME_BASE: Final = Fraction(1, 90_000)
"""The clock of video in MPEG-TS and RTP (ISO/IEC 13818-1, RFC 3551)."""

_WRITTEN: Final = re.compile(r"(?P<over>\d{1,7})\s*/\s*(?P<under>\d{1,7})|\d{1,7}(\.\d{1,9})?")


LEAST: Final = 1
MOST: Final = 240


def frame_rate(written: float | str) -> Fraction:
    """Frames per second from 30, 29.97 or "30000/1001". Raises ValueError.

    Decimals within 0.005 of N * 1000/1001 mean exactly that: 23.976, 29.97, 59.94.
    """
    text = str(written).strip()
    match = _WRITTEN.fullmatch(text)
    if match is None or (match["under"] is not None and not int(match["under"])):
        raise ValueError("is not a frame rate; write 30, 29.97 or 30000/1001")
    if match["under"] is not None:
        rate = Fraction(int(match["over"]), int(match["under"]))
    else:
        rate = _broadcast(Fraction(text))
    if not LEAST <= rate <= MOST:
        raise ValueError(f"should be between {LEAST} and {MOST} frames per second")
    return rate


def _broadcast(rate: Fraction) -> Fraction:
    if rate.denominator == 1:
        return rate
    near = Fraction(round(rate * 1001 / 1000) * 1000, 1001)
    return near if near.denominator != 1 and abs(near - rate) < Fraction(5, 1000) else rate


def ticks(number: int, rate: Fraction) -> int:
    """When frame `number` is due, in TIME_BASE; rounded for each one, so errors do not add up."""
    return round(number * 90_000 / rate)


USUAL: Final = tuple(
    Fraction(rate) / slower
    for rate in (10, 12, 15, 24, 25, 30, 48, 50, 60, 90, 100, 120, 144, 240)
    for slower in (1, Fraction(1001, 1000))
)


def of_step(step: int, time_base: Fraction) -> Fraction:
    """The rate of pictures `step` ticks apart: a usual one, where one is within a tick of it."""
    exact = 1 / (step * time_base)
    rounding = min(Fraction(1), Fraction(step, 20))
    usual = (rate for rate in USUAL if abs(1 / (rate * time_base) - step) < rounding)
    return min(usual, key=lambda rate: abs(rate - exact), default=exact)
