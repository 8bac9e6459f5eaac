"""Graphs of small pipelines, and what is said of those that make none."""

from pathlib import Path

from composer.compiler.graph import Graph
from tests.stubs import graph_of


def edges(graph: Graph) -> list[str]:
    return [str(edge) for edge in graph.edges]


def written(folder: Path, **files: str) -> Path:
    """A folder with pipeline files."""
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(f"version: 1\n{text}\n", encoding="utf-8")
    return folder


def messages(text: str, folder: Path = Path("/nowhere")) -> list[str]:
    graph, problems = graph_of(text, folder)
    assert graph is None
    return [problem.message for problem in problems]
