"""What a plan asks of the channels of its session."""

import pytest

from composer.session import demand
from composer.session.demand import Demand
from tests import stubs
from tests.server.streams import live_plan

DECODED = "source: {type: decode}"


@pytest.mark.parametrize(
    ("nodes", "wanted"),
    [
        pytest.param(
            f"{DECODED}, out: {{type: encode}}",
            Demand(takes_input=True, needs="video", makers=(), way=frozenset({"source", "out"})),
            id="pictures",
        ),
        pytest.param(
            f"{DECODED}, out: {{type: encode, in: {{audio: source.audio}}}}",
            Demand(takes_input=True, needs="audio", makers=(), way=frozenset({"source", "out"})),
            id="sound alone",
        ),
        pytest.param(
            "made: {type: test_source}, out: {type: encode}",
            Demand(
                takes_input=False, needs="video", makers=("made",), way=frozenset({"made", "out"})
            ),
            id="its own pictures",
        ),
        pytest.param(
            f"{DECODED}, f: {{type: flip}}, out: {{type: encode}},"
            " seen: {type: collect, in: source}",
            Demand(
                takes_input=True, needs="video", makers=(), way=frozenset({"source", "f", "out"})
            ),
            id="a branch that is not on the way",
        ),
        pytest.param(
            f"{DECODED}, out: {{type: encode, path: here.mp4}}",
            Demand(takes_input=True, needs="", makers=(), way=frozenset()),
            id="an output of its own",
        ),
    ],
)
def test_it_follows_from_the_ends_of_the_graph(nodes: str, wanted: Demand) -> None:
    plan = live_plan(f"nodes: {{{nodes}}}", collect=stubs.sink())
    asked = demand.of(plan)
    # What the compiler puts between nodes is on the way, too.
    way = frozenset(name for name in asked.way if plan.steps[name].settings is not None)
    assert Demand(asked.takes_input, asked.needs, asked.makers, way) == wanted


@pytest.mark.parametrize(
    ("nodes", "wants", "ports"),
    [
        (f"{DECODED}, out: {{type: encode}}", "video", {"source.image"}),
        (
            f"{DECODED}, out: {{type: encode, in: {{audio: source.audio}}}}",
            "audio",
            {"source.audio"},
        ),
        (f"{DECODED}, seen: {{type: collect}}", "video", {"source.image"}),
        (f"{DECODED}, seen: {{type: listen, in: source.audio}}", "audio", {"source.audio"}),
        ("made: {type: test_source}, out: {type: encode}", "audio", set()),
    ],
)
def test_what_has_to_come_of_an_input(nodes: str, wants: str, ports: set[str]) -> None:
    asked = demand.of(live_plan(f"nodes: {{{nodes}}}", collect=stubs.sink(), listen=stubs.Listen))
    assert asked.wants == wants
    assert {edge.partition(" ")[0] for edge in asked.taken} == ports
    assert asked.readers == (("source",) if ports else ())
