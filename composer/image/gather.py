"""Inside a build: lay out what a pipeline uses, its files below one folder and its weights in
another.
"""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from composer.compiler.compile import compile_file
from composer.errors import ComposerError
from composer.image import contents
from composer.image.contents import Contents
from composer.models import fetch, weights
from composer.node.registry import Registry
from composer.pipeline import report

FETCHED: Final = Path("fetched")
"""In a context that `byoc image` wrote: a cache with the weights."""


def main(arguments: Sequence[str] | None = None) -> None:
    asked = _asked(arguments)
    found = _contents(asked.pipeline)
    for path in found.files:
        copy(found.folder / path, asked.app / asked.pipeline.parent / path)
    cache = asked.cache.absolute()
    cache.mkdir(parents=True, exist_ok=True)
    if asked.weights == "baked":
        _bake(found, cache, asked.pip, asked.lock)


def _asked(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="gather", description=__doc__)
    parser.add_argument("pipeline", type=Path)
    parser.add_argument("--weights", choices=("baked", "mounted"), default="baked")
    parser.add_argument("--pip", required=True, help="a pip that is not part of the image")
    parser.add_argument("--lock", type=Path, required=True)
    parser.add_argument("--app", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    return parser.parse_args(arguments)


def _contents(pipeline: Path) -> Contents:
    if (listed := contents.listed(pipeline.parent)) is not None:
        return listed
    installed = Registry.installed()
    compiled = compile_file(pipeline, installed)
    if compiled.problems:
        sys.exit(report.text(compiled.problems, compiled.lines))
    return contents.of(pipeline, compiled, installed, ())


def _bake(found: Contents, cache: Path, pip: str, lock: Path) -> None:
    if FETCHED.is_dir():
        os.environ["BYOC_CACHE"] = str(FETCHED.absolute())
    elif any(each.scheme == "hf" for each in found.weights):
        # Beside pip, and so not in the image.
        hub = ["--no-deps", "--require-hashes", "-r", str(lock / "hub.txt")]
        subprocess.run([pip, "install", *hub], check=True)
    for each in found.weights:
        try:
            source = fetch.fetch(each)
        except ComposerError as exc:
            sys.exit(str(exc))
        copy(source, cache / source.relative_to(weights.cache()))


def copy(source: Path, target: Path) -> None:
    """A file that everybody may read, whoever may read its source."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(0o755 if os.access(source, os.X_OK) else 0o644)


if __name__ == "__main__":
    main()
