import threading
from typing import ClassVar

import pytest

from composer import YUV, Detection, Detections
from composer.engine.layers import loading
from composer.engine.layers.layer import Missed
from composer.engine.notices import Happened
from tests import stubs
from tests.engine.layers.sites import converter, made, site_of, step_of, taken
from tests.engine.sessions import Session, Slow, slow
from tests.stubs import plan_of


def test_frames_go_by_a_node_of_a_session_until_it_is_ready() -> None:
    node = slow()
    session = Session(node)
    session.run.start()
    assert session.frame(10) == 10
    assert session.notices.get(timeout=stubs.WAIT) == ("loading", "slow", "")
    node.allowed.set()
    session.until(20)
    assert session.notices.get(timeout=stubs.WAIT) == ("ready", "slow", "")
    report = session.end()
    assert report.nodes["slow"].dropped.total() == 0
    assert node.closed == [2]


def test_on_files_and_for_converters_there_is_nothing_in_its_way() -> None:
    assert loading.layer(site_of(step_of())) is None
    assert loading.layer(converter()) is None


class Slower(Slow):
    """One whose output a picture cannot be."""

    def process(self, image: YUV) -> Detections:  # type: ignore[override]
        return Detections((Detection(0, 0, 1, 1),))


@pytest.mark.parametrize(
    ("node", "missed"),
    [
        pytest.param(Slow, Missed("pass", "loading"), id="the picture goes by"),
        pytest.param(Slower, Missed("hold_last", "loading"), id="it cannot"),
    ],
)
def test_frames_are_let_by_until_the_node_is_there(node: type[Slow], missed: Missed) -> None:
    class Here(node):  # type: ignore[misc, valid-type]  # a class of its own for each test
        allowed: ClassVar[threading.Event] = threading.Event()
        closed: ClassVar[list[int]] = []

    told: list[Happened] = []
    detecting = issubclass(node, Slower)
    out = "blur: {type: blur, in: {image: source, regions: step}}, " if detecting else ""
    plan = plan_of(
        f"nodes: {{source: {{type: count}}, step: {{type: here}}, {out}out: {{type: collect}}}}",
        here=Here,
    )
    site = site_of(plan.steps["step"], live=True, notify=lambda notice: told.append(notice.kind))
    assert site.instance is not None
    site.instance.open_aside(0)
    admit = made(loading.layer(site)).admit
    assert admit is not None
    assert admit(taken(0).frame) == missed
    Here.allowed.set()
    setup = next(thread for thread in threading.enumerate() if thread.name == "setup step")
    setup.join(stubs.WAIT)
    assert admit(taken(1).frame) is None
    assert admit(taken(2).frame) is None
    assert told == [Happened.LOADING, Happened.READY]
    site.instance.close()
    assert Here.closed == [2]


def test_each_thread_of_a_step_has_a_node_of_its_own_to_wait_for() -> None:
    class Here(slow()):  # type: ignore[misc]  # a class of its own for each test
        stateless = True

    session = Session(Here, ", concurrency: 2")
    session.run.start()
    assert [session.frame(10) for _ in range(4)] == [10] * 4
    Here.allowed.set()
    session.until(20, times=2)  # they take turns
    session.end()
    assert Here.closed == [2, 2]
