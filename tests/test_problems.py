"""Every broken pipeline in tests/problems, and all that `byoc check` says about it.

The .txt beside each file is the whole output, to be read as a reader would. After a change of a
message: UPDATE_PROBLEMS=1 pytest tests/test_problems.py, then review the diff.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from composer.compiler import compile as compiler
from composer.errors import PipelineInvalid
from composer.node.registry import Registry
from composer.pipeline import report

FOLDER = Path(__file__).parent / "problems"
CASES = sorted(path.stem for path in FOLDER.glob("*.yaml"))

ENV: Mapping[str, str] = {"SECRET": "777", "PASSWORD": "hunter two"}
"""What the files may read. No .txt may show one of these values."""


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.installed()


def checked(path: Path, registry: Registry) -> str:
    """What `byoc check` prints."""
    compiled = compiler.compile_file(path, registry, ENV)
    problems = compiled.problems
    if not problems:
        try:
            compiler.plan_of(compiled)
        except PipelineInvalid as exc:
            problems = exc.problems
    if not problems:
        return f"{path}: fine\n"
    return report.text(problems, compiled.lines) + "\n"


@pytest.mark.parametrize("case", CASES)
def test_a_broken_file_is_explained(
    case: str, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(FOLDER)
    shown, expected = checked(Path(f"{case}.yaml"), registry), Path(f"{case}.txt")
    if os.environ.get("UPDATE_PROBLEMS"):
        expected.write_text(shown, encoding="utf-8")
    assert shown == expected.read_text(encoding="utf-8")


@pytest.mark.parametrize("case", CASES)
def test_what_is_expected_shows_a_problem_and_no_secret(case: str) -> None:
    expected = (FOLDER / f"{case}.txt").read_text(encoding="utf-8")
    assert not expected.endswith(": fine\n")
    assert [value for value in ENV.values() if value in expected] == []


def test_a_file_of_10_mb_is_refused_quickly(tmp_path: Path, registry: Registry) -> None:
    path = tmp_path / "big.yaml"
    path.write_bytes(b"version: 1\n" + b"a: [[[[[[[[{b: *c}]]]]]]]]\n" * 400_000)
    assert checked(path, registry) == (
        f"{path}: too-big: the file is larger than 64 KiB\n"
        "  move parts of it into files of their own (type: pipeline)\n"
        "1 problem\n"
    )


@pytest.mark.fault("F-59")
def test_a_million_brackets_are_refused(tmp_path: Path, registry: Registry) -> None:
    path = tmp_path / "deep.yaml"
    path.write_text("version: 1\nnodes: " + "[" * 60_000)
    assert "too-deep: more than 32 lists and mappings" in checked(path, registry)


def test_files_that_include_many_files_that_do_are_refused(
    tmp_path: Path, registry: Registry
) -> None:
    for level in range(7):
        parts = "".join(
            f"  p{index}: {{type: pipeline, file: {level + 1}.yaml}}\n" for index in range(90)
        )
        text = f"version: 1\nnodes:\n  source: {{type: decode}}\n{parts}  out: {{type: encode}}\n"
        (tmp_path / f"{level}.yaml").write_text(text)
    (tmp_path / "7.yaml").write_text(
        "version: 1\nnodes:\n  source: {type: decode}\n  out: {type: encode}\n"
    )
    shown = checked(tmp_path / "0.yaml", registry)
    assert shown.count("too-many: the graph has more than 500 nodes") == 1
    assert shown.endswith("1 problem\n")


def test_a_link_that_leads_outside_the_folder_is_refused(
    tmp_path: Path, registry: Registry
) -> None:
    (tmp_path / "inside").mkdir()
    (tmp_path / "secret.mp4").write_bytes(b"")
    (tmp_path / "inside" / "film.mp4").symlink_to(tmp_path / "secret.mp4")
    path = tmp_path / "inside" / "p.yaml"
    path.write_text(
        "version: 1\nnodes:\n  source: {type: decode, path: film.mp4}\n  out: {type: encode}\n"
    )
    assert "bad-path: nodes.source.path: 'film.mp4' is outside" in checked(path, registry)


def test_links_in_a_ring_lead_to_no_file(tmp_path: Path, registry: Registry) -> None:
    (tmp_path / "one.mp4").symlink_to(tmp_path / "two.mp4")
    (tmp_path / "two.mp4").symlink_to(tmp_path / "one.mp4")
    path = tmp_path / "p.yaml"
    path.write_text(
        "version: 1\nnodes:\n  source: {type: decode, path: one.mp4}\n  out: {type: encode}\n"
    )
    assert "missing-file: nodes.source.path: there is no file 'one.mp4'" in checked(path, registry)


def byoc(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "composer", "check", *arguments],
        cwd=FOLDER,
        env={**os.environ, "PYTHONPATH": str(FOLDER.parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_says_the_same_and_its_exit_code_sums_it_up(tmp_path: Path) -> None:
    broken = byoc("ring-of-two.yaml")
    assert (broken.returncode, broken.stderr) == (1, "")
    assert broken.stdout == (FOLDER / "ring-of-two.txt").read_text()

    listed = byoc("ring-of-two.yaml", "several-problems.yaml", "--format", "json")
    assert listed.returncode == 1
    problems: list[dict[str, Any]] = json.loads(listed.stdout)
    assert problems[0] == {
        "code": "cycle",
        "message": "the nodes feed each other in a ring: one -> other -> one",
        "file": "ring-of-two.yaml",
        "line": 4,
        "column": 36,
        "length": 5,
        "at": "nodes.one.in",
        "hint": "",
    }
    expected = (FOLDER / "several-problems.txt").read_text()
    assert expected.endswith(f"\n{len(problems) - 1} problems\n")

    good = tmp_path / "good.yaml"
    good.write_text("version: 1\nnodes:\n  source: {type: decode}\n  out: {type: encode}\n")
    fine = byoc(str(good))
    assert (fine.returncode, fine.stdout, fine.stderr) == (0, f"{good}: fine\n", "")
    assert json.loads(byoc(str(good), "--format", "json").stdout) == []

    absent = byoc("absent.yaml")
    assert (absent.returncode, absent.stdout) == (2, "")
    assert absent.stderr == "byoc: absent.yaml: No such file or directory\n"
