"""What others install: the wheel, made of the sdist, in environments that hold nothing else."""

import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path
from typing import NamedTuple

import av
import pytest

from composer import __version__
from tests.clips import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

PYTHONS = ("3.11", "3.12", "3.13")


class Release(NamedTuple):
    wheel: Path
    sdist: Path


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """What `make release` makes: first the sdist, and the wheel out of that."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    return Release(next(folder.glob("*.whl")), next(folder.glob("*.tar.gz")))


def python(version: str) -> str | None:
    """A Python of that version that runs: on the path, or of pyenv."""
    there = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python{version}"))
    for found in (shutil.which(f"python{version}"), *map(str, there)):
        if found and _says(found).startswith(f"Python {version}."):
            return found
    return None


def _says(found: str) -> str:
    return subprocess.run([found, "--version"], capture_output=True, text=True, check=False).stdout


def in_folder(folder: Path, *command: str | Path) -> str:
    """What a command says; it has to end with 0, and knows nothing of this checkout."""
    done = subprocess.run(
        [str(each) for each in command],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_the_version_is_in_one_place(release: Release) -> None:
    assert release.wheel.name == f"byoc_composer-{__version__}-py3-none-any.whl"
    assert release.sdist.name == f"byoc_composer-{__version__}.tar.gz"
    written = [
        path
        for path in (ROOT / "pyproject.toml", *ROOT.glob("composer/**/*.py"))
        if re.search(rf"[\"']{re.escape(__version__)}[\"']", path.read_text(encoding="utf-8"))
    ]
    assert written == [ROOT / "composer" / "__init__.py"]


def test_the_wheel_holds_the_program_and_nothing_else(release: Release) -> None:
    with zipfile.ZipFile(release.wheel) as opened:
        names = opened.namelist()
    tops = {name.partition("/")[0] for name in names}
    assert tops == {"composer", "nodes", f"byoc_composer-{__version__}.dist-info"}
    expected = {"composer/image/Dockerfile", "composer/image/lock/core.txt", "nodes/onnx.py"}
    expected |= {"composer/py.typed", "nodes/py.typed"}
    assert expected <= set(names)
    assert [name for name in names if name.endswith(".pyc") or "/tests/" in name] == []


def test_the_sdist_holds_what_the_checks_need(release: Release) -> None:
    with tarfile.open(release.sdist) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}
    for name in (
        "Makefile",
        "Dockerfile",
        "tests/test_release.py",
        "pipelines/blur.yaml",
        "LICENSE",
    ):
        assert name in names, name
    hidden = [name for name in names if name.startswith((".venv", ".clips", ".bench", "out/"))]
    assert hidden == []


NODE = """
from composer import OwnYUV, Live, Node
from composer.testing import run_node
from nodes.flip import Flip


class Fade(Node):
    \"\"\"Darken the picture.\"\"\"

    amount: float = Live(0.0, ge=0, le=1, description="1 is black")

    def process(self, image: OwnYUV) -> OwnYUV:
        image.nothing_like_it
        return image


Flip().stateless.nothing_like_it
run_node("no node")
"""
"""A node of somebody else, with three mistakes that only types tell."""


def test_who_writes_a_node_is_told_types(release: Release, tmp_path: Path) -> None:
    """mypy reads the types of an installed package only where it says that it has any."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "env"], check=True)
    site = next((tmp_path / "env").glob("lib/python*/site-packages"))
    with zipfile.ZipFile(release.wheel) as opened:
        opened.extractall(site)
    # What it requires is that of this Python, of which mypy wants the folder.
    (site / "here.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    (tmp_path / "fade.py").write_text(NODE, encoding="utf-8")
    environment = ["--python-executable", str(tmp_path / "env" / "bin" / "python")]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", *environment, "fade.py"],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.findall(r"^fade\.py:(\d+): error: .*\[([\w-]+)\]$", done.stdout, re.M)
    assert found == [("13", "attr-defined"), ("17", "attr-defined"), ("18", "arg-type")], (
        done.stdout + done.stderr
    )


@pytest.mark.parametrize("version", PYTHONS)
def test_it_runs_from_an_empty_folder(release: Release, version: str, tmp_path: Path) -> None:
    found = python(version)
    if found is None:
        pytest.skip(f"no Python {version} here")
    environment, folder = tmp_path / "env", tmp_path / "empty"
    folder.mkdir()
    subprocess.run([found, "-m", "venv", str(environment)], check=True)
    installed, byoc = environment / "bin" / "python", environment / "bin" / "byoc"
    quiet = ["--quiet", "--disable-pip-version-check"]
    subprocess.run([installed, "-m", "pip", "install", *quiet, str(release.wheel)], check=True)
    listed = in_folder(folder, installed, "-m", "pip", "list", "--format", "freeze")
    assert f"byoc-composer @ file://{release.wheel}" in listed or __version__ in listed
    assert "torch==" not in listed
    assert "onnxruntime" not in listed

    in_folder(folder, byoc, "new", "sepia")
    in_folder(folder, byoc, "check", "sepia/pipeline.yaml")
    in_folder(folder, byoc, "run", "sepia/clip.yaml", "--output", "clip.mp4")
    made = ["--input", "clip.mp4", "--output", "out.mp4"]
    in_folder(folder, byoc, "run", "sepia/pipeline.yaml", *made)
    with av.open(str(folder / "out.mp4")) as opened:
        assert sum(1 for _ in opened.decode(video=0)) == 90
    assert "10 coded" in in_folder(folder, byoc, "selftest", "sepia/pipeline.yaml")
    planned = in_folder(folder, byoc, "image", "--dry-run", "sepia/pipeline.yaml")
    assert "FROM ${BASE} AS python" in planned
    assert "overlay_text" in in_folder(folder, byoc, "nodes")
