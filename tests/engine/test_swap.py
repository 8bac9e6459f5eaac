"""Another plan in the place of the one that runs: what is opened is closed, whatever happens."""

import threading
from collections.abc import Iterator
from queue import SimpleQueue
from typing import Annotated, Any, ClassVar

import av
import pytest

from composer import Chosen, Context, Layouts, Live, Node, Picture, Tensor
from composer.compiler.change import between
from composer.compiler.plan import Plan
from composer.device import cuda
from composer.engine.account import Report
from composer.engine.run import Run, RunState
from composer.engine.swap import Prepared
from composer.errors import NodeFailed, Stalled
from tests import stubs
from tests.engine.runs import accounted_edges
from tests.engine.sessions import Fed
from tests.stubs import calling, finished, luma, plan_of, reach, sink

Rgb = Annotated[Picture, Layouts("rgb24")]


class Colored(Node):
    """Takes what makes those before it give another layout."""

    def process(self, image: Rgb) -> Rgb:
        return image


class OnDevice(Node):
    devices: ClassVar[tuple[str, ...]] = ("cpu", "cuda")

    def process(self, image: Tensor) -> Tensor:
        return image


class Swapped:
    """A run of fed -> a -> see -> b -> out, frame by frame, and other plans for it.

    log: what was asked of a, b and c, as "b opens". fails: what raises when it is asked.
    """

    PLAN = (
        "params: {{shade: a.shade}}\n"
        "nodes: {{fed: {{type: fed}}, a: {{type: a}}, {middle}see: {{type: see}},"
        " b: {{type: b{options}}}, {after}out: {{type: collect}}}}"
    )

    def __init__(self, options: str = "") -> None:
        self.log: list[str] = []
        self.fails: set[str] = set()
        self.held_up = threading.Event()
        self.held_up.set()
        self.at_b = threading.Event()
        self.seen: SimpleQueue[int] = SimpleQueue()
        self._classes = self._nodes()
        self.run = Run(self._plan(options=options))

    def _nodes(self) -> dict[str, type[Node]]:
        here = self

        class Source(Fed):
            feed: ClassVar["SimpleQueue[int | None]"] = SimpleQueue()

            def setup(self, ctx: Context) -> None:
                here._say("fed opens")

            def close(self) -> None:
                here._say("fed closes")

        class Part(Node):
            adapts = stateless = True

            size_px: int = 1
            shade: int = Live(0)
            _name: ClassVar[str] = ""

            def setup(self, ctx: Context) -> None:
                here._say(f"{self._name} opens")

            def adapt(self, ctx: Context) -> None:
                here._say(f"{self._name} adapts")

            def process(self, image: Picture) -> Chosen:
                if self._name == "b":
                    here.at_b.set()
                    reach(here.held_up)
                return image

            def close(self) -> None:
                here._say(f"{self._name} closes")

        def see(image: av.VideoFrame) -> av.VideoFrame:
            self.seen.put(luma(image))
            return image

        self.feed = Source.feed
        return {
            "fed": Source,
            "see": calling(see),
            "a": type("A", (Part,), {"_name": "a", "__module__": __name__}),
            "b": type("B", (Part,), {"_name": "b", "__module__": __name__}),
            "c": type("C", (Part,), {"_name": "c", "__module__": __name__}),
            "colored": Colored,
            "on": OnDevice,
            "collect": sink(),
        }

    def _say(self, what: str) -> None:
        self.log.append(what)
        if what in self.fails:
            raise ValueError("no")

    def _plan(self, middle: str = "", options: str = "", after: str = "") -> Plan:
        text = self.PLAN.format(middle=middle, options=options, after=after)
        return plan_of(text, **self._classes)

    def prepare(self, **parts: str) -> Prepared:
        """Another plan: more nodes in the `middle` and `after` b, and `options` of b."""
        plan = self._plan(**parts)
        return self.run.prepare(plan, between(self.run.plan, plan))

    def frame(self, number: int) -> int:
        self.feed.put(number)
        return self.seen.get(timeout=stubs.WAIT)

    def end(self) -> Report:
        self.feed.put(None)
        return finished(self.run)

    def closed_once(self) -> bool:
        """Whether all that was opened was closed as often."""
        opened = sorted(word.split()[0] for word in self.log if word.endswith("opens"))
        closed = sorted(word.split()[0] for word in self.log if word.endswith("closes"))
        return opened == closed

    @property
    def inboxes(self) -> list[Any]:
        return self.run.traffic.inboxes


