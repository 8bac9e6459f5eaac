"""Channels: the addresses at which one session reads and writes."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Channels:
    """Addresses of a session's channels; "" where it has none. They are secrets."""

    control: str = ""
    events: str = ""
    subscribe: str = ""
    publish: str = ""
    data: str = ""
