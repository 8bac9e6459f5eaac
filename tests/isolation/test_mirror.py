"""Params as a worker knows them whose nodes are elsewhere: they say what Params say there."""

from collections.abc import Mapping
from typing import Any

import pytest

from composer.engine.params import PENDING, Patch
from composer.errors import ParamRejected
from composer.isolation.mirror import Mirror
from tests.server.streams import live_plan

TEXT = """\
params: {level: tint.brightness, slow: {to: tint.contrast, ramp_ms: 1000}, width: source.width}
nodes:
  source: {type: test_source, width: 64, height: 48}
  tint: {type: color, brightness: 0.1}
  out: {type: encode}
"""


class Sent:
    """A mirror, and what it has sent to a process."""

    def __init__(self, text: str = TEXT) -> None:
        self.changes: list[tuple[int, Mapping[str, Any]]] = []
        self.mirror = Mirror(live_plan(text), lambda *change: self.changes.append(change))

    def patch(self, values: Mapping[str, Any]) -> Patch:
        patch = self.mirror.take(self.mirror.judged(values))
        assert patch is not None
        return patch


def test_what_is_accepted_is_sent_and_holds_when_that_is_told() -> None:
    here = Sent()
    patch = here.patch({"level": "0.5"})
    assert here.changes == [(1, {"level": 0.5})]
    assert (here.mirror.values()["level"], here.mirror.asked()) == (0.1, {"level": 0.5})
    here.mirror.applied(1, 2.5, {})
    assert (patch.seconds, patch.applied.is_set()) == (2.5, True)
    assert here.mirror.values()["level"] == 0.5


def test_what_came_later_does_not_hold_yet() -> None:
    here = Sent()
    first, second = here.patch({"level": 0.5}), here.patch({"level": 0.6})
    assert second.values == {"level": 0.6}
    here.mirror.applied(1, 2.5, {})
    assert (first.seconds, second.seconds) == (2.5, None)
    assert here.mirror.values()["level"] == 0.5


def test_what_is_refused_is_not_sent() -> None:
    here = Sent()
    with pytest.raises(ParamRejected):
        here.patch({"level": 0.5, "nothing": 1})
    assert (here.changes, here.mirror.asked()) == ([], {})


def test_how_a_source_begins_is_asked_before_it_runs() -> None:
    here = Sent()
    here.patch({"width": 128})
    here.mirror.running = True
    with pytest.raises(ParamRejected, match="only be set before the start"):
        here.patch({"width": 256})


def test_what_moves_is_worth_what_the_process_says() -> None:
    here = Sent()
    here.patch({"slow": 2.0})
    here.mirror.applied(1, 1.0, {"slow": 1.2})
    assert (here.mirror.values()["slow"], here.mirror.asked()["slow"]) == (1.2, 2.0)
    here.mirror.moving = {}
    assert here.mirror.values()["slow"] == 2.0


def test_what_callers_set_stays_with_another_plan_where_it_can() -> None:
    here = Sent()
    here.patch({"level": 0.5, "slow": 1.5})
    here.mirror.applied(1, 1.0, {})
    other = TEXT.replace("{to: tint.contrast, ramp_ms: 1000}", "{to: tint.contrast, max: 1.2}")
    other = other.replace("brightness: 0.1", "brightness: 0.2")
    mirror = here.mirror.replaced(live_plan(other))
    assert mirror.asked() == {"level": 0.5}
    assert (mirror.values()["level"], mirror.values()["slow"]) == (0.5, 1.0)


def test_what_was_judged_before_another_change_is_judged_again() -> None:
    here = Sent()
    judgement = here.mirror.judged({"level": 0.5})
    here.patch({"level": 0.6})
    assert here.mirror.take(judgement) is None
    assert here.mirror.asked() == {"level": 0.6}


def test_changes_that_nobody_confirms_are_bounded() -> None:
    here = Sent()
    for number in range(PENDING + 10):
        here.patch({"level": number / 1000})
    assert here.mirror.values()["level"] == 9 / 1000
    here.mirror.applied(PENDING + 10, 1.0, {})
    assert here.mirror.values()["level"] == (PENDING + 9) / 1000