@pytest.fixture
def swapped() -> Iterator[Swapped]:
    swapped = Swapped()
    swapped.run.start()
    assert swapped.frame(1) == 1
    swapped.log.clear()
    yield swapped
    swapped.held_up.set()
    swapped.feed.put(None)
    assert swapped.run.done.wait(stubs.WAIT)


def opened_before(swapped: Swapped) -> None:
    """What the fixture opened, for closed_once()."""
    swapped.log[:0] = ["fed opens", "a opens", "b opens"]


C = "c: {type: c}, "


def test_another_plan_takes_over_between_two_frames(swapped: Swapped) -> None:
    before = dict(swapped.run.assembly.steps())
    instances = {name: step.instance for name, step in before.items()}
    swapped.run.params.patch({"shade": 3})
    swapped.prepare(after=C).apply()
    assert swapped.log == ["c opens"]
    assert swapped.frame(2) == 2
    after = swapped.run.assembly.steps()
    assert {name: after[name].instance for name in instances} == instances
    assert swapped.run.params.asked() == {"shade": 3}
    report = swapped.end()
    accounted_edges(report)
    assert [report.nodes[name].given for name in ("fed", "a", "b", "c", "out")] == [2, 2, 2, 1, 2]
    opened_before(swapped)
    assert swapped.closed_once()


def test_a_change_of_live_values_alone_opens_nothing(swapped: Swapped) -> None:
    swapped.prepare(options=", shade: 7").apply()
    assert swapped.frame(2) == 2
    swapped.end()
    assert [word for word in swapped.log if word.endswith("opens")] == []
    settings: Any = swapped.run.plan.steps["b"].settings
    assert settings.shade == 7


def test_a_node_that_is_built_anew_is_open_before_the_old_one_is_closed(swapped: Swapped) -> None:
    swapped.prepare(options=", size_px: 2").apply()
    assert swapped.log == ["b opens", "b closes"]
    assert swapped.frame(2) == 2
    b = swapped.end().nodes["b"]
    assert (b.taken, b.given, sum(b.work.counts)) == (2, 2, 2), "it counts on"


def test_what_is_discarded_is_closed_once_and_the_run_goes_on(swapped: Swapped) -> None:
    inboxes = list(swapped.inboxes)
    prepared = swapped.prepare(after=C)
    assert len(swapped.inboxes) > len(inboxes)
    prepared.discard()
    prepared.discard()
    assert swapped.log == ["c opens", "c closes"]
    assert swapped.inboxes == inboxes
    with pytest.raises(Stalled, match="this change was made or discarded before"):
        prepared.apply()
    assert swapped.frame(2) == 2


def test_what_was_applied_is_applied_once(swapped: Swapped) -> None:
    prepared = swapped.prepare(after=C)
    prepared.apply()
    inboxes = list(swapped.inboxes)
    prepared.discard()
    with pytest.raises(Stalled, match="this change was made or discarded before"):
        prepared.apply()
    assert (swapped.log, swapped.inboxes) == (["c opens"], inboxes)
    assert swapped.frame(2) == 2


def test_a_node_that_cannot_be_set_up_changes_nothing(swapped: Swapped) -> None:
    inboxes = list(swapped.inboxes)
    swapped.fails.add("c opens")
    with pytest.raises(NodeFailed, match=r"'c' failed in setup\(\)"):
        swapped.prepare(options=", size_px: 2", after=C)
    assert sorted(swapped.log) == ["b closes", "b opens", "c closes", "c opens"]
    assert swapped.inboxes == inboxes
    assert swapped.frame(2) == 2


