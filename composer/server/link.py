"""PeerLink: what two processes say to each other while one hands its sessions over to the other."""

import asyncio
import socket
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

from pydantic import TypeAdapter, ValidationError

from composer.errors import ComposerError
from composer.session.session_record import SessionRecord

LONGEST: Final = 64 << 20
"""Bytes of a message: a session may have large params."""


class LinkBroken(ComposerError):
    """The other process is gone, or is not understood."""


class Topic(StrEnum):
    """What a message is about. The old process says COMING, GO, LEFT, GONE, KEPT and DONE."""

    READY = "ready"  # its models are loaded
    COMING = "coming"  # a session as it is: set its nodes up
    SET_UP = "set_up"  # they are
    REFUSED = "refused"  # they cannot be
    GO = "go"  # accept requests
    LISTENING = "listening"  # it does
    LEFT = "left"  # a session that was left: go on with it
    GONE = "gone"  # a session that came to its end
    KEPT = "kept"  # what has not been left stays where it is
    DONE = "done"  # by the old one: that was all. By the new one: it has it all


@dataclass(frozen=True)
class PeerMessage:
    """key: of the session that it is about. record: of the same, as its text. why: a sentence."""

    topic: Topic
    key: str = ""
    record: str = ""
    why: str = ""

    @classmethod
    def about(cls, topic: Topic, record: SessionRecord) -> Self:
        """A message that holds a session."""
        return cls(topic, record.key, record.text().decode())

    @property
    def session(self) -> SessionRecord:
        """Raises LinkBroken for one that cannot be read."""
        try:
            return SessionRecord.read(self.record.encode())
        except ValueError as exc:
            raise LinkBroken(f"a session that is handed over {exc}") from None


_MESSAGE: Final = TypeAdapter(PeerMessage)


class PeerLink:
    """One end of it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def over(cls, sock: socket.socket) -> Self:
        """An end that is a socket, which is the link's from now on."""
        return cls(*await asyncio.open_connection(sock=sock, limit=LONGEST))

    async def send(self, message: PeerMessage) -> None:
        """Raises LinkBroken."""
        self.say(message)
        try:
            await self._writer.drain()
        except OSError as exc:
            raise LinkBroken("the other process is gone") from exc

    def say(self, message: PeerMessage) -> None:
        """The same without waiting, and without knowing whether it is heard."""
        self._writer.write(_MESSAGE.dump_json(message) + b"\n")

    async def receive(self) -> PeerMessage:
        """The next one. Raises LinkBroken."""
        try:
            line = await self._reader.readuntil(b"\n")
            return _MESSAGE.validate_json(line)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as exc:
            raise LinkBroken("the other process is gone") from exc
        except ValidationError as exc:
            raise LinkBroken("the other process says what is not understood here") from exc

    def close(self) -> None:
        self._writer.close()
