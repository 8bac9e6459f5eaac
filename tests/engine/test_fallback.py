import pytest

from composer import RGB, Node, OwnYUV
from composer.pictures import pixels
from tests.engine.runs import chain, run_of
from tests.stubs import sink


@pytest.mark.parametrize(
    ("options", "seen"),
    [
        pytest.param("every: 3", [1, 1, 2, 4, 4, 5, 7], id="pass is the default"),
        pytest.param("every: 3, else: pass", [1, 1, 2, 4, 4, 5, 7], id="pass"),
        pytest.param("every: 3, else: hold_last", [1, 1, 1, 4, 4, 4, 7], id="hold_last"),
        pytest.param("every: 3, else: drop", [1, 4, 7], id="drop"),
        pytest.param("rate: 50, else: drop", [1, 3, 5, 7], id="rate"),
        pytest.param("rate: 33.4, else: drop", [1, 4, 7], id="rate that does not divide"),
        pytest.param("rate: 1000, else: drop", [1, 2, 3, 4, 5, 6, 7], id="rate above the source"),
        pytest.param("when: false, else: drop", [], id="never"),
        pytest.param("when: false, else: hold_last", [], id="nothing to hold"),
    ],
)
def test_gate(options: str, seen: list[int]) -> None:
    collect = sink()
    report = run_of(
        f"nodes: {{source: {{type: count, count: 7}}, step: {{type: paint, {options}}},"
        " out: {type: collect}}",
        collect=collect,
    )
    assert [value for _, value in collect.seen] == seen
    step = report.nodes["step"]
    assert step.given + step.dropped.total() == 7


def test_a_frame_that_passes_by_is_converted_where_the_node_would_have() -> None:
    class Developed(Node):
        def process(self, image: RGB) -> OwnYUV:
            return pixels.from_rgb(image, "yuv420p")

    _, collect = chain(Developed, ", every: 2, else: pass")
    assert [pts for pts, _ in collect.seen] == list(range(60))
