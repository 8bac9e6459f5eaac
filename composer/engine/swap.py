"""Swap: another plan in the place of the one that runs, prepared beside it, then put in between two
frames: nothing is lost and nothing comes twice.
"""

import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from composer.compiler.change import Change
from composer.compiler.plan import Plan
from composer.engine.assembly import Assembly, edges_of
from composer.engine.params import Params
from composer.engine.stage import wire
from composer.errors import ParamRejected, Stalled

if TYPE_CHECKING:  # which has all of its changes made here
    from composer.engine.run import Run

log: Final = logging.getLogger(__name__)

DRAIN_SECONDS: Final = 5.0
"""How long the old nodes may take with what is in them when another plan takes over."""


class Prepared:
    """A change of a run that can be made now, as far as anybody can tell. apply() or discard() it.

    Both may be called from any thread; what was opened for it is closed by the second.
    """

    def __init__(self, apply: Callable[[], None], discard: Callable[[], None]) -> None:
        self._apply, self._discard = apply, discard
        self._used = False

    def apply(self) -> None:
        """Make it, between two frames. Raises Stalled where it was used before, where the run has
        ended, and where its sources do not pause or the old plan does not come to its end; then it
        was discarded. Raises NodeFailed where a node that goes on cannot: that ends the run.
        """
        if self._used:
            raise Stalled("this change was made or discarded before")
        self._used = True
        self._apply()

    def discard(self) -> None:
        """Leave everything as it is. Harmless where it was applied."""
        if not self._used:
            self._used = True
            self._discard()


def prepare(run: "Run", plan: Plan, change: Change) -> Prepared:
    """Open what is built anew, beside what runs. Raises NodeFailed where a node cannot be set up,
    and Stalled where the run does not work; then nothing has changed.
    """
    if not run.at_work:
        raise Stalled("the run does not work")
    if change.only_live:
        return Prepared(lambda: _edit(run, plan, change.values), lambda: None)
    swap = _Swap(run, plan, change.built)
    swap.open()
    return Prepared(swap.apply, swap.discard)


def _edit(run: "Run", plan: Plan, values: Mapping[str, Mapping[str, Any]]) -> None:
    """Go on with a plan that differs in live fields alone, from the next frame on."""
    with _paused(run):
        now = run.assembly
        now.params.edit(values, plan.params.values())
        run.go_on(Assembly(plan, now.params, now.edges, now.stages), ())


@contextmanager
def _paused(run: "Run") -> Iterator[None]:
    """No source gives anything meanwhile. Raises Stalled where one is held up by what is behind it,
    and where the run has ended.
    """
    with ExitStack() as pause:
        try:
            pause.enter_context(run.gate.closed(DRAIN_SECONDS))
        except TimeoutError:
            raise Stalled("a source is held up by a node that does not take its frame") from None
        if not run.at_work:
            raise Stalled("the run has ended")
        yield


class _Swap:
    """The stages of the next plan beside those of the one that runs.

    Nodes that are not built anew keep what they have loaded and what they remember.
    """

    def __init__(self, run: "Run", plan: Plan, built: Collection[str]) -> None:
        self._run = run
        before = run.assembly
        params = run.params_of(plan)
        _carry(before.params, params)
        params.running = True
        self._kept = frozenset(plan.steps) - frozenset(built) - _restless(before, plan)
        self._next = Assembly(plan, params, edges_of(plan, before.edges))

    def open(self) -> None:
        """Raises NodeFailed; then all is closed again."""
        coming = self._next
        try:
            stages = self._run.stages_of(coming.plan, coming.params.at(0.0), coming.edges)
            self._next = replace(coming, stages=stages)
            for stage in stages:
                stage.open(None, leave=self._kept)
        except BaseException:
            self.discard()
            raise

    def discard(self) -> None:
        for stage in reversed(self._next.stages):
            stage.close_quietly()
        self._run.traffic.inboxes = [stage.inbox for stage in self._run.assembly.stages]

    def apply(self) -> None:
        try:
            with _paused(self._run):
                self._change(self._run.assembly)
        except BaseException:
            self.discard()
            raise

    def _change(self, before: Assembly) -> None:
        """The moment itself, while sources pause: the old stages come to their end, what is kept of
        them goes over, and the new ones begin.
        """
        if any(source.ended for source in before.sources.values()):
            raise Stalled("the run has ended")
        self._drain(before)
        try:
            self._go_over(before)
        except Exception as exc:  # the old stages are gone, so there is no way back
            self._run.fail(exc)
            raise

    def _go_over(self, before: Assembly) -> None:
        run, coming, sources = self._run, self._next, dict(before.sources)
        old, counts, stages = before.steps(), before.counts(), list(coming.stages)
        for place, stage in enumerate(stages):
            name = stage.stage.name
            here = sources.pop(name, None) if name in self._kept else None
            if here is not None:
                here.become(coming.plan, stage)
                stages[place] = here
            else:
                stage.take_over(old, counts, self._kept)
        for source in sources.values():
            source.left_behind = True
        _carry(before.params, coming.params)
        run.traffic.inboxes = [stage.inbox for stage in stages]
        wire(stages, coming.plan)
        begin = [stage for stage in stages if not stage.threads[0].ident]
        run.go_on(Assembly(coming.plan, coming.params, coming.edges, stages), begin)

    def _drain(self, before: Assembly) -> None:
        """Let all but the sources come to their end. Raises Stalled."""
        for stage in before.stages:
            stage.kept = self._kept
        for source in before.sources.values():
            source.end_downstream()
        middle = [stage for stage in before.stages if not stage.is_source]
        for thread in [thread for stage in middle for thread in stage.threads]:
            thread.join(DRAIN_SECONDS)
            if thread.is_alive():
                failure = Stalled(f"{thread.name} does not come to its end for another plan")
                self._run.fail(failure)
                raise failure
        if not self._run.at_work:
            raise Stalled("the run has failed")


def _restless(before: Assembly, plan: Plan) -> frozenset[str]:
    """Nodes that cannot go over to another thread just now: one is being set up for them, or
    several work side by side.
    """
    several = [stage for stage in (*before.plan.stages, *plan.stages) if stage.workers > 1]
    opening = [
        step.step.name
        for stage in before.stages
        for step in stage.steps()
        if step.instance is not None and not step.instance.settled
    ]
    return frozenset(opening) | {name for stage in several for name in stage.steps}


def _carry(before: Params, after: Params) -> None:
    """What callers have set stays set."""
    for name, value in before.asked().items():
        try:
            after.patch({name: value})
        except ParamRejected as exc:
            log.info("a caller's value is not carried over: %s", exc)
