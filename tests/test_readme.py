"""Every command in the README runs, and every block of code in the docs is what it says."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from composer.compiler.compile import compile_file
from composer.node.registry import Registry
from composer.pipeline import report
from tests import commands
from tests.clips import BUNNY, ROOT, beginning

README = ROOT / "README.md"
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
PAGES = [README, CONTRIBUTING, ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md"))]

MAKE = {
    "make ": "a target; the test above looks whether it exists",
    "byoc image ": "builds for a minute; tests/image/test_images.py does",
    "docker ": "there may be no Docker",
    "pip install ": "from the network; test_release.py does",
}


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a page in one language, "" for those that name none."""
    return commands.blocks(page.read_text(encoding="utf-8"), language)


def lines(page: Path = README) -> list[str]:
    """The commands of a page."""
    return commands.commands(page.read_text(encoding="utf-8"))


def test_the_readme_has_commands() -> None:
    assert len(lines()) >= 10


TARGETS = {line for page in PAGES for line in lines(page) if line.startswith("make ")}


@pytest.mark.parametrize("line", sorted(TARGETS))
def test_a_make_target_exists(line: str) -> None:
    done = subprocess.run(["make", "-n", line.split()[1]], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_tests_that_contributors_are_shown_exist() -> None:
    others = [line.split() for line in lines(CONTRIBUTING) if line not in TARGETS]
    assert [words[0] for words in others] == [".venv/bin/pytest"]
    assert (ROOT / others[0][-1]).is_file()


def test_what_must_hold_begins_as_a_newcomer_does() -> None:
    steps = [line for line in (ROOT / ".ci" / "run").read_text().splitlines() if line[:1].isalpha()]
    first = [line for line in lines() if line.startswith("make ")][:2]
    assert steps[2:4] == first  # after set and cd


@pytest.mark.slow
@pytest.mark.timeout(180)  # fifteen commands, and others may work beside them
def test_the_other_commands_run_one_after_another(tmp_path: Path) -> None:
    beginning(BUNNY, tmp_path / "clip.mp4", 3)  # the changes below are done by then
    shutil.copytree(ROOT / "pipelines", tmp_path / "pipelines")
    changes = next(block for block in blocks(README, "yaml") if "changes:" in block)
    (tmp_path / "changes.yaml").write_text(changes)
    ran = commands.follow(lines(), tmp_path, MAKE)
    assert {line.split()[1] for line in ran} >= {"check", "run", "serve", "trickle", "dev", "new"}


def test_the_pipeline_in_the_readme_is_the_one_in_the_repository() -> None:
    shown = next(block for block in blocks(README, "yaml") if "capability:" in block)
    real = (ROOT / "pipelines" / "lower_third.yaml").read_text()
    assert bare(shown) == bare(real)


def bare(text: str) -> list[str]:
    """Lines without comments and alignment."""
    lines = [re.sub(r"\s+", " ", line.split(" #")[0]).strip() for line in text.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_node_classes_in_the_docs_load(page: Path, tmp_path: Path) -> None:
    for number, block in enumerate(blocks(page, "python")):
        found = re.search(r"^class (\w+)\(Node\)", block, re.M)
        if found is None:
            continue
        (tmp_path / f"nodes{number}.py").write_text(block)
        cls = Registry.installed().find(f"./nodes{number}.py:{found[1]}", tmp_path)
        assert cls.outputs


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)]+)", page.read_text()):
        name, _, anchor = target.partition("#")
        there = page.parent / name if name else page
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target


def anchors(page: Path) -> set[str]:
    """What a link may name behind its #, as GitHub makes it of a heading."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w -]", "", text.lower()).replace(" ", "-") for text in headings}


def test_the_problem_in_the_readme_is_what_check_says(tmp_path: Path) -> None:
    shown = next(block for block in blocks(README, "") if "unknown-node" in block)
    line = shown.splitlines()[1].strip()
    (tmp_path / "pipelines").mkdir()
    ends = "  source: {type: decode}", "  out: {type: encode}"
    text = f"version: 1\nnodes:\n{ends[0]}\n  soft:\n      {line}\n{ends[1]}\n"
    file = tmp_path / "pipelines" / "portrait.yaml"
    file.write_text(text)
    compiled = compile_file(file, Registry.installed())
    said = report.text(compiled.problems, compiled.lines).replace(f"{tmp_path}/", "")
    assert shown.splitlines()[0].partition(": ")[2] in said
    assert "did you mean 'blur'?" in said
