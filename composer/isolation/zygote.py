"""Zygote: a process that has everything imported and one thread, and becomes others by forking.

    python -P zygote.py FD '{"path": [...], "modules": [...]}'

FD is a socket on which a worker asks for processes. What it is asked, and what it says, are records
of one size. With its worker it ends, and with it all that it became. Before it has the path it
needs nothing but Python's own library.
"""

import ctypes
import errno
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import struct
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

RECORD: Final = struct.Struct("<cIi")
"""What, the number of a process as the worker counts, and a value."""

FORK: Final = b"f"  # with the open files of the process beside it
SIGNAL: Final = b"s"  # value: the signal that all of its group gets
READY: Final = b"r"
FORKED: Final = b"p"  # value: its pid
REFUSED: Final = b"x"  # value: an errno
EXITED: Final = b"e"  # value: its exit code, or the number of a signal below zero

FILES: Final = 3
"""Open files that a process is given: for messages, for media, and its black box."""

_DIE_WITH_PARENT: Final = 1
"""PR_SET_PDEATHSIG of prctl(2)."""

_FIRST_TO_GO: Final = 500
"""Added to its badness where memory runs out (proc(5), oom_score_adj): rather one session than the
worker.
"""


def main(worker: socket.socket) -> None:
    """Serve one worker to its end."""
    gc.collect()
    gc.freeze()  # what is there now is shared by all that it becomes
    _Zygote(worker).serve()


class _Zygote:
    def __init__(self, worker: socket.socket) -> None:
        self._worker = worker
        self._numbers: dict[int, int] = {}
        self._woken, wake = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(wake, False)
        self._wake = wake
        signal.signal(signal.SIGCHLD, _nothing)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)

    def serve(self) -> None:
        """Until the worker is gone; then all are ended, and what they have begun."""
        try:
            self._serve()
        finally:
            for pid in self._numbers:
                _signal_group(pid, signal.SIGKILL)

    def _serve(self) -> None:
        self._say(READY, 0, os.getpid())
        with selectors.DefaultSelector() as selector:
            selector.register(self._worker, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while True:
                ready = {key.fd for key, _ in selector.select()}
                if self._woken in ready:
                    os.read(self._woken, 4096)
                    self._reap()
                if self._worker.fileno() in ready and not self._asked():
                    return

    def _asked(self) -> bool:
        """Do what the worker asks for; False where it is gone."""
        data, files, _, _ = socket.recv_fds(self._worker, RECORD.size, FILES)
        if len(data) < RECORD.size:
            return False
        what, number, value = RECORD.unpack(data)
        if what == FORK:
            self._fork(number, files)
        elif what == SIGNAL:
            pid = next((pid for pid, known in self._numbers.items() if known == number), 0)
            if pid:
                _signal_group(pid, value)
        return True

    def _fork(self, number: int, files: Sequence[int]) -> None:
        here = os.getpid()
        try:
            pid = os.fork()
        except OSError as exc:
            self._say(REFUSED, number, exc.errno or errno.EAGAIN)
            pid = -1
        if pid == 0:  # the other one
            os._exit(self._become(here, files))
        for file in files:
            os.close(file)
        if pid > 0:
            _lead_group(pid)  # both do it: neither knows who comes first
            self._numbers[pid] = number
            self._say(FORKED, number, pid)

    def _become(self, zygote: int, files: Sequence[int]) -> int:
        """Be the process of a session; gives its exit code."""
        from composer.isolation import guest

        try:
            _die_with(zygote)
            _lead_group(0)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            # Whoever ends a worker may send these to all of its processes. It ends them in order.
            for asks_to_end in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(asks_to_end, _nothing)
            self._worker.close()
            os.close(self._woken)
            os.close(self._wake)
            _be_first_to_go()
            _draw_anew()
            return guest.main(*files)
        except BaseException:  # noqa: BLE001 - it must never go on as the zygote
            sys.excepthook(*sys.exc_info())
            return guest.MISTAKE

    def _reap(self) -> None:
        while self._numbers:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is None:
                return
            pid = ended.si_pid
            _signal_group(pid, signal.SIGKILL)  # what it has begun itself
            _, status = os.waitpid(pid, 0)
            if (number := self._numbers.pop(pid, None)) is not None:
                self._say(EXITED, number, os.waitstatus_to_exitcode(status))

    def _say(self, what: bytes, number: int, value: int) -> None:
        try:
            self._worker.sendall(RECORD.pack(what, number, value))
        except OSError:
            sys.exit(0)  # the worker is gone


def _nothing(number: int, frame: Any) -> None:
    """A handler, not SIG_IGN: what a node starts would ignore the signal, too."""


def _lead_group(pid: int) -> None:
    """A group of its own, which whatever it begins belongs to; 0: this process."""
    try:
        os.setpgid(pid, pid)
    except OSError:
        pass  # it is done, or it has ended


def _signal_group(pid: int, number: int) -> None:
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        pass  # nobody is left in it


def _die_with(zygote: int) -> None:
    """Let the kernel kill this process where its zygote ends (prctl(2))."""
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != zygote:  # it has ended before that
        os._exit(0)


def _be_first_to_go() -> None:
    adjustment = Path("/proc/self/oom_score_adj")
    try:
        adjustment.write_text(str(min(1000, int(adjustment.read_text()) + _FIRST_TO_GO)))
    except (OSError, ValueError):
        pass  # then the kernel decides as ever


def _draw_anew() -> None:
    """NumPy's own random numbers would be the same in all sessions; Python draws anew itself."""
    if (numpy := sys.modules.get("numpy")) is not None:
        numpy.random.seed()


def _begun(arguments: Sequence[str]) -> socket.socket:
    """Import what sessions need. Gives the socket of the worker."""
    fileno, asked = arguments
    # OpenBLAS ends its threads before a fork, and no other library here has any.
    warnings.filterwarnings("ignore", message=".*multi-threaded", category=DeprecationWarning)
    wanted = json.loads(asked)
    sys.path[:] = wanted["path"]
    for module in wanted["modules"]:
        importlib.import_module(module)
    return socket.socket(fileno=int(fileno))


if __name__ == "__main__":
    main(_begun(sys.argv[1:]))
