from collections.abc import Iterator

import pytest

from composer.errors import NodeFailed
from tests import stubs
from tests.stubs import picture, ran


def test_a_source_that_fails_says_when() -> None:
    class Broken(stubs.Count):
        def process(self) -> Iterator[stubs.Plain]:
            yield picture(0)
            yield picture(7)
            raise OSError("the disk is gone")

    with pytest.raises(NodeFailed) as caught:
        ran("nodes: {source: {type: count}, out: {type: collect}}", count=Broken)
    assert (caught.value.node, caught.value.seconds) == ("source", 0.07)
    assert isinstance(caught.value.__cause__, OSError)
