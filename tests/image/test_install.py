"""What is installed inside a build, and in which order; test_images.py does it for real."""

import stat
import sys
from pathlib import Path

import pytest

from composer.image import context, install
from composer.image.contents import Contents

PLAIN = "version: 1\nnodes:\n  source: {type: decode}\n  out: {type: encode}\n"

PIP = '#!/bin/sh\necho "$*" >> "$(dirname "$0")/told"\n'


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A build's folder as the Dockerfile lays it out, with a pip that notes what it is told."""
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "mine.yaml").write_text(PLAIN)
    pip = tmp_path / "pip"
    pip.write_text(PIP)
    pip.chmod(pip.stat().st_mode | stat.S_IXUSR)
    prefix = tmp_path / "prefix"
    (prefix / "bin").mkdir(parents=True)
    tests = prefix / "lib" / "python3.11" / "site-packages" / "numpy" / "linalg" / "tests"
    tests.mkdir(parents=True)
    monkeypatch.setattr(sys, "prefix", str(prefix))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def told(build: Path, *options: str) -> list[str]:
    install.main(["pipelines/mine.yaml", "--pip", "./pip", "--lock", str(context.LOCK), *options])
    path = build / "told"
    lines = path.read_text().splitlines() if path.exists() else []
    start = f"--python {sys.executable} install "
    assert all(line.startswith(start) for line in lines)
    return [line.removeprefix(start).replace(f"{context.LOCK}/", "") for line in lines]


def test_a_pipeline_of_pixels_installs_nothing_more(build: Path) -> None:
    assert told(build) == []


@pytest.mark.parametrize("variant", install.VARIANTS)
def test_what_is_needed_comes_with_its_digests(build: Path, variant: str) -> None:
    (build / "pipelines" / "own.py").write_text("import torch\nimport onnxruntime\n")
    text = PLAIN.replace("  out", "  own: {type: ./own.py:Own}\n  out")
    (build / "pipelines" / "mine.yaml").write_text(text)
    assert told(build, "--variant", variant) == [
        f"--require-hashes -r onnxruntime-{variant}.txt",
        f"--require-hashes -r torch-{variant}.txt",
    ]


def test_packs_and_requirements_keep_the_versions_of_the_lock(build: Path) -> None:
    (build / "packs").mkdir()
    (build / "packs" / "glow-1.0-py3-none-any.whl").touch()
    (build / "packs" / install.PINS).touch()
    (build / "pipelines" / "requirements.txt").write_text("six\n")
    listed = Contents(build / "pipelines", (Path("mine.yaml"),), (), ("glow",), ("torch",))
    (build / "contents.json").write_text(listed.as_json())
    assert told(build) == [
        "--require-hashes -r torch-cpu.txt",
        "-c packs/pins.txt -c lock-pins.txt packs/glow-1.0-py3-none-any.whl",
        "-c lock-pins.txt -r pipelines/requirements.txt",
    ]
    pins = (build / "lock-pins.txt").read_text()
    assert "\ntorch==2.13.0+cpu\n" in pins
    assert "numpy==" in pins
    assert "--hash" not in pins


def test_what_starts_fast_and_what_is_left_out(build: Path) -> None:
    told(build)
    prefix = build / "prefix"
    assert (prefix / "bin" / "byoc").read_text().startswith(f"#!{sys.executable}\n")
    assert "/live" in (prefix / "health.py").read_text()
    assert list(prefix.rglob("tests")) == []


def test_a_pip_that_fails_ends_the_build(build: Path) -> None:
    (build / "pip").write_text("#!/bin/sh\nexit 1\n")
    (build / "pipelines" / "requirements.txt").write_text("six\n")
    with pytest.raises(SystemExit, match=r"pip cannot install -c lock-pins\.txt -r"):
        told(build)


def test_versions_that_are_here_are_pinned_but_for_those_of_the_lock() -> None:
    lines = install.versions(["NumPy", "byoc_composer"]).splitlines()
    names = [line.partition("==")[0] for line in lines]
    assert "pytest" in names
    assert not {"numpy", "byoc-composer"} & set(names)
    assert names == sorted(names)
