"""A channel as the server sees it: a ring of segments. State only; bytes and times are handed in.

A segment is one body of a publisher. Readers hold the segment itself, so one that has left the ring
still gives them what it has; whoever waits for more leaves a callback in `wakers`.
"""

from collections.abc import Callable
from typing import Final

from composer.trickle import wire


class LimitReached(Exception):
    """A limit is reached: the answer to one request. The text says which."""


class TooLong(LimitReached):
    """One segment is longer than any may be."""


class Budget:
    """Bytes that all segments of a server may hold together."""

    def __init__(self, size: int) -> None:
        self.left = size

    def take(self, count: int) -> None:
        """Count bytes as held, or raise LimitReached and count nothing."""
        if count > self.left:
            raise LimitReached("the server holds as many bytes as it may")
        self.left -= count

    def give(self, count: int) -> None:
        """Count bytes as free again."""
        self.left += count


class Segment:
    """The bytes of one body, and whether more may come."""

    def __init__(self, seq: int, budget: Budget, max_bytes: int) -> None:
        self.seq: Final = seq
        self.closed = False
        self.wakers: Final[set[Callable[[], None]]] = set()
        self._data = bytearray()
        self._budget: Final = budget
        self._max_bytes: Final = max_bytes
        self._holders = 1  # the ring

    def __len__(self) -> int:
        return len(self._data)

    def append(self, data: bytes) -> None:
        """Add bytes for all readers. What comes after the end is dropped."""
        if self.closed:
            return
        if len(self._data) + len(data) > self._max_bytes:
            self.close()
            raise TooLong(f"segment {self.seq} is longer than {self._max_bytes} bytes")
        try:
            self._budget.take(len(data))
        except LimitReached:
            self.close()
            raise
        self._data += data
        self._wake()

    def read(self, start: int, count: int) -> bytes:
        """Up to `count` bytes from `start` on; none when there are no more yet."""
        with memoryview(self._data) as view:
            return bytes(view[start : start + count])

    def close(self) -> None:
        """No more bytes will come."""
        if not self.closed:
            self.closed = True
            self._wake()

    def hold(self) -> None:
        """Somebody reads: the bytes stay counted until `release`, in the ring or not."""
        self._holders += 1

    def release(self) -> None:
        """Undo one `hold`; without any the bytes are forgotten."""
        self._holders -= 1
        if not self._holders:
            self.close()
            self._budget.give(len(self._data))
            self._data.clear()

    def _wake(self) -> None:
        for waker in tuple(self.wakers):
            waker()


class Channel:
    """Segments under one name. `now` is in seconds of any clock, the same one for all calls."""

    def __init__(self, mime: str, now: float, budget: Budget, max_segment_bytes: int) -> None:
        self.mime: Final = mime
        self.next_write = 0
        self.written_at = now
        self.closed = False
        self._budget: Final = budget
        self._max_segment_bytes: Final = max_segment_bytes
        self._ring: Final[list[Segment | None]] = [None] * wire.WINDOW

    def to_read(self, seq: int) -> Segment | None:
        """The segment a GET means; the one that comes next is made, so that one can wait for it."""
        if seq == wire.NEXT:
            seq = self.next_write
        elif seq == wire.CURRENT:
            seq = max(self.next_write - 1, 0)
        if (segment := self.segment(seq)) is not None:
            return segment
        # A reader that takes 0 asks for 1 at once, before the first byte of 0 is there.
        early = self.next_write == 0 and seq == 1
        if self.closed or not (seq == self.next_write or early):
            return None
        return self._make(seq)

    def to_write(self, seq: int) -> Segment | None:
        """The segment a POST means, or None when it is over: there is nothing to add to it."""
        held = self._ring[seq % wire.WINDOW]
        if held is not None and held.seq == seq:
            return None if held.closed else held
        if self.closed:
            return None
        if held is not None and held.seq > seq:
            # Older than all that is kept: a publisher that starts again, usually at 0.
            self.next_write = seq
        return self._make(seq)

    def segment(self, seq: int) -> Segment | None:
        """What the ring holds under this number."""
        held = self._ring[seq % wire.WINDOW]
        return held if held is not None and held.seq == seq else None

    def began(self, seq: int, now: float) -> None:
        """The first byte of a segment is there, or it ended without one."""
        # Not back: whoever asks for the newest would be given one that is over.
        self.next_write = max(self.next_write, seq + 1)
        self.written_at = now

    def reset(self, seq: int) -> None:
        """The publisher began anew at `seq`: what is below ends, what is above stays."""
        for segment in self._ring:
            if segment is not None and segment.seq < seq:
                segment.close()

    def close(self) -> None:
        """The channel ends, and each of its segments."""
        self.closed = True
        for segment in self._ring:
            if segment is not None:
                segment.close()

    def drop(self) -> None:
        """Nobody will ask for this channel again: let the segments go."""
        self.close()
        for slot, segment in enumerate(self._ring):
            if segment is not None:
                self._ring[slot] = None
                segment.release()

    def _make(self, seq: int) -> Segment:
        segment = Segment(seq, self._budget, self._max_segment_bytes)
        evicted = self._ring[seq % wire.WINDOW]
        self._ring[seq % wire.WINDOW] = segment
        if evicted is not None:
            evicted.close()
            evicted.release()
        return segment
