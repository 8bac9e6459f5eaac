"""The pages say what is so: what is made from the code is current, commands and examples run.

Run `make docs` when the reference of nodes, the schema or the list of problems is not current.
"""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from composer import __version__
from composer.compiler.compile import compile_file, plan_of
from composer.node.registry import Registry
from composer.parser import Parser
from composer.pipeline import report
from composer.plot import plan_text, reference, svg
from composer.server import metrics, traffic, vitals
from composer.server.headroom import Headroom
from composer.server.reception import Reception
from composer.server.settings import Settings
from tests import commands
from tests.clips import BUNNY, ROOT, beginning

PAGES = sorted((ROOT / "docs").glob("*.md"))

ELSEWHERE = {
    "make ": "test_readme.py looks whether the target exists; some take a quarter of an hour",
    "pip install ": "from the network; here it is installed",
    "docker ": "there may be no Docker",
    "byoc image pipelines": "builds for a minute; tests/image/test_images.py does",
    "byoc upgrade ": "ends the worker of the page; test_upgrade.py does",
    "ffmpeg ": "needs a gateway of go-livepeer",
    "ffplay ": "needs a gateway of go-livepeer",
    "curl -fsS http://127.0.0.1:8000/stream/params": "needs a stream; test_scaffold.py has one",
}
"""Commands of the pages that cannot run here, by their beginnings."""


def test_the_node_reference_is_current() -> None:
    assert (ROOT / "docs" / "nodes.md").read_text() == reference.markdown(Registry.installed())


def test_the_schema_is_current() -> None:
    written = json.loads((ROOT / "docs" / "pipeline.schema.json").read_text())
    assert written == reference.schema(Registry.installed())


def test_the_picture_in_the_readme_is_current() -> None:
    plan = plan_of(compile_file(ROOT / "pipelines" / "lower_third.yaml", Registry.installed()))
    made = svg.document(plan_text.boxes(plan), plan_text.arrows(plan), plan.graph.capability)
    assert (ROOT / "docs" / "lower_third.svg").read_text() == made


def test_every_node_has_a_test_an_example_and_a_docstring() -> None:
    registry = Registry.installed()
    for name in registry.names():
        assert (ROOT / "tests" / "nodes" / f"test_{name}.py").is_file(), name
        cls = registry.find(name, ROOT)
        assert len(reference.summary(cls)) > 10, name
        for field, *_, help_ in reference.field_rows(cls):
            assert help_, f"{name}.{field} has no description"
        used = [f for f in (ROOT / "pipelines").glob("*.yaml") if f"type: {name}" in f.read_text()]
        assert used, f"no file in pipelines/ shows {name}"


def test_the_changelog_begins_with_what_comes_next() -> None:
    headings = [
        line for line in (ROOT / "CHANGELOG.md").read_text().splitlines() if line.startswith("## ")
    ]
    assert headings[0] in ("## Unreleased", f"## {__version__}")


# what the pages show


@pytest.fixture(scope="session")
def short_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One second of a real clip."""
    return beginning(BUNNY, tmp_path_factory.mktemp("clip") / "clip.mp4", 1)


def named(page: str) -> dict[str, str]:
    """The files that a page shows: blocks that begin with their name in a comment."""
    found = {}
    for language in ("yaml", "python"):
        for block in commands.blocks(page, language):
            if match := re.match(r"# ([\w/]+\.(?:yaml|py))$", block, re.M):
                found[match[1]] = block
    return found


def a_folder(folder: Path, page: str, clip: Path) -> None:
    """Where a reader of the page is: beside the pipelines, with a clip and what the page shows."""
    shutil.copy(clip, folder / "clip.mp4")
    shutil.copytree(ROOT / "pipelines", folder / "pipelines")
    shutil.copytree(ROOT / "deploy", folder / "deploy")
    for name, text in named(page).items():
        (folder / name).write_text(text, encoding="utf-8")


WITH_COMMANDS = [page for page in PAGES if commands.commands(page.read_text(encoding="utf-8"))]


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_COMMANDS, ids=lambda page: page.name)
def test_every_command_of_a_page_runs(page: Path, tmp_path: Path, short_clip: Path) -> None:
    text = page.read_text(encoding="utf-8")
    a_folder(tmp_path, text, short_clip)
    commands.follow(commands.commands(text), tmp_path, ELSEWHERE)
    if page.name == "pipeline.md":
        drawn = (ROOT / "docs" / "pictures" / "branches.svg").read_text(encoding="utf-8")
        assert (tmp_path / "branches.svg").read_text(encoding="utf-8") == drawn


def test_every_reason_to_leave_a_command_out_is_needed() -> None:
    pages = [page.read_text(encoding="utf-8") for page in PAGES]
    lines = [line for page in pages for line in commands.commands(page)]
    unused = [each for each in ELSEWHERE if not any(line.startswith(each) for line in lines)]
    assert set(unused) <= {"make "}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_whole_pipelines_of_a_page_are_right(page: Path, tmp_path: Path) -> None:
    shutil.copy(next((ROOT / "pipelines" / "assets").glob("*.png")), tmp_path / "logo.png")
    for number, block in enumerate(commands.blocks(page.read_text(encoding="utf-8"), "yaml")):
        if "type: encode" not in block or "version: 1" not in block:
            continue
        file = tmp_path / f"{number}.yaml"
        file.write_text(block, encoding="utf-8")
        compiled = compile_file(file, Registry.installed())
        assert not compiled.problems, report.text(compiled.problems, compiled.lines)
        plan_of(compiled)


@pytest.mark.parametrize("name", ["testing.md", "write-a-node.md"])
def test_the_tests_of_a_page_pass(name: str) -> None:
    page = (ROOT / "docs" / name).read_text(encoding="utf-8")
    found: dict[str, Any] = {"__name__": "page"}
    for block in commands.blocks(page, "python"):
        exec(block, found)
    tests = [value for key, value in found.items() if key.startswith("test_")]
    assert tests
    for each in tests:
        each()


def test_the_mistake_of_the_first_page_is_told_like_that(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "start.md").read_text(encoding="utf-8")
    wrong = named(page)["pipeline.yaml"].replace("overlay_text", "overlay_txt")
    (tmp_path / "pipeline.yaml").write_text(wrong, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "composer", "check", "pipeline.yaml"],
        cwd=tmp_path,
        env=commands.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout in commands.blocks(page, "")


def test_the_page_for_operators_has_every_setting() -> None:
    page = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    rows = "\n".join(line for line in page.splitlines() if line.startswith("| `"))
    for field in Settings.model_fields.values():
        assert f"`{field.alias}`" in rows, field.alias


def test_the_page_for_operators_names_figures_that_there_are() -> None:
    page = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    others = [*traffic.families(Reception(Parser())), *vitals.families(Headroom())]
    known = metrics.text([], 1, others).decode()
    for name in re.findall(r"`(byoc_\w+)`", page):
        assert f"# TYPE {name.removesuffix('_total')}" in known, name


def test_the_index_names_every_page() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    assert [page.name for page in PAGES if page.name not in index] == ["README.md"]
