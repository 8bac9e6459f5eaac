import subprocess
import sys
from pathlib import Path

import pytest

from composer import scaffold

ROOT = Path(__file__).parent.parent


def in_folder(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """Run a Python module in the folder, as its owner would."""
    return subprocess.run(
        [sys.executable, "-m", *args],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "HOME": str(folder), "PATH": "/usr/bin:/bin"},
    )


def test_the_files_that_are_made(tmp_path: Path) -> None:
    made = scaffold.create(tmp_path / "sepia-tone")
    assert [path.name for path in made] == [
        "README.md",
        "pipeline.yaml",
        "nodes.py",
        "test_nodes.py",
    ]
    assert "capability: sepia-tone\n" in made[1].read_text(encoding="utf-8")
    assert "{" not in made[0].read_text(encoding="utf-8").partition("`source: ")[0]


def test_its_own_tests_pass(tmp_path: Path) -> None:
    scaffold.create(tmp_path / "demo")
    done = in_folder(tmp_path / "demo", "pytest", "-q", "-p", "no:cacheprovider")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


def test_its_pipeline_is_right(tmp_path: Path) -> None:
    scaffold.create(tmp_path / "demo")
    done = in_folder(tmp_path / "demo", "composer", "check", "pipeline.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_empty_folder_may_be_there_already(tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    assert scaffold.create(tmp_path / "demo")


def test_nothing_is_written_over(tmp_path: Path) -> None:
    scaffold.create(tmp_path / "demo")
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    for name in ("demo", "file"):
        with pytest.raises(FileExistsError, match="is there already"):
            scaffold.create(tmp_path / name)


@pytest.mark.parametrize("name", ["my demo", "-demo", "x" * 101, "über"])
def test_the_folder_names_the_capability(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="cannot name a capability"):
        scaffold.create(tmp_path / name)
    assert not (tmp_path / name).exists()
