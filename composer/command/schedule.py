"""Params that change at given times of a file: how live changes are tried without a server.

changes:
  - {at: 2.5s, set: {caption: "LIVE", opacity: 0.5}}
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from composer.engine.params import PENDING, Params
from composer.errors import ParamRejected, PipelineInvalid, Problem
from composer.pipeline import source
from composer.pipeline.document import Document, Keys
from composer.pipeline.hints import did_you_mean

_TIME: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s)?")


@dataclass(frozen=True)
class Cue:
    """Values that hold from the first frame at or after `at` seconds."""

    at: float
    values: Mapping[str, Any]
    path: Keys


def load(path: Path, params: Params) -> None:
    """Hand every change of a file to `params`. Raises PipelineInvalid, OSError."""
    doc = source.load(path, os.environ)
    problems = list(doc.problems)
    changes = _read(doc, problems)
    for change in changes:
        try:
            params.patch(change.values, change.at)
        except ParamRejected as exc:
            problems += [_placed(doc, change, problem) for problem in exc.problems]
    if problems:
        raise PipelineInvalid(problems)


def _read(doc: Document, problems: list[Problem]) -> list[Cue]:
    for key in doc.data:
        if key != "changes":
            hint = did_you_mean(key, ["changes"])
            said = f"{key} is not a part of a params file"
            problems.append(doc.problem("unknown-key", said, (key,), on="key", hint=hint))
    written = doc.data.get("changes")
    if not isinstance(written, list):
        hint = "write `changes:` and below it `- {at: 2.5s, set: {name: value}}`"
        said = "a params file is a list of changes"
        problems.append(doc.problem("bad-value", said, ("changes",), hint=hint))
        return []
    if len(written) > PENDING:
        said = f"more than {PENDING} changes"
        problems.append(doc.problem("too-many", said, ("changes",)))
        return []
    found = [_change(doc, ("changes", index), each, problems) for index, each in enumerate(written)]
    return [change for change in found if change is not None]


def _change(doc: Document, path: Keys, written: Any, problems: list[Problem]) -> Cue | None:
    if not isinstance(written, dict) or set(written) != {"at", "set"}:
        said = "a change has `at` and `set`, and nothing else"
        problems.append(doc.problem("bad-value", said, path))
        return None
    match = _TIME.fullmatch(str(written["at"]))
    if match is None:
        said = f"at should be a time such as 2.5s or 400ms, got {written['at']!r}"
        problems.append(doc.problem("bad-value", said, (*path, "at")))
        return None
    if not isinstance(written["set"], dict):
        said = "set should be a mapping of params"
        problems.append(doc.problem("bad-value", said, (*path, "set")))
        return None
    seconds = float(match[1]) / (1000 if match[2] == "ms" else 1)
    return Cue(seconds, written["set"], path)


def _placed(doc: Document, change: Cue, problem: Problem) -> Problem:
    """A refused param, with the line that asked for it."""
    path = (*change.path, "set", problem.at)
    on = "key" if problem.code == "unknown-param" else "value"
    return doc.problem(problem.code, problem.message, path, on=on, hint=problem.hint)  # type: ignore[arg-type]
