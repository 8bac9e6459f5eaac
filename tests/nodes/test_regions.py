import pytest
from pydantic import ValidationError

from composer.node.formats import LAYOUTS
from composer.node.values import Detection, Detections
from composer.testing import bars, bench, picture, run_node
from nodes.regions import Regions


def test_the_boxes_in_their_order_with_labels_as_far_as_they_go() -> None:
    node = Regions(boxes=[(0.1, 0.2, 0.3, 0.4), (0, 0, 1, 1)], labels=["door"], score=0.7)
    assert run_node(node, image=bars(16, 16)) == Detections(
        (
            Detection(0.1, 0.2, 0.3, 0.4, "door", 0.7),
            Detection(0, 0, 1, 1, "", 0.7),
        )
    )


def test_no_boxes_are_no_detections() -> None:
    assert len(run_node(Regions(labels=["unused"]), image=bars(16, 16))) == 0


def test_lists_as_yaml_writes_them_are_taken() -> None:
    node = Regions.model_validate({"boxes": [[0, 0.5, 1, 0.5]]})
    assert [*run_node(node, image=bars(16, 16))] == [Detection(0, 0.5, 1, 0.5)]


def test_settings_change_between_two_frames_and_the_value_is_kept_while_they_do_not() -> None:
    image = picture(bars(16, 16))
    node = Regions(boxes=[(0, 0, 0.5, 0.5)])
    with bench(node) as run:
        first = run(image=image)
        assert run(image=image) is first
        node.boxes = [(0.5, 0.5, 0.5, 0.5)]
        assert [*run(image=image)] == [Detection(0.5, 0.5, 0.5, 0.5)]
        node.labels, node.score = ["logo"], 0.2
        assert [*run(image=image)] == [Detection(0.5, 0.5, 0.5, 0.5, "logo", 0.2)]


@pytest.mark.parametrize(
    "boxes",
    [
        pytest.param([[0, 0, 1]], id="three numbers"),
        pytest.param([[0, 0, 1, 1.1]], id="beyond 1"),
        pytest.param([[-0.1, 0, 1, 1]], id="below 0"),
        pytest.param([[0, 0, 1, float("nan")]], id="not a number"),
        pytest.param([[0, 0, 1, 1]] * 257, id="too many"),
    ],
)
def test_other_boxes_are_refused(boxes: list[list[float]]) -> None:
    with pytest.raises(ValidationError, match="boxes"):
        Regions.model_validate({"boxes": boxes})


def test_any_picture_will_do() -> None:
    assert [port.layout for port in Regions.inputs[0].formats] == list(LAYOUTS)
