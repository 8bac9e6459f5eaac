from tests import stubs
from tests.engine.runs import chain


def test_gates_count_frames_in_order_with_concurrency() -> None:
    report, collect = chain(stubs.Fresh, ", concurrency: 4, every: 3, else: drop")
    assert [pts for pts, _ in collect.seen] == list(range(0, 60, 3))
    assert report.nodes["step"].dropped == {"every": 40}
