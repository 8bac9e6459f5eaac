"""What is said of a process that is gone."""

import signal

import pytest

from composer.isolation import loss


@pytest.mark.parametrize(
    ("status", "node", "said", "how"),
    [
        (3, "", "its process ended with exit code 3", "exit 3"),
        (0, "blur", "its process ended with exit code 0 in node 'blur'", "exit 0"),
        (-signal.SIGSEGV, "a/b", "its process was killed by SIGSEGV in node 'a/b'", "SIGSEGV"),
        (
            -signal.SIGKILL,
            "",
            "its process was killed by SIGKILL, perhaps since memory ran out",
            "SIGKILL",
        ),
        (-45, "", "its process was killed by signal 45", "signal 45"),
    ],
)
def test_it_is_said_how_it_ended_and_where(status: int, node: str, said: str, how: str) -> None:
    failure = loss.of(status, node)
    assert (str(failure), failure.how) == (said, how)


def test_the_log_has_its_stack(caplog: pytest.LogCaptureFixture) -> None:
    loss.log(loss.of(-signal.SIGSEGV, "blur"), "Fatal Python error", "cam")
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert record.about == {"session": "cam"}  # type: ignore[attr-defined]
    assert record.exc_text == "Fatal Python error"
