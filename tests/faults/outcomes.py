"""How tests of faults went, for the table: a plugin of pytest.

pytest -p tests.faults.outcomes -m fault
"""

import json
from datetime import UTC, datetime
from typing import Final

import pytest

from composer import __version__
from tests.faults.table import RESULTS, marked

RANKS: Final = ("skipped", "passed", "failed")
"""Of a test with parameters the worst of them counts."""

_outcomes: Final[dict[str, str]] = {}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Called in the process that gathers the results, whoever ran the test."""
    if "fault" not in report.keywords:
        return
    if report.when == "call" or report.outcome != "passed":
        key = report.nodeid.partition("[")[0]
        worst = max(report.outcome, _outcomes.get(key, "skipped"), key=RANKS.index)
        _outcomes[key] = worst


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workerinput"):
        return
    known = json.loads(RESULTS.read_text(encoding="utf-8"))["tests"] if RESULTS.exists() else {}
    there = {test.key for test in marked()}
    outcomes = {key: how for key, how in {**known, **_outcomes}.items() if key in there}
    told = {
        "on": f"{datetime.now(UTC):%Y-%m-%d}",
        "version": __version__,
        "tests": dict(sorted(outcomes.items())),
    }
    RESULTS.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
