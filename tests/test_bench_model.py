"""The bench of models runs, and says what it promises."""

import re

import pytest

from bench import model


def test_it_prints_ratios_and_memory(capsys: pytest.CaptureFixture[str]) -> None:
    model.main(["--small", "--rounds", "1"])
    said = capsys.readouterr().out
    ratios = re.findall(r"^ +\d+ +[\d.]+ +[\d.]+ +([\d.]+)", said, re.MULTILINE)
    assert ratios
    assert all(float(each) > 0.05 for each in ratios)
    one, eight = map(int, re.findall(r"(\d+) MB", said))
    assert eight < one + 7 * 8  # the weights are 8 MB, and there is one copy of them
