from pathlib import Path

import numpy as np
import pytest

from composer import Detection
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
