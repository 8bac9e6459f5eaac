"""What is told of an exception that is anybody's."""

from typing import Any, NoReturn

import pytest

from composer.errors import MOST_WORDS, NodeFailed, told, words_of


class Mute(Exception):
    """Cannot say what it is."""

    def __init__(self, raised: BaseException) -> None:
        self.raised = raised

    def __str__(self) -> NoReturn:
        raise self.raised


class NoText(Exception):
    """Says something that is no text."""

    def __str__(self) -> Any:
        return 3


class Nameless(type):
    """Has no name."""

    @property
    def __name__(cls) -> NoReturn:  # type: ignore[override]
        raise SystemExit


class Unnamed(Exception, metaclass=Nameless):
    """Its class has no name."""


def test_short_words_are_told_as_they_are() -> None:
    assert told(ValueError("no\nmore")) == "ValueError: no\nmore"
    assert told(ValueError()) == "ValueError"


def test_long_words_are_cut() -> None:
    words = words_of(ValueError("x" * 50_000_000))
    assert words == f"{'x' * MOST_WORDS} ... ({50_000_000 - MOST_WORDS} characters more)"


@pytest.mark.parametrize(
    "exc",
    [Mute(ValueError()), Mute(SystemExit()), Mute(RecursionError()), NoText()],
    ids=["error", "exit", "recursion", "no text"],
)
def test_words_that_cannot_be_had_are_said_to_be_so(exc: BaseException) -> None:
    assert words_of(exc) == "(what it says cannot be told)"
    failure = NodeFailed("n", "process()", exc, None)
    assert str(failure).endswith(f"{type(exc).__name__}: (what it says cannot be told)")


def test_not_even_a_name_is_needed() -> None:
    assert told(Unnamed("no")) == "an exception: no"


def test_who_ends_the_program_while_words_are_made_is_heard() -> None:
    with pytest.raises(KeyboardInterrupt):
        words_of(Mute(KeyboardInterrupt()))
