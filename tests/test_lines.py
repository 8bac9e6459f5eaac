"""Lines for a reader who may not be there."""

import os
import subprocess
import sys
import threading

from composer.lines import Lines, to_file
from tests import stubs


class Reader:
    """Takes what is written when the test lets it."""

    def __init__(self) -> None:
        self.taken = b""
        self.held = stubs.Held()

    def __call__(self, data: bytes) -> None:
        self.held()
        self.taken += data


def test_they_are_written_in_their_order() -> None:
    reader = Reader()
    reader.held.allowed.set()
    lines = Lines(reader)
    for number in range(100):
        lines.put(f"{number}\n")
    assert lines.flush(stubs.WAIT)
    assert reader.taken.decode().split() == [str(number) for number in range(100)]


def test_who_writes_waits_for_no_reader_and_what_finds_no_room_is_counted() -> None:
    reader = Reader()
    lines = Lines(reader, left_out=lambda count: f"{count} more\n", most=20)
    lines.put("first\n")
    stubs.reach(reader.held.reached)
    for _ in range(100):
        lines.put("0123456789")
    assert not lines.flush(0.01)
    assert lines.lost == 98
    reader.held.allowed.set()
    assert lines.flush(stubs.WAIT)
    assert reader.taken == b"first\n" + 2 * b"0123456789" + b"98 more\n"
    lines.put("last\n")
    assert lines.flush(stubs.WAIT)
    assert reader.taken.endswith(b"98 more\nlast\n")


def test_a_reader_who_has_gone_is_nobodys_error() -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    lines = Lines(to_file(theirs))
    for _ in range(3):
        lines.put("nobody\n")
        assert lines.flush(stubs.WAIT)
    os.close(theirs)


def test_a_pipe_takes_more_than_it_holds_from_who_is_read() -> None:
    ours, theirs = os.pipe()
    lines = Lines(to_file(theirs))
    for _ in range(300):
        lines.put("x" * 999 + "\n")
    taken = b""
    while taken.count(b"\n") < 300:
        taken += os.read(ours, 1 << 16)
    assert lines.flush(stubs.WAIT)
    os.close(ours)
    os.close(theirs)


def test_half_of_a_character_is_written_as_what_it_is() -> None:
    reader = Reader()
    reader.held.allowed.set()
    lines = Lines(reader)
    lines.put("\ud800\n")
    assert lines.flush(stubs.WAIT)
    assert reader.taken == b"\\ud800\n"


def test_a_child_that_was_forked_writes_its_own_and_nothing_of_its_parent() -> None:
    code = (
        "import os, sys\n"
        "from composer import lines, logs\n"
        "logs.configure('text')\nlogs.catch()\n"
        "import logging\nlog = logging.getLogger('x')\n"
        "log.info('parent')\n"
        "child = os.fork()\n"
        "log.info('child' if not child else 'parent again')\n"
        "lines.flush(10)\n"
        "if not child: os._exit(0)\n"
        "os.waitpid(child, 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    said = sorted(line.rpartition(": ")[2] for line in done.stderr.splitlines())
    assert said == ["child", "parent", "parent again"]


def test_whoever_prints_waits_for_no_reader() -> None:
    """And the process ends all the same."""
    code = (
        "import sys\nfrom composer import logs\n"
        "logs.configure('text')\nlogs.catch()\n"
        "for _ in range(400):\n"
        "    print('x' * 999)\n"
        "    print('x' * 999, file=sys.stderr, flush=True)\n"
        "sys.stdout.buffer.write(b'bytes')\n"
    )
    ours, theirs = os.pipe()
    try:
        subprocess.run(
            [sys.executable, "-c", code], stdout=theirs, stderr=theirs, timeout=30, check=True
        )
    finally:
        os.close(ours)
        os.close(theirs)


def test_no_thread_is_there_before_a_line_is() -> None:
    before = threading.active_count()
    Lines(Reader())
    assert threading.active_count() == before
