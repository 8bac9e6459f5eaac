"""LastWords: what a process that is taken down from inside writes to a file, and who it was.

A fault in native code, an abort and os._exit() leave the stack of the thread that did it. A process
that is killed from outside, or for its memory, leaves nothing.
"""

import faulthandler
import logging
import os
from pathlib import Path
from typing import Final, NoReturn

from composer import stacks

log: Final = logging.getLogger(__name__)

LONGEST: Final = 64 * 1024
"""Characters of a stack that are read."""


class LastWords:
    """The file in which the processes of a worker leave them, each those of its own.

    before: those of the process before this one, "" for none.
    """

    def __init__(self, file: Path) -> None:
        self.before: Final = _read(file)
        self._file, self._exit = file, os._exit
        self._descriptor = -1

    @property
    def culprit(self) -> str:
        """The session that took the process before down, by its stacks.name_of(); "" where nobody
        knows.
        """
        return stacks.found_in(self.before)

    def listen(self) -> None:
        """From now on, to the end of the process. Raises OSError where the file cannot be written.

        os._exit() is called by anybody, and then nothing else of Python is.
        """
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        self._descriptor = os.open(self._file, flags, 0o600)
        faulthandler.enable(self._descriptor, all_threads=False)
        os._exit = self._leave

    def _leave(self, status: int) -> NoReturn:
        faulthandler.dump_traceback(self._descriptor, all_threads=False)
        self._exit(status)


def _read(file: Path) -> str:
    try:
        with file.open(encoding="utf-8", errors="replace") as words:
            return words.read(LONGEST).strip()
    except FileNotFoundError:
        return ""
