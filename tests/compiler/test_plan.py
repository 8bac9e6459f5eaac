"""A plan and its parts as values."""

from dataclasses import replace
from pathlib import Path

import pytest

from composer.compiler import plan as plans
from composer.pipeline.spec import Options
from tests.compiler.plans import nodes
from tests.stubs import plan_of


def test_as_data_is_plain() -> None:
    plan = plan_of(
        "capability: demo\nparams: {level: a.level}\n"
        "nodes: {s: {type: count}, a: {type: pass}, o: {type: show}}"
    )
    data = plans.as_data(plan)
    assert data["conversions"] == 1
    assert data["stages"][1] == {"name": "a", "steps": ["a", "a:rgb24array", "o"], "workers": 1}
    assert data["edges"][0] == {
        "from": "s.image",
        "to": "a.image",
        "format": "yuv420p",
        "inbox": "4 wait",
    }
    assert data["params"] == {"level": {"to": ["a.level"], "change": "live", "value": 0.0}}
    assert data["steps"]["a:rgb24array"]["type"] == "convert"
    assert plan.steps["a"].folder == Path("/nowhere")


@pytest.mark.parametrize(
    ("options", "unusual"),
    [
        pytest.param("every: 1, rate: null", {}, id="written as it is anyway"),
        pytest.param("queue: 7, device: cpu, max_age_ms: 5", {}, id="shown elsewhere"),
        pytest.param("every: 3, else: drop", {"every": 3, "else": "drop"}, id="by their names"),
    ],
)
def test_a_step_has_its_options_and_says_which_are_not_as_usual(
    options: str, unusual: dict[str, object]
) -> None:
    plan = nodes(f"s: {{type: count}}, a: {{type: pass, {options}}}, o: {{type: collect}}")
    assert plan.steps["a"].unusual == unusual
    assert plans.as_data(plan)["steps"]["a"].get("options", {}) == unusual
    assert plan.steps["o"].options == Options()


def test_every_option_is_shown_as_itself_or_as_what_it_came_to() -> None:
    """A new one needs a field, and nothing here."""
    placed = {"in", "queue", "on_full", "max_age_ms", "device", "concurrency", "batch"}
    step = nodes("s: {type: count}, o: {type: collect}").steps["o"]
    names = {info.alias or name for name, info in Options.model_fields.items()}
    other = Options().model_copy(update=dict.fromkeys(Options.model_fields, "other"))
    assert replace(step, options=other).unusual.keys() == names - placed
