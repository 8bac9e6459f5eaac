from collections.abc import Iterator

import av
import pytest

from composer import RGB, Node, OwnYUV
from composer.compiler.plan import Mode
from composer.engine.inbox import WorkItem
from composer.engine.layers import guard
from composer.engine.layers.layer import Call, Missed, Out
from composer.engine.notices import Happened, Notice
from composer.errors import NodeFailed
from composer.pictures import pixels
from tests import stubs
from tests.engine.layers.sites import around, converter, giving, site_of, step_of, taken
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
@pytest.mark.fault("F-42")
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


def test_a_converter_has_nothing_in_its_way() -> None:
    assert guard.layer(converter()) is None


def failing(error: Exception) -> Call:
    def call(taken: WorkItem) -> Out | Missed:
        raise error

    return call


@pytest.mark.parametrize("option", ["pass", "hold_last", "drop"])
def test_a_frame_that_fails_is_missed_and_told(option: str) -> None:
    told: list[Notice] = []
    site = site_of(step_of(on_error=option), notify=told.append)
    guarded = around(guard.layer(site), failing(ValueError("no")))
    assert guarded(taken(2)) == Missed(option, "error")
    text = "node 'step' failed in process() at 0.020s: ValueError: no"
    assert told == [Notice(Happened.ERROR, "step", text, 0.02)]
    assert site.count.errors == 1


@pytest.mark.fault("F-42")
def test_the_first_failure_is_a_warning_and_the_others_are_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    site = site_of(step_of(on_error="drop"))
    guarded = around(guard.layer(site), failing(ValueError("no")))
    for number in range(3):
        guarded(taken(number))
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO", "INFO"]
    assert caplog.messages[0].endswith("0.000s: ValueError: no; on_error: drop")
    assert site.count.errors == 3


@pytest.mark.parametrize(
    ("option", "error"),
    [
        pytest.param("fail", ValueError("no"), id="as the file asks"),
        pytest.param(
            "pass", RuntimeError("CUDA error: unspecified launch failure"), id="device lost"
        ),
    ],
)
def test_what_ends_the_run_is_raised(option: str, error: Exception) -> None:
    told: list[Notice] = []
    site = site_of(step_of(on_error=option), notify=told.append)
    with pytest.raises(NodeFailed) as caught:
        around(guard.layer(site), failing(error))(taken(2))
    assert caught.value.__cause__ is error
    assert (site.count.errors, told) == (1, [])


def test_what_goes_well_is_given_on() -> None:
    site = site_of(step_of(on_error="drop"))
    assert around(guard.layer(site), giving("new"))(taken(2)) == giving("new")(taken(2))


def test_frames_that_fail_are_left_out_in_order_with_concurrency() -> None:
    def call(image: av.VideoFrame) -> av.VideoFrame:
        if luma(image) % 7 == 3:
            raise ValueError("no")
        return pixels.copy(image)

    node = calling(call)
    node.stateless = True
    report, collect = chain(node, ", concurrency: 4, on_error: drop")
    assert [pts for pts, _ in collect.seen] == [n for n in range(60) if n % 7 != 3]
    assert report.nodes["step"].errors == report.nodes["step"].dropped["error"] == 9
