"""Sub-pipelines: `{type: pipeline, file: other.yaml}`, opened and read as files of their own."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from composer.compiler.draft import Load
from composer.compiler.fields import check_file
from composer.compiler.location import Location
from composer.errors import Problem
from composer.pipeline import spec
from composer.pipeline.hints import did_you_mean
from composer.pipeline.spec import NodeSpec, Options, Pipeline

MAX_DEPTH: Final = 8
"""Deepest nesting of sub-pipelines."""


@dataclass(frozen=True)
class PipelineFile:
    """A pipeline as it was read. folder: where it lies, and all that it names. files: how it is
    shown, behind those that include it.
    """

    pipeline: Pipeline
    folder: Path
    files: tuple[str, ...]

    def included(
        self, node: NodeSpec, place: Location, load: Load
    ) -> tuple["PipelineFile | None", list[Problem]]:
        """The file that a node of this one names; None where it cannot be used."""
        problems = _check_options(node, place)
        file, problem = _file_of(node, place, self.folder)
        if problem is not None:
            return None, [*problems, problem]
        path = self.folder / file
        shown = str(Path(self.pipeline.doc.file).parent / file)
        at = place.below("file")
        if len(self.files) > MAX_DEPTH:
            message = f"{at.name}: more than {MAX_DEPTH} files inside each other"
            return None, [*problems, at.problem("too-deep", message)]
        if shown in self.files:
            message = f"{at.name}: {' -> '.join((*self.files, shown))} leads back to itself"
            return None, [*problems, at.problem("cycle", message)]
        try:
            doc = load(path, shown)
        except OSError as exc:
            message = f"{at.name}: {exc.strerror or exc}"
            return None, [*problems, at.problem("missing-file", message)]
        pipeline, broken = spec.read(doc)
        problems += broken
        if broken:
            return None, problems
        return PipelineFile(pipeline, path.parent, (*self.files, shown)), problems


def _check_options(node: NodeSpec, place: Location) -> list[Problem]:
    """A Problem for each option but `in`: a sub-pipeline is no node that could have it."""
    problems = []
    for option in sorted(node.options.model_fields_set - {"in_"}):
        at = place.below(Options.model_fields[option].alias or option)
        message = f"{at.name}: a sub-pipeline takes only `in`"
        problems.append(at.problem("bad-option", message, key=True))
    return problems


def _file_of(node: NodeSpec, place: Location, folder: Path) -> tuple[str, Problem | None]:
    """The file that a node names, and what is wrong with that name."""
    at, file = place.below("file"), node.fields.get("file")
    if "file" not in node.fields:
        return "", place.problem("missing-field", f"{at.name} is required", key=True)
    if not isinstance(file, str):
        message = f"{at.name} should be text{spec.got(at.doc, at.path, file)}"
        return "", at.problem("bad-value", message)
    return file, check_file(file, folder, at)


Values = Mapping[str, tuple[Any, Location]]
"""Param -> the value that the node around gives to it, and where that was written."""


def values_of(node: NodeSpec, place: Location, pipeline: Pipeline) -> tuple[Values, list[Problem]]:
    """What a node gives to the params of its sub-pipeline, and what of it leads to none."""
    values: dict[str, tuple[Any, Location]] = {}
    problems = []
    for name, value in node.fields.items():
        if name == "file":
            continue
        at = place.below(name)
        values[name] = (value, at)
        if name not in pipeline.params:
            message = f"{at.name} is not a param of {node.fields['file']}"
            hint = did_you_mean(name, pipeline.params)
            problems.append(at.problem("unknown-field", message, key=True, hint=hint))
    return values, problems
