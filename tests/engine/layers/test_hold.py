from tests import stubs
from tests.engine.runs import chain, run_of
from tests.stubs import sink


def test_hold_last_holds_the_frame_before_with_concurrency() -> None:
    _, collect = chain(stubs.Fresh, ", concurrency: 4, every: 2, else: hold_last")
    assert collect.seen == [(number, number - number % 2) for number in range(60)]


def test_a_held_picture_is_not_written_into() -> None:
    collect = sink()
    run_of(
        "nodes: {source: {type: count, count: 4}, a: {type: fresh, every: 4, else: hold_last},"
        " b: {type: paint}, out: {type: collect}}",
        collect=collect,
    )
    assert collect.seen == [(0, 1), (1, 1), (2, 1), (3, 1)]


def test_a_held_picture_has_the_time_of_its_frame() -> None:
    collect = sink()
    run_of(
        "nodes: {source: {type: count, count: 4}, a: {type: fresh, every: 4, else: hold_last},"
        " b: {type: hold, depth: 1}, out: {type: collect}}",
        collect=collect,
    )
    assert collect.seen == [(0, 0), (1, 0), (2, 0), (3, 0)]
