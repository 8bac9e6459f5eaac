from dataclasses import replace
from typing import Any, ClassVar

import pytest

from composer import YUV, Context, Node
from composer.engine import loading
from composer.engine.loading import check_device, context_of
from composer.errors import NodeFailed
from composer.models.pool import LEASES_PER_MODEL, POOL
from tests.engine.layers.sites import step_of
from tests.stubs import plan_of


class Modelled(Node):
    """Loads what sessions share."""

    shared = True

    log: ClassVar[list[str]] = []

    def setup(self, ctx: Context) -> None:
        self.log.append(f"setup {ctx.node}{' live' if ctx.live else ''}")

    def process(self, image: YUV) -> YUV:
        return image

    def close(self) -> None:
        self.log.append("close")


def modelled(**attributes: Any) -> type[Modelled]:
    return type("Own", (Modelled,), {"log": [], "__module__": __name__, **attributes})


def text(count: int = 1) -> str:
    models = "".join(f" m{number}: {{type: model}}," for number in range(count))
    return f"nodes: {{source: {{type: count}},{models} out: {{type: collect}}}}"


def test_what_sessions_share_is_set_up_once_before_them_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(POOL, "idle", 1)
    node = modelled()
    loading.load([plan_of(text(2), model=node), plan_of(text(1), model=node)])
    assert node.log[::2] == ["setup m0 live", "setup m1 live", "setup m0 live"]
    assert node.log[1::2] == ["close"] * 3
    assert POOL.idle == max(1, 3 * LEASES_PER_MODEL)


def test_the_pool_does_not_become_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(POOL, "idle", 1000)
    loading.load([plan_of(text(1), model=modelled())])
    assert POOL.idle == 1000


def test_a_model_that_cannot_be_loaded_is_closed_and_told() -> None:
    def setup(self: Modelled, ctx: Context) -> None:
        raise OSError("no weights")

    node = modelled(setup=setup)
    with pytest.raises(NodeFailed, match=r"'m0' failed in setup\(\): OSError: no weights"):
        loading.preload(plan_of(text(1), model=node))
    assert node.log == ["close"]


def test_a_device_that_is_not_there_is_a_failure_of_the_node() -> None:
    check_device(step_of())
    with pytest.raises(NodeFailed, match=r"'step' failed in setup\(\): DeviceMissing: cuda:99 was"):
        check_device(replace(step_of(), device="cuda:99"))


def test_a_node_is_told_what_the_plan_has_for_it() -> None:
    step = step_of()
    context = context_of(step, source="in.mp4", live=True)
    assert (context.node, context.folder, context.device) == ("step", step.folder, "cpu")
    assert (context.inputs, context.outputs, context.batch) == (
        step.inputs,
        step.outputs,
        step.batch,
    )
    assert (context.source, context.live) == ("in.mp4", True)
