import math
import threading
from pathlib import Path
from typing import Any

import pytest
from pydantic import model_validator

from composer import YUV, Live, Node
from composer.engine.acceptance import MOST_GUESSES
from composer.engine.params import PENDING, Params, Ramp
from composer.errors import ParamRejected
from tests import stubs
from tests.stubs import WAIT, good_graph

FILE = """\
params:
  level: {to: [a.level, b.level], max: 60}
  low: e.low
  high: e.high
  slow: {to: a.level, ramp_ms: 1000}
  size: a.size_px
  mood: {type: str, default: calm, choices: [calm, wild]}
nodes:
  s: {type: count}
  a: {type: pass, level: 5}
  b: {type: pass, when: mood == "calm"}
  e: {type: even}
  o: {type: collect}
"""


def params(text: str = FILE, folder: Path = Path("/nowhere"), /, **classes: type[Node]) -> Params:
    graph = good_graph(text, folder, **classes)
    nodes = {name: node.settings for name, node in graph.nodes.items()}
    return Params(graph.params.values(), nodes)


def refused(here: Params, values: dict[str, Any]) -> list[tuple[str, str]]:
    """(what is wrong, what is said) for each param; nothing has changed."""
    before = here.at(0), here.values()
    with pytest.raises(ParamRejected) as caught:
        here.patch(values)
    assert (here.at(0), here.values()) == before
    return [(problem.at, problem.message) for problem in caught.value.problems]


def test_of_many_names_that_nobody_knows_only_the_first_are_guessed_at() -> None:
    with pytest.raises(ParamRejected) as caught:
        params().patch({f"leve{number}": 1 for number in range(200)})
    hints = [problem.hint for problem in caught.value.problems]
    assert hints == ["did you mean 'level'?"] * MOST_GUESSES + [""] * (200 - MOST_GUESSES)


# what is accepted


def test_at_the_start_params_are_worth_what_their_fields_are() -> None:
    now = params().at(0)
    assert (now.version, now.fields) == (0, {})
    assert now.params == {
        "level": 5,
        "low": 0,
        "high": 10,
        "slow": 5,
        "size": 1,
        "mood": "calm",
    }


def test_a_patch_reaches_all_fields_at_once() -> None:
    here = params()
    patch = here.patch({"level": 30, "mood": "wild"})
    now = here.at(1.5)
    assert now.fields == {"a": {"level": 30}, "b": {"level": 30}}
    assert (now.params["level"], now.params["mood"]) == (30, "wild")
    assert (patch.seconds, patch.applied.is_set()) == (1.5, True)


def test_values_become_what_the_fields_hold() -> None:
    here = params()
    here.patch({"level": "12.5", "size": "3"})
    assert here.at(0).fields == {"a": {"level": 12.5, "size_px": 3}, "b": {"level": 12.5}}


def test_the_snapshot_stays_the_same_object_while_nothing_changes() -> None:
    here = params()
    first = here.at(0)
    assert here.at(1) is first
    here.patch({"level": 1})
    second = here.at(2)
    assert here.at(3) is second
    assert (first.version, second.version) == (0, 1)
    assert first.fields == {}


def test_versions_of_patches_count_up() -> None:
    here = params()
    assert [here.patch({"level": 1}).version for _ in range(3)] == [1, 2, 3]


def test_the_newest_wins() -> None:
    here = params()
    here.patch({"level": 1})
    here.patch({"level": 2})
    assert here.at(0).params["level"] == 2


def test_a_patch_waits_for_its_time() -> None:
    here = params()
    late = here.patch({"level": 9}, at=3)
    soon = here.patch({"level": 8}, at=2)
    assert [here.at(seconds).params["level"] for seconds in (0, 1.99, 2.04, 2.9, 3.0)] == [
        5,
        5,
        8,
        8,
        9,
    ]
    assert (soon.seconds, late.seconds) == (2.04, 3.0)


def test_params_of_a_sub_pipeline_follow(tmp_path: Path) -> None:
    (tmp_path / "look.yaml").write_text(
        "version: 1\nparams: {level: a.level}\nnodes: {a: {type: pass}}\n", encoding="utf-8"
    )
    here = params(
        "params: {top: look.level}\nnodes: {s: {type: count},"
        " look: {type: pipeline, file: look.yaml}, o: {type: collect}}",
        tmp_path,
    )
    here.patch({"top": 4})
    now = here.at(0)
    assert now.params == {"look/level": 4, "top": 4}
    assert now.fields == {"look/a": {"level": 4}}
    assert refused(here, {"look/level": 5})[0][0] == "look/level"


# what is refused