def test_a_lane_that_cannot_be_made_changes_nothing(
    swapped: Swapped, stand_in: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_lane(device: str) -> None:
        raise RuntimeError("CUDA error: unspecified launch failure")

    monkeypatch.setattr("composer.device.lanes.Lane", no_lane)
    inboxes = list(swapped.inboxes)
    with pytest.raises(NodeFailed) as caught:
        swapped.prepare(after=f"{C}on: {{type: on, device: {stand_in}}}, ")
    assert cuda.lost(caught.value)
    assert (swapped.log, swapped.inboxes) == ([], inboxes)
    assert swapped.frame(2) == 2


def test_a_run_that_has_not_begun_is_not_changed() -> None:
    swapped = Swapped()
    with pytest.raises(Stalled, match="the run does not work"):
        swapped.prepare(after=C)
    assert (swapped.log, len(swapped.inboxes)) == ([], 0)


@pytest.mark.parametrize("change", [{"after": C}, {"options": ", shade: 7"}])
def test_a_run_that_has_ended_is_not_changed(change: dict[str, str]) -> None:
    swapped = Swapped()
    swapped.run.start()
    prepared = swapped.prepare(**change)
    swapped.end()
    with pytest.raises(Stalled, match="the run has ended"):
        prepared.apply()
    with pytest.raises(Stalled, match="the run does not work"):
        swapped.prepare(**change)
    assert swapped.closed_once()


def test_a_node_that_cannot_adapt_ends_the_run_and_all_is_closed(swapped: Swapped) -> None:
    swapped.fails.add("a adapts")
    prepared = swapped.prepare(middle="colored: {type: colored}, ", after=C)
    with pytest.raises(NodeFailed, match=r"'a' failed in adapt\(\): ValueError: no"):
        prepared.apply()
    swapped.feed.put(2)
    with pytest.raises(NodeFailed, match=r"'a' failed in adapt\(\): ValueError: no"):
        finished(swapped.run)
    assert swapped.run.state is RunState.ENDED
    opened_before(swapped)
    assert swapped.closed_once(), swapped.log


def test_a_node_that_hangs_ends_the_run_and_all_is_closed_when_it_returns(
    swapped: Swapped, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("composer.engine.swap.DRAIN_SECONDS", 0.05)
    swapped.at_b.clear()
    swapped.held_up.clear()
    swapped.frame(2)
    reach(swapped.at_b)
    prepared = swapped.prepare(after=C)
    with pytest.raises(Stalled, match="stage a does not come to its end for another plan"):
        prepared.apply()
    assert swapped.log == ["c opens", "c closes"]
    swapped.held_up.set()
    swapped.feed.put(3)
    with pytest.raises(Stalled, match="does not come to its end"):
        finished(swapped.run)
    opened_before(swapped)
    assert swapped.closed_once(), swapped.log


def test_a_source_that_is_held_up_is_not_waited_for_for_ever_and_the_run_goes_on(
    swapped: Swapped, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("composer.engine.swap.DRAIN_SECONDS", 0.05)
    swapped.at_b.clear()
    swapped.held_up.clear()
    swapped.frame(2)
    reach(swapped.at_b)
    edge = next(iter(swapped.run.assembly.edges.values()))
    for number in range(3, 10):
        swapped.feed.put(number)
    while edge.offered < edge.taken + 5:  # four wait, and the source holds another one
        swapped.run.done.wait(0.001)
    prepared = swapped.prepare(after=C)
    with pytest.raises(Stalled, match="a source is held up by a node that does not take its frame"):
        prepared.apply()
    assert swapped.log == ["c opens", "c closes"]
    swapped.held_up.set()
    report = swapped.end()
    assert report.nodes["out"].given == 9


def test_nodes_that_work_side_by_side_are_opened_anew() -> None:
    swapped = Swapped(options=", concurrency: 2")
    swapped.run.start()
    assert swapped.frame(1) == 1
    swapped.log.clear()
    swapped.prepare(options=", concurrency: 2", after=C).apply()
    assert sorted(swapped.log) == ["b closes", "b closes", "b opens", "b opens", "c opens"]
    assert swapped.frame(2) == 2
    report = swapped.end()
    assert (report.nodes["b"].given, report.nodes["out"].given) == (2, 2)
