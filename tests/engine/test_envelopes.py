from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Final

import av
import numpy as np
import pytest

from composer import Frame
from composer.engine.envelopes import (
    at_its_time,
    derived,
    enveloped,
    enveloped_of_many,
    from_source,
)
from composer.errors import NodeFailed
from composer.node.frames import ColorTags, Snapshot
from composer.pictures import pixels
from tests import stubs
from tests.engine.runs import run_of
from tests.stubs import TICK, luma, picture, ran, sink


def test_a_source_must_say_the_time_of_what_it_gives() -> None:
    class Timeless(stubs.Count):
        def process(self) -> Iterator[stubs.Plain]:
            yield av.VideoFrame(2, 2, "yuv420p")

    with pytest.raises(NodeFailed, match="without pts; give Frame"):
        ran("nodes: {source: {type: count}, out: {type: collect}}", count=Timeless)


def test_a_source_may_give_frames_with_an_envelope() -> None:
    class Enveloped(stubs.Count):
        def process(self) -> Iterator[stubs.Plain]:
            image: Any = Frame(picture(3), 40, TICK)
            yield image

    collect = sink()
    run_of("nodes: {source: {type: count}, out: {type: collect}}", count=Enveloped, collect=collect)
    assert collect.seen == [(40, 3)]


# what a node gave for a frame

COLOR: Final = ColorTags(1, 1, 1)


def framed(value: Any, number: int = 3) -> Frame[Any]:
    """A frame that says all that a frame can."""
    return Frame(value, number, TICK, COLOR, 2.0, Snapshot(4), Fraction(25), None)


def test_a_value_has_the_moment_of_its_frame() -> None:
    frame = framed(picture(3))
    assert enveloped({"a": 1}, frame) == frame.carry({"a": 1})


def test_a_picture_without_a_time_says_what_its_frame_says() -> None:
    image = picture(3)
    image.colorspace = 1
    new = av.VideoFrame(2, 2, "yuv420p")
    envelope = enveloped(new, framed(image))
    assert (envelope.value.pts, envelope.value.time_base) == (3, TICK)
    assert envelope.value.colorspace == image.colorspace


def test_a_picture_that_is_held_gets_the_time_of_its_frame() -> None:
    old = picture(1)
    old.time_base = TICK * 2
    envelope = enveloped(old, framed(picture(3)))
    assert (envelope.pts, envelope.value is old) == (3, True)
    assert (old.pts, old.time_base) == (3, TICK)


def test_an_envelope_of_the_nodes_own_says_another_time_and_rate() -> None:
    own: Frame[Any] = Frame("value", 70, TICK / 10, rate=Fraction(50))
    envelope = enveloped(own, framed(picture(3)))
    assert (envelope.pts, envelope.time_base, envelope.rate) == (70, TICK / 10, Fraction(50))
    assert (envelope.color, envelope.born, envelope.settings) == (COLOR, 2.0, Snapshot(4))


def test_an_array_remembers_the_picture_that_it_was_made_from() -> None:
    image = picture(3)
    array = np.zeros((2, 2, 3), np.uint8)
    first = derived(array, framed(image))
    assert first.origin is image
    assert derived(array.copy(), first).origin is image
    assert derived("no array", first).origin is None


def test_one_of_many_values_has_its_own_time() -> None:
    frame = framed(picture(3))
    envelope = enveloped_of_many(picture(9), frame)
    assert (envelope.pts, envelope.color, envelope.born) == (9, COLOR, 2.0)
    assert enveloped_of_many("value", frame) == frame.carry("value")


def test_a_source_says_by_its_picture_how_colours_are_coded() -> None:
    image = picture(3)
    image.colorspace = 5
    assert from_source(image) == Frame(image, 3, TICK, pixels.tags(image))
    with pytest.raises(TypeError, match=r"a source gave a str without pts; give Frame\(value, pts"):
        from_source("value")


def test_a_picture_of_another_time_is_copied_before_it_is_stamped() -> None:
    held, frame = picture(1), framed(picture(3))
    stamped = at_its_time(held, frame)
    assert (stamped.pts, held.pts, luma(stamped)) == (3, 1, 1)
    assert at_its_time(frame.value, frame) is frame.value
    assert at_its_time("value", frame) == "value"
