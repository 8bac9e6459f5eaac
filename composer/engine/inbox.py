"""Inbox: the bounded buffer in front of a stage. It waits or drops by rule and counts both.

One thread takes; any number put. Frames come out in the order in which they came in, per port.
"""

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from composer.compiler.plan import InboxSpec
from composer.engine.account import EdgeCount
from composer.node.frames import Bound, Frame, Item

GROWN_MOST: Final = 256
"""Most frames beyond its size that a join's slot may hold: a branch that keeps frames back (a
filter that looks ahead, say) needs room beside it, and without it the graph would stand still."""


LATE_SECONDS: Final = 0.05
"""A frame is late when it reaches an inbox this long after it came into the process."""

HURRIED_SECONDS: Final = 1.0
"""Who had to drop is not waited for again before it has kept up for so long."""


class Aborted(Exception):
    """The run was given up; raised in whoever waits at an inbox."""


@dataclass
class Slot:
    """One input port of a stage: what waits there, and what a join knows of it."""

    name: str
    spec: InboxSpec
    count: EdgeCount
    queue: deque[Item] = field(default_factory=deque)
    frames: int = 0
    ended: bool = False
    bound: int = -(1 << 62)
    last: Frame[Any] | None = None
    last_used: bool = False
    grown: int = 0
    late_since: float | None = None
    """When frames began to come late, none in time among them."""
    hurried_until: float = 0.0
    """Until then it drops at once: its stage was too slow a moment ago."""

    @property
    def full(self) -> bool:
        # The second one is taken when the first is done.
        size = self.spec.size if self.count.taken > 1 else max(self.spec.size, self.spec.starting)
        return self.frames >= size + self.grown

    def see(self, frame: Frame[Any], now: float) -> None:
        """Note whether a frame that comes is late."""
        if now - frame.born <= LATE_SECONDS:
            self.late_since = None
        elif self.late_since is None:
            self.late_since = now

    def patience(self, frame: Frame[Any], now: float) -> float:
        """Seconds for which a frame waits in front of a full slot; none left: one is dropped."""
        if not self.spec.patience_s or now < self.hurried_until:
            return 0.0
        late_since = frame.born + LATE_SECONDS if self.late_since is None else self.late_since
        return late_since + self.spec.patience_s - now

    def overdue(self, now: float) -> bool:
        """Whether frames still come late, though some were dropped: only the newest is kept."""
        return self.late_since is not None and now < self.hurried_until

    def hurry(self, now: float) -> None:
        """Make room by dropping, and be quicker to do so for a while."""
        self.drop_oldest()
        self.hurried_until = now + HURRIED_SECONDS if self.spec.patience_s else 0.0

    def grow(self) -> bool:
        """Make room in front of a join, up to GROWN_MOST; False when there is no more."""
        if self.spec.on_full != "wait" or not self.full or self.grown >= GROWN_MOST:
            return False
        self.grown = min(GROWN_MOST, max(4, 2 * self.grown))
        return True

    def push(self, item: Item) -> None:
        if isinstance(item, Bound):
            if self.queue and isinstance(self.queue[-1], Bound):
                self.queue.pop()
        else:
            self.frames += 1
        self.queue.append(item)

    def pop(self) -> Item:
        item = self.queue.popleft()
        if isinstance(item, Frame):
            self.frames -= 1
        return item

    def drop_oldest(self) -> None:
        """Drop the oldest frame; what is known about time stays."""
        place = next(at for at, item in enumerate(self.queue) if isinstance(item, Frame))
        del self.queue[place]
        self.frames -= 1
        self.count.dropped["full"] += 1

    def too_old(self, frame: Frame[Any], now: float) -> bool:
        """Whether a frame that was taken out is dropped for its age, which is counted."""
        limit = self.spec.max_age_ms
        if limit is None or (now - frame.born) * 1000 <= limit:
            return False
        self.count.dropped["age"] += 1
        return True

    def give_up(self) -> None:
        """Drop all that waits, the value that a join has in its hand included."""
        kept = self.last is not None and not self.last_used
        if self.frames or kept:
            self.count.dropped["stopped"] += self.frames + kept
        self.last_used = True
        self.queue.clear()
        self.frames = 0


