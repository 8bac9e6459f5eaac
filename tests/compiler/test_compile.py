import hashlib
from pathlib import Path

import pytest

from composer.compiler.compile import Compiled, compile_file, plan_of, ready
from composer.compiler.plan import Mode
from composer.errors import PipelineInvalid
from composer.models import weights
from composer.node.registry import Registry
from nodes.onnx import Onnx
from tests import networks, stubs


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


# weights

MODEL = networks.identity()
SHA256 = hashlib.sha256(MODEL).hexdigest()
REMOTE = f"https://models.test/m.onnx#sha256={SHA256}"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BYOC_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def compiled(path: Path) -> Compiled:
    made = compile_file(path, stubs.registry(onnx=Onnx), {})
    assert not made.problems, made.problems
    return made


def kept() -> None:
    """Put the model where it is kept once it was fetched."""
    place = weights.place(weights.parse(REMOTE))
    place.parent.mkdir(parents=True)
    place.write_bytes(MODEL)


@pytest.mark.usefixtures("cache")
def test_a_file_whose_weights_were_not_fetched_has_a_plan_and_is_not_ready(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "nodes:\n  s: {type: count}\n"
        f"  m: {{type: onnx, post: image, model: '{REMOTE}'}}\n  o: {{type: collect}}\n",
    )
    made = compiled(path)
    assert plan_of(made).steps["m"].type == "onnx"
    with pytest.raises(PipelineInvalid) as caught:
        ready(made)
    (problem,) = caught.value.problems
    assert (problem.code, problem.message, problem.hint) == (
        "not-fetched",
        "nodes.m.model: m.onnx ('https://models.test/m.onnx') is not on this machine",
        f"fetch it first: byoc fetch {path}",
    )
    assert problem.span is not None
    assert (problem.span.line, problem.span.column) == (4, 39)
    kept()
    ready(compiled(path))


def test_weights_beside_the_file_need_not_be_fetched(tmp_path: Path) -> None:
    networks.write(tmp_path, "m.onnx", MODEL)
    text = (
        "nodes: {s: {type: count}, m: {type: onnx, model: m.onnx, post: image}, o: {type: collect}}"
    )
    made = compiled(written(tmp_path, text))
    ready(made)
    assert made.graph is not None
    assert [each.address for each in made.graph.weights] == ["m.onnx"]


@pytest.mark.usefixtures("cache")
def test_weights_that_several_nodes_load_are_listed_once(tmp_path: Path) -> None:
    node = f"{{type: onnx, post: image, model: '{REMOTE}'}}"
    written(tmp_path, f"nodes: {{m: {node}}}\n", "part.yaml")
    path = written(
        tmp_path,
        f"nodes: {{s: {{type: count}}, a: {node}, b: {{type: pipeline, file: part.yaml}},"
        " c: {type: pipeline, file: part.yaml}, o: {type: collect}}\n",
    )
    made = compiled(path)
    assert made.graph is not None
    assert [each.address for each in made.graph.weights] == ["https://models.test/m.onnx"]
    with pytest.raises(PipelineInvalid) as caught:
        ready(made)
    assert [Path(each.file).name for each in caught.value.problems] == ["p.yaml", "part.yaml"]


def test_what_has_problems_is_not_asked_for_its_weights(tmp_path: Path) -> None:
    broken = compile_file(written(tmp_path, "nodes: {}\n"), Registry.installed(), {})
    ready(broken)
    with pytest.raises(PipelineInvalid):
        plan_of(broken)
