"""Contents: what an image of a pipeline holds beside the engine, and nothing else."""

import ast
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from composer import strictjson
from composer.compiler.compile import Compiled
from composer.compiler.graph import Graph, GraphNode
from composer.models import onnxfile, weights
from composer.models.weights import Weights
from composer.node import registry
from composer.node.registry import GROUP, Registry, names_class
from composer.pipeline import source, spec

ENGINE: Final = "byoc-composer"

LIST: Final = "contents.json"
"""In a context that `byoc image` wrote: what it found. A checkout has none."""

REQUIREMENTS: Final = "requirements.txt"
"""Beside a pipeline: what its own nodes import and the engine does not bring."""

NEEDS: Final[Mapping[str, str]] = {
    "onnxruntime": "onnxruntime",
    "torch": "torch",
    "safetensors": "torch",
}
"""Import name -> the part of the lock that brings it, as `Node.needs` calls it."""

Types = Sequence[tuple[Path, str, Mapping[str, Any]]]
"""Folder, type and fields of each node."""


@dataclass(frozen=True)
class Contents:
    """What an image holds. files are relative to folder, which is the pipeline's, its own first.

    weights: those with an address; files of the folder are among the files. packs: installed
    packages that node types come from, the engine not among them. variables: of the environment,
    which the pipeline reads; their values are in no image.
    """

    folder: Path
    files: tuple[Path, ...]
    weights: tuple[Weights, ...]
    packs: tuple[str, ...]
    needs: tuple[str, ...]
    variables: tuple[str, ...] = ()

    @property
    def pipeline(self) -> Path:
        return self.files[0]

    def as_json(self) -> str:
        """What from_json() reads in the build, where the folder is another one."""
        data = {
            "files": [path.as_posix() for path in self.files],
            "weights": [[each.address, each.sha256] for each in self.weights],
            "packs": self.packs,
            "needs": self.needs,
        }
        return strictjson.text(data, indent=2)

    @classmethod
    def from_json(cls, text: str, folder: Path) -> "Contents":
        data = json.loads(text)
        return cls(
            folder,
            tuple(Path(each) for each in data["files"]),
            tuple(weights.parse(address, sha256) for address, sha256 in data["weights"]),
            tuple(data["packs"]),
            tuple(data["needs"]),
        )


def listed(folder: Path) -> Contents | None:
    """In a build: what `byoc image` has found, None where it was not asked. folder: of the file."""
    path = Path(LIST)
    return Contents.from_json(path.read_text("utf-8"), folder) if path.is_file() else None


def of(file: Path, compiled: Compiled, installed: Registry, include: Sequence[str]) -> Contents:
    """The contents for a file that compiles. include: patterns of more files, below its folder.

    Raises LookupError for a pattern that no file fits.
    """
    assert compiled.graph is not None
    folder = file.parent.resolve()
    found = set(_written(file, compiled))
    for node in compiled.graph.nodes.values():
        found |= _named(node)
    types = list(_types(file, set()))
    python = _python(types)
    found |= {path for path in python if path.is_relative_to(folder)}
    found |= _included(folder, include)
    if (own := folder / REQUIREMENTS).is_file():
        found.add(own)
    others = sorted(path.relative_to(folder) for path in found - {_named_as(file)})
    return Contents(
        folder,
        (Path(file.name), *others),
        tuple(each for each in compiled.graph.weights if each.scheme),
        _packs(compiled.graph),
        _needs(types, python, installed),
        _variables(compiled),
    )


def _variables(compiled: Compiled) -> tuple[str, ...]:
    text = "\n".join(line for lines in compiled.lines.values() for line in lines)
    return tuple(sorted(set(re.findall(r"\$\{env:(\w+)", text))))


def _written(file: Path, compiled: Compiled) -> Iterator[Path]:
    """The pipeline file, and those that it includes."""
    yield _named_as(file)
    for name in compiled.lines:
        # As they are told: from the working folder.
        yield _named_as(Path(name))


def _named_as(path: Path) -> Path:
    """Where a file is, by the name that it is called by: that may be a link's."""
    return path.parent.resolve() / path.name


