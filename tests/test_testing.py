import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from composer import RGB, Audio, Detection, Detections, Live, Node, Record, Tensor
from composer.node.node import Batching
from composer.testing import bars, bench, gradient, picture, run_node, sound
from tests import stubs
from tests.stubs import luma


def test_a_node_is_tried_with_an_array() -> None:
    image = gradient(8, 4)
    assert np.array_equal(run_node(stubs.Tint(), image=image), image)
    assert run_node(stubs.Fresh(), image=image).format.name == "yuv420p"


def test_a_node_that_gives_many_gives_a_list_with_what_it_held() -> None:
    assert [luma(each) for each in run_node(stubs.Hold(depth=3), image=stubs.picture(9))] == [9]


def test_detections_may_be_a_list() -> None:
    found = run_node(stubs.Blur(), image=stubs.picture(1), regions=[Detection(0, 0, 1, 1)])
    assert luma(found) == 1


def test_a_port_that_does_not_exist() -> None:
    with pytest.raises(TypeError, match="the node has no port 'picture'; it has image"):
        run_node(stubs.Tint(), picture=gradient(2, 2))


def test_the_time_is_given_to_who_asks() -> None:
    sink = stubs.sink()
    run_node(sink(), image=stubs.picture(3), at=2.0)
    assert sink.model_fields.keys() == set()
    assert vars(sink)["seen"] == [(180_000, 3)]


def test_the_bench_closes_after_a_failure() -> None:
    closed: list[bool] = []

    class Closing(stubs.Pass):
        def close(self) -> None:
            closed.append(True)

    with pytest.raises(ValueError, match="no"), bench(Closing(), folder=Path()):
        raise ValueError("no")
    assert closed == [True]


def test_what_is_made_for_tests() -> None:
    assert gradient(256, 2)[0, :, 0].tolist() == list(range(256))
    assert bars(8, 2)[0].tolist()[0] == [255, 255, 255]
    image = picture(bars(8, 8), "yuv444p", seconds=1.5)
    assert (image.format.name, image.pts) == ("yuv444p", 135_000)
    block = sound(np.zeros((2, 480), np.float32), seconds=1)
    assert (block.samples, block.layout.name, block.pts) == (480, "stereo", 48_000)


class Count(Node):
    """A source without an end, unless it has one."""

    last: int = 0

    def process(self) -> Iterator[Record]:
        numbers = range(self.last) if self.last else itertools.count()
        return ({"number": each} for each in numbers)


class Lift(Node):
    """Brighter by so much."""

    by: int = Live(0, ge=0, le=255)
    times: int = 1
    form: str = Live("uint8")

    def process(self, image: RGB) -> RGB:
        return (image + self.by * self.times).astype(self.form)


class Quiet(Node):
    def process(self, audio: Audio) -> Audio:
        return sound((audio.to_ndarray() / 2).astype(np.float32), audio.sample_rate)


class Told(NamedTuple):
    detections: Detections
    record: Record


class Tell(Node):
    """Several outputs."""

    def process(self, image: RGB) -> Told:
        return Told(Detections((Detection(0, 0, 1, 1),)), {"height": image.shape[0]})


def test_a_source_gives_a_list() -> None:
    assert run_node(Count(last=3)) == [{"number": 0}, {"number": 1}, {"number": 2}]


def test_a_source_without_an_end_is_taken_in_part() -> None:
    assert [each["number"] for each in run_node(Count(), most=2)] == [0, 1]
    with pytest.raises(ValueError, match="more than 1000 values; take some with `most=`"):
        run_node(Count())


def test_sound_may_be_an_array() -> None:
    given = run_node(Quiet(), audio=np.full((2, 480), 0.5, np.float32))
    assert (given.samples, float(given.to_ndarray()[0, 0])) == (480, 0.25)
    assert run_node(Quiet(), audio=np.zeros(10, np.float32)).layout.name == "mono"


def test_several_outputs() -> None:
    told = run_node(Tell(), image=gradient(8, 4))
    assert (len(told.detections), told.record) == (1, {"height": 4})


def test_a_port_without_a_value() -> None:
    with pytest.raises(TypeError, match=r"needs a value for its port 'regions' \(detections\)"):
        run_node(stubs.Blur(), image=stubs.picture(1))


def test_an_input_of_the_wrong_form() -> None:
    said = r"input 'image' got ndarray \(4, 8, 3\) of float64; it should be \(H, W, 3\) uint8"
    with pytest.raises(TypeError, match=said):
        run_node(Lift(), image=gradient(8, 4) / 2)
    with pytest.raises(TypeError, match="input 'image' got ndarray"):
        run_node(stubs.Pass(), image=gradient(8, 4)[..., 0])


def test_an_output_that_a_run_would_refuse() -> None:
    said = r"process\(\) gave ndarray \(4, 8, 3\) of float32; .* \(output 'image'\)"
    with pytest.raises(TypeError, match=said):
        run_node(Lift(form="float32"), image=gradient(8, 4))


def test_a_live_field_changes_between_two_frames() -> None:
    with bench(Lift(by=1)) as run:
        assert run(image=gradient(8, 4))[0, 0, 0] == 1
        run.set(by=5)
        assert run(image=gradient(8, 4))[0, 0, 0] == 5
        with pytest.raises(ValueError, match="less than or equal to 255"):
            run.set(by=256)
        with pytest.raises(TypeError, match=r"'times' is not a Live\(...\) field"):
            run.set(times=2)
        with pytest.raises(TypeError, match="no field 'bye'; it has by, times, form"):
            run.set(bye=2)
        assert run(image=gradient(8, 4))[0, 0, 0] == 5


class Bright(Node):
    def process(self, image: Tensor) -> Tensor:
        return image * 0.5


def test_a_tensor_may_be_an_array() -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    given = run_node(Bright(), image=bars(8, 4))
    assert (tuple(given.shape), float(given[0, 0, 0])) == ((3, 4, 8), 0.5)


class Either(Node):
    """Its ports are not known before its settings are."""

    by_settings = True

    def shaped(self, folder: Path, batch: Batching) -> Node:
        class Shaped(Either):
            inputs = Lift.inputs
            outputs = Lift.outputs

        return Shaped()

    def process(self, **values: Any) -> Any:
        return values["image"]


def test_a_node_that_gets_its_ports_from_its_settings() -> None:
    image = gradient(8, 4)
    assert np.array_equal(run_node(Either(), image=image), image)


def test_what_the_node_raises_comes_out_as_it_is_and_it_is_closed() -> None:
    closed: list[bool] = []

    class Breaks(Lift):
        def process(self, image: RGB) -> RGB:
            raise KeyError("lamp")

        def close(self) -> None:
            closed.append(True)

    with pytest.raises(KeyError, match="lamp"):
        run_node(Breaks(), image=gradient(8, 4))
    assert closed == [True]
