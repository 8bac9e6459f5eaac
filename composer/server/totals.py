"""Totals: what sessions have done, one of them or the sum of several."""

from collections import Counter
from collections.abc import Iterable
from typing import Self

from composer.engine.account import EdgeCount, NodeCount
from composer.session import status
from composer.session.session import Session


class Totals:
    """Counts by node, by edge and by channel; bounded by the pipelines that there were."""

    def __init__(self) -> None:
        self.nodes: dict[str, NodeCount] = {}
        self.edges: dict[str, EdgeCount] = {}
        self.bytes: Counter[str] = Counter()
        self.dropped: Counter[tuple[str, str]] = Counter()
        """Units, packets, items, events and messages left out, by channel and reason."""
        self.unread = self.lost_segments = 0

    @classmethod
    def of(cls, sessions: Iterable[Session], before: "Totals | None" = None) -> Self:
        """The sum of some sessions, and of what there was before."""
        total = cls()
        if before is not None:
            total._add(before)
        for session in sessions:
            total.include(session)
        return total

    def include(self, session: Session) -> None:
        """Count what a session has done so far."""
        own = Totals()
        account = session.execution.account()
        own.nodes, own.edges = dict(account.nodes), dict(account.edges)
        own.bytes.update(status.bytes_by(session))
        for channel, reasons in status.dropped_by(session).items():
            own.dropped.update({(channel, reason): count for reason, count in reasons.items()})
        ingress = session.execution.ingress
        own.unread = ingress.counts.unread if ingress is not None else 0
        own.lost_segments = session.lost_segments
        self._add(own)

    def _add(self, other: "Totals") -> None:
        for name, node in other.nodes.items():
            mine = self.nodes.setdefault(name, NodeCount())
            mine.include(node)
            mine.lost_tracks = ()  # words, of which there would be more with each session
        for name, edge in other.edges.items():
            sum_ = self.edges.setdefault(name, EdgeCount())
            sum_.offered += edge.offered
            sum_.taken += edge.taken
            sum_.dropped.update(edge.dropped)
        self.bytes.update(other.bytes)
        self.dropped.update(other.dropped)
        self.unread += other.unread
        self.lost_segments += other.lost_segments
