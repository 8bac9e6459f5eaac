"""Where the graphs of sessions run."""

import asyncio
import sys

import pytest

from composer.compiler.plan import Plan
from composer.errors import NodeFailed, ProcessLost, SettingsInvalid
from composer.isolation.execution import IsolatedExecution
from composer.isolation.placement import Placement
from composer.pipeline.spec import Isolation
from composer.session.channels import Channels
from composer.session.execution import Execution, Surroundings, ThreadedExecution
from composer.session.timing import Timing
from composer.threads import Places
from tests.isolation import crashes
from tests.server.streams import PASS, live_plan, ran


def plan(isolation: str = "") -> Plan:
    return live_plan(f"isolation: {isolation}\n{PASS}" if isolation else PASS)


@pytest.mark.parametrize(
    ("chosen", "written", "apart"),
    [
        (None, "", False),
        (None, "none", False),
        (None, "process", True),
        ("process", "", True),
        ("process", "none", True),
        ("none", "process", False),
    ],
)
def test_the_operator_decides_before_the_file(
    chosen: Isolation | None,
    written: str,
    apart: bool,  # noqa: FBT001 - of the table
) -> None:
    async def test() -> None:
        placement = Placement(chosen)
        around = Surroundings("cam", Channels(), 0, lambda: True, lambda: None, Places(), Timing())
        execution = placement.begin(plan(written), around, _unheard)
        kind = IsolatedExecution if apart else ThreadedExecution
        assert type(execution) is kind
        assert placement.isolates(plan(written)) == apart
        placement.close()

    ran(test)


def _unheard(execution: Execution, notice: object) -> None:
    """Nobody listens."""


@pytest.mark.parametrize(
    ("how", "raised", "said"),
    [
        ("raise", NodeFailed, "node 'm' failed in setup.*no model"),
        ("segfault", ProcessLost, "its process was killed by SIGSEGV in node 'm'"),
    ],
)
def test_what_no_session_could_load_is_known_before_the_first(
    how: str, raised: type[Exception], said: str
) -> None:
    text = f"nodes: {{s: {{type: decode}}, m: {{type: shared, how: {how}}}, o: {{type: encode}}}}"

    async def test() -> None:
        placement = Placement("process")
        try:
            await placement.prepare([live_plan(text, shared=crashes.Shared)])
        finally:
            placement.close()

    with pytest.raises(raised, match=said):
        ran(test)


def test_elsewhere_than_on_linux_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(SettingsInvalid, match="needs Linux"):
        asyncio.run(Placement("process").prepare([plan()]))
    asyncio.run(Placement().prepare([plan()]))
