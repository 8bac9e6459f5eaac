"""docs/contract.md: what the code and its tests refer to is there, and what it lists is tested."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.clips import ROOT

PAGE = ROOT / "docs" / "contract.md"
CONFORMANCE = ROOT / "tests" / "conformance"

NUMBER = r"\d+(?:\.\d+)?"
GAP = r"[\s#]+"
"""Between two words, also where the second is on the next line of a comment."""

REFERENCE = re.compile(rf"\bcontract{GAP}({NUMBER}(?:,{GAP}{NUMBER})*)", re.I)
"""`contract 2.8`, `contract 3.1, 8.1`."""


def sections() -> set[str]:
    """The numbers of the page's headings."""
    return set(re.findall(rf"^##+ ({NUMBER}) \S", PAGE.read_text(encoding="utf-8"), re.M))


def references(text: str) -> Iterator[tuple[int, str]]:
    """Yield (line, number of a section) for each reference to the contract."""
    for match in REFERENCE.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        yield from ((line, number) for number in re.findall(NUMBER, match[1]))


def pages_and_modules() -> list[Path]:
    """Whatever may refer to the contract, but for this file, whose references are examples."""
    paths = list(ROOT.glob("*.md"))
    for folder in ("bench", "composer", "docs", "nodes", "scripts", "tests"):
        paths += [path for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".md")]
    return sorted(path for path in paths if path != Path(__file__))


def test_a_reference_is_read_wherever_it_stands() -> None:
    text = 'See contract 4.11. Numbers\n# (contract\n# 2, 3.1, 7)\n"""(Contract 2.8)."""'
    assert list(references(text)) == [(1, "4.11"), (2, "2"), (2, "3.1"), (2, "7"), (4, "2.8")]


def test_every_reference_leads_to_a_section() -> None:
    known = sections()
    found = [
        (f"{path.relative_to(ROOT)}:{line}", number)
        for path in pages_and_modules()
        for line, number in references(path.read_text(encoding="utf-8"))
    ]
    assert len(found) > 30
    assert [(at, number) for at, number in found if number not in known] == []


def listed() -> Mapping[int, Path]:
    """Number of a line of the list, 7 for C-07 -> the file that it links to."""
    text = PAGE.read_text(encoding="utf-8")
    targets = dict(re.findall(r"^\[(\w+)\]: (\S+)$", text, re.M))
    rows = re.findall(r"^\| C-(\d\d) \| .+ \| \[(\w+)\] \|$", text, re.M)
    assert len({number for number, _ in rows}) == len(rows), "a number stands twice"
    return {int(number): (PAGE.parent / targets[name]).resolve() for number, name in rows}


def held() -> Mapping[int, set[Path]]:
    """Number of a line of the list -> the files with tests of its name."""
    files: dict[int, set[Path]] = defaultdict(set)
    for path in CONFORMANCE.glob("test_*.py"):
        text = path.read_text(encoding="utf-8")
        for number in re.findall(r"^(?:async )?def test_c(\d\d)_", text, re.M):
            files[int(number)].add(path.resolve())
    return files


def test_the_list_has_no_hole() -> None:
    assert sorted(listed()) == list(range(1, len(listed()) + 1))


def test_every_line_of_the_list_is_tested_where_it_links_to() -> None:
    tests = held()
    untested = [number for number, path in listed().items() if path not in tests[number]]
    assert untested == []


def test_every_conformance_test_is_of_a_line_of_the_list() -> None:
    lines = listed()
    assert [number for number in sorted(held()) if number not in lines] == []


@pytest.mark.parametrize("path", sorted(CONFORMANCE.glob("test_*.py")), ids=lambda path: path.name)
def test_every_test_of_the_folder_says_which_line_it_holds(path: Path) -> None:
    names = re.findall(r"^(?:async )?def (test_\w+)", path.read_text(encoding="utf-8"), re.M)
    assert names
    assert [name for name in names if not re.match(r"test_c\d\d_", name)] == []
