"""The channels of a server by name: who may come in, who is idle, who is told. State only."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from composer import strictjson
from composer.trickle import wire
from composer.trickle.channel import Budget, Channel, LimitReached

NAME: Final = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._~:@=+,!$-]{1,128}")
"""Names with nothing in them that a log, a URL or a shell would take for something else."""

MAX_MIME: Final = 128


@dataclass(frozen=True, slots=True)
class Limits:
    """What one server holds at most."""

    segment_bytes: int = 32 << 20
    total_bytes: int = 512 << 20
    channels: int = 256
    connections: int = 1024


class Directory:
    """Channels by name. `clock` gives seconds."""

    def __init__(self, limits: Limits, clock: Callable[[], float], *, changefeed: bool) -> None:
        self._limits: Final = limits
        self._clock: Final = clock
        self._budget: Final = Budget(limits.total_bytes)
        self._channels: Final[dict[str, Channel]] = {}
        if changefeed:
            self._channels[wire.CHANGES] = self._made("application/json")

    def find(self, name: str) -> Channel | None:
        """The open channel of this name."""
        return self._channels.get(name)

    def create(self, name: str, mime: str) -> Channel:
        """The channel of this name, a new one if there is none. Raises LimitReached."""
        if (channel := self._channels.get(name)) is not None:
            return channel
        if len(self._channels) >= self._limits.channels:
            raise LimitReached(f"there are {self._limits.channels} channels already")
        self._channels[name] = channel = self._made(mime[:MAX_MIME])
        self._tell("added", name)
        return channel

    def delete(self, name: str) -> bool:
        """Close a channel and forget its name; False when there is none."""
        if (channel := self._channels.pop(name, None)) is None:
            return False
        channel.drop()
        self._tell("removed", name)
        return True

    def sweep(self) -> None:
        """Close what nobody has written to for long; names with an underscore are left alone."""
        oldest = self._clock() - wire.IDLE_S
        for name, channel in tuple(self._channels.items()):
            if channel.written_at < oldest and not name.startswith("_"):
                self.delete(name)

    def close(self) -> None:
        """Close everything, without telling of each."""
        for channel in self._channels.values():
            channel.drop()
        self._channels.clear()

    def _made(self, mime: str) -> Channel:
        return Channel(mime, self._clock(), self._budget, self._limits.segment_bytes)

    def _tell(self, change: str, name: str) -> None:
        feed = self._channels.get(wire.CHANGES)
        if feed is None or name == wire.CHANGES:
            return
        segment = feed.to_write(feed.next_write)
        if segment is None:
            return
        feed.began(segment.seq, self._clock())
        try:
            segment.append(strictjson.text({change: [name]}, separators=(",", ":")).encode())
        except LimitReached:
            return  # the reader sees a segment without a change and asks for the next
        segment.close()
