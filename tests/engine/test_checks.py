import pytest

from composer.errors import NodeFailed
from composer.pictures import pixels
from tests.engine.runs import chain
from tests.stubs import calling


def test_a_node_that_gives_another_layout_fails_with_the_way_out() -> None:
    with pytest.raises(NodeFailed, match=r"gave a gray picture where the plan has yuv420p"):
        chain(calling(lambda image: pixels.convert(image, "gray")))
