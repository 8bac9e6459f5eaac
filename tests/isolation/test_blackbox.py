"""What can be told of a process that is gone."""

import signal
import subprocess
import sys
from contextvars import copy_context

from composer import logs
from composer.isolation.blackbox import SLOTS, BlackBox, Recorder
from composer.logs import Where

RECORD = """\
import sys, threading
from composer import logs
from composer.isolation.blackbox import Recorder

recorder = Recorder(int(sys.argv[1]))
recorder.watch()
logs.note_with(recorder.where)

def work(node, ready, go, here):
    here.append(logs.enter("cam"))
    here[0].at(node)
    ready.set()
    go.wait()
    {last}

others = []
for node in ("first", "bad", "last"):
    ready, go, here = threading.Event(), threading.Event(), []
    thread = threading.Thread(target=work, args=(node, ready, go, here), daemon=True)
    thread.start()
    ready.wait()
    others.append((go, thread, node, here[0]))
others[1][0].set()
others[1][1].join()
"""


def left(last: str) -> tuple[int, str, str]:
    """Exit code of a process whose thread `bad` does that, and what its box says."""
    box = BlackBox()
    try:
        done = subprocess.run(
            [sys.executable, "-c", RECORD.format(last=last), str(box.fileno)],
            pass_fds=[box.fileno],
            check=False,
        )
        return done.returncode, box.node, box.stack
    finally:
        box.close()


def test_a_crash_names_the_node_of_its_thread_and_all_stacks() -> None:
    code, node, stack = left("import ctypes; ctypes.string_at(0)")
    assert (code, node) == (-signal.SIGSEGV, "bad")
    assert stack.startswith("Fatal Python error: Segmentation fault")
    assert stack.count("in work") == 3
    assert "Extension modules" not in stack


def test_without_a_crash_the_node_that_began_last_is_named() -> None:
    code, node, stack = left("import os; os._exit(4)")
    assert (code, node, stack) == (4, "last", "")


def test_a_node_that_was_left_is_not_named() -> None:
    code, node, _ = left("others[2][3].leave(); import os; os._exit(4)")
    assert (code, node) == (4, "bad")


def test_more_threads_than_slots_are_not_noted_and_slots_come_back() -> None:
    box = BlackBox()
    recorder = Recorder(box.fileno)
    try:
        present = [recorder.where("cam") for _ in range(SLOTS + 1)]
        assert type(present[-1]) is Where
        present[0].at("a/" + "long" * 100)
        assert box.node.startswith("a/long")
        del present
        assert box.node == ""
        assert type(recorder.where("cam")) is not Where
    finally:
        box.close()


def test_whoever_enters_is_noted() -> None:
    box = BlackBox()
    logs.note_with(Recorder(box.fileno).where)
    try:
        where = copy_context().run(logs.enter, "cam")
        where.at("blur")
        assert box.node == "blur"
    finally:
        logs.note_with(Where)
        box.close()
