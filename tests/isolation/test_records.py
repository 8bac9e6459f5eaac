"""The log of a session's process in that of the worker."""

import logging
from collections.abc import Iterator
from contextvars import copy_context

import pytest

from composer import logs
from composer.isolation.failure import LONGEST_TEXT
from composer.isolation.messages import Logged
from composer.isolation.records import MOST_A_SECOND, RecordQueue, log_again
from composer.loglimits import Tracebacks


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """One whose records go nowhere else."""
    logger = logging.getLogger("tests.records")
    logger.propagate = False
    yield logger
    logger.handlers.clear()
    logger.propagate = True


def test_a_record_says_what_it_is_about(logger: logging.Logger) -> None:
    woken: list[int] = []
    records = RecordQueue(lambda: woken.append(1))
    logger.addHandler(records)

    def work() -> None:
        logs.enter("cam").at("blur")
        try:
            raise KeyError("x")
        except KeyError:
            logger.exception("it %s", "failed")

    copy_context().run(work)
    (said,) = records.pop_all()
    assert (said.message, said.level, said.logger) == ("it failed", logging.ERROR, logger.name)
    assert said.about == {"session": "cam", "node": "blur"}
    assert str(said.error).endswith("KeyError: 'x'")
    assert woken == [1]
    assert records.pop_all() == []


def test_what_is_too_much_is_counted(logger: logging.Logger) -> None:
    clock = [0.0]
    records = RecordQueue(lambda: None, lambda: clock[0])
    logger.addHandler(records)
    for number in range(MOST_A_SECOND + 10):
        logger.warning("line %d", number)
    *said, last = records.pop_all()
    assert len(said) == MOST_A_SECOND
    assert last.message == "10 more records of its process were left out"
    clock[0] += 1
    logger.warning("x" * 1_000_000)
    (said_again,) = records.pop_all()
    assert len(said_again.message) < LONGEST_TEXT


def test_it_is_said_again_of_its_session_whatever_it_says(
    caplog: pytest.LogCaptureFixture,
) -> None:
    said = Logged(
        logger="nodes.blur",
        level=logging.WARNING,
        message="100 %",
        about={"session": "another", "node": "blur", "pts": 1.5},
        error="Traceback",
    )
    log_again(said, "cam")
    (record,) = caplog.records
    assert logs.placed(record)
    text = logs.TextLines(Tracebacks()).format(record)
    assert "WARNING nodes.blur [session cam node blur pts 1.500]: 100 %" in text
    assert text.endswith("Traceback")
    assert '"error": "Traceback"' in logs.JsonLines(Tracebacks()).format(record)


def test_what_the_worker_does_not_want_to_hear_is_not_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    about: dict[str, str | int | float] = {}
    log_again(Logged(logger="a", level=logging.DEBUG, message="", about=about, error=None), "cam")
    assert caplog.records == []
