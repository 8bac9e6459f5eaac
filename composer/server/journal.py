"""Journal: the sessions of a worker, kept in a folder for the process that comes after it.

A file for each session, written anew whenever another process would have to know something else of
it, and gone with the session. Nothing waits for the disk but the answer to a start, and that not
for long: a folder that cannot be written costs the memory of sessions, not the sessions.
"""

import asyncio
import contextlib
import errno
import fcntl
import logging
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from composer.errors import SettingsInvalid, Stalled
from composer.session.session_record import SessionRecord
from composer.threads import Threads

log: Final = logging.getLogger(__name__)

BEAT_SECONDS: Final = 1.0
"""How often the folder says that its worker lives."""

PAUSE_SECONDS: Final = 0.05
"""Between two rounds of writing, whatever callers change."""

WRITE_SECONDS: Final = 5.0
"""What the disk may take for a round."""

SETTLE_SECONDS: Final = 1.0
"""How long the answer to a start waits for the disk."""

LARGE_BYTES: Final = 256 << 10
LARGE_SECONDS: Final = 10.0
"""Where a session has more to keep than LARGE_BYTES, it is not written for each segment, but when
so many seconds have passed.
"""

LONGEST: Final = 32 << 20
"""Bytes of one session that are read."""

MOST: Final = 1000
"""Sessions that are read: no worker has room for more."""

LOCK: Final = "lock"
LAST_WORDS: Final = "last_words"

_KEY: Final = re.compile(r"[0-9a-f]{32}")

Look = Callable[[], SessionRecord | None]
"""What a session is now; None when it is to be forgotten."""


@dataclass
class _InFolder:
    """What is in the folder of one session, and when that was written."""

    record: SessionRecord
    size: int
    at: float


