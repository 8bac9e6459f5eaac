from pathlib import Path

import pytest

from composer.command import schedule
from composer.engine.params import PENDING, Params
from composer.errors import PipelineInvalid
from tests.stubs import good_graph


def params() -> Params:
    graph = good_graph(
        "params: {level: a.level, size: a.size_px}\n"
        "nodes: {s: {type: count}, a: {type: pass}, o: {type: collect}}"
    )
    return Params(graph.params.values(), {"a": graph.nodes["a"].settings})


def loaded(folder: Path, text: str) -> Params:
    path = folder / "changes.yaml"
    path.write_text(text, encoding="utf-8")
    here = params()
    schedule.load(path, here)
    return here


def test_changes_hold_from_their_time(tmp_path: Path) -> None:
    here = loaded(
        tmp_path,
        "changes:\n- {at: 2.5s, set: {level: 3}}\n- {at: 400ms, set: {level: 1, size: 2}}\n"
        "- {at: 3, set: {level: 4}}\n",
    )
    found = [here.at(seconds).params for seconds in (0, 0.4, 2.4, 2.5, 3)]
    assert [each["level"] for each in found] == [0, 1, 1, 3, 4]
    assert [each["size"] for each in found] == [1, 2, 2, 2, 2]


@pytest.mark.parametrize(
    ("text", "said", "line"),
    [
        pytest.param("changes: 3\n", "a params file is a list of changes", 1, id="no list"),
        pytest.param(
            "changes: []\nchange: 1\n", "change is not a part of a params file", 2, id="key"
        ),
        pytest.param(
            "changes:\n- {at: soon, set: {}}\n",
            "at should be a time such as 2.5s or 400ms, got 'soon'",
            2,
            id="time",
        ),
        pytest.param(
            "changes:\n- {at: 1s}\n", "a change has `at` and `set`, and nothing else", 2, id="set"
        ),
        pytest.param(
            "changes:\n- {at: 1s, set: 3}\n", "set should be a mapping of params", 2, id="mapping"
        ),
        pytest.param(
            "changes:\n- {at: 1s, set: {level: 300}}\n",
            "level should be less than or equal to 100, got 300",
            2,
            id="value",
        ),
        pytest.param(
            "changes:\n- at: 1s\n  set:\n    levle: 3\n",
            "there is no param 'levle'",
            4,
            id="unknown param",
        ),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path: Path, text: str, said: str, line: int) -> None:
    with pytest.raises(PipelineInvalid) as caught:
        loaded(tmp_path, text)
    (problem,) = caught.value.problems
    assert problem.message == said
    assert problem.span is not None
    assert problem.span.line == line


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(PipelineInvalid) as caught:
        loaded(tmp_path, "changes:\n- {at: x, set: {}}\n- {at: 1s, set: {level: x}}\n")
    assert len(caught.value.problems) == 2


def test_there_is_a_most_of_changes(tmp_path: Path) -> None:
    each = "- {at: 1s, set: {level: 1}}\n"
    assert loaded(tmp_path, "changes:\n" + each * PENDING)
    with pytest.raises(PipelineInvalid, match=f"more than {PENDING} changes"):
        loaded(tmp_path, "changes:\n" + each * (PENDING + 1))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        schedule.load(tmp_path / "none.yaml", params())
