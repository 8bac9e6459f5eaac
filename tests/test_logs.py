"""The log of a worker, as people and as machines read it."""

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from fractions import Fraction

import pytest

from composer import lines, logs
from composer.loglimits import BURST, MOST_CHARACTERS
from tests.stubs import Held, reach


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    yield
    root.handlers, level = before[0], before[1]
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    logging.getLogger("aiohttp.server").setLevel(logging.NOTSET)


def written(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines so far: a thread writes them."""
    assert lines.flush(10.0)
    return capsys.readouterr().err.splitlines()


def test_text_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("text")
    logging.getLogger("composer.session.session").info("it %s", "ends")
    logging.getLogger("composer.session.session").debug("not this")
    (line,) = written(capsys)
    assert line.endswith("INFO composer.session.session: it ends")


def test_json_is_an_object_per_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("json")
    try:
        raise ValueError("two\nlines")
    except ValueError:
        logging.getLogger("x").exception("broke")
    logging.getLogger("aiohttp.server").error("nonsense came in")
    (line,) = written(capsys)
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
    assert [line.split(" ", 2)[2] for line in written(capsys)] == [
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
    first, second = map(json.loads, written(capsys))
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
    assert [line.partition("]: ")[2] for line in written(capsys)] == [
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


def test_a_record_is_one_line_of_a_bounded_length(capsys: pytest.CaptureFixture[str]) -> None:
    class Odd:
        """Cannot be told."""

        def __str__(self) -> str:
            raise SystemExit(3)

    logs.configure("text")
    log = logging.getLogger("x")
    log.warning("two\nlines\r\x1b[2J\u2028 and %s", "x" * 50_000_000)
    log.warning("%s", Odd())
    log.warning("%d", "no number")
    long, odd, wrong = written(capsys)
    assert len(long) < MOST_CHARACTERS + 200
    assert r"two\nlines\r\x1b[2J\u2028 and xxx" in long
    assert "test_logs.py" in odd
    assert odd.endswith("cannot be written: SystemExit: 3)")
    assert "cannot be written: TypeError" in wrong


def test_a_session_that_says_too_much_leaves_the_words_of_others_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    records = logs.configure("json")
    log = logging.getLogger("x")
    for number in range(BURST + 50):
        log.info("%d", number, extra={"session": "loud"})
    log.warning("grave", extra={"session": "loud"})
    log.info("of another", extra={"session": "quiet"})
    said = [json.loads(line) for line in written(capsys)]
    assert len(said) == BURST + 2
    assert [record["message"] for record in said[-2:]] == ["grave", "of another"]
    assert logs.left_out() == records.left_out == 50


def test_a_record_that_takes_long_to_put_together_holds_nobody_up(
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Slow:
        """Says what it is when the test lets it."""

        held = Held()

        def __str__(self) -> str:
            self.held()
            return "slow"

    logs.configure("text")
    log = logging.getLogger("x")
    thread = threading.Thread(target=log.info, args=("%s", Slow()))
    thread.start()
    reach(Slow.held.reached)
    log.info("quick")
    assert [line.split()[-1] for line in written(capsys)] == ["quick"]
    Slow.held.allowed.set()
    thread.join()
    assert [line.split()[-1] for line in written(capsys)] == ["slow"]


def test_what_ends_a_thread_and_what_nobody_can_raise_are_records() -> None:
    code = (
        "import threading, gc\nfrom composer import logs\nlogs.configure('json')\nlogs.catch()\n"
        "thread = threading.Thread(target=lambda: [][0], name='one')\n"
        "thread.start()\nthread.join()\n"
        "class Odd:\n    def __del__(self): raise ValueError('odd')\n"
        "Odd()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    ended, odd = map(json.loads, done.stderr.splitlines())
    assert ended["message"] == "one has ended"
    assert ended["error"].endswith("IndexError: list index out of range")
    assert odd["error"].endswith("ValueError: odd")
