"""Commands as a reader of a page gives them: read out of its fenced blocks, and run."""

import os
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from tests.clips import ROOT

LASTING: Final = ("byoc serve", "byoc trickle", "byoc dev", "python -m composer.testing.gateway")
"""Commands that go on until they are told to end."""

ALONE: Final = "byoc dev"
"""The one of them that brings its own worker, channels and input, so nothing else needs it."""

START_SECONDS: Final = 40
"""Time that a command has to say where it listens: several may start beside each other."""


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of a page in one language, "" for those that name none."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", page, re.M | re.S)
    return [text for name, text in found if name == language]


def commands(page: str) -> list[str]:
    """The commands in the `sh` blocks of a page. One may go over several lines, as in a shell."""
    found: list[str] = []
    for block in blocks(page, "sh"):
        held = ""
        for line in block.splitlines():
            if not held and (not line.strip() or line.startswith("#")):
                continue
            held += line
            if held.endswith("\\") or _open(held):
                held += "\n"
                continue
            found.append(held)
            held = ""
        assert not held, f"a command is never ended: {held}"
    return found


def _open(text: str) -> bool:
    """Whether a quote is still open."""
    try:
        shlex.split(text)
    except ValueError:
        return True
    return False


def environment() -> dict[str, str]:
    """Ours, with the `byoc` and the packages of this Python."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}


def run(line: str, folder: Path) -> str:
    """What a command prints. It has to end, with 0."""
    done = subprocess.run(
        ["bash", "-c", line],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
    return done.stdout


@contextmanager
def going(line: str, folder: Path) -> Iterator[str]:
    """A command that goes on: the address it says. It is told to end, and has to end with 0."""
    with subprocess.Popen(
        shlex.split(line), cwd=folder, env=environment(), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        said = ""
        try:
            while (address := re.search(r"http://[\w.:]+\d", said)) is None:
                line_said = process.stdout.readline()
                assert line_said, f"{line} ended, and said {said!r}"
                said += line_said
            yield address[0]
        finally:
            process.terminate()
            process.wait(START_SECONDS)
        assert process.returncode == 0, f"{line} ended with {process.returncode}"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


def follow(lines: list[str], folder: Path, skipped: dict[str, str]) -> list[str]:
    """Run the commands of one page one after another, as a reader would, in one folder.

    A lasting command goes on until the next one of its kind, or the end of the page; `byoc dev` is
    ended before what follows, whose processors it would take. Ports that pages name (8000, 3389,
    9935) are replaced by free ones. skipped: beginnings of commands that cannot run here, with the
    reason. Returns the commands that ran.
    """
    ports = {each: free_port() for each in ("8000", "3389", "9935")}
    own = dict(zip(LASTING, (ports["8000"], ports["3389"], 0, ports["9935"]), strict=True))
    ran = []
    ends: dict[str, ExitStack] = {}
    with ExitStack() as stack:
        for line in lines:
            if any(line.startswith(each) for each in skipped):
                continue
            ran.append(line)
            if ALONE in ends:
                ends.pop(ALONE).close()
            here = re.sub(
                r"(?<=:)(8000|3389|9935)\b|(?<=--trickle-port )3389\b",
                lambda found: str(ports[found[0]]),
                line,
            )
            verb = next((each for each in LASTING if line.startswith(each)), "")
            if not verb or "--help" in line:
                run(here, folder)
                continue
            here = re.sub(r" --port \d+", "", here)
            if verb in ends:
                ends[verb].close()
            ends[verb] = stack.enter_context(ExitStack())
            ends[verb].enter_context(going(f"{here} --port {own[verb]}", folder))
    return ran
