"""ChannelAddress: where a channel is, and where its segments are below it."""

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class ChannelAddress:
    """A channel's address, in two parts. query: with its question mark, "" for none; it may hold a
    secret, so it goes with every request and into no message.
    """

    path: str
    query: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        path, mark, query = text.partition("?")
        return cls(path.rstrip("/"), mark + query)

    @property
    def name(self) -> str:
        """What the channel is called in messages."""
        return self.path.rpartition("/")[2]

    def at(self, segment: int | str) -> str:
        """The address of a segment, or of the word `next` in the place of one."""
        return f"{self.path}/{segment}{self.query}"

    def __str__(self) -> str:
        """Of the channel as a whole."""
        return self.path + self.query
