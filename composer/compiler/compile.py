"""A pipeline file -> Graph -> Plan, with every Problem on the way. Runs no media and no model."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from composer.compiler.build import build
from composer.compiler.ends import NO_ENDS, Ends, fitted
from composer.compiler.graph import Graph
from composer.compiler.lowering import lower
from composer.compiler.plan import Mode, Plan
from composer.errors import PipelineInvalid, Problem
from composer.node.registry import Registry
from composer.pipeline import source, spec
from composer.pipeline.document import Document


@dataclass(frozen=True)
class Compiled:
    """What became of a file. lines: the text of every file that was read, for carets."""

    graph: Graph | None
    problems: Sequence[Problem]
    lines: Mapping[str, Sequence[str]]


def compile_file(path: Path, registry: Registry, env: Mapping[str, str] = os.environ) -> Compiled:
    """The graph of a pipeline file. Raises OSError when the file cannot be read."""
    lines: dict[str, Sequence[str]] = {}

    def load(file: Path, shown: str) -> Document:
        doc = source.load(file, env, shown)
        lines[doc.file] = doc.lines
        return doc

    pipeline, problems = spec.read(load(path, str(path)))
    graph, more = build(pipeline, path.parent, registry, load)
    ordered = tuple(sorted(_first_said([*problems, *more]), key=Problem.order))
    return Compiled(None if ordered else graph, ordered, lines)


_UNUSABLE: Final = ("alias", "tag", "bad-number", "bad-env", "encoding", "too-big")
"""What source.py says of a value that nobody can use."""


def _first_said(problems: Iterable[Problem]) -> set[Problem]:
    """Each problem once, without what follows from a value that could not be read."""
    different = set(problems)
    unusable = {(problem.file, problem.at) for problem in different if problem.code in _UNUSABLE}
    # A list or mapping is no better than what it holds.
    unusable |= {(file, at.partition("[")[0]) for file, at in unusable}
    return {
        problem
        for problem in different
        if problem.code in _UNUSABLE or (problem.file, problem.at) not in unusable
    }


def ready(compiled: Compiled) -> None:
    """Raises PipelineInvalid where a file of weights is not on this machine yet."""
    if compiled.graph is not None and compiled.graph.absent:
        raise PipelineInvalid(tuple(dict.fromkeys(compiled.graph.absent)))


def plan_of(compiled: Compiled, mode: Mode = Mode.FILE, ends: Ends = NO_ENDS) -> Plan:
    """The plan of what was compiled, for these ends of a run. Raises PipelineInvalid."""
    if compiled.graph is None:
        raise PipelineInvalid(compiled.problems)
    graph = fitted(compiled.graph, ends, live=mode is Mode.LIVE)
    plan, problems = lower(graph, mode)
    if plan is None:
        raise PipelineInvalid(problems)
    return plan
