"""The lock of images: every package with its digests, and all of them fit each other."""

import re
import tomllib
from pathlib import Path

import pytest

from composer.image.context import LOCK
from composer.image.install import locks
from tests.clips import ROOT

PACKAGE = re.compile(r"^([a-z0-9][a-z0-9.-]*)==([^\s;\\]+)", re.MULTILINE)


def packages(path: Path) -> dict[str, set[str]]:
    """Name -> versions; there may be one for each Python."""
    found: dict[str, set[str]] = {}
    for name, version in PACKAGE.findall(path.read_text(encoding="utf-8")):
        found.setdefault(name, set()).add(version)
    return found


def required(extra: str = "") -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = project["optional-dependencies"][extra] if extra else project["dependencies"]
    names = (re.match(r"[\w.-]+", line) for line in lines)
    return {name[0].lower().replace("_", "-") for name in names if name}


def test_what_the_project_requires_is_in_the_core() -> None:
    missing = required() - packages(LOCK / "core.txt").keys()
    assert not missing, f"run `make lock`: {missing}"


@pytest.mark.parametrize(
    ("file", "extra"),
    [
        ("onnxruntime-cpu", "cpu"),
        ("onnxruntime-gpu", "gpu"),
        ("torch-gpu", "torch"),
        ("torch-cpu", "torch"),
        ("hub", "hub"),
    ],
)
def test_what_an_extra_requires_is_in_its_file(file: str, extra: str) -> None:
    missing = required(extra) - packages(LOCK / f"{file}.txt").keys()
    assert not missing, f"run `make lock`: {missing}"


@pytest.mark.parametrize("path", sorted(LOCK.glob("*.txt")), ids=lambda path: path.stem)
def test_every_package_has_digests(path: Path) -> None:
    blocks = re.split(r"\n(?=[a-z])", path.read_text(encoding="utf-8"))
    named = [block for block in blocks if PACKAGE.match(block)]
    assert named
    assert [block for block in named if "--hash=sha256:" not in block] == []


@pytest.mark.parametrize("variant", ["cpu", "gpu"])
def test_files_that_are_installed_together_agree(variant: str) -> None:
    known: dict[str, set[str]] = {}
    for name in ("core", *locks(["onnxruntime", "torch"], variant)):
        for package, versions in packages(LOCK / f"{name}.txt").items():
            assert known.setdefault(package, versions) == versions, package


def test_the_core_has_no_torch_and_no_runtime() -> None:
    heavy = {"torch", "onnxruntime", "onnxruntime-gpu", "matplotlib", "pytest"}
    assert not heavy & packages(LOCK / "core.txt").keys()
