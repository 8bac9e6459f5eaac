"""Builder: docker, podman or buildah, as far as an image of a pipeline needs them."""

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from composer.errors import ComposerError

LOOK_SECONDS: Final = 20.0
"""How long a builder may take to say that it is there."""

_ALIVE: Final[Mapping[str, tuple[str, ...]]] = {
    # The client alone is no use.
    "docker": ("docker", "version", "--format", "{{.Server.Version}}"),
    "podman": ("podman", "version"),
    "buildah": ("buildah", "version"),
}

NAMES: Final = tuple(_ALIVE)


class NoBuilder(ComposerError):
    """No program that builds images is here, or not the one that was asked for."""


class BuildFailed(ComposerError):
    """The builder did not do what it was asked for; it has said why."""


@dataclass(frozen=True)
class Done:
    """What a command in a container gave."""

    code: int
    output: str


@dataclass(frozen=True)
class Builder:
    """One of NAMES."""

    name: str

    def build_command(
        self, tag: str, context: Path, arguments: Mapping[str, str], more: Sequence[str] = ()
    ) -> list[str]:
        """more: options of the builder's own."""
        # OCI's own format knows no HEALTHCHECK.
        form = [] if self.name == "docker" else ["--format", "docker"]
        told = [
            part for key, value in arguments.items() for part in ("--build-arg", f"{key}={value}")
        ]
        file = ["--file", str(context / "Dockerfile")]
        return [self.name, "build", *form, "--tag", tag, *told, *file, *more, str(context)]

    def build(
        self, tag: str, context: Path, arguments: Mapping[str, str], more: Sequence[str] = ()
    ) -> None:
        """Build it; what the builder says goes to standard error. Raises BuildFailed."""
        command = self.build_command(tag, context, arguments, more)
        done = subprocess.run(command, stdout=sys.stderr, check=False)
        if done.returncode != 0:
            raise BuildFailed(f"{self.name} could not build {tag}; what it said is above")

    def push(self, tag: str) -> None:
        """Raises BuildFailed."""
        if subprocess.run([self.name, "push", tag], stdout=sys.stderr, check=False).returncode != 0:
            raise BuildFailed(f"{self.name} could not push {tag}; what it said is above")

    def run(
        self,
        tag: str,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        mounts: Mapping[Path, str],
    ) -> Done:
        """Run a command in a container of the image, as its user, without a network.

        mounts: folder here -> folder there, read only. Its standard error goes to ours.
        """
        told = [part for key, value in env.items() for part in ("--env", f"{key}={value}")]
        told += [
            part for here, there in mounts.items() for part in ("--volume", f"{here}:{there}:ro")
        ]
        if self.name == "buildah":
            with self._container(tag) as container:
                return _done(["buildah", "run", *told, container, "--", *command])
        options = ["--rm", "--network", "none", "--read-only", "--tmpfs", "/tmp"]
        return _done([self.name, "run", *options, *told, tag, *command])

    @contextlib.contextmanager
    def _container(self, tag: str) -> Iterator[str]:
        """buildah runs nothing in an image, but in a container made of it."""
        made = subprocess.run(
            ["buildah", "from", "--pull-never", tag], stdout=subprocess.PIPE, text=True, check=False
        )
        if made.returncode != 0:
            raise BuildFailed(f"buildah cannot make a container of {tag}")
        name = made.stdout.strip()
        try:
            yield name
        finally:
            subprocess.run(["buildah", "rm", name], stdout=subprocess.DEVNULL, check=False)

    def size(self, tag: str) -> int:
        """Bytes of an image, its base among them. Raises BuildFailed."""
        if self.name == "buildah":
            found = self._json(["buildah", "images", "--json", tag])
            return _bytes(found[0]["size"])
        return int(self._json([self.name, "image", "inspect", tag])[0]["Size"])

    def _json(self, command: Sequence[str]) -> Any:
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode != 0:
            raise BuildFailed(f"{' '.join(command)} failed")
        return json.loads(done.stdout)


def find(wanted: str = "") -> Builder:
    """The builder of that name, or the first that works. Raises NoBuilder."""
    for name in [wanted] if wanted else NAMES:
        if _works(name):
            return Builder(name)
    if wanted:
        raise NoBuilder(f"{wanted} does not work here; `{' '.join(_ALIVE[wanted])}` says why")
    raise NoBuilder(f"none of {', '.join(NAMES)} works here; install one, or look with --dry-run")


def _works(name: str) -> bool:
    if shutil.which(name) is None:
        return False
    try:
        done = subprocess.run(_ALIVE[name], capture_output=True, timeout=LOOK_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def _done(command: Sequence[str]) -> Done:
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    return Done(done.returncode, done.stdout)


def _bytes(text: str) -> int:
    """What buildah means by "128 MB"."""
    number, _, unit = text.partition(" ")
    return int(float(number) * 1000 ** ("B", "KB", "MB", "GB", "TB").index(unit.upper()))
