import pytest

from composer import logs
from composer.engine.inbox import WorkItem
from composer.engine.layers import measure
from composer.engine.layers.layer import Missed, Out
from tests.engine.layers.sites import around, converter, giving, site_of, step_of, taken
from tests.engine.runs import chain
from tests.stubs import calling


def test_a_converter_measures_itself() -> None:
    assert measure.layer(converter()) is None


def test_each_frame_is_measured_and_given_on() -> None:
    site = site_of(step_of())
    measured = around(measure.layer(site), giving("new"))
    assert measured(taken(2)) == giving("new")(taken(2))
    measured(taken(3))
    assert sum(site.count.work.counts) == 2
    assert site.count.work.total == pytest.approx(site.count.seconds) != 0


def test_one_that_fails_is_measured_too_and_the_log_leaves_it() -> None:
    site = site_of(step_of())
    where = logs.enter("session")
    at: list[tuple[str, float | None]] = []

    def call(taken: WorkItem) -> Out | Missed:
        at.append((where.node, where.seconds))
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        around(measure.layer(site), call)(taken(2))
    assert at == [("step", 0.02)]
    assert (where.node, where.seconds) == ("", None)
    assert sum(site.count.work.counts) == 1


def test_all_threads_of_a_step_are_measured() -> None:
    node = calling(lambda image: image)
    node.stateless = True
    report, _ = chain(node, ", concurrency: 3")
    assert sum(report.nodes["step"].work.counts) == 60
