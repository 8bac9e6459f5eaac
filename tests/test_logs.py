"""The log of a worker, as people and as machines read it."""

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from fractions import Fraction

import pytest

from composer import logs


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    yield
    root.handlers, level = before[0], before[1]
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    logging.getLogger("aiohttp.server").setLevel(logging.NOTSET)


def test_text_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("text")
    logging.getLogger("composer.session.session").info("it %s", "ends")
    logging.getLogger("composer.session.session").debug("not this")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("INFO composer.session.session: it ends")


def test_json_is_an_object_per_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("json")
    try:
        raise ValueError("two\nlines")
    except ValueError:
        logging.getLogger("x").exception("broke")
    logging.getLogger("aiohttp.server").error("nonsense came in")
    (line,) = capsys.readouterr().err.splitlines()
    said = json.loads(line)
    assert (said["level"], said["logger"], said["message"]) == ("error", "x", "broke")
    assert said["error"].endswith("ValueError: two\nlines")


def test_a_warning_of_a_library_is_a_record() -> None:
    code = (
        "import warnings; from composer import logs\nlogs.configure('json')\nwarnings.warn('odd')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    (line,) = done.stderr.splitlines()
    said = json.loads(line)
    assert (said["level"], said["logger"]) == ("warning", "py.warnings")
    assert "odd" in said["message"]


def in_thread(work: Callable[[], None]) -> None:
    """Where a thread is at is its own."""
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def test_a_line_says_what_it_is_about(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("text")
    log = logging.getLogger("my.nodes")

    def work() -> None:
        where = logs.enter("cam1")
        log.info("begins")
        where.at("blur")
        log.info("is set up")
        where.at("blur", 312, Fraction(1, 25))
        log.warning("it is dark")
        where.at("")
        log.info("of another", extra={"session": "cam2"})

    in_thread(work)
    log.info("of nobody")
    assert [line.split(" ", 2)[2] for line in capsys.readouterr().err.splitlines()] == [
        "INFO my.nodes [session cam1]: begins",
        "INFO my.nodes [session cam1 node blur]: is set up",
        "WARNING my.nodes [session cam1 node blur pts 12.480]: it is dark",
        "INFO my.nodes [session cam2]: of another",
        "INFO my.nodes: of nobody",
    ]


def test_json_has_keys_for_what_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("json")

    def work() -> None:
        logs.enter("cam1").at("blur", 0, Fraction(1, 25))
        logging.getLogger("x").info("first")

    in_thread(work)
    logging.getLogger("x").info("of nobody")
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert (first["session"], first["node"], first["pts"]) == ("cam1", "blur", 0.0)
    assert second.keys() == {"time", "level", "logger", "message"}


def test_a_line_of_a_node_is_heard_once_a_second_and_the_rest_is_counted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    logs.configure("text")
    clock = [100.0]
    log = logging.getLogger("my.nodes")

    def work() -> None:
        where = logs.Where("cam1", lambda: clock[0])
        monkeypatch.setattr(logs, "here", lambda: where)
        for number in range(75):
            where.at("blur", number, Fraction(1, 25))
            log.warning("frame %d is dark", number)
            if number == 3:
                log.warning("another line")
            where.at("")
            clock[0] += 1 / 25
        where.leave()

    in_thread(work)
    assert [line.partition("]: ")[2] for line in capsys.readouterr().err.splitlines()] == [
        "frame 0 is dark",
        "another line",
        "frame 25 is dark (left out before: 24)",
        "frame 50 is dark (left out before: 24)",
        "24 more lines of nodes were left out",
    ]


def test_what_is_counted_is_bounded() -> None:
    where = logs.Where("cam1", lambda: 0.0)
    where.at("blur")
    for number in range(10 * logs.MOST_LINES):
        record = logging.makeLogRecord({"pathname": "node.py", "lineno": number})
        assert where.left_out(record) == 0
    assert len(where._heard) == logs.MOST_LINES
