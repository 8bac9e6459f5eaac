"""A cheap look at what a node gave: its shape and type, never its pixels."""

from collections.abc import Callable
from typing import Any

from composer.node.formats import Carrier, Format, Kind
from composer.node.values import Detections

Check = Callable[[Any], None]
"""Raises TypeError, a sentence that begins with "gave"."""


def check_of(wanted: Format) -> Check:
    """What a value has to be like to travel as this Format."""
    if wanted.kind is Kind.PICTURE and wanted.carrier is Carrier.FRAME:
        return _picture(wanted.layout)
    if wanted.carrier is Carrier.TENSOR:
        return _tensor
    if wanted.kind is Kind.ARRAY:
        return _shaped
    if wanted.carrier is Carrier.ARRAY:
        return _array(3 if wanted.kind is Kind.PICTURE else 2)
    if wanted.kind is Kind.DETECTIONS:
        return _instance(Detections)
    if wanted.kind is Kind.RECORD:
        return _instance(dict)
    return lambda value: None


def _picture(layout: str) -> Check:
    def check(value: Any) -> None:
        got = getattr(getattr(value, "format", None), "name", type(value).__name__)
        if got != layout:
            raise TypeError(
                f"gave a {got} picture where the plan has {layout};"
                f' say which with Annotated[Picture, Layouts("{got}")]'
            )

    return check


def _array(rank: int) -> Check:
    form = "(H, W, 3)" if rank == 3 else "(H, W)"

    def check(value: Any) -> None:
        shape, dtype = getattr(value, "shape", None), str(getattr(value, "dtype", "no dtype"))
        fits = shape is not None and len(shape) == rank and dtype == "uint8"
        if not fits or (rank == 3 and shape is not None and shape[2] != 3):
            raise TypeError(
                f"gave {type(value).__name__} {shape} of {dtype}; it should be {form} uint8"
            )

    return check


def _shaped(value: Any) -> None:
    if not hasattr(value, "shape") or not hasattr(value, "dtype"):
        raise TypeError(f"gave {type(value).__name__}; it should be an array")


def _tensor(value: Any) -> None:
    shape, dtype = tuple(getattr(value, "shape", ())), str(getattr(value, "dtype", "no dtype"))
    if len(shape) != 3 or shape[0] != 3 or dtype != "torch.float32":
        kind = type(value).__name__
        raise TypeError(f"gave {kind} {shape} of {dtype}; it should be (3, H, W) torch.float32")


def _instance(cls: type) -> Check:
    def check(value: Any) -> None:
        if not isinstance(value, cls):
            raise TypeError(f"gave {type(value).__name__}; it should be {cls.__name__}")

    return check
