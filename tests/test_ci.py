"""What CI does is what anybody can do: it calls .ci/run, soaks a worker, and does nothing else."""

import os
from typing import Any

import yaml

from tests.clips import ROOT

WORKFLOW: dict[Any, Any] = yaml.safe_load(
    (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
)


def test_it_runs_what_must_hold_and_nothing_else() -> None:
    runs = {
        name: [step["run"] for step in job["steps"] if "run" in step]
        for name, job in WORKFLOW["jobs"].items()
    }
    assert runs == {"run": [".ci/run"], "soak": ["make soak MINUTES=10"]}
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_it_brings_a_checkout_and_a_python_and_no_more() -> None:
    for job in WORKFLOW["jobs"].values():
        used = {step["uses"].partition("@")[0]: step for step in job["steps"] if "uses" in step}
        assert list(used) == ["actions/checkout", "actions/setup-python"]
        version = used["actions/setup-python"]["with"]["python-version"]
        assert version == "3.11", "as text: 3.10 would be the number 3.1"


def test_it_may_read_and_comes_to_an_end() -> None:
    assert WORKFLOW["permissions"] == {"contents": "read"}
    for job in WORKFLOW["jobs"].values():
        assert "permissions" not in job
        assert job["timeout-minutes"] <= 60
    assert "github.ref" in WORKFLOW["concurrency"]["group"]


def test_it_runs_for_what_is_sent_and_for_main() -> None:
    events = WORKFLOW[True]  # YAML 1.1 takes `on` for a boolean
    assert events == {"push": {"branches": ["main"]}, "pull_request": None}
