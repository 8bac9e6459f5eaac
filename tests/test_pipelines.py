"""Every file in pipelines/ compiles, begins with a line that says what it shows, and runs."""

from dataclasses import replace
from pathlib import Path

import pytest

from composer.compiler.compile import compile_file, plan_of
from composer.compiler.plan import Plan
from composer.engine.run import Media, Run
from composer.node.registry import Registry
from tests.clips import BUNNY, ROOT, fetched

FILES = sorted((ROOT / "pipelines").glob("*.yaml"))
WITHOUT_MODELS = [
    file
    for file in FILES
    if not any(each in file.read_text() for each in ("sha256:", "type: remote_model"))
]
"""Models take too long for a whole clip; test_model_pipelines.py runs them on a few pictures."""

TEN_FRAMES = 10


def shortened(plan: Plan) -> Plan:
    """The same plan, its test sources only ten frames long."""
    nodes = dict(plan.steps)
    for name, step in plan.steps.items():
        if step.settings is not None and "duration" in type(step.settings).model_fields:
            fps = float(getattr(step.settings, "fps", 25))
            settings = step.settings.model_copy(update={"duration": TEN_FRAMES / fps})
            nodes[name] = replace(step, settings=settings)
    return replace(plan, steps=nodes)


def test_there_are_examples() -> None:
    assert len(FILES) >= 15


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_an_example_says_what_it_shows(file: Path) -> None:
    first = file.read_text().splitlines()[0]
    assert first.startswith("# ")
    assert len(first) > 20


@pytest.mark.parametrize("file", WITHOUT_MODELS, ids=lambda file: file.stem)
def test_an_example_runs(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = compile_file(file, Registry.installed())
    assert list(compiled.problems) == []
    plan = shortened(plan_of(compiled))
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "out.mp4"
    run = Run(plan, Media({"": str(fetched(BUNNY))}, {"": str(out)}))
    run.start()
    report = run.wait()
    sources = sum(report.nodes[name].given for name, step in plan.steps.items() if not step.inputs)
    sinks = sum(report.nodes[name].given for name, step in plan.steps.items() if not step.outputs)
    assert sources >= TEN_FRAMES
    assert sinks >= 1
    for name, count in report.edges.items():
        assert count.offered == count.taken + sum(count.dropped.values()), name
