from composer.engine.run import Run
from tests.stubs import finished, plan_of, sink


def test_when_passes_the_frames_by_while_it_is_false() -> None:
    collect = sink()
    text = """\
params: {on: {type: bool, default: false}}
nodes:
  source: {type: count, count: 6}
  step: {type: paint, when: on}
  out: {type: collect}
"""
    run = Run(plan_of(text, collect=collect))
    run.params.patch({"on": True}, at=0.03)
    run.start()
    finished(run)
    assert collect.seen == [(0, 0), (1, 1), (2, 2), (3, 4), (4, 5), (5, 6)]
