"""A pipeline and the node classes it names -> Graph: every name, type and connection settled."""

from pathlib import Path

from composer.compiler import edges, topology
from composer.compiler.draft import Draft, Load
from composer.compiler.graph import Graph
from composer.compiler.includes import PipelineFile
from composer.compiler.location import Location
from composer.compiler.scope import Scope
from composer.errors import Problem
from composer.node.registry import Registry
from composer.pipeline.spec import Pipeline


def build(
    pipeline: Pipeline, folder: Path, registry: Registry, load: Load
) -> tuple[Graph | None, list[Problem]]:
    """The graph of a pipeline file in `folder`, or None and every Problem that was found.

    load: opens the files of sub-pipelines.
    """
    draft = Draft(registry, load)
    Scope(draft, PipelineFile(pipeline, folder, (pipeline.doc.file,))).read()
    connections = edges.connect(draft)
    if draft.sure:
        connections += edges.implied(draft, tuple(connections))
    edges.check_inputs(draft, connections)
    names = topology.ordered(draft, connections)
    if draft.sure and names:
        topology.check_ends(draft, connections, Location(pipeline.doc, ("nodes",)))
    if draft.problems:
        return None, draft.problems
    graph = Graph(
        file=pipeline.doc.file,
        capability=pipeline.capability,
        nodes={name: draft.nodes[name] for name in names},
        edges=tuple(connections),
        params=draft.params,
        description=pipeline.description,
        isolation=pipeline.isolation,
        weights=tuple(draft.weights),
        absent=tuple(draft.absent),
    )
    return graph, []
