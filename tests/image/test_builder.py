"""Programs that build images: how they are found and called. test_images.py has a real one."""

import json
import os
import stat
from pathlib import Path

import pytest

from composer.image import builder
from composer.image.builder import Builder, BuildFailed, NoBuilder

SCRIPT = """#!/bin/sh
echo "$0 $*" >> "{log}"
case "$*" in
{cases}
esac
"""


class Played:
    """Programs called docker, podman and buildah, first on the path, and what they were told."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._log = folder, folder / "log"
        self._log.touch()

    def add(self, name: str, **cases: str) -> None:
        """cases: first word of the arguments -> what the shell does."""
        lines = "\n".join(f"{word}*) {does};;" for word, does in cases.items())
        path = self._folder / name
        path.write_text(SCRIPT.format(log=self._log, cases=lines))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    @property
    def told(self) -> list[str]:
        return [
            line.removeprefix(f"{self._folder}/") for line in self._log.read_text().splitlines()
        ]


@pytest.fixture
def played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Played:
    # cat and sh stay; a real builder of this machine does not.
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/bin")
    for name in builder.NAMES:
        Played(tmp_path).add(name, version="exit 1")
    return Played(tmp_path)


def test_the_first_that_works_is_taken(played: Played) -> None:
    played.add("docker", version="echo cannot connect; exit 1")
    played.add("podman", version="true")
    assert builder.find() == Builder("podman")
    assert builder.find("podman") == Builder("podman")


def test_none_that_works(played: Played) -> None:
    with pytest.raises(NoBuilder, match="none of docker, podman, buildah works here"):
        builder.find()
    with pytest.raises(NoBuilder, match="docker does not work here; `docker version"):
        builder.find("docker")


@pytest.mark.parametrize("name", builder.NAMES)
def test_how_an_image_is_built(played: Played, tmp_path: Path, name: str) -> None:
    played.add(name, build="true")
    Builder(name).build("mine", tmp_path, {"VARIANT": "cpu"}, ["--no-cache"])
    form = "" if name == "docker" else "--format docker "
    file = f"--file {tmp_path}/Dockerfile"
    said = f"{name} build {form}--tag mine --build-arg VARIANT=cpu {file} --no-cache {tmp_path}"
    assert played.told == [said]


def test_a_build_that_fails(played: Played, tmp_path: Path) -> None:
    played.add("docker", build="exit 3")
    with pytest.raises(BuildFailed, match="docker could not build mine"):
        Builder("docker").build("mine", tmp_path, {})


def test_a_command_runs_without_a_network_and_writes_nothing(played: Played) -> None:
    played.add("docker", run="echo said; exit 4")
    done = Builder("docker").run(
        "mine", ["byoc", "check", "x"], env={"KEY": "v"}, mounts={Path("/here"): "/there"}
    )
    assert (done.code, done.output) == (4, "said\n")
    options = "--rm --network none --read-only --tmpfs /tmp --env KEY=v --volume /here:/there:ro"
    assert played.told == [f"docker run {options} mine byoc check x"]


def test_buildah_runs_in_a_container_and_takes_it_away(played: Played) -> None:
    played.add("buildah", **{"from": "echo box-1", "run": "echo said", "rm": "true"})
    done = Builder("buildah").run("mine", ["true"], env={}, mounts={})
    assert (done.code, done.output) == (0, "said\n")
    assert played.told == [
        "buildah from --pull-never mine",
        "buildah run box-1 -- true",
        "buildah rm box-1",
    ]


def test_the_size(played: Played) -> None:
    played.add("docker", image=f"echo '{json.dumps([{'Size': 4200}])}'")
    assert Builder("docker").size("mine") == 4200
    played.add("buildah", images=f"echo '{json.dumps([{'size': '1.5 GB'}])}'")
    assert Builder("buildah").size("mine") == 1_500_000_000


def test_a_push(played: Played) -> None:
    played.add("podman", push="true")
    Builder("podman").push("mine")
    played.add("podman", push="exit 1")
    with pytest.raises(BuildFailed, match="podman could not push mine"):
        Builder("podman").push("mine")
