"""Spool: bytes that wait in the order in which they came.

Few of them are in Python's memory. Many are in a file that has no name and lies in memory: it goes
as a whole, where blocks of megabytes that come and go would tear the heap to pieces, and another
process can be given it without a copy.
"""

import os
import tempfile
from typing import Final

SHORT: Final = 256 << 10
"""Bytes up to which no file is made."""


class SpoolFailed(OSError):
    """The system has no file or no memory left for it."""


class Spool:
    """Add to it, then read it, and close() it; whoever adds bounds it.

    Adding, and asking for the file, raise SpoolFailed.
    """

    def __init__(self) -> None:
        self.size = 0
        self._short = bytearray()
        self._file = -1

    @classmethod
    def of(cls, data: bytes) -> "Spool":
        """One that holds these bytes."""
        spool = cls()
        spool.add(data)
        return spool

    def add(self, data: bytes) -> None:
        if self._file < 0 and self.size + len(data) > SHORT:
            self._spill()
        if self._file < 0:
            self._short += data
        else:
            _write(self._file, data)
        self.size += len(data)

    def bytes(self) -> bytes:
        """All that it holds. Where that is long, it is copied without Python's lock."""
        return bytes(self._short) if self._file < 0 else os.pread(self._file, self.size, 0)

    def file(self) -> int:
        """A descriptor of the file that holds it, for whoever asks to close: it outlives this."""
        if self._file < 0:
            self._spill()
        try:
            return os.dup(self._file)
        except OSError as exc:
            raise SpoolFailed(exc.errno, exc.strerror) from exc

    def close(self) -> None:
        """Let go of all of it. It may have been closed already."""
        self._short, self.size = bytearray(), 0
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __del__(self) -> None:
        self.close()

    def _spill(self) -> None:
        try:
            self._file = _unnamed()
        except OSError as exc:
            raise SpoolFailed(exc.errno, exc.strerror) from exc
        _write(self._file, self._short)
        self._short = bytearray()


def _unnamed() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("spool")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _write(file: int, data: bytes | bytearray) -> None:
    left = memoryview(data)
    try:
        while left:
            left = left[os.write(file, left) :]
    except OSError as exc:
        raise SpoolFailed(exc.errno, exc.strerror) from exc