@pytest.mark.parametrize(
    ("values", "said"),
    [
        pytest.param(
            {"level": 61}, ["level should be less than or equal to 60, got 61.0"], id="narrowed"
        ),
        pytest.param(
            {"slow": 101}, ["slow should be less than or equal to 100, got 101"], id="field's range"
        ),
        pytest.param(
            {"mood": "sad"}, ["mood should be one of 'calm', 'wild', got 'sad'"], id="choices"
        ),
        pytest.param({"low": 3}, ["low should be even, got 3"], id="the node's own validator"),
        pytest.param(
            {"level": 900, "size": "x", "colour": 1},
            [
                "level should be less than or equal to 100, got 900",
                "size should be a whole number, got 'x'",
                "there is no param 'colour'",
            ],
            id="all at once",
        ),
    ],
)
@pytest.mark.fault("F-53")
def test_a_patch_is_refused_as_a_whole(values: dict[str, Any], said: list[str]) -> None:
    found = refused(params(), {"high": 20, **values})
    assert [message for _, message in found] == said
    assert [name for name, _ in found] == list(values)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        pytest.param("free", math.inf, "should be a finite number, got .inf", id="infinity"),
        pytest.param("free", math.nan, "should be a finite number, got nan", id="not a number"),
        pytest.param("free", "1e400", "should be a finite number, got '1e400'", id="as text"),
        pytest.param("free", 10**400, "should be a finite number, got 1000000", id="huge"),
        pytest.param("level", "nan", "should be a finite number, got 'nan'", id="narrowed"),
        pytest.param("word", "a\ud800", "holds half of a character", id="half of a character"),
        pytest.param("list", [1, [math.inf]], "should be a finite number, got a list", id="deep"),
        pytest.param("list", {"\udcff": 1}, "holds half of a character", id="in a key"),
        pytest.param("list", 10**400, "should be a finite number", id="whatever it may be"),
    ],
)
def test_what_json_cannot_hold_is_refused_with_its_name(name: str, value: Any, said: str) -> None:
    class Wide(stubs.Pass):
        number: float = Live(0.0)
        text: str = Live("")
        anything: Any = Live(None)

    here = params(
        "params: {free: {type: float, default: 0.0}, word: w.text, list: w.anything,"
        " level: {to: w.number, max: 9}}\n"
        "nodes: {s: {type: count}, w: {type: wide, when: free < 9}, o: {type: collect}}",
        wide=Wide,
    )
    ((at, message),) = refused(here, {name: value})
    assert at == name
    assert message.startswith(name)
    assert said in message
    message.encode()


@pytest.mark.fault("F-52")
def test_too_many_that_wait_are_refused_and_change_nothing() -> None:
    here = params()
    for each in range(PENDING):
        here.patch({"level": 1}, at=100 + each)
    with pytest.raises(ParamRejected, match=f"{PENDING} changes wait already"):
        here.patch({"low": 8})
    assert here.at(0).params["low"] == 0


@pytest.mark.fault("F-52")
def test_changes_for_the_same_frame_are_one_and_the_newest_value_wins() -> None:
    here = params()
    patches = [here.patch({"level": 1 / each, "low": 2}) for each in range(1, 5 * PENDING)]
    assert [patch.version for patch in patches] == list(range(1, 5 * PENDING))
    last = here.patch({"level": 0.25})
    assert here.at(2.0).params["level"] == 0.25
    assert here.at(2.0).params["low"] == 2
    assert (last.seconds, last.applied.is_set(), last.version) == (2.0, True, 5 * PENDING)
    assert {patch.seconds for patch in patches} == {2.0}
    assert here.patch({"level": 0.5}).seconds is None


def test_a_patch_that_was_refused_leaves_no_trace_in_the_next_check() -> None:
    class Ordered(Node):
        low: int = Live(0)
        high: int = Live(10)

        @model_validator(mode="after")
        def _in_order(self) -> "Ordered":
            if self.low > self.high:
                raise ValueError("low should not be above high")
            return self

        def process(self, image: YUV) -> YUV:
            return image

    graph = good_graph(
        "params: {low: e.low, high: e.high}\n"
        "nodes: {s: {type: count}, e: {type: ordered}, o: {type: collect}}",
        ordered=Ordered,
    )
    here = Params(graph.params.values(), {"e": graph.nodes["e"].settings})
    for each in range(PENDING):
        here.patch({"low": 1}, at=100 + each)
    with pytest.raises(ParamRejected):
        here.patch({"low": 9})  # there is no room
    here.at(100 + PENDING)
    here.patch({"high": 5})
    with pytest.raises(ParamRejected, match="low should not be above high"):
        here.patch({"low": 6})
    here.patch({"low": 6, "high": 6})


# ramps


def test_what_is_set_before_the_start_does_not_move_there() -> None:
    here = params()
    here.patch({"slow": 25})
    assert here.at(0).params["slow"] == 25


def test_a_ramp_moves_evenly_and_ends_exactly() -> None:
    here = params()
    here.running = True
    here.patch({"slow": 25})
    assert [here.at(seconds).params["slow"] for seconds in (10, 10.25, 10.5, 11, 12)] == [
        5,
        10,
        15,
        25,
        25,
    ]
    assert here.at(12) is here.at(13)


def test_a_patch_in_the_middle_of_a_ramp_starts_from_there() -> None:
    here = params()
    here.running = True
    here.patch({"slow": 25})
    here.at(10)
    here.at(10.5)
    here.patch({"slow": 5})
    assert [here.at(seconds).params["slow"] for seconds in (10.5, 11.0, 11.5)] == [15, 10, 5]


def test_a_ramp_before_its_beginning_is_at_its_start() -> None:
    assert Ramp(1, 2, 10, 20).at(5) == 1


def test_many_callers_at_once() -> None:
    here = params()
    versions: list[int] = []

    def patch() -> None:
        versions.extend(here.patch({"level": number}).version for number in range(20))

    threads = [threading.Thread(target=patch) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    assert sorted(versions) == list(range(1, 121))
    assert here.at(0).params["level"] == 19


def test_how_a_source_begins_can_only_be_set_before_the_start() -> None:
    graph = good_graph(
        "params: {step: s.step, count: s.count}\nnodes: {s: {type: count}, o: {type: collect}}"
    )
    here = Params(graph.params.values(), {"s": graph.nodes["s"].settings})
    here.patch({"step": 2})
    with pytest.raises(ParamRejected, match="step says how a source begins"):
        here.patch({"step": 3}, at=1)
    assert here.at(0).params["step"] == 2
    here.running = True
    with pytest.raises(ParamRejected, match="it can only be set before the start"):
        here.patch({"step": 3, "count": 4})
    here.patch({"step": 2, "count": 4})
    assert here.at(0).params == {"step": 2, "count": 4}
