"""docs/reliability.md is made of the marks of the tests; `make docs` writes it."""

from tests.clips import ROOT
from tests.faults import table
from tests.faults.catalogue import FAULTS


def test_the_page_is_current() -> None:
    made = table.page(table.marked(), table.results())
    assert (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8") == made


def test_every_fault_has_a_test_or_is_open() -> None:
    tested = {number for test in table.marked() for number in test.faults}
    assert [
        number for number, each in FAULTS.items() if number not in tested and not each.open
    ] == []
    assert sorted(tested - set(FAULTS)) == [], "marks of faults that there are not"


def test_what_pytrickle_does_stands_beside_it() -> None:
    ours = {"wait_ms": 12.4, "memory_mib": 1.2, "back": 50}
    theirs = {"wait_ms": 10_000.0, "memory_mib": 812.5, "back": None}
    told = {
        "on": "2026-11-30",
        "cores": 2,
        "peer": "pytrickle==0.1.6",
        "frames": 50,
        "seconds": 6.0,
        "faults": {"a head without end": {"byoc": ours, "pytrickle": theirs}},
    }
    *_, row, _ = table.beside(told)
    assert row == (
        "| a head without end | 12 ms | 1 MiB | 50 | 10000 ms | 812 MiB | it did not begin |"
    )


def test_numbers_follow_each_other() -> None:
    assert sorted(FAULTS) == [f"F-{number:02}" for number in range(1, len(FAULTS) + 1)]


def test_results_are_of_tests_that_there_are() -> None:
    keys = {test.key for test in table.marked()}
    assert sorted(set(table.results()["tests"]) - keys) == []


def test_marks_are_read_off_functions_with_all_their_faults() -> None:
    text = '@pytest.mark.fault("F-01", "F-02")\n@pytest.mark.slow\ndef test_it() -> None: ...\n'
    (test,) = table.marked_in("tests/test_x.py", text + "def test_other() -> None: ...\n")
    assert (test.key, test.faults) == ("tests/test_x.py::test_it", ("F-01", "F-02"))
    told = {"on": "today", "version": "1", "tests": {test.key: "failed"}}
    row = next(line for line in table.page([test], told).splitlines() if line.startswith("| F-02"))
    assert row.endswith("| [it](../tests/test_x.py) | 1 failed |")
