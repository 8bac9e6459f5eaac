"""Trouble: what nodes of a session had to say, and which of them still load."""

from collections import Counter
from collections.abc import Callable

from composer.engine.notices import Happened, Notice
from composer.session.events import Events


class Trouble:
    """Keeps what was last wrong, and tells it in the events. now: seconds, of any clock."""

    def __init__(self, events: Events, now: Callable[[], float]) -> None:
        self.last = ""
        """What went wrong last, "" for nothing yet."""
        self.last_at = 0.0
        """When that was; 0 for never."""
        self.errors: Counter[str] = Counter()
        """Frames that failed, by node."""
        self.loading: set[str] = set()
        """Nodes that frames go by until they are set up."""

        self._events, self._now = events, now

    def frame_failed(self, notice: Notice) -> None:
        """Every failed frame is counted; the 1st, 10th and every 100th is told, too."""
        self.errors[notice.node] += 1
        self._remember(notice.said)
        count = self.errors[notice.node]
        if count in (1, 10) or count % 100 == 0:
            self._events.put(
                "node_error",
                node=notice.node,
                error=notice.said,
                seconds=notice.seconds,
                count=count,
            )

    def node_changed(self, notice: Notice) -> None:
        """A node loads, is ready, or stays as it was."""
        if notice.kind is Happened.LOADING:
            self.loading.add(notice.node)
        elif notice.kind is Happened.READY:
            self.loading.discard(notice.node)
        else:
            self._remember(notice.said)
        self._events.put(f"node_{notice.kind.value}", node=notice.node, error=notice.said or None)

    def _remember(self, error: str) -> None:
        self.last, self.last_at = error, self._now()
