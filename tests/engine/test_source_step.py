"""What a source made before another plan took over."""

from fractions import Fraction

import av
import numpy as np
import pytest

from composer.compiler.plan import Mode
from composer.engine.step import SourceRun
from composer.media.packets import SoundPacket
from composer.node.formats import PACKETS, Carrier, Format, Kind
from composer.node.frames import Frame
from composer.testing import sound
from tests.media.streams import elementary
from tests.stubs import plan_of

SAMPLES = Format(Kind.AUDIO, "samples", Carrier.FRAME)
COPIES = "nodes: {s: {type: decode}, o: {type: encode}}"
LISTENS = "nodes: {s: {type: decode}, o: {type: listen, in: s.audio}}"


def source(text: str) -> SourceRun:
    return SourceRun(plan_of(text, Mode.LIVE).steps["s"], None)


def waiting(value: object) -> Frame[object]:
    """A frame that was made before the plan changed."""
    return Frame(value, 1800, Fraction(1, 90_000), born=3.0)


def packet() -> SoundPacket:
    data = elementary.sound("opus").coded[1].data
    return SoundPacket(data, "opus", 2, 1800, Fraction(1, 90_000), 1800)


def test_a_packet_that_waits_becomes_samples_where_they_are_wanted_now() -> None:
    frame = source(LISTENS).refitted("audio", waiting(packet()), PACKETS)
    assert frame is not None
    assert isinstance(frame.value, av.AudioFrame)
    assert (frame.pts, frame.born, frame.value.samples) == (1800, 3.0, 960)


@pytest.mark.parametrize(("text", "made_as"), [(LISTENS, PACKETS), (COPIES, SAMPLES)])
def test_samples_that_wait_stay_as_they_are(text: str, made_as: Format) -> None:
    frame = waiting(sound(np.zeros((1, 960), np.float32), seconds=0.02))
    assert source(text).refitted("audio", frame, made_as) is frame
