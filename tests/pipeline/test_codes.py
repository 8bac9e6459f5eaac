"""Every code of a Problem is in the table, and every example is what a reader really sees."""

import ast
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from functools import cache
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from composer.compiler import solve
from composer.compiler.compile import compile_file, plan_of, ready
from composer.engine import oneshot
from composer.engine.params import PENDING
from composer.engine.run import Media, Run
from composer.errors import NodeFailed, ParamRejected, PipelineInvalid, Problem, Span
from composer.node import registry
from composer.node.registry import NotFound, Registry
from composer.pipeline import codes, report, source
from composer.session import control
from tests.clips import ROOT
from tests.commands import going, run

MAKERS = {"Problem", "NotFound", "problem", "_report", "_Abandoned"}
"""What takes a code first, and makes a Problem of it."""


@cache
def literal_codes() -> list[tuple[str, str]]:
    """(place, code) of each call that makes a Problem, but for those that hand on what they got."""
    return list(_literal_codes())


def _literal_codes() -> Iterator[tuple[str, str]]:
    for path in sorted((ROOT / "composer").rglob("*.py")):
        for each in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(each, ast.Call) or _name(each.func) not in MAKERS:
                continue
            given = [*each.args[:1], *(word.value for word in each.keywords if word.arg == "code")]
            for code in given:
                # A number is an HTTP status.
                if isinstance(code, ast.Constant) and isinstance(code.value, str):
                    yield f"{path.relative_to(ROOT)}:{each.lineno}", code.value


def _name(function: ast.expr) -> str:
    return function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")


def test_every_code_is_in_the_table() -> None:
    assert [at for at, code in literal_codes() if code not in codes.CODES] == []


def test_no_code_of_the_table_is_dead() -> None:
    assert set(codes.CODES) - {code for _, code in literal_codes()} == set()


def test_every_maker_of_problems_is_known() -> None:
    """A function that takes a `code` is one of MAKERS, or its calls would not be looked at."""
    found = set()
    for path in (ROOT / "composer").rglob("*.py"):
        for each in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(each, ast.ClassDef):
                inits = [part for part in each.body if getattr(part, "name", "") == "__init__"]
                found |= {each.name for part in inits if _takes_code(part)}
            elif isinstance(each, ast.FunctionDef) and each.name != "__init__":
                found |= {each.name} if _takes_code(each) else set()
    assert found <= MAKERS


def _takes_code(function: ast.AST) -> bool:
    assert isinstance(function, ast.FunctionDef)
    return [arg.arg for arg in function.args.args[1:2]] == ["code"]


# the examples


FROM_FILES = sorted(
    codes.FILES.keys()
    - {"cannot-run", "not-fetched", "too-big", "too-many", "too-tangled", "two-types"}
)


@pytest.mark.parametrize("name", FROM_FILES)
def test_an_example_is_one_of_tests_problems(name: str) -> None:
    wanted = "\n".join(codes.CODES[name].example) + "\n"
    texts = [
        path.read_text(encoding="utf-8").replace(f"{path.stem}.yaml:", "p.yaml:")
        for path in (ROOT / "tests" / "problems").glob("*.txt")
    ]
    assert any(wanted in text for text in texts), wanted


def example(name: str) -> str:
    return "\n".join(codes.CODES[name].example)


def shown(problem: Problem, *lines: str) -> str:
    return report.text([problem], {problem.file: lines}).removesuffix("\n1 problem")


def test_the_example_of_too_big() -> None:
    (problem,) = source.parse("#" * 70_000, "p.yaml", {}).problems
    assert shown(problem) == example("too-big")


def test_the_example_of_not_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BYOC_CACHE", str(tmp_path / "cache"))
    text = f"""\
version: 1
nodes:
  s: {{type: decode}}
  m:
    type: onnx
    post: image
    model: https://models.test/m.onnx
    sha256: {"a" * 64}
  o: {{type: encode}}
"""
    Path("p.yaml").write_text(text)
    compiled = compile_file(Path("p.yaml"), Registry.installed())
    with pytest.raises(PipelineInvalid) as caught:
        ready(compiled)
    assert shown(caught.value.problems[0], *text.splitlines()) == example("not-fetched")


