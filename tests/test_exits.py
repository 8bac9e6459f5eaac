"""How a worker ends: its exit codes, and the signals that ask for it."""

import os
import signal
import subprocess
import sys

import pytest

from composer.errors import (
    DeviceMissing,
    MediaError,
    NodeFailed,
    PipelineInvalid,
    Problem,
    SettingsInvalid,
)
from composer.exits import code_of

ABSENT, WRONG = Problem("not-fetched", "it is not here"), Problem("bad-value", "it is wrong")


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (PipelineInvalid([WRONG]), 2),
        (PipelineInvalid([WRONG, ABSENT]), 2),
        (PipelineInvalid([ABSENT, ABSENT]), 3),
        (SettingsInvalid("--port"), 2),
        (OSError("address already in use"), 2),
        (NodeFailed("m", "setup()", ValueError("no"), None), 3),
        (DeviceMissing("cuda:0"), 3),
        (MediaError("no such file"), 3),
        (ValueError("a mistake"), 70),
    ],
)
def test_each_failure_has_its_code(failure: Exception, code: int) -> None:
    assert code_of(failure) == code


def signalled(handler: str, *numbers: int) -> tuple[int, str]:
    """Exit code and output of a process that was sent signals, one after the other."""
    program = (
        "import signal, sys, threading\n"
        "from composer import exits\n"
        f"exits.at_signals({handler})\n"
        "print('there', flush=True)\n"
        "threading.Event().wait()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        for number in numbers[:-1]:
            os.kill(process.pid, number)
            assert process.stdout.readline() == "asked\n"
        os.kill(process.pid, numbers[-1])
        return process.wait(10), process.stdout.read()


def test_a_signal_ends_what_has_not_begun() -> None:
    assert signalled("", signal.SIGTERM) == (0, "")
    assert signalled("", signal.SIGINT) == (0, "")


def test_the_first_signal_asks_and_the_second_one_ends() -> None:
    asking = "lambda: print('asked', flush=True)"
    assert signalled(asking, signal.SIGTERM, signal.SIGTERM) == (143, "")
    assert signalled(asking, signal.SIGINT, signal.SIGTERM) == (143, "")


HANGUP = """
import os, signal, sys
from composer import exits
if sys.argv[1] == "gone":
    os.dup2(os.open(sys.argv[2], os.O_RDWR), 0)
exits.at_hangup(lambda: print("asked", flush=True), lambda: print("ended", flush=True))
if sys.argv[1] == "gone":
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
os.kill(os.getpid(), signal.SIGHUP)
"""


@pytest.mark.parametrize(("terminal", "said"), [("none", "asked\n"), ("gone", "ended\n")])
def test_a_hangup_asks_for_an_upgrade_unless_the_terminal_is_gone(terminal: str, said: str) -> None:
    master, slave = os.openpty()
    done = subprocess.run(
        [sys.executable, "-c", HANGUP, terminal, os.ttyname(slave)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == said
    os.close(master)
    os.close(slave)
