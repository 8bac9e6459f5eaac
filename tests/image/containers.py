"""Real images and containers on a machine without a registry: debootstrap, Buildah and Podman.

The base is a Debian as small as debootstrap makes it, with its Python. Podman runs what Buildah has
built, in the network of this machine; where cgroups are mixed, runc does what crun refuses.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from tests.clips import ROOT

BASE: Final = os.environ.get("BYOC_TEST_BASE", "localhost/byoc-test-base")
"""The image that others are built upon; made here where there is none of this name."""

ENV: Final = {"STORAGE_DRIVER": "vfs", "BUILDAH_ISOLATION": "chroot"}
"""What builds images as root in a container or a virtual machine of another kind."""

TRUSTED: Final = os.environ.get("PIP_CERT", "")
"""Certificates that pip is told to trust here; a base that debootstrap made does not know them."""

PROGRAMS: Final = ("buildah", "debootstrap", "podman")

HARDENED: Final = (
    *("--read-only", "--tmpfs", "/tmp"),
    *("--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
    *("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"),
    *("--network", "host"),
)

_LEFT_OUT: Final = (
    "./dev/*",
    "./var/cache/apt/*",
    "./var/lib/apt/lists/*",
    "./usr/share/doc/*",
    "./usr/share/locale/*",
    "./usr/share/man/*",
)


def missing() -> str:
    """Why no image can be built here, "" where it can."""
    if os.geteuid() != 0:
        return "images are built as root here"
    gone = [name for name in PROGRAMS if shutil.which(name) is None]
    return f"no {', '.join(gone)} here" if gone else ""


def base(folder: Path) -> str:
    """The name of the base; where there is none, it is made in this folder, in about a minute."""
    if _called("buildah", "inspect", "--type", "image", BASE).returncode == 0:
        return BASE
    root = folder / "root"
    debootstrap = ["debootstrap", "--variant=minbase", "--include=ca-certificates,python3-venv"]
    _done(*debootstrap, "bookworm", str(root), "http://deb.debian.org/debian")
    left_out = [f"--exclude={each}" for each in _LEFT_OUT]
    _done("tar", "-C", str(root), *left_out, "-cf", str(folder / "root.tar"), ".")
    shutil.rmtree(root)
    (folder / "Dockerfile").write_text("FROM scratch\nADD root.tar /\n")
    _done("buildah", "build", "--format", "docker", "--tag", BASE, str(folder))
    return BASE


def build(context: Path, tag: str, **arguments: str) -> None:
    """Build a folder with its Dockerfile, with what pip is told on this machine."""
    given = [part for key, value in arguments.items() for part in ("--build-arg", f"{key}={value}")]
    form = ["--format", "docker", "--tag", tag]
    trusted = [f"--volume={TRUSTED}:{TRUSTED}:ro"] if TRUSTED else []
    told = [f"--build-arg=PIP_CERT={TRUSTED}"] if TRUSTED else []
    _done("buildah", "build", *form, *trusted, *told, *given, str(context))


@dataclass(frozen=True)
class Container:
    """A container that runs, or has run."""

    name: str

    def call(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in it."""
        return _called(*_podman(), "exec", self.name, *command)

    def healthy(self) -> bool:
        """What the HEALTHCHECK of its image says."""
        return _called(*_podman(), "healthcheck", "run", self.name).returncode == 0

    def signal(self, name: str) -> None:
        _done(*_podman(), "kill", "--signal", name, self.name)

    def wait(self) -> int:
        """Its exit code, when it has ended."""
        return int(_done(*_podman(), "wait", self.name))

    @property
    def log(self) -> str:
        done = _called(*_podman(), "logs", self.name)
        return done.stdout + done.stderr


@contextmanager
def running(image: str, env: Mapping[str, str]) -> Iterator[Container]:
    """A container of the image, with all that an operator may forbid it; gone at the end."""
    told = [part for key, value in env.items() for part in ("--env", f"{key}={value}")]
    name = _done(*_podman(), "run", "--detach", *HARDENED, *told, image).splitlines()[-1]
    container = Container(name)
    try:
        yield container
    finally:
        _called(*_podman(), "rm", "--force", "--time", "0", name)


def about(image: str) -> dict[str, Any]:
    """The configuration of an image."""
    found = json.loads(_done("buildah", "inspect", "--type", "image", image))
    config: dict[str, Any] = found["Docker"]["config"]
    return config


@cache
def _podman() -> tuple[str, ...]:
    for runtime in ((), ("--runtime", "runc")):
        command = ["podman", *runtime, "run", "--rm", *HARDENED, BASE, "true"]
        if _called(*command).returncode == 0:
            return ("podman", *runtime)
    return ()


def running_fails() -> bool:
    """Whether no container runs here, with crun or with runc, of an image that is there."""
    return not _podman()


def _called(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, capture_output=True, text=True, env=os.environ | ENV, check=False
    )


def _done(*command: str) -> str:
    done = _called(*command)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout.strip()


def byoc(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The command, with what a builder needs here."""
    return subprocess.run(
        [sys.executable, "-m", "composer", *words],
        cwd=cwd,
        env=os.environ | ENV | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