@dataclass(frozen=True, slots=True)
class WorkItem:
    """What a stage works on next: one frame and, in a join, the values of the other ports."""

    port: str
    frame: Frame[Any]
    others: Mapping[str, Any] = field(default_factory=dict)


class Waiting:
    """Returned by a Policy that cannot choose yet."""


WAIT: Final = Waiting()


class Policy(Protocol):
    """What to take from the slots next. Called under the inbox's lock; must not block."""

    direct: bool
    """Whether a frame that comes where nothing waits is the next one to take."""

    def __call__(
        self, slots: Mapping[str, Slot], now: float, *, give_way: bool
    ) -> WorkItem | Bound | Waiting | None:
        """Something, WAIT, or None when all has ended."""

    def patience(self, now: float) -> float | None:
        """Seconds after which to ask again even if nothing came; None to wait for an event."""


class InOrder:
    """Takes from one port, or from several one by one: whichever has something, in turn."""

    direct = True

    def __init__(self, ports: Sequence[str]) -> None:
        self._ports = deque(ports)

    def __call__(
        self, slots: Mapping[str, Slot], now: float, *, give_way: bool
    ) -> WorkItem | Bound | Waiting | None:
        for _ in range(len(self._ports)):
            slot = slots[self._ports[0]]
            self._ports.rotate(-1)
            if not slot.queue:
                continue
            item = slot.pop()
            if isinstance(item, Bound):
                return item
            if slot.too_old(item, now):
                return Bound(item.micros)
            slot.count.taken += 1
            return WorkItem(slot.name, item)
        return None if all(slot.ended for slot in slots.values()) else WAIT

    def patience(self, now: float) -> float | None:
        return None


class Traffic:
    """Who waits for whom in one run, so that a standstill is noticed the moment it happens."""

    def __init__(self, stalled: Callable[[], None]) -> None:
        self._lock = threading.Lock()
        self._working = 0
        self.inboxes: list[Inbox] = []
        self.stalled = stalled

    def enter(self, count: int = 1) -> None:
        with self._lock:
            self._working += count

    def leave(self, count: int = 1) -> bool:
        """True when nobody is left working."""
        with self._lock:
            self._working -= count
            return self._working == 0

    def rest(self) -> None:
        """Leave, and when that was the last one see to it that something goes on."""
        if self.leave():
            self.unstick()

    def unstick(self) -> None:
        """Nobody works and somebody sleeps: make room in the joins, else let one go on without.

        Calls `stalled` when neither helps.
        """
        for attempt in (Inbox.grow, Inbox.give_way):
            if any([attempt(inbox) for inbox in self.inboxes]):
                return
        if any(inbox.sleepers for inbox in self.inboxes):
            self.stalled()


