"""Items become few short lines, in order, and none is lost unseen."""

import json

import pytest

from composer.session.data_lines import ITEMS, LINES, LONGEST, DataLines


def lines_of(body: bytes) -> list[list[object]]:
    return [json.loads(line) for line in body.splitlines()]


def test_items_become_one_array_on_one_line() -> None:
    wakes: list[int] = []
    data = DataLines(lambda: wakes.append(1))
    for item in ('{"a": 1}', '"text"\n', "3"):
        data.put(item)
    assert data.take() == b'[{"a": 1},"text",3]\n'
    assert data.take() == b""
    data.put("4")
    assert lines_of(data.take()) == [[4]]
    assert wakes == [1, 1]


def test_lines_stay_short_and_few_and_keep_the_order() -> None:
    data = DataLines(lambda: None)
    items = [json.dumps(f"{number}:" + "x" * 9000) for number in range(100)]
    for item in items:
        data.put(item)
    bodies = []
    while data.waiting:
        bodies.append(data.take())
    lines = [line for body in bodies for line in body.splitlines(keepends=True)]
    assert max(map(len, lines)) <= LONGEST
    assert max(len(body.splitlines()) for body in bodies) == LINES
    assert [item for body in bodies for line in lines_of(body) for item in line] == [
        json.loads(item) for item in items
    ]


def test_a_line_may_be_exactly_as_long_as_allowed() -> None:
    data = DataLines(lambda: None)
    data.put('"' + "x" * (LONGEST - 5) + '"')
    assert len(data.take()) == LONGEST
    data.put('"' + "x" * (LONGEST - 4) + '"')
    assert (data.take(), data.dropped, data.items) == (b"", {"too_long": 1}, 2)


@pytest.mark.fault("F-41")
def test_the_oldest_of_too_many_is_dropped_and_counted() -> None:
    data = DataLines(lambda: None)
    for number in range(ITEMS + 5):
        data.put(str(number))
    assert data.dropped == {"full": 5}
    assert lines_of(data.take())[0][0] == 5
