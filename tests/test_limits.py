"""Limits: one table, of which an operator sets any row."""

import dataclasses

import pytest

from composer import limits
from composer.limits import GIB, KIB, MIB, WireLimits
from tests.clips import ROOT


def test_what_is_written_is_set_and_the_rest_stays() -> None:
    made = limits.read(" start=4M, values = 20000,body_s=2.5, waiting=1g, at_once=0, control=1.5k ")
    assert made == WireLimits(
        start=4 * MIB, values=20_000, body_s=2.5, waiting=GIB, at_once=0, control=3 * KIB // 2
    )
    assert limits.read("") == WireLimits()


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("start", "has 'start'; NAME=NUMBER is wanted, of start, params, "),
        ("strat=4M", "has 'strat=4M'; NAME=NUMBER is wanted, of start, params, "),
        ("start=1M,start=2M", "has start twice"),
        ("start=4 parsecs", "has '4 parsecs' for start; a number is wanted, as 90 or 4M"),
        ("start=-1", "has '-1' for start; a number is wanted, as 90 or 4M"),
        ("start=nan", "has 'nan' for start; a number is wanted, as 90 or 4M"),
        ("start=12", "start should be at least 1024"),
        ("body_s=0", "body_s should be at least 0.1"),
        ("waiting=1M", "waiting should be at least as much as start"),
        ("file=300M", "waiting should be at least as much as file"),
    ],
)
def test_what_is_wrong_is_said(written: str, why: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - what it says is compared below
        limits.read(written)
    assert str(refused.value).startswith(why)


def test_every_row_says_what_it_is_about() -> None:
    assert [row.name for row in limits.rows()] == [
        row.name for row in dataclasses.fields(WireLimits)
    ]
    assert all(row.metadata["said"] for row in limits.rows())


def test_what_nobody_sets_is_enough_for_the_wire() -> None:
    """A gateway lets 10 MiB through, and an orchestrator adds its keys (contract 2.3)."""
    made = WireLimits()
    assert min(made.start, made.params, made.control, made.job) == 12 * MIB


def test_the_page_for_operators_has_every_limit_and_what_it_is_by_itself() -> None:
    page = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    table = page.partition("### Limits")[2].partition("|---|---|---|\n")[2].partition("\n\n")[0]
    written = {}
    for line in table.splitlines():
        name, said, default = line.strip("| ").split(" | ")
        written[name.strip("`")] = (said, default.removesuffix(" s"))
    assert list(written) == [row.name for row in limits.rows()]
    for row in limits.rows():
        said, default = written[row.name]
        assert said == row.metadata["said"]
        assert getattr(limits.read(f"{row.name}={default}"), row.name) == row.default