class Inbox:
    """The slots in front of one stage, behind one lock."""

    def __init__(
        self,
        slots: Sequence[Slot],
        policy: Policy,
        traffic: Traffic,
        now: Callable[[], float],
    ) -> None:
        self._slots = {slot.name: slot for slot in slots}
        self._policy, self._traffic, self._now = policy, traffic, now
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self.sleepers = 0
        self._wakes = 0
        self._give_way = False
        self._taking = self._claimed = False
        self._aborted = False
        traffic.inboxes.append(self)

    def put(self, port: str, item: Item) -> None:
        """Hand over an item; waits while the slot is full and its rule is to wait.

        Raises Aborted.
        """
        slot = self._slots[port]
        with self._lock:
            if isinstance(item, Bound):
                slot.push(item)
                self._wake()
                return
            slot.count.offered += 1
            if slot.spec.patience_s:
                slot.see(item, now := self._now())
                while slot.frames and slot.overdue(now):
                    slot.hurry(now)
            while slot.full and not self._aborted:
                if slot.spec.on_full == "drop_newest":
                    slot.count.dropped["full"] += 1
                    return
                if slot.spec.on_full == "wait":
                    self._sleep(None)
                elif (patience := slot.patience(item, now := self._now())) > 0:
                    self._sleep(patience)
                else:
                    slot.hurry(now)
            if self._aborted:
                slot.count.dropped["stopped"] += 1
                raise Aborted
            slot.push(item)
            self._wake()

    def claim(self, port: str, frame: Frame[Any]) -> WorkItem | None:
        """The frame itself, taken at once, where its stage is idle and nothing waits: whoever would
        put it works for the stage then, until release(). None where it has to be put.
        """
        with self._lock:
            slot = self._slots[port]
            idle = self._taking and not self._claimed and not self._aborted
            waits = any(slot.queue for slot in self._slots.values())
            if not idle or not self._policy.direct or waits or slot.spec.max_age_ms is not None:
                return None
            slot.count.offered += 1
            slot.count.taken += 1
            self._claimed = True
            return WorkItem(port, frame)

    def release(self) -> None:
        """The frame that was claimed is done."""
        with self._lock:
            self._claimed = False
            if self._aborted or any(slot.queue or slot.ended for slot in self._slots.values()):
                self._wake()

    def end(self, port: str) -> None:
        """Nothing more will come at this port."""
        with self._lock:
            self._slots[port].ended = True
            self._wake()

    def take(self) -> WorkItem | Bound | None:
        """The next thing to work on; None when all ports have ended. Raises Aborted."""
        with self._lock:
            while True:
                if self._claimed:  # somebody works for this stage, and says when that is done
                    self._sleep(None)
                    continue
                if self._aborted:
                    raise Aborted
                now, waiting = self._now(), self._waiting()
                item = self._policy(self._slots, now, give_way=self._give_way)
                self._give_way = False
                if not isinstance(item, Waiting):
                    self._wake()
                    return item
                if self._waiting() < waiting:
                    self._wake()  # there is room now for somebody who wants to put
                self._taking = True
                self._sleep(self._policy.patience(now))
                self._taking = False

    def abort(self) -> None:
        """Wake everybody with Aborted; what still waits is counted as stopped."""
        with self._lock:
            self._aborted = True
            for slot in self._slots.values():
                slot.give_up()
            self._wake()

    def grow(self) -> bool:
        """Make room where a full slot of a join holds the graph up; True if there was some."""
        with self._lock:
            if not self._held_up or not any([slot.grow() for slot in self._slots.values()]):
                return False
            self._wake()
            return True

    def give_way(self) -> bool:
        """Let a join that waits here go on with what it has; True if one does."""
        with self._lock:
            if not self._held_up or not any(slot.frames for slot in self._slots.values()):
                return False
            self._give_way = True
            self._wake()
            return True

    def _waiting(self) -> int:
        return sum(slot.frames for slot in self._slots.values())

    @property
    def joins(self) -> bool:
        """Whether it takes frames of several inputs together."""
        return not self._policy.direct

    @property
    def _held_up(self) -> bool:
        """Whether somebody waits here for one of several inputs."""
        return self._taking and len(self._slots) > 1

    def _wake(self) -> None:
        """Everybody who sleeps here works again, from this moment on."""
        if self.sleepers:
            self._traffic.enter(self.sleepers)
            self.sleepers = 0
            self._wakes += 1
        self._changed.notify_all()

    def _sleep(self, seconds: float | None) -> None:
        if seconds is not None:
            # Time will wake this one, so it is not part of any standstill.
            self._changed.wait(seconds)
            return
        self.sleepers += 1
        wakes = self._wakes
        if self._traffic.leave():
            # The others' locks are taken one at a time, so ours must be free.
            self._changed.release()
            try:
                self._traffic.unstick()
            finally:
                self._changed.acquire()
        while wakes == self._wakes:
            self._changed.wait()
