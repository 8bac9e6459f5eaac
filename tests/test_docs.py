"""What is made from the code is current: run `make docs` when one of these fails."""

import json

from composer import __version__, draw, outline, reference
from composer.compile import compile_file, plan_of
from composer.registry import Registry
from tests.clips import ROOT


def test_the_node_reference_is_current() -> None:
    assert (ROOT / "docs" / "nodes.md").read_text() == reference.markdown(Registry.installed())


def test_the_schema_is_current() -> None:
    written = json.loads((ROOT / "docs" / "pipeline.schema.json").read_text())
    assert written == reference.schema(Registry.installed())


def test_the_picture_in_the_readme_is_current() -> None:
    plan = plan_of(compile_file(ROOT / "pipelines" / "lower_third.yaml", Registry.installed()))
    made = draw.svg(outline.boxes(plan), outline.arrows(plan), plan.graph.capability)
    assert (ROOT / "docs" / "lower_third.svg").read_text() == made


def test_every_node_has_a_test_an_example_and_a_docstring() -> None:
    registry = Registry.installed()
    for name in registry.names():
        assert (ROOT / "tests" / "nodes" / f"test_{name}.py").is_file(), name
        cls = registry.find(name, ROOT)
        assert len(reference.summary(cls)) > 10, name
        for field, *_, help_ in reference.field_rows(cls):
            assert help_, f"{name}.{field} has no description"
        used = [f for f in (ROOT / "pipelines").glob("*.yaml") if f"type: {name}" in f.read_text()]
        assert used, f"no file in pipelines/ shows {name}"


def test_the_changelog_begins_with_what_comes_next() -> None:
    headings = [
        line for line in (ROOT / "CHANGELOG.md").read_text().splitlines() if line.startswith("## ")
    ]
    assert headings[0] in ("## Unreleased", f"## {__version__}")
