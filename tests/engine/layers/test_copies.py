from dataclasses import replace

import pytest

from composer.engine.inbox import WorkItem
from composer.engine.layers import copies
from composer.engine.layers.layer import Missed, Out, Site
from composer.pictures import pixels
from tests import stubs
from tests.engine.layers.sites import around, site_of, step_of
from tests.engine.runs import run_of
from tests.stubs import frame, luma, picture, sink


def test_a_step_that_writes_to_nothing_of_others_has_nothing_in_its_way() -> None:
    assert copies.layer(site_of(step_of(when="on", every=2))) is None


@pytest.mark.parametrize(
    ("ports", "copied"),
    [
        pytest.param({"image"}, [True, False], id="the first input"),
        pytest.param({"top"}, [False, True], id="another input"),
        pytest.param({"image", "top"}, [True, True], id="both"),
    ],
)
def test_what_is_written_to_is_copied_and_nothing_else(ports: set[str], copied: list[bool]) -> None:
    step = replace(step_of(stubs.Paint), copies=frozenset(ports))
    image, top = picture(3), picture(4)
    met: list[WorkItem] = []

    def call(taken: WorkItem) -> Out | Missed:
        met.append(taken)
        return []

    around(copies.layer(Site(step)), call)(WorkItem("image", frame(3, image), {"top": top}))
    (taken,) = met
    assert [taken.frame.value is not image, taken.others["top"] is not top] == copied
    pixels.planes(taken.frame.value)[0][...] = 9
    assert luma(image) == (3 if copied[0] else 9)
    assert (taken.frame.pts, luma(taken.others["top"])) == (3, 4)


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


def test_who_passes_a_frame_by_copies_nothing() -> None:
    """The picture that goes by is that of the others."""
    collect = sink()
    run_of(
        "nodes: {source: {type: count, count: 6}, one: {type: paint, in: source, every: 2},"
        " two: {type: pass, in: source}, mix: {type: mix, in: {base: one, top: two}},"
        " out: {type: collect}}",
        collect=collect,
    )
    assert [value for _, value in collect.seen] == [1, 1, 3, 3, 5, 5]
    assert collect.others == list(range(6))
