"""BlackBox: what is left of a process however it ended, in memory that two processes share.

Each thread notes in a slot of its own at which node it is, for every frame; below the slots
faulthandler writes the stack of all threads when the process crashes.
"""

import faulthandler
import mmap
import os
import re
import struct
import threading
import time
from fractions import Fraction
from typing import Final

from composer.logs import Where

SLOTS: Final = 64
_SLOT: Final = struct.Struct("<QQ112s")
"""A thread, since when it is at a node in monotonic nanoseconds, and the name of that."""
_SIZE: Final = SLOTS * _SLOT.size

LONGEST_STACK: Final = 32 * 1024
"""Of what faulthandler wrote: a hundred threads' worth."""

_CURRENT: Final = re.compile(r"Current thread 0x([0-9a-f]+)")


class BlackBox:
    """The box of one process, as another one reads it."""

    def __init__(self) -> None:
        self.fileno: Final = os.memfd_create("byoc session")
        os.truncate(self.fileno, _SIZE)

    def close(self) -> None:
        os.close(self.fileno)

    @property
    def stack(self) -> str:
        """Where its threads were when it crashed, "" where it did not."""
        text = os.pread(self.fileno, LONGEST_STACK, _SIZE).decode(errors="replace")
        return text.partition("\nExtension modules:")[0].strip()

    @property
    def node(self) -> str:
        """The node that was at work: that of the thread which crashed, where one did, else that
        which began last; "" for none.
        """
        data = os.pread(self.fileno, _SIZE, 0)
        slots = [_SLOT.unpack_from(data, place * _SLOT.size) for place in range(SLOTS)]
        at_work = [slot for slot in slots if slot[2].rstrip(b"\0")]
        if crashed := _CURRENT.search(self.stack):
            at_work = [slot for slot in at_work if slot[0] == int(crashed[1], 16)]
        name: bytes = max(at_work, key=lambda slot: slot[1], default=(0, 0, b""))[2]
        return name.rstrip(b"\0").decode(errors="replace")


class Recorder:
    """The same box from inside the process."""

    def __init__(self, fileno: int) -> None:
        self._memory = mmap.mmap(fileno, _SIZE)
        self._fileno, self._free = fileno, list(range(SLOTS))

    def watch(self) -> None:
        """From here on the stack of a crash goes into the box."""
        os.lseek(self._fileno, _SIZE, os.SEEK_SET)
        faulthandler.enable(self._fileno, all_threads=True)

    def where(self, session: str) -> Where:
        """Of the thread that asks; its nodes are noted, as long as there is a slot for it."""
        try:
            return _NotedWhere(session, self, self._free.pop())
        except IndexError:
            return Where(session)

    def note(self, slot: int, thread: int, node: bytes) -> None:
        """A thread is at a node, b"" for none."""
        now = time.monotonic_ns()
        _SLOT.pack_into(self._memory, slot * _SLOT.size, thread, now, node)

    def leave(self, slot: int) -> None:
        """Its thread has ended."""
        self.note(slot, 0, b"")
        self._free.append(slot)


class _NotedWhere(Where):
    def __init__(self, session: str, recorder: Recorder, slot: int) -> None:
        super().__init__(session)
        self._recorder, self._slot = recorder, slot
        self._thread = threading.get_ident()

    def at(self, node: str, pts: int | None = None, time_base: Fraction = Fraction(1)) -> None:
        if node != self.node:
            self._recorder.note(self._slot, self._thread, node.encode())
        super().at(node, pts, time_base)

    def __del__(self) -> None:
        self._recorder.leave(self._slot)