def _named(node: GraphNode) -> set[Path]:
    """The files of its folder that a node's settings name, however deep in lists and mappings."""
    found: set[Path] = set()
    for text in _texts(dict(node.settings)):
        file = text.rpartition(":")[0] if names_class(text) else text
        path = _inside(node.folder, file)
        if path is not None:
            found.add(path)
            found |= _beside(path)
    return found


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, BaseModel):
        yield from _texts(dict(value))
    elif isinstance(value, dict):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each)


def _inside(folder: Path, file: str) -> Path | None:
    """A file below the folder, where the text names one."""
    if not file or "\0" in file or len(file) > 4096 or "://" in file:
        return None
    try:
        path = folder / file
        whole = path.resolve()
        return (
            _named_as(path) if whole.is_relative_to(folder.resolve()) and whole.is_file() else None
        )
    except OSError:  # a text that is no name of a file
        return None


def _beside(model: Path) -> set[Path]:
    """The files in which an ONNX model keeps its weights."""
    if model.suffix != ".onnx":
        return set()
    signature = onnxfile.read_file(model)  # it was read when the file was compiled
    return {(model.parent / each).resolve() for each in signature.external}


def _included(folder: Path, patterns: Sequence[str]) -> set[Path]:
    found: set[Path] = set()
    for pattern in patterns:
        fits = {
            path
            for path in _walked(folder)
            if fnmatch(str(path.relative_to(folder)), pattern)
            or path.is_relative_to(folder / pattern)
        }
        if not fits:
            raise LookupError(f"--include {pattern}: no file in {folder} fits")
        found |= fits
    return found


def _walked(folder: Path) -> Iterator[Path]:
    for here, folders, files in os.walk(folder):
        folders[:] = sorted(each for each in folders if not each.startswith((".", "__pycache__")))
        yield from (Path(here, each) for each in files)


def _packs(graph: Graph) -> tuple[str, ...]:
    """The packages that offer the node types of a graph."""
    used = {node.cls.__module__.partition(".")[0] for node in graph.nodes.values()}
    found = {
        entry.dist.name
        for entry in entry_points(group=GROUP)
        if entry.dist is not None and entry.value.partition(":")[0].partition(".")[0] in used
    }
    return tuple(sorted(found - {ENGINE}))


# what it needs installed


def needs(file: Path, installed: Registry) -> tuple[str, ...]:
    """The parts of the lock that a pipeline needs: "onnxruntime", "torch".

    Runs nothing of the user's: they may not be installed yet. Node classes say what they need;
    of files beside the pipeline it is what they import.
    """
    types = list(_types(file, set()))
    return _needs(types, _python(types), installed)


def _needs(types: Types, python: Iterable[Path], installed: Registry) -> tuple[str, ...]:
    found: set[str] = set()
    for folder, type_, _ in types:
        if type_ in installed.entries:
            found |= set(installed.find(type_, folder).needs)
    for path in python:
        found |= _imports(path)
    return tuple(sorted(found))


def _python(types: Types) -> set[Path]:
    """The users' Python of a pipeline: its classes' files, and what they import beside them."""
    found: set[Path] = set()
    for folder, type_, fields in types:
        for text in (type_, *_texts(dict(fields))):
            if not names_class(text):
                continue
            path = _inside(folder, text.rpartition(":")[0])
            found |= registry.files_of(path) if path is not None else set()
    return found


def _types(file: Path, seen: set[Path]) -> Iterator[tuple[Path, str, Mapping[str, Any]]]:
    """Folder, type and fields of each node, those of sub-pipelines included."""
    if file in seen:
        return
    seen.add(file)
    pipeline, _ = spec.read(source.load(file, os.environ, str(file)))
    for node in pipeline.nodes.values():
        if node.type != "pipeline":
            yield file.parent, node.type, node.fields
        elif (part := _inside(file.parent, str(node.fields.get("file", "")))) is not None:
            yield from _types(part, seen)


def _imports(path: Path) -> set[str]:
    names = {name for name, _ in registry.imports(ast.walk(ast.parse(path.read_bytes())))}
    tops = {name.partition(".")[0] for name in names}
    if "composer.Tensor" in names:  # what travels through a port of this kind is torch's
        tops.add("torch")
    return {NEEDS[top] for top in tops & NEEDS.keys()}
