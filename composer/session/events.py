"""Events: what a session tells its gateway, one JSON object at a time, newest kept."""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

from composer import strictjson

MOST: Final = 256
"""Most events that wait for the network; the oldest is dropped for the next one."""

QUEUE: Final = "ai_stream_events"
"""The queue of a gateway that all events but heartbeats go to (contract 6.2)."""


class Events:
    """The events of one session, until they are sent. Used on the loop only.

    now_ms: milliseconds since 1970, for people. wake: called when there is something to send.
    """

    def __init__(self, now_ms: Callable[[], int], wake: Callable[[], None]) -> None:
        self.put_count = 0
        self.dropped = 0
        self._now_ms, self._wake = now_ms, wake
        self._waiting: deque[bytes] = deque()
        self._params: Mapping[str, Any] | None = None

    def put(self, kind: str, **fields: Any) -> None:
        """An event of the shape {"event": {"type": kind, ...}, "queue_event_type": ...}."""
        event = {"type": kind, "timestamp": self._now_ms(), **fields}
        self._push({"event": event, "queue_event_type": QUEUE})

    def status(self, fields: Mapping[str, Any]) -> None:
        """The bare object that a gateway keeps as the state of the stream (contract 6.2)."""
        self._push({"type": "status", **fields, "timestamp": self._now_ms()})

    def update(self, params: Mapping[str, Any]) -> None:
        """Params as they are now. A thousand changes a second are one event: the newest counts."""
        self._params = params
        self._wake()

    def take(self) -> bytes:
        """The body of the next segment, b"" when there is nothing to tell."""
        if self._params is not None:
            params, self._params = self._params, None
            self.put("params_updated", params=params)
        return self._waiting.popleft() if self._waiting else b""

    def _push(self, event: Mapping[str, Any]) -> None:
        self.put_count += 1
        if len(self._waiting) >= MOST:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append(strictjson.text(event).encode())
        self._wake()
