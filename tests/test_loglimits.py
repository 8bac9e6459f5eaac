"""How much of what goes wrong is told."""

import pytest

from composer.errors import MOST_WORDS, cut
from composer.loglimits import (
    BURST,
    LINES_PER_SECOND,
    MOST_CAUSES,
    MOST_KINDS,
    MOST_NAMES,
    MOST_TRACEBACK,
    Allowance,
    Tracebacks,
    written,
)


def raised(exc: BaseException) -> BaseException:
    try:
        raise exc
    except BaseException as caught:  # noqa: BLE001 - which is the one above
        return caught


def deep(depth: int) -> None:
    if depth:
        deep(depth - 1)
    raise ValueError("x" * 1000)


def test_a_burst_is_written_and_then_so_many_a_second() -> None:
    clock = [0.0]
    allowance = Allowance(now=lambda: clock[0])
    assert [allowance.ask("a") for _ in range(BURST)] == [0] * BURST
    assert [allowance.ask("a") for _ in range(1000)] == [None] * 1000
    assert allowance.ask("b") == 0
    clock[0] += 1
    counts = [allowance.ask("a") for _ in range(100)]
    assert counts[:2] == [1000, 0]
    assert counts.count(None) == 100 - LINES_PER_SECOND
    assert allowance.left_out == 1000 + counts.count(None)


def test_names_are_forgotten() -> None:
    allowance = Allowance(burst=1)
    for number in range(2 * MOST_NAMES):
        allowance.ask(str(number))
    assert len(allowance._names) == MOST_NAMES


def test_a_traceback_is_told_once_for_each_place() -> None:
    tracebacks = Tracebacks()
    first, second = (tracebacks.of(raised(ValueError("no"))) for _ in range(2))
    assert first.startswith("Traceback (most recent call last):\n")
    assert first.endswith("ValueError: no")
    assert second == "ValueError: no (number 2 of its kind; the first one has its traceback)"
    assert "Traceback" in tracebacks.of(raised(KeyError("no")))
    for number in range(MOST_KINDS):
        tracebacks.of(type(f"E{number}", (Exception,), {})())
    assert len(tracebacks._seen) == MOST_KINDS
    assert "Traceback" in tracebacks.of(raised(ValueError("no")))


def test_what_led_to_it_is_told_before_it() -> None:
    def leads() -> None:
        try:
            raise KeyError("first")
        except KeyError as exc:
            raise ValueError("second") from exc

    with pytest.raises(ValueError, match="second") as caught:
        leads()
    text = written(caught.value)
    assert text.index("KeyError: 'first'") < text.index("That led to:") < text.index("second")


def test_what_a_group_holds_is_told() -> None:
    group = ExceptionGroup("some", [ValueError("one"), KeyError("two")])
    text = written(group)
    assert "ValueError: one" in text
    assert text.endswith("ExceptionGroup: some (2 sub-exceptions)")


def test_it_is_never_long() -> None:
    with pytest.raises(ValueError, match="x") as caught:
        deep(900)
    chain: BaseException = caught.value
    long = "y" * 50_000_000
    for _ in range(100):
        following = ValueError(long)
        following.__cause__ = chain
        chain = following
    text = written(chain)
    assert len(text) <= MOST_TRACEBACK + 4
    assert text.count("ValueError") <= MOST_CAUSES
    chain.__cause__ = chain
    assert len(written(chain)) < MOST_WORDS + 200


def test_a_long_text_says_how_much_is_missing() -> None:
    assert cut("abc", 3) == "abc"
    assert cut("abcde", 3) == "abc ... (2 characters more)"
