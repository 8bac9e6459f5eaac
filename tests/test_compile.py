from pathlib import Path

import pytest

from composer.compile import compile_file, plan_of
from composer.errors import PipelineInvalid
from composer.plan import Mode
from tests import stubs


def written(folder: Path, text: str, name: str = "p.yaml") -> Path:
    path = folder / name
    path.write_text(f"version: 1\n{text}", encoding="utf-8")
    return path


def test_a_file_becomes_a_plan(tmp_path: Path) -> None:
    path = written(tmp_path, "nodes: {s: {type: count}, o: {type: collect}}\n")
    compiled = compile_file(path, stubs.registry(), {})
    assert not compiled.problems
    assert plan_of(compiled, Mode.LIVE).mode is Mode.LIVE
    assert compiled.lines[str(path)][0] == "version: 1"


def test_problems_of_all_phases_come_in_the_order_of_the_file(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "nodes:\n  s: {type: count}\n  a: {type: pass, evry: 2}\n  b: {type: tresh}\n"
        "  o: {type: collect, queue: 0}\n",
    )
    compiled = compile_file(path, stubs.registry(), {})
    assert compiled.graph is None
    assert [problem.span and problem.span.line for problem in compiled.problems] == [4, 5, 6]
    with pytest.raises(PipelineInvalid, match="and 2 more"):
        plan_of(compiled)


def test_a_problem_of_a_file_used_twice_is_told_once(tmp_path: Path) -> None:
    written(tmp_path, "nodes: {a: {type: pass, level: 900}}\n", "look.yaml")
    path = written(
        tmp_path,
        "nodes: {s: {type: count}, x: {type: pipeline, file: look.yaml},"
        " y: {type: pipeline, file: look.yaml}, o: {type: collect}}\n",
    )
    compiled = compile_file(path, stubs.registry(), {})
    assert [Path(problem.file).name for problem in compiled.problems] == ["look.yaml"]
    assert {Path(name).name for name in compiled.lines} == {"p.yaml", "look.yaml"}


def test_the_environment_is_that_which_was_given(tmp_path: Path) -> None:
    path = written(
        tmp_path, "nodes: {s: {type: count, count: '${env:COUNT:-4}'}, o: {type: collect}}\n"
    )
    for env, count in (({}, 4), ({"COUNT": "9"}, 9)):
        compiled = compile_file(path, stubs.registry(), env)
        assert compiled.graph is not None
        assert compiled.graph.nodes["s"].settings.model_dump()["count"] == count


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        compile_file(tmp_path / "none.yaml", stubs.registry(), {})
