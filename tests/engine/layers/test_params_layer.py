import threading
from collections.abc import Iterator

from composer import YUV, Live, Node
from composer.engine.inbox import WorkItem
from composer.engine.layers import params
from composer.engine.layers.layer import Missed, Out
from composer.engine.run import Run
from composer.node.frames import Snapshot
from tests import stubs
from tests.engine.layers.sites import around, converter, site_of, step_of, taken
from tests.engine.runs import endless
from tests.stubs import finished, picture, plan_of, reach, sink

LEVELS = """\
params:
  level: {{to: [one.level, two.level, three.level]{ramp}}}
nodes:
  source: {{type: count, count: 100}}
  one: {{type: level, name: one}}
  two: {{type: level, name: two, queue: 7}}
  three: {{type: level, name: three, concurrency: 3}}
  out: {{type: collect}}
"""


def levels() -> tuple[type[Node], dict[str, dict[int, float]]]:
    found: dict[str, dict[int, float]] = {"one": {}, "two": {}, "three": {}}

    class Level(Node):
        stateless = True

        name: str = ""
        level: float = Live(0.0)

        def process(self, image: YUV) -> YUV:
            assert image.pts is not None
            found[self.name][image.pts] = self.level
            return image

    return Level, found


def test_a_patch_meets_all_nodes_at_the_same_frame() -> None:
    level, found = levels()
    run = Run(plan_of(LEVELS.format(ramp=""), level=level))
    patches = [run.params.patch({"level": float(at)}, at=at / 100) for at in (20, 50, 51)]
    run.start()
    finished(run)
    expected = {pts: max(at for at in (0, 20, 50, 51) if at <= pts) for pts in range(100)}
    assert found["one"] == found["two"] == found["three"] == expected
    assert [patch.seconds for patch in patches] == [0.2, 0.5, 0.51]


def test_a_ramp_moves_all_nodes_alike() -> None:
    level, found = levels()
    run = Run(plan_of(LEVELS.format(ramp=", ramp_ms: 100"), level=level))
    run.params.patch({"level": 10.0}, at=0.2)
    run.start()
    finished(run)
    assert found["one"] == found["two"] == found["three"]
    assert [round(found["one"][pts], 6) for pts in (19, 20, 25, 30, 31)] == [0, 0, 5, 10, 10]


def test_a_patch_while_it_runs_is_answered_with_its_time() -> None:
    begun, closed = threading.Event(), threading.Event()
    level, found = levels()
    run = Run(plan_of(LEVELS.format(ramp=""), level=level, count=endless(begun, closed)))
    run.start()
    reach(begun)
    patch = run.params.patch({"level": 3.0})
    reach(patch.applied)
    run.stop()
    finished(run)
    assert patch.seconds is not None
    first = min(pts for pts, value in found["two"].items() if value == 3.0)
    assert first == round(patch.seconds * 100)


def test_a_live_field_of_a_source_changes_under_it() -> None:
    class Levelled(stubs.Count):
        def process(self) -> Iterator[stubs.Plain]:
            for number in range(6):
                image = picture(int(self.level))
                image.pts = number
                yield image

    collect = sink()
    run = Run(
        plan_of(
            "params: {level: source.level}\nnodes: {source: {type: count}, out: {type: collect}}",
            count=Levelled,
            collect=collect,
        )
    )
    run.params.patch({"level": 80.0}, at=0.02)
    run.start()
    finished(run)
    assert [value for _, value in collect.seen] == [0, 0, 0, 80, 80, 80]


def test_a_converter_has_nothing_in_its_way() -> None:
    assert params.layer(converter()) is None


def test_a_node_meets_a_change_once_before_the_first_frame_of_it() -> None:
    class Level(Node):
        level: float = Live(0.0)

        def process(self, image: YUV) -> YUV:
            return image

    site = site_of(step_of(Level))
    assert site.instance is not None
    fields, levels = site.instance.node.__dict__, list[float]()

    def call(taken: WorkItem) -> Out | Missed:
        levels.append(fields["level"])
        fields["level"] = -1.0
        return []

    after_meeting = around(params.layer(site), call)
    first, second = (Snapshot(n, {"step": {"level": float(n)}}) for n in (1, 2))
    for number, snapshot in enumerate([first, first, second]):
        after_meeting(taken(number, settings=snapshot))
    assert levels == [1.0, -1.0, 2.0]


def test_a_frame_that_goes_by_is_met_by_nobody() -> None:
    """What it would have changed is met with the next one that comes to the node."""
    level, found = levels()
    text = LEVELS.format(ramp="").replace("queue: 7", "every: 10")
    run = Run(plan_of(text, level=level))
    run.params.patch({"level": 1.0}, at=0.15)
    run.start()
    finished(run)
    assert found["two"] == {pts: float(pts > 15) for pts in range(0, 100, 10)}
