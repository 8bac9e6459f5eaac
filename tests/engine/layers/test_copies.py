from tests.engine.runs import run_of
from tests.stubs import sink


def test_two_branches_do_not_see_each_others_writing() -> None:
    collect = sink()
    run_of(
        "nodes: {source: {type: count, count: 30}, one: {type: paint, in: source},"
        " two: {type: paint, in: source}, mix: {type: mix, in: {base: one, top: two}},"
        " out: {type: collect}}",
        collect=collect,
    )
    assert [value for _, value in collect.seen] == list(range(1, 31))
    assert collect.others == list(range(1, 31))
