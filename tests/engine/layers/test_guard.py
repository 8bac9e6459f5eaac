from collections.abc import Iterator

import av
import pytest

from composer import RGB, Node, OwnYUV
from composer.compiler.plan import Mode
from composer.errors import NodeFailed
from composer.pictures import pixels
from tests import stubs
from tests.engine.runs import CHAIN, chain, run_of
from tests.stubs import calling, luma, picture, sink


def fails_on(number: int) -> type[Node]:
    def call(image: av.VideoFrame) -> av.VideoFrame:
        if luma(image) == number:
            raise ValueError("no")
        new = pixels.copy(image)
        pixels.planes(new)[0][...] = 200
        return new

    return calling(call)


@pytest.mark.parametrize(
    ("option", "mode", "seen"),
    [
        pytest.param(", on_error: pass", Mode.FILE, (2, 2), id="pass"),
        pytest.param(", on_error: hold_last", Mode.FILE, (2, 200), id="hold_last"),
        pytest.param(", on_error: drop", Mode.FILE, None, id="drop"),
    ],
)
def test_on_error(option: str, mode: Mode, seen: tuple[int, int] | None) -> None:
    report, collect = chain(fails_on(2), option, mode)
    assert [each for each in collect.seen if each[0] == 2] == ([seen] if seen else [])
    assert len(collect.seen) == (60 if seen else 59)
    assert report.nodes["step"].errors == 1
    assert report.nodes["step"].dropped == ({} if seen else {"error": 1})


def test_on_error_fail_says_node_time_and_cause() -> None:
    with pytest.raises(NodeFailed) as caught:
        chain(fails_on(2))
    assert caught.value.node == "step"
    assert caught.value.seconds == 0.02
    assert isinstance(caught.value.__cause__, ValueError)
    assert str(caught.value) == "node 'step' failed in process() at 0.020s: ValueError: no"


def test_in_a_session_a_failing_node_passes_pictures_in_the_format_of_the_plan() -> None:
    class Developed(Node):
        def process(self, image: RGB) -> OwnYUV:
            if image[0, 0, 0] > 50:
                raise ValueError("no")
            return pixels.from_rgb(image, "yuv420p")

    class Source(stubs.Count):
        """One picture at a time, so that none is dropped."""

        def process(self) -> Iterator[stubs.Plain]:
            for number, value in enumerate((20, 200)):
                image = picture(value)
                image.pts = number
                yield image

    collect = sink()
    report = run_of(
        CHAIN.format(options=", on_full: wait"),
        Mode.LIVE,
        step=Developed,
        collect=collect,
        count=Source,
    )
    assert report.nodes["step"].errors == 1
    assert [pts for pts, _ in collect.seen] == [0, 1]
