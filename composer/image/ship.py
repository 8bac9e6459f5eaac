"""Ship: a pipeline file -> an image of it that has been tried."""

import json
import os
import re
import shlex
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from composer.compiler.compile import Compiled, plan_of
from composer.compiler.plan import Mode
from composer.errors import ComposerError
from composer.image import builder, context, install
from composer.image.builder import Builder, NoBuilder
from composer.image.contents import REQUIREMENTS, Contents
from composer.image.imports import strangers
from composer.models import weights
from composer.models.weights import Weights
from composer.server.manifest import manifest

FRAMES: Final = 10
"""Pictures of the self-test."""

WEIGHTS: Final = "/weights"
"""Where an image looks for weights; see Dockerfile."""

Variant = Literal["cpu", "gpu"]
Kept = Literal["baked", "mounted"]

_TAG: Final = re.compile(
    r"[a-z0-9][a-z0-9._:-]*(?:/[a-z0-9][a-z0-9._-]*)*(?::[\w][\w.-]{0,127})?", re.ASCII
)
"""Good enough to catch a slip; the builder knows the rest."""

Say = Callable[[str], None]

__all__ = [
    "BuildOptions",
    "BuildOptionsInvalid",
    "NoBuilder",
    "NotFit",
    "check_imports",
    "describe",
    "planned",
    "ship",
]


@dataclass(frozen=True)
class BuildOptions:
    """What was asked for. builder: "" for the first that works. tried: run the self-test. more:
    options for the builder alone. Raises BuildOptionsInvalid.
    """

    tag: str
    variant: Variant = "cpu"
    weights: Kept = "baked"
    builder: str = ""
    base: str = ""
    push: bool = False
    tried: bool = True
    more: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not _TAG.fullmatch(self.tag):
            raise BuildOptionsInvalid(
                f"-t {self.tag}: the name of an image is small letters, digits, '.', '_', '-'"
            )


class BuildOptionsInvalid(ComposerError):
    """Something was asked for that there is not."""


class NotFit(ComposerError):
    """An image that does not do what it should, or would not."""


def check_imports(found: Contents, options: BuildOptions) -> None:
    """Raises NotFit where Python of the pipeline's folder would not load in the image.

    A requirements.txt, or a pack, brings what it brings: then only the image itself can tell.
    """
    if found.packs or Path(REQUIREMENTS) in found.files:
        return
    locked = install.locked(context.LOCK, ["core", *install.locks(found.needs, options.variant)])
    python = [path for path in found.files if path.suffix == ".py"]
    if missing := strangers(found.folder, python, locked):
        raise NotFit("\n".join(map(str, missing)))


def planned(found: Contents, about: Mapping[str, Any], options: BuildOptions) -> str:
    """What would be built: the command, CONTEXT standing for its folder, and the files in it."""
    chosen = Builder(options.builder or builder.NAMES[0])
    arguments = _arguments(found, about, options)
    command = chosen.build_command(options.tag, Path("CONTEXT"), arguments, options.more)
    weights_ = [f"{each.name}  {each.address}" for each in found.weights]
    lines = [f"# {shlex.join(command)}", ""]
    for title, names in (
        ("files", [str(path) for path in found.files]),
        (f"weights, {options.weights}", weights_),
        ("packs", found.packs),
        ("locked", ["core", *install.locks(found.needs, options.variant)]),
        ("variables that it reads where it runs", found.variables),
    ):
        lines.append(f"{title}: {'' if names else 'none'}")
        lines += [f"  {name}" for name in names]
    return "\n".join(lines)


def describe(compiled: Compiled, file: Path) -> Mapping[str, Any]:
    """The manifest of the capability. Raises PipelineInvalid."""
    plan = plan_of(compiled, Mode.LIVE)
    return manifest(plan.graph.capability or file.stem, plan)


def ship(found: Contents, about: Mapping[str, Any], options: BuildOptions, say: Say) -> None:
    """Build it, try it, tell what is in it, push it.

    Raises NoBuilder, NoWheel, BuildFailed and NotFit.
    """
    chosen = builder.find(options.builder)
    with tempfile.TemporaryDirectory(prefix="byoc-image-") as name:
        folder = Path(name)
        context.write(found, folder, baked=options.weights == "baked")
        say(f"{chosen.name} builds {options.tag}")
        chosen.build(options.tag, folder, _arguments(found, about, options), options.more)
    _check(chosen, found, options, say)
    say(account(options.tag, chosen.size(options.tag), _held(chosen, options), found.weights))
    if options.push:
        chosen.push(options.tag)
        say(f"{options.tag} is pushed")


def _arguments(found: Contents, about: Mapping[str, Any], options: BuildOptions) -> dict[str, str]:
    base = {"BASE": options.base} if options.base else {}
    return base | context.arguments(found, about, options.variant, options.weights)


def _check(chosen: Builder, found: Contents, options: BuildOptions, say: Say) -> None:
    """`byoc check` and the self-test, in the image as it will run."""
    file = f"{context.FOLDER}/{found.pipeline}"
    env = {name: os.environ[name] for name in found.variables if name in os.environ}
    mounts = {weights.cache(): WEIGHTS} if options.weights == "mounted" and found.weights else {}
    commands = [["byoc", "check", file]]
    if options.tried:
        commands.append(["byoc", "selftest", file, "--frames", str(FRAMES)])
    for each in commands:
        done = chosen.run(options.tag, each, env=env, mounts=mounts)
        say(done.output.rstrip())
        if done.code != 0:
            hint = "; --no-selftest leaves it out" if "selftest" in each else ""
            raise NotFit(f"`{' '.join(each)}` in {options.tag} ended with {done.code}{hint}")


def _held(chosen: Builder, options: BuildOptions) -> Mapping[str, Any]:
    done = chosen.run(options.tag, ["python", "-m", "composer.image.inside"], env={}, mounts={})
    if done.code != 0:
        raise NotFit(f"{options.tag} cannot tell what it holds")
    told: Mapping[str, Any] = json.loads(done.output.splitlines()[-1])
    return told


def account(tag: str, size: int, held: Mapping[str, Any], known: Sequence[Weights]) -> str:
    """Size and contents, for a reader. known: weights, which lie under their digests."""
    names = {each.sha256: each.name for each in known}
    weights_ = [
        {**each, "name": names.get(Path(each["name"]).name, each["name"])}
        for each in held["weights"]
    ]
    packages = held["packages"]
    largest = ", ".join(f"{each['name']} {_megabytes(each['bytes'])}" for each in packages[:5])
    lines = [
        f"{tag}: {_megabytes(size)}, its base among them",
        f"  packages  {len(packages)}, {_megabytes(_sum(packages))}: {largest}",
    ]
    for what, found in (("files", held["files"]), ("weights", weights_)):
        listed = ", ".join(f"{each['name']} {_megabytes(each['bytes'])}" for each in found)
        lines.append(f"  {what:8}  {listed or 'none'}")
    return "\n".join(lines)


def _sum(found: Sequence[Mapping[str, Any]]) -> int:
    return sum(int(each["bytes"]) for each in found)


def _megabytes(size: int) -> str:
    if size >= 1e6:
        return f"{size / 1e6:.0f} MB"
    return f"{size / 1e3:.0f} kB" if size >= 1e4 else f"{size} bytes"
