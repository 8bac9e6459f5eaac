from collections.abc import Iterator
from typing import Any

import av
import pytest

from composer import Frame
from composer.errors import NodeFailed
from tests import stubs
from tests.engine.runs import run_of
from tests.stubs import TICK, picture, ran, sink


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
