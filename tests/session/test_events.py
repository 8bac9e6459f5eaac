"""Events of a session: one object each, bounded, and true JSON."""

import json
import math
from typing import Any

import pytest

from composer.session.events import MOST, Events


def all_of(events: Events) -> list[dict[str, Any]]:
    found = []
    while body := events.take():
        found.append(json.loads(body))
    return found


def test_events_are_wrapped_and_the_status_is_bare() -> None:
    wakes: list[int] = []
    events = Events(lambda: 1000, lambda: wakes.append(1))
    events.put("node_error", node="a", seconds=math.nan)
    events.status({"state": "ONLINE", "list": (1, 2), "odd": {1: object}})
    first, second = all_of(events)
    assert first == {
        "event": {"type": "node_error", "timestamp": 1000, "node": "a", "seconds": None},
        "queue_event_type": "ai_stream_events",
    }
    assert (second["type"], second["timestamp"], second["list"]) == ("status", 1000, [1, 2])
    assert wakes == [1, 1]


def test_many_changes_of_params_are_one_event() -> None:
    events = Events(lambda: 0, lambda: None)
    for number in range(1000):
        events.update({"level": number})
    (only,) = all_of(events)
    assert only["event"]["params"] == {"level": 999}


@pytest.mark.fault("F-41")
def test_the_oldest_of_too_many_is_dropped_and_counted() -> None:
    events = Events(lambda: 0, lambda: None)
    for number in range(MOST + 3):
        events.put("x", number=number)
    assert events.dropped == 3
    assert [each["event"]["number"] for each in all_of(events)] == list(range(3, MOST + 3))
