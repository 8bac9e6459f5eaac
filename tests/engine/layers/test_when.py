import pytest

from composer.engine.layers import when
from composer.engine.layers.layer import Missed, Site
from composer.engine.run import Run
from composer.node.frames import Snapshot
from tests.engine.layers.sites import made, step_of, taken
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


def test_a_step_without_it_has_nothing_in_its_way() -> None:
    assert when.layer(Site(step_of(every=2))) is None


@pytest.mark.parametrize(
    ("fallback", "missed"),
    [
        pytest.param("pass", Missed("pass", "when"), id="pass"),
        pytest.param("hold_last", Missed("hold_last", "when"), id="hold_last"),
        pytest.param("drop", Missed("drop", "when"), id="drop"),
    ],
)
def test_it_asks_the_params_that_hold_for_the_frame(fallback: str, missed: Missed) -> None:
    layer = made(when.layer(Site(step_of(when="on", else_=fallback))))
    assert layer.admit is not None
    frames = [
        taken(0, settings=Snapshot(version, params={"on": on})).frame
        for version, on in enumerate([True, False, True])
    ]
    assert [layer.admit(frame) for frame in frames] == [None, missed, None]


def test_a_change_is_met_in_order_with_concurrency() -> None:
    collect = sink()
    text = """\
params: {on: {type: bool, default: false}}
nodes:
  source: {type: count, count: 60}
  step: {type: fresh, when: on, else: drop, concurrency: 3}
  out: {type: collect}
"""
    run = Run(plan_of(text, collect=collect))
    run.params.patch({"on": True}, at=0.2)
    run.params.patch({"on": False}, at=0.4)
    run.start()
    report = finished(run)
    assert [pts for pts, _ in collect.seen] == list(range(20, 40))
    assert report.nodes["step"].dropped == {"when": 40}
