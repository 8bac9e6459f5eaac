"""`byoc image` as far as no builder is needed: what it says it would do, and what it refuses."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from composer.image import ship
from composer.models import weights
from tests.clips import ROOT

PLAIN = "version: 1\ncapability: mine\nnodes:\n  source: {type: decode}\n  out: {type: encode}\n"


def image(folder: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "composer", "image", *words],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": "/nowhere", "HOME": str(folder), **env},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mine.yaml").write_text(PLAIN)
    return tmp_path


def add_node(folder: Path, line: str) -> None:
    """A node of the folder's own in its pipeline. line: the first one of its file."""
    (folder / "nodes.py").write_text(
        f"{line}\nfrom composer import RGB, Node\n"
        "class Same(Node):\n    def process(self, image: RGB) -> RGB:\n        return image\n"
    )
    node = "  same: {type: ./nodes.py:Same}\n  out"
    (folder / "mine.yaml").write_text(PLAIN.replace("  out", node))


def test_a_dry_run_prints_the_dockerfile_the_command_and_the_files(folder: Path) -> None:
    add_node(folder, "import torch")
    done = image(folder, "--dry-run", "mine.yaml", "-t", "name:1", "--variant", "gpu")
    assert done.returncode == 0, done.stderr
    dockerfile, _, planned = done.stdout.partition('CMD ["byoc", "serve"]')
    assert dockerfile == (ROOT / "Dockerfile").read_text().partition('CMD ["byoc", "serve"]')[0]
    assert "# docker build --tag name:1 --build-arg PIPELINE=pipelines/mine.yaml" in planned
    assert "files: \n  mine.yaml\n  nodes.py\n" in planned
    assert "locked: \n  core\n  torch-gpu\n" in planned


def test_what_follows_two_dashes_is_for_the_builder(folder: Path) -> None:
    done = image(folder, "--dry-run", "mine.yaml", "--", "--no-cache", "--volume=/a:/b")
    assert "/Dockerfile --no-cache --volume=/a:/b CONTEXT" in done.stdout


def test_without_a_tag_it_is_called_like_the_file(folder: Path) -> None:
    (folder / "mine.yaml").rename(folder / "Mine.yaml")
    assert "--tag mine " in image(folder, "--dry-run", "Mine.yaml").stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-t", "Not This"], "byoc: -t Not This: the name of an image is small letters"),
        (["--variant", "tpu"], "'tpu' is not one of 'cpu'"),
        (["--weights", "bake"], "'bake' is not one of 'baked'"),
        (["--builder", "kaniko"], "'kaniko' is not one of 'docker'"),
        (["other.yaml"], "byoc: other.yaml: one file makes an image"),
        (["--include", "nothing"], "byoc: --include nothing: no file in "),
        ([], "byoc: none of docker, podman, buildah works here"),
        (["--builder", "podman"], "byoc: podman does not work here"),
    ],
)
def test_what_cannot_begin_ends_with_2(folder: Path, words: list[str], said: str) -> None:
    done = image(folder, "mine.yaml", *words)
    assert done.returncode == 2
    assert said in done.stderr


def test_a_pipeline_with_problems_ends_with_1(folder: Path) -> None:
    (folder / "mine.yaml").write_text(PLAIN.replace("decode", "decoed"))
    done = image(folder, "mine.yaml")
    assert done.returncode == 1
    assert "no node type 'decoed'" in done.stderr


def test_an_import_that_nothing_brings_is_told_before_anything_is_built(folder: Path) -> None:
    add_node(folder, "import hypothesis")
    done = image(folder, "mine.yaml")
    assert done.returncode == 1
    assert done.stderr.startswith("byoc: nodes.py:1: nothing brings 'hypothesis' into the image")
    (folder / "requirements.txt").write_text("hypothesis\n")
    assert image(folder, "--dry-run", "mine.yaml").returncode == 0


@pytest.mark.image  # it makes a wheel of the checkout
def test_what_the_builder_says_and_how_it_ends(folder: Path) -> None:
    """A builder that is there and fails: what it said is seen, and the code is 1."""
    bin_ = folder / "bin"
    bin_.mkdir()
    docker = bin_ / "docker"
    docker.write_text('#!/bin/sh\n[ "$1" = version ] && exit 0\necho no space left\nexit 9\n')
    docker.chmod(0o755)
    done = image(folder, "mine.yaml", PATH=f"{bin_}:/bin:/usr/bin")
    assert done.returncode == 1
    assert "docker builds mine" in done.stdout
    assert "no space left" in done.stderr
    assert "byoc: docker could not build mine; what it said is above" in done.stderr


def test_the_account_of_an_image() -> None:
    digest = "ab" * 32
    held = {
        "packages": [{"name": "av", "version": "18.1", "bytes": 107_000_000}],
        "files": [{"name": "pipelines/x.yaml", "bytes": 316}],
        "weights": [{"name": f"weights/ab/{digest}", "bytes": 232_589}],
    }
    known = [weights.parse("pypi://x==1.0/models/face.onnx", digest)]
    assert ship.account("mine", 449_000_000, json.loads(json.dumps(held)), known).splitlines() == [
        "mine: 449 MB, its base among them",
        "  packages  1, 107 MB: av 107 MB",
        "  files     pipelines/x.yaml 316 bytes",
        "  weights   face.onnx 233 kB",
    ]