class Journal:
    """One folder. take() it, read what the process before has left(), then let run() go on.

    now: seconds since 1970. note() and settled() are for the loop.
    """

    def __init__(self, folder: Path, now: Callable[[], float] = time.time) -> None:
        self.folder: Final = folder.absolute()
        self.failing = ""
        """Why nothing could be written the last time, "" for nothing."""
        self.alive_at = 0.0
        """When the process before this one lived last, in seconds since 1970; 0 for never."""

        self._now = now
        self._lock = -1
        self._threads = Threads("journal", 1)
        self._looks: dict[str, Look] = {}
        self._noted = asyncio.Event()
        self._asked = self._done = 0  # notes, and those of them that were written or could not be
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._kept: dict[str, _InFolder] = {}

    # the folder

    def open(self) -> None:
        """Make the folder where it is not there, for its owner alone. Raises SettingsInvalid."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self.folder.stat().st_uid != os.geteuid():
                raise SettingsInvalid(f"--state (BYOC_STATE): {self.folder} is somebody else's")
            self.folder.chmod(0o700)
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            there = (self.folder / LOCK).exists()
            self._lock = os.open(self.folder / LOCK, flags, 0o600)
            self.alive_at = os.stat(self._lock).st_mtime if there else 0.0
        except OSError as exc:
            said = exc.strerror or exc
            raise SettingsInvalid(f"--state (BYOC_STATE): {self.folder}: {said}") from exc

    def take(self) -> None:
        """Keep other workers away from it, for as long as this process lives. Raises
        SettingsInvalid where one has it.
        """
        try:
            # Not flock(): a lock of that kind would live on in children of nodes that fork.
            fcntl.lockf(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            if exc.errno not in (errno.EACCES, errno.EAGAIN):
                raise SettingsInvalid(f"--state (BYOC_STATE): {exc.strerror}") from exc
            raise SettingsInvalid(
                f"--state (BYOC_STATE): another worker keeps its streams in {self.folder}"
            ) from None

    def release(self) -> None:
        """Let another worker take it. What this one notes is written all the same."""
        fcntl.lockf(self._lock, fcntl.LOCK_UN)

    def take_back(self) -> None:
        """The same for a worker that has sessions already, which go on where another one has it."""
        try:
            self.take()
        except SettingsInvalid as exc:
            log.error("%s", exc)

    def left(self) -> list[SessionRecord]:
        """The sessions that are in it; what cannot be read is told and removed."""
        records = []
        for path in self._files():
            try:
                with path.open("rb") as file:
                    record = SessionRecord.read(file.read(LONGEST))
            except (ValueError, OSError) as exc:
                log.warning("%s is left out: %s", path.name, exc)
                path.unlink(missing_ok=True)
                continue
            records.append(record)
            self._kept[record.key] = _InFolder(record, 0, 0.0)
        return records

    def _files(self) -> Iterator[Path]:
        """Those of sessions; what a process that was killed had not finished is removed."""
        for path in self.folder.glob(".*.new"):
            path.unlink(missing_ok=True)
        found = [each for each in self.folder.glob("*.json") if _KEY.fullmatch(each.stem)]
        found.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        if len(found) > MOST:
            log.warning("%d sessions are left out: %d are the most", len(found) - MOST, MOST)
        yield from found[:MOST]

    # while it works

    def note(self, key: str, look: Look) -> None:
        """Another process would have to know something else of a session; it is written soon.

        look: called when it is written, and gives what is newest then.
        """
        self._looks[key] = look
        self._asked += 1
        self._noted.set()

    async def settled(self) -> None:
        """Return when all that was noted is written, or cannot be for now."""
        if self._done == self._asked or self.failing:
            return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((self._asked, done))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_SECONDS):
                await done

    async def run(self) -> None:
        """Write what is noted, and now and then that the worker lives. Endless."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(BEAT_SECONDS):
                    await self._noted.wait()
            await self.write()
            await asyncio.sleep(PAUSE_SECONDS)

    async def write(self) -> None:
        """One round."""
        self._noted.clear()
        looks, self._looks = self._looks, {}
        asked = self._asked
        records = {key: look() for key, look in looks.items()}
        try:
            if self._threads.left_behind:  # what it writes may be older than what we have
                raise Stalled("the disk hangs")
            await self._threads.run(WRITE_SECONDS, self._store, records)
        except (OSError, Stalled) as exc:
            self._failed(exc, records)
        else:
            if self.failing:
                log.info("the streams can be kept again")
            self.failing = ""
        self._done = max(self._done, asked)
        for note, done in self._waiting:
            if note <= self._done and not done.done():
                done.set_result(None)
        self._waiting = [(note, done) for note, done in self._waiting if note > self._done]

    async def close(self) -> None:
        """Write what is still noted, and let go of the folder."""
        if self._looks:
            await self.write()
        os.close(self._lock)

    def _failed(self, exc: Exception, records: Mapping[str, SessionRecord | None]) -> None:
        """Say so once, and note again what was not written: the next round tries it."""
        said = exc.strerror or str(exc) if isinstance(exc, OSError) else str(exc)
        if not self.failing:
            log.error("the streams cannot be kept, and go on without that: %s", said)
        self.failing = said
        for key, record in records.items():
            self._looks.setdefault(key, lambda record=record: record)  # type: ignore[misc]

    # the thread

    def _store(self, records: Mapping[str, SessionRecord | None]) -> None:
        durable = False
        for key, record in records.items():
            if record is None:
                self._kept.pop(key, None)
                (self.folder / f"{key}.json").unlink(missing_ok=True)
            else:
                durable = self._put(key, record) or durable
        if durable:
            _sync(self.folder)
        os.utime(self._lock)

    def _put(self, key: str, record: SessionRecord) -> bool:
        """Write one, if that is worth it; whether it has to outlive a power cut, too. Where it is
        in its channels is worth nothing then, and not worth the wait for the disk.
        """
        kept, now = self._kept.get(key), self._now()
        moved = kept is not None and _placeless(kept.record) == _placeless(record)
        if kept is not None and moved:
            large = kept.size > LARGE_BYTES and now - kept.at < LARGE_SECONDS
            if large or kept.record == record:
                return False
        text = record.text()
        _replace(self.folder / f"{key}.json", text, durable=not moved)
        self._kept[key] = _InFolder(record, len(text), now)
        return not moved


def _placeless(record: SessionRecord) -> SessionRecord:
    return replace(record, next_input=None, next_control=None, shift=0, written=None)


def _replace(path: Path, text: bytes, *, durable: bool) -> None:
    """Put a file in the place of another: whoever reads finds the one or the other, whole."""
    new = path.with_name(f".{path.stem}.new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(new, flags, 0o600), "wb") as file:
        file.write(text)
        file.flush()
        if durable:
            os.fsync(file.fileno())
    new.replace(path)


def _sync(folder: Path) -> None:
    """Names in a folder outlive a power cut when the folder itself is written."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
