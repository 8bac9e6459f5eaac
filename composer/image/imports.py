"""Imports: what the Python of a pipeline imports, and whether anything brings it into an image."""

import ast
import re
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from typing import Final

from composer.node import registry

OURS: Final = frozenset({"composer", "nodes"})


@dataclass(frozen=True)
class Stranger:
    """An import that would fail in an image. package: what has it here, with its version."""

    file: Path
    line: int
    name: str
    package: str

    def __str__(self) -> str:
        return (
            f"{self.file}:{self.line}: nothing brings {self.name!r} into the image;"
            f" write {self.package} into a requirements.txt beside the pipeline"
        )


def strangers(folder: Path, files: Collection[Path], locked: Collection[str]) -> list[Stranger]:
    """The imports that nothing would bring. files: relative to folder. locked: packages that the
    image has.

    Of each file only those count that are made whenever it is loaded.
    """
    packages = packages_distributions()
    known = {normal(name) for name in locked}
    found = []
    for file in files:
        for name, line in at_load(folder / file):
            at_hand = name in sys.stdlib_module_names or name in OURS
            # What is not installed here, as torch may not be, is called as it is imported.
            brought = any(normal(each) in known for each in packages.get(name, (name,)))
            if not (at_hand or brought or _beside(folder, file, name)):
                package = _pinned(next(iter(packages.get(name, ())), name))
                found.append(Stranger(file, line, name, package))
    return found


def at_load(path: Path) -> Iterator[tuple[str, int]]:
    """The first name and the line of each import at the top level of a file."""
    made = registry.imports(ast.parse(path.read_bytes()).body)
    yield from dict.fromkeys((name.partition(".")[0], line) for name, line in made)


def _beside(folder: Path, file: Path, name: str) -> bool:
    """Whether a module of that name lies where the file does, or around it in the folder."""
    around = [folder / each for each in file.parents]
    return any((each / f"{name}.py").is_file() or (each / name).is_dir() for each in around)


def _pinned(package: str) -> str:
    try:
        return f"{package}=={version(package)}"
    except PackageNotFoundError:  # its import may have another name
        return package


def normal(name: str) -> str:
    """The name of a package as all its spellings have it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()
