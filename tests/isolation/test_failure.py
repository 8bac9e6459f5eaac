"""Exceptions that go to another process and are raised there again."""

import pytest

from composer.errors import DeviceMissing, NodeFailed, Overdue, Stalled
from composer.isolation.failure import LONGEST_TEXT, Failure


def again(exc: BaseException) -> Exception:
    written = Failure.of(exc).model_dump_json()
    return Failure.model_validate_json(written).exception()


def test_a_node_is_named_with_what_it_raised() -> None:
    failure = again(NodeFailed("blur", "process()", KeyError("x"), 1.5))
    assert isinstance(failure, NodeFailed)
    assert str(failure) == str(NodeFailed("blur", "process()", KeyError("x"), 1.5))
    assert (failure.node, failure.doing, failure.seconds) == ("blur", "process()", 1.5)


@pytest.mark.parametrize(("exc", "kind"), [(Overdue("late"), Overdue), (Stalled("so"), Stalled)])
def test_what_stands_is_told_apart(exc: Exception, kind: type[Exception]) -> None:
    failure = again(exc)
    assert (type(failure), str(failure)) == (kind, str(exc))


def test_others_of_ours_keep_their_words() -> None:
    assert str(again(DeviceMissing("no cuda:1"))) == "no cuda:1"


def test_a_mistake_keeps_its_name() -> None:
    failure = again(ZeroDivisionError("division by zero"))
    assert (type(failure).__name__, str(failure)) == ("ZeroDivisionError", "division by zero")


class Bad(Exception):
    def __str__(self) -> str:
        raise LookupError("no text")


def test_a_text_that_raises_or_never_ends_does_no_harm() -> None:
    assert str(again(Bad())) == "its text raised LookupError"
    assert len(str(again(RuntimeError("x" * 10_000_000)))) == LONGEST_TEXT + len(" ...")
