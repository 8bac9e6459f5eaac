"""Join: one frame of the first port, and for its time the value of every other port."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from composer.engine.inbox import WAIT, Slot, Waiting, WorkItem
from composer.node.formats import Kind
from composer.node.frames import Bound, Frame
from composer.node.values import Detections
from composer.pipeline.spec import Missing

SAME_MICROS: Final = 1
"""Two times this close are one: branches may count in different time bases."""


@dataclass(frozen=True)
class Joined:
    """One port beside the first: what stands in for a value that never came."""

    name: str
    kind: Kind
    optional: bool


class Join:
    """Takes the first port's frames in order, and waits for the others to reach their time.

    A port has reached a time when it gave a frame at or after it, said that none will come, or
    ended. within: seconds to wait at the most, None on files: there the slow branch is waited for.
    """

    direct = False

    def __init__(
        self, first: str, others: Sequence[Joined], missing: Missing, within: float | None
    ) -> None:
        self._first, self._others = first, others
        self._missing, self._within = missing, within
        self._since: float | None = None

    def patience(self, now: float) -> float | None:
        if self._within is None or self._since is None:
            return None
        return max(0.0, self._since + self._within - now)

    def __call__(
        self, slots: Mapping[str, Slot], now: float, *, give_way: bool
    ) -> WorkItem | Bound | Waiting | None:
        first = slots[self._first]
        if not first.queue:
            self._since = None
            if not first.ended:
                for other in self._others:
                    _shed(slots[other.name])
                    if give_way and slots[other.name].full:
                        slots[other.name].drop_oldest()
                return WAIT
            for other in self._others:
                _unused(slots[other.name])
            return None if all(slot.ended for slot in slots.values()) else WAIT
        head = first.queue[0]
        if isinstance(head, Bound):
            first.pop()
            return head
        if first.too_old(head, now):
            first.pop()
            return Bound(head.micros)
        reached = [_advance(slots[other.name], head.micros) for other in self._others]
        if not all(reached) and not give_way and not self._expired(now):
            return WAIT
        self._since = None
        first.pop()
        return self._put_together(first, head, slots)

    def _expired(self, now: float) -> bool:
        if self._within is None:
            return False
        if self._since is None:
            self._since = now
        return now - self._since >= self._within

    def _put_together(
        self, first: Slot, head: Frame[Any], slots: Mapping[str, Slot]
    ) -> WorkItem | Bound:
        values: dict[str, Any] = {}
        for other in self._others:
            slot = slots[other.name]
            exact = slot.last is not None and abs(slot.last.micros - head.micros) <= SAME_MICROS
            if slot.last is not None and (exact or self._missing == "last"):
                _use(slot)
                values[other.name] = slot.last.value
            elif self._missing != "drop" and other.optional:
                values[other.name] = None
            elif self._missing != "drop" and other.kind is Kind.DETECTIONS:
                values[other.name] = Detections()
            else:
                first.count.dropped["missing"] += 1
                return Bound(head.micros)
        first.count.taken += 1
        return WorkItem(first.name, head, values)


def _advance(slot: Slot, micros: int) -> bool:
    """Take in what is not newer than `micros`; whether the port has reached that time."""
    while slot.queue:
        item = slot.queue[0]
        if isinstance(item, Bound):
            slot.bound = max(slot.bound, item.micros)
        elif item.micros > micros + SAME_MICROS:
            return True
        else:
            _unused_last(slot)
            slot.last, slot.last_used = item, False
        slot.pop()
    newest = slot.last.micros if slot.last is not None else slot.bound
    return slot.ended or max(newest, slot.bound) >= micros - SAME_MICROS


def _use(slot: Slot) -> None:
    if not slot.last_used:
        slot.last_used = True
        slot.count.taken += 1


def _unused_last(slot: Slot) -> None:
    if slot.last is not None and not slot.last_used:
        slot.count.dropped["unused"] += 1
        slot.last_used = True


def _shed(slot: Slot) -> None:
    """Take in time bounds while the first port has nothing to compare them with."""
    while slot.queue and isinstance(slot.queue[0], Bound):
        slot.bound = max(slot.bound, slot.pop().micros)


def _unused(slot: Slot) -> None:
    """The first port has ended: nobody will ask for what is here."""
    _unused_last(slot)
    while slot.queue:
        if isinstance(slot.pop(), Frame):
            slot.count.dropped["unused"] += 1