def test_the_example_of_too_tangled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("p.yaml").write_text("version: 1\nnodes:\n  s: {type: decode}\n  o: {type: encode}\n")
    compiled = compile_file(Path("p.yaml"), Registry.installed())
    monkeypatch.setattr(solve, "MAX_TABLE", 0)
    with pytest.raises(PipelineInvalid) as caught:
        plan_of(compiled)
    said = shown(caught.value.problems[0])
    assert said.partition("chosen: ")[0] == example("too-tangled").partition("chosen: ")[0]


def test_the_example_of_two_types(monkeypatch: pytest.MonkeyPatch) -> None:
    offers = [EntryPoint("blur", f"{name}.blur:Blur", "byoc.nodes") for name in ("nodes", "mine")]
    monkeypatch.setattr(registry, "entry_points", lambda group: offers)
    with pytest.raises(NotFound) as caught:
        Registry.installed()
    assert caught.value.code == "two-types"
    assert f"byoc: {caught.value}".replace(":Blur", "") == example("two-types")


def test_the_examples_of_params(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(
        "version: 1\nparams: {width: s.width}\n"
        "nodes:\n  s: {type: test_source}\n  o: {type: encode}\n"
    )
    plan = plan_of(compile_file(path, Registry.installed()))
    params = Run(plan, Media({"": ""}, {"": ""})).params
    params.running = True
    with pytest.raises(ParamRejected) as late:
        params.patch({"width": 320})
    assert shown(late.value.problems[0]) == example("too-late")
    for number in range(PENDING):
        params.patch({}, at=number + 1)
    with pytest.raises(ParamRejected) as many:
        params.patch({}, at=0.5)
    assert shown(many.value.problems[0]) == example("too-many")


def test_the_example_of_cannot_run() -> None:
    failure = NodeFailed("tint", "setup()", RuntimeError("no such table"), None)
    problem = Problem("cannot-run", str(failure), file="p.yaml", span=Span(4, 3, 4))
    assert shown(problem, "", "", "", codes.CODES["cannot-run"].example[1][2:]) == example(
        "cannot-run"
    )


def test_the_examples_of_bodies() -> None:
    with pytest.raises(ParamRejected) as form:
        control.values([], ())
    assert shown(form.value.problems[0]) == example("bad-params")
    with pytest.raises(ParamRejected) as size:
        oneshot.kind_of(oneshot.Order(b"abc", size=(4, 4)))
    assert shown(size.value.problems[0]) == example("bad-size")


def test_the_examples_of_a_start(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("version: 1\nnodes:\n  s: {type: test_source}\n  o: {type: encode}\n")
    good = {"gateway_request_id": "a", "events_url": "ftp://a/b", "control_url": "http://a/c"}
    with going(f"byoc serve {path} --port 0", tmp_path) as address:
        assert refused(address, good) == example("bad-url")
        assert refused(address, good | {"gateway_request_id": 3}) == example("bad-body")


def refused(address: str, body: object) -> str:
    """The first problem in the answer to a start."""
    request = urllib.request.Request(
        f"{address}/stream/start", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=10)
    first = json.loads(caught.value.read())["problems"][0]
    return shown(Problem(first["code"], first["message"], first["field"]))


# what is printed


def test_one_code_is_explained() -> None:
    said = codes.text("no-sink")
    assert said.startswith("no-sink: Nothing takes what the pipeline makes")
    assert "^^^^^ end it with `out: {type: encode}`\n" in said


def test_a_code_that_does_not_exist() -> None:
    with pytest.raises(LookupError, match="there is no problem 'no-snik'; did you mean 'no-sink'"):
        codes.text("no-snik")


def test_all_codes_are_listed() -> None:
    assert [line.split()[0] for line in codes.listed().splitlines()] == sorted(codes.CODES)


def test_the_page_is_current() -> None:
    assert (ROOT / "docs" / "problems.md").read_text(encoding="utf-8") == codes.markdown()


def test_the_command_says_what_it_does_not_know(tmp_path: Path) -> None:
    assert run("byoc problems", tmp_path) == codes.listed()
    with pytest.raises(AssertionError, match="byoc: there is no problem 'no-snik'"):
        run("byoc problems no-snik", tmp_path)
