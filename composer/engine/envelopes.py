"""Envelopes: what a node gave, as a Frame at its time, saying what its picture said."""

from dataclasses import replace
from typing import Any

from composer import lazy
from composer.compiler.conversions import Conversion
from composer.errors import NodeFailed
from composer.node.formats import Carrier, Format
from composer.node.frames import ColorTags, Frame

with lazy.deferred():
    from composer.media import packets
    from composer.pictures import pixels


def enveloped(value: Any, frame: Frame[Any]) -> Frame[Any]:
    """The envelope of what a node gave for a frame: the frame's time, but for who says another."""
    if isinstance(value, Frame):
        own = derived(_inheriting(value.value, frame), frame)
        return replace(own, pts=value.pts, time_base=value.time_base, rate=value.rate)
    pts = getattr(value, "pts", None)
    if pts is None:
        value = _inheriting(value, frame)
        _stamp(value, frame)
        return derived(value, frame)
    if pts != frame.pts:
        _stamp(value, frame)
    return frame.carry(value)


def enveloped_of_many(value: Any, frame: Frame[Any]) -> Frame[Any]:
    """The same for a node that gives any number of values, each with a time of its own."""
    pts, time_base = getattr(value, "pts", None), getattr(value, "time_base", None)
    if isinstance(value, Frame) or pts is None or time_base is None:
        return enveloped(value, frame)
    return Frame(value, pts, time_base, frame.color, frame.born, frame.settings)


def from_source(value: Any) -> Frame[Any]:
    """The envelope of a value that a source made: its time is its own. Raises TypeError."""
    if isinstance(value, Frame):
        return value
    pts, time_base = getattr(value, "pts", None), getattr(value, "time_base", None)
    if pts is None or time_base is None:
        kind = type(value).__name__
        raise TypeError(f"a source gave a {kind} without pts; give Frame(value, pts, time_base)")
    color = pixels.tags(value) if hasattr(value, "colorspace") else ColorTags()
    return Frame(value, pts, time_base, color)


def derived(value: Any, frame: Frame[Any]) -> Frame[Any]:
    """The envelope of what was made from a frame: arrays and tensors remember their picture."""
    return frame.derived(value, picture_of(frame) if hasattr(value, "shape") else None)


def converted(frame: Frame[Any], way: Conversion, wanted: Format, node: str) -> Frame[Any]:
    """The frame in another Format. Raises NodeFailed, of `node`, where it cannot be."""
    try:
        value = way.run(frame, wanted)
    except Exception as exc:  # swscale says what it cannot do
        raise NodeFailed(node, "conversion", exc, frame.seconds) from exc
    return derived(value, frame)


def picture_of(frame: Frame[Any]) -> Any:
    """The picture that a frame is, or was made from; None for what never was one."""
    return frame.value if hasattr(frame.value, "colorspace") else frame.origin


def at_its_time(value: Any, frame: Frame[Any]) -> Any:
    """A picture that says the time of its frame, for nodes that give pictures of their own time.

    One that was held from an earlier frame says another, and may not be written to.
    """
    if not hasattr(value, "planes") or not hasattr(value, "colorspace") or value.pts == frame.pts:
        return value
    value = pixels.copy(value)
    _stamp(value, frame)
    return value


def as_sound(frame: Frame[Any], wanted: Format) -> Frame[Any] | None:
    """A piece of sound that waited while another plan began; samples may come among packets."""
    if wanted.carrier is Carrier.PACKET or not isinstance(frame.value, packets.SoundPacket):
        return frame
    block = packets.samples_of(frame.value)
    return None if block is None else frame.carry(block)


def _inheriting(value: Any, frame: Frame[Any]) -> Any:
    """The value; a picture that was made from nothing says then what its frame's picture says."""
    if not hasattr(value, "colorspace") or value.pts is not None:
        return value
    return pixels.inheriting(value, picture_of(frame))


def _stamp(value: Any, frame: Frame[Any]) -> None:
    """Give a picture or a block of sound that a node made the time of its frame."""
    if not hasattr(value, "pts") or not hasattr(value, "time_base"):
        return
    if value.time_base != frame.time_base:
        value.duration = round(value.duration * (value.time_base or 0) / frame.time_base)
    value.pts, value.time_base = frame.pts, frame.time_base
