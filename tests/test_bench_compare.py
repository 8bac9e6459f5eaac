"""Results before and after a change."""

import sys
from pathlib import Path

import pytest

from bench import __main__ as command
from bench import compare, path, results
from bench.results import Spread

SPREAD = Spread(2, 1, 3)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (Spread(200, 1, 900), Spread(150, 1, 900), "-25.0 %"),
        (Spread(2, 1, 3), Spread(2, 1, 3), "+0.0 %"),
        (Spread(0, 0, 0), Spread(3, 0, 9), "+3"),
        (Spread(0, 0, 0), Spread(0, 0, 9), "0"),
        (None, Spread(3, 0, 9), ""),
    ],
)
def test_a_change_is_told_by_the_medians(before: Spread | None, after: Spread, said: str) -> None:
    assert compare.change(before, after) == said


def test_what_was_measured_before_stands_beside_what_is_now() -> None:
    before = {
        "commit": "abc1234",
        "when": "2026-01-01T00:00:00+00:00",
        "found": {"a": {"read": Spread(4, 3, 5)}, "gone": {"read": SPREAD}},
    }
    now = {"a": {"read": SPREAD, "new": SPREAD}, "added": {"read": SPREAD}}
    assert list(compare.lines(before, now)) == [
        "before: commit abc1234, 2026-01-01T00:00:00+00:00",
        "",
        "| a | before | after | change |",
        "|---|---|---|---|",
        "| read | 4 (3-5) | 2 (1-3) | -50.0 % |",
        "| new |  | 2 (1-3) |  |",
    ]


@pytest.mark.slow
@pytest.mark.usefixtures("bench_clip")
def test_some_works_are_measured_kept_and_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(results, "KEPT", tmp_path / "kept")
    monkeypatch.setattr(results, "FOLDER", tmp_path / "published")
    asked = ["bench", "path", "--only", "passthrough, 360p", "--runs", "1", "--seconds", "0.5"]
    monkeypatch.setattr(sys, "argv", [*asked, "--save", "before"])
    assert command.main() == 0
    monkeypatch.setattr(sys, "argv", [*asked, "--compare", "before"])
    capsys.readouterr()
    assert command.main() == 0
    printed = capsys.readouterr().out
    assert "| passthrough, 360p | before | after | change |" in printed
    assert all(f"\n| {part} | " in printed for part in (*path.PARTS, "beside codecs"))
    assert [file.name for file in tmp_path.rglob("*.json")] == ["path-before.json"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["path", "--compare", "nothing"], "there is nothing to compare with"),
        (["sessions", "--sessions", "8,0"], "there is at least one session"),
        (["sessions", "--sessions", "8,many"], "invalid _counts value: '8,many'"),
    ],
)
def test_what_cannot_be_measured_is_told_at_once(
    asked: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", *asked])
    with pytest.raises(SystemExit):
        command.main()
    assert said in capsys.readouterr().err
