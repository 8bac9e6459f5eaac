"""What is said in the terminal, and the keys that are read there."""

import asyncio
import os
import pty
import signal
import socket
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from composer.dev import terminal
from composer.errors import Problem, Span
from composer.server.reload import Outcome, Reload
from tests.dev.developing import makes, ran


def reloaded(outcome: Outcome, *problems: Problem) -> Reload:
    lines = {"pipelines/a.yaml": ["version: 1", "nodes: {b: {type: blurr}}"]}
    return Reload(outcome, ("pipelines/a.yaml",), ("soft", "out"), problems, 12.3, lines)


def test_a_reload_is_one_line() -> None:
    made = reloaded(Outcome.PATCHED)
    assert terminal.line(made) == "a.yaml: patched soft, out in 12 ms"


def test_a_refused_one_shows_what_is_wrong_as_a_check_does() -> None:
    problem = Problem(
        "unknown-node", "no node type 'blurr'", file="pipelines/a.yaml", span=Span(2, 19, 5)
    )
    assert terminal.line(reloaded(Outcome.REFUSED, problem)).splitlines()[1:] == [
        "pipelines/a.yaml:2:19: unknown-node: no node type 'blurr'",
        "  nodes: {b: {type: blurr}}",
        "                    ^^^^^",
        "1 problem",
    ]


def test_keys_are_read_one_by_one_and_the_terminal_is_as_it_was() -> None:
    async def test() -> None:
        ours, theirs = pty.openpty()
        before = termios.tcgetattr(theirs)
        pressed: asyncio.Queue[str] = asyncio.Queue()
        obey = {letter: (lambda letter=letter: pressed.put_nowait(letter)) for letter in "rq"}
        with os.fdopen(theirs, closefd=False) as source:
            with terminal.keys(obey, source) as read:
                assert read
                os.write(ours, b"xRq")
                assert [await pressed.get(), await pressed.get()] == ["r", "q"]
            assert termios.tcgetattr(theirs) == before
        os.close(ours)
        os.close(theirs)

    ran(test)


def test_without_a_terminal_there_are_no_keys(tmp_path: Path) -> None:
    async def test() -> None:
        (tmp_path / "in").touch()
        with (tmp_path / "in").open() as source, terminal.keys({}, source) as read:
            assert not read

    ran(test)


def byoc(*words: str | Path) -> list[str]:
    return [sys.executable, "-m", "composer", *map(str, words)]


def test_the_command_says_its_address_once_and_ends_by_a_signal(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(makes())
    with subprocess.Popen(
        byoc("dev", file), stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
        text=True,
    ) as running:  # fmt: skip
        assert running.stdout is not None
        said = [running.stdout.readline() for _ in range(5)]
        assert said[1].startswith("  open     http://127.0.0.1:")
        assert "?token=" in said[1]
        assert said[2] == "  input    the pipeline makes its own pictures\n"
        assert "r rebuild all" not in "".join(said), "there is no terminal"
        running.send_signal(signal.SIGINT)
        _, errors = running.communicate(timeout=20)
    assert (running.returncode, errors) == (0, "")


def test_a_file_with_problems_is_begun_with_once_they_are_mended(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(makes().replace("blur", "blurr"))
    with broken_off(byoc("dev", file)) as running:
        assert running.stderr is not None
        assert "unknown-node: no node type 'blurr'" in running.stderr.readline()
        until_said(running.stderr, "it begins when that is mended and saved\n")
        file.write_text(makes().replace("blur", "bluur"))
        assert "unknown-node: no node type 'bluur'" in running.stderr.readline()
        until_said(running.stderr, "it begins when that is mended and saved\n")
        file.write_text(makes())
        assert running.stdout is not None
        until_said(running.stdout, "  watched  1 file; what is saved is applied\n")
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=20)
    assert running.returncode == 0


def test_nobody_has_to_mend_it(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("nodes: [")
    with broken_off(byoc("dev", file)) as running:
        assert running.stderr is not None
        until_said(running.stderr, "it begins when that is mended and saved\n")
        running.send_signal(signal.SIGINT)
        out, errors = running.communicate(timeout=20)
    assert (running.returncode, out, errors) == (0, "", "")


@contextmanager
def broken_off(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """A command that goes on; it is gone at the end, whatever becomes of the test."""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def until_said(stream: IO[str], line: str) -> None:
    while (said := stream.readline()) != line:
        assert said, "it ended"


def test_a_file_that_is_not_there_could_not_be_had(tmp_path: Path) -> None:
    words = byoc("dev", tmp_path / "no.yaml")
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert "no.yaml" in done.stderr


def test_a_clip_that_is_not_there_could_not_be_had(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(makes())
    words = byoc("dev", file, "--input", "no.mp4")
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (2, "byoc: no.mp4: there is no such file\n")


def test_a_port_that_is_taken_could_not_be_had(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(makes())
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            byoc("dev", file, "--port", str(port)),
            capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
    assert done.returncode == 2
    assert str(port) in done.stderr
    assert "Traceback" not in done.stderr
