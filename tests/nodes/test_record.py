import json
import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from composer import Context, Moment
from composer.testing import bench
from nodes.record import Record


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_line_for_each_record_with_its_time(here: Path) -> None:
    with bench(Record()) as step:
        step(record={"people": 2}, at=0.5)
        assert len(rows(here / "records.jsonl")) == 1  # at once, not at the end
        step(record={"people": 3, "name": "Żółw"}, at=1.0)
    assert rows(here / "records.jsonl") == [
        {"pts": 45_000, "seconds": 0.5, "people": 2},
        {"pts": 90_000, "seconds": 1.0, "people": 3, "name": "Żółw"},
    ]


def test_a_file_run_starts_anew_and_a_session_adds(here: Path) -> None:
    for live, lines in ((False, 1), (False, 1), (True, 2), (True, 3)):
        with bench(Record(path="a.jsonl"), live=live) as step:
            step(record={})
        assert len(rows(here / "a.jsonl")) == lines


def test_a_dash_is_standard_output(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    with bench(Record(path="-")) as step:
        step(record={"a": 1})
    assert capsys.readouterr().out == '{"pts": 0, "seconds": 0.0, "a": 1}\n'
    assert list(here.iterdir()) == []


def test_no_more_lines_than_asked_for(here: Path) -> None:
    with bench(Record(max_lines=2)) as step:
        for number in range(5):
            step(record={"n": number})
    assert [row["n"] for row in rows(here / "records.jsonl")] == [0, 1]


@pytest.mark.parametrize(
    ("value", "written"),
    [
        pytest.param(np.float32(0.5), 0.5, id="NumPy number"),
        pytest.param(np.arange(3), [0, 1, 2], id="NumPy array"),
        pytest.param(Path("a/b"), "a/b", id="something else"),
        pytest.param(float("nan"), None, id="not a number"),
        pytest.param([1.5, float("inf"), {"a": float("nan")}], [1.5, None, {"a": None}], id="deep"),
        pytest.param(np.array([1.0, np.nan]), [1.0, None], id="not a number in an array"),
    ],
)
def test_everything_becomes_json(value: Any, written: Any, here: Path) -> None:
    with bench(Record()) as step:
        step(record={"value": value, "other": float("nan"), "flag": True})
        step(record={"value": value})
    for row in rows(here / "records.jsonl"):
        assert row["value"] == written


def test_a_path_that_cannot_be_written_is_named(here: Path) -> None:
    with pytest.raises(OSError, match=r"'nowhere/a\.jsonl'"), bench(Record(path="nowhere/a.jsonl")):
        pass


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has /dev/full")
def test_a_full_disk_is_named_and_closing_is_quiet() -> None:
    with bench(Record(path="/dev/full")) as step:
        with pytest.raises(OSError, match=r"No space left on device: '/dev/full'"):
            step(record={"a": 1})


def test_a_session_sends_its_lines(here: Path) -> None:
    sent: list[str] = []
    node = Record()
    node.setup(Context("rows", here, {}, {}, live=True, data=sent.append))
    node.process({"a": 1}, Moment(45_000, Fraction(1, 90_000)))
    node.close()
    assert sent == ['{"pts": 45000, "seconds": 0.5, "a": 1}']
    assert list(here.iterdir()) == []
