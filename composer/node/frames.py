"""Frame: the envelope in which every value travels, and what surrounds it on a wire."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final, Generic, TypeAlias, TypeVar

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class ColorTags:
    """How the source says its colours are coded (ISO/IEC 23091-2 numbers, 2 is "not said").

    RGB values carry no such tags, so the way back to YUV asks here.
    """

    matrix: int = 2
    primaries: int = 2
    transfer: int = 2


UNTAGGED: Final = ColorTags()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What every live field and param is worth at one moment: newest wins, never changed.

    fields: node name -> field name -> value, for what params have set. params: name -> value.
    """

    version: int = 0
    fields: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)


START: Final = Snapshot()

UNSAID: Final = Fraction(0)
"""The rate of a source that says none."""


@dataclass(frozen=True, slots=True)
class Frame(Generic[Value]):
    """One value at one time. `pts` counts in `time_base` seconds, as the source wrote it.

    born: monotonic seconds at which it entered this process; a source that says nothing of it gets
    the moment at which it gave the frame. settings: what held at that moment. rate: frames per
    second, as the source says. origin: the picture that an array or a tensor was made from, which
    says what they cannot (shape of pixels, fields, duration, side data).
    """

    value: Value
    pts: int
    time_base: Fraction
    color: ColorTags = UNTAGGED
    born: float = 0.0
    settings: Snapshot = START
    rate: Fraction = UNSAID
    origin: Any = field(default=None, compare=False, repr=False)

    @property
    def seconds(self) -> float:
        return self.pts * self.time_base.numerator / self.time_base.denominator

    @property
    def micros(self) -> int:
        """Time in whole microseconds: the clock in which frames of two sources are compared."""
        return self.pts * self.time_base.numerator * 1_000_000 // self.time_base.denominator

    def carry(self, value: Any) -> "Frame[Any]":
        """The same moment with another value."""
        return self.derived(value, self.origin)

    def derived(self, value: Any, origin: Any) -> "Frame[Any]":
        """The same moment with a value that says less than the picture `origin` did."""
        return Frame(
            value,
            self.pts,
            self.time_base,
            self.color,
            self.born,
            self.settings,
            self.rate,
            origin,
        )

    def held(self, born: float, settings: Snapshot) -> "Frame[Any]":
        """The same frame, with when it came and what holds for it."""
        return Frame(
            self.value,
            self.pts,
            self.time_base,
            self.color,
            born,
            settings,
            self.rate,
            self.origin,
        )


@dataclass(frozen=True, slots=True)
class OnDevice:
    """A tensor on a device, whose numbers are there once its lane has come to `mark`."""

    tensor: Any
    mark: Any


@dataclass(frozen=True, slots=True)
class Bound:
    """Nothing at or before this time will come any more (microseconds)."""

    micros: int


Item: TypeAlias = Frame[Any] | Bound


@dataclass(frozen=True, slots=True)
class Moment:
    """When a node's input is: ask for it with a parameter `at: Moment`. It is not a port.

    pts counts in time_base seconds, as the source wrote it. color: the source's colour tags. rate:
    frames per second as the source says, 0 where it does not.
    """

    pts: int
    time_base: Fraction
    color: ColorTags = UNTAGGED
    rate: Fraction = UNSAID

    @property
    def seconds(self) -> float:
        return self.pts * self.time_base.numerator / self.time_base.denominator
