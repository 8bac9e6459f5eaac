from composer.engine.account import EdgeCount
from composer.engine.assembly import Assembly, edges_of
from composer.engine.run import Run
from tests.stubs import finished, plan_of, sink

TEXT = (
    "nodes: {source: {type: count, count: 12}, one: {type: fresh, concurrency: 3},"
    " two: {type: pass}, out: {type: collect}}"
)


def test_each_node_has_one_account_however_many_threads_work_for_it() -> None:
    run = Run(plan_of(TEXT, collect=sink()))
    run.start()
    working = run.assembly
    finished(run)
    counts = run.assembly.counts()
    assert {name: (count.taken, count.given) for name, count in counts.items()} == {
        "source": (0, 12),
        "one": (12, 12),
        "two": (12, 12),
        "out": (12, 12),
    }
    assert (run.assembly.stages, run.assembly.steps()) == ((), {})  # nothing of them is left
    steps = working.steps()
    assert list(steps) == list(run.plan.steps)
    one = next(stage for stage in working.stages if "one" in stage.stage.steps)
    assert steps["one"] is next(one.steps()), "that of the first thread"
    assert list(working.sources) == ["source"]


def test_what_was_not_put_together_has_an_empty_account() -> None:
    plan = plan_of(TEXT)
    assembly = Run(plan).assembly
    assert {count.taken for count in assembly.counts().values()} == {0}
    assert (assembly.steps(), assembly.sources) == ({}, {})
    assert isinstance(assembly, Assembly)


def test_an_edge_that_was_there_before_goes_on_counting() -> None:
    plan = plan_of(TEXT)
    before = {
        "source.image -> one.image": EdgeCount(offered=3),
        "gone.image -> one.image": EdgeCount(offered=9),
    }
    edges = edges_of(plan, before)
    assert edges["source.image -> one.image"] is before["source.image -> one.image"]
    assert "gone.image -> one.image" not in edges
    assert set(edges) == {str(link) for link in plan.links if link.inbox}
    assert edges["one.image -> two.image"] == EdgeCount()
