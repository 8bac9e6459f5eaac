from tests.engine.runs import run_of
from tests.stubs import sink


def test_both_outputs_of_a_node_arrive() -> None:
    collect = sink()
    run_of(
        "nodes: {source: {type: count, count: 5}, split: {type: split},"
        " mix: {type: mix, in: {base: split.image, top: split.other}}, out: {type: collect}}",
        collect=collect,
    )
    assert collect.others == [255, 254, 253, 252, 251]
