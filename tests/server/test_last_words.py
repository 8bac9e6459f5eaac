"""A process that is taken down says by whom, as far as it can."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from composer import stacks
from composer.server.last_words import LastWords

PROGRAM = """
import ctypes, os, sys, threading
from pathlib import Path
from composer import exits, stacks
from composer.server.last_words import LastWords

LastWords(Path(sys.argv[1])).listen()

def work():
    {deed}

thread = threading.Thread(target=stacks.working_for("poison", work))
quiet = stacks.working_for("quiet", threading.Event().wait)
neighbour = threading.Thread(target=quiet, daemon=True)
neighbour.start()
thread.start()
thread.join()
exits.leave(exits.Exit.ENDED)
"""


def taken_down(file: Path, deed: str) -> int:
    """The exit code of a process in which a thread of the session "poison" does something."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(deed=deed), str(file)], timeout=30, check=False
    )
    return done.returncode


@pytest.mark.parametrize(
    ("deed", "code"),
    [
        ("ctypes.string_at(0)", -signal.SIGSEGV),
        ("os.abort()", -signal.SIGABRT),
        ("os._exit(9)", 9),
    ],
)
def test_who_takes_a_process_down_from_inside_is_known(
    tmp_path: Path, deed: str, code: int
) -> None:
    file = tmp_path / "last_words"
    assert taken_down(file, deed) == code
    after = LastWords(file)
    assert after.culprit == stacks.name_of("poison")
    assert "in work" in after.before


@pytest.mark.parametrize(
    ("deed", "code"), [("pass", 0), ("os.kill(os.getpid(), 9)", -signal.SIGKILL)]
)
def test_of_an_end_in_order_and_of_a_kill_nobody_is_guilty(
    tmp_path: Path, deed: str, code: int
) -> None:
    file = tmp_path / "last_words"
    assert taken_down(file, deed) == code
    assert LastWords(file).culprit == ""


def test_the_words_are_for_their_owner_and_only_of_the_process_before(tmp_path: Path) -> None:
    file = tmp_path / "last_words"
    assert LastWords(file).before == ""
    taken_down(file, "os._exit(9)")
    assert file.stat().st_mode & 0o777 == 0o600
    taken_down(file, "os.kill(os.getpid(), 9)")
    assert LastWords(file).before == ""
    file.write_text("x" * 100_000)
    assert len(LastWords(file).before) == 64 * 1024
