"""A wheel made of what is installed: pip takes it, and it holds the same code."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from composer.image import wheel


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package as pip leaves it in a folder: code, data, a script outside, its own notes."""
    site = tmp_path / "site"
    (site / "tiny").mkdir(parents=True)
    (site / "tiny" / "__init__.py").write_text("VALUE = 7\n")
    (site / "tiny" / "data.txt").write_text("words")
    info = site / "tiny_nodes-2.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny-nodes\nVersion: 2.5\n")
    (info / "WHEEL").write_text(
        "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\n"
        "Tag: py2-none-any\nTag: py3-none-any\n"
    )
    (info / "INSTALLER").write_text("pip\n")
    files = ["tiny/__init__.py", "tiny/data.txt", "tiny/__pycache__/__init__.cpython-311.pyc"]
    files += [f"{info.name}/{name}" for name in ("METADATA", "WHEEL", "INSTALLER", "RECORD")]
    files += ["../../bin/tiny"]
    (info / "RECORD").write_text("".join(f"{name},,\n" for name in files))
    monkeypatch.syspath_prepend(str(site))
    return site


def test_it_holds_the_package_and_not_its_installation(installed: Path, tmp_path: Path) -> None:
    made = wheel.write("tiny-nodes", tmp_path)
    assert made.name == "tiny_nodes-2.5-py2.py3-none-any.whl"
    with zipfile.ZipFile(made) as opened:
        info = "tiny_nodes-2.5.dist-info"
        names = ["tiny/__init__.py", "tiny/data.txt"]
        names += [f"{info}/METADATA", f"{info}/RECORD", f"{info}/WHEEL"]
        assert sorted(opened.namelist()) == sorted(names)
        record = opened.read(f"{info}/RECORD").decode()
    assert "tiny/data.txt,sha256=" in record


def test_pip_installs_it(installed: Path, tmp_path: Path) -> None:
    made = wheel.write("tiny-nodes", tmp_path)
    target = tmp_path / "target"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    subprocess.run([*command, "--target", str(target), str(made)], check=True)
    assert (target / "tiny" / "data.txt").read_text() == "words"


def test_the_same_package_is_the_same_wheel(installed: Path, tmp_path: Path) -> None:
    one, two = (tmp_path / name for name in "ab")
    one.mkdir()
    two.mkdir()
    assert (
        wheel.write("tiny-nodes", one).read_bytes() == wheel.write("tiny-nodes", two).read_bytes()
    )


def test_a_package_without_a_list_of_its_files_is_refused(installed: Path, tmp_path: Path) -> None:
    (installed / "tiny_nodes-2.5.dist-info" / "RECORD").unlink()
    with pytest.raises(wheel.NoWheel, match="install it with pip"):
        wheel.write("tiny-nodes", tmp_path)
