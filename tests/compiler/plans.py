"""Plans of a few nodes, and what a test asks of them."""

from typing import Annotated

from composer import RGB, Detections, Layouts, Node, Picture
from composer.compiler.plan import Mode, Plan
from tests.stubs import plan_of


def nodes(text: str, mode: Mode = Mode.FILE, /, **classes: type[Node]) -> Plan:
    return plan_of(f"nodes: {{{text}}}", mode, **classes)


def stages(plan: Plan) -> list[tuple[str, ...]]:
    return [stage.steps for stage in plan.stages]


def converters(plan: Plan) -> list[str]:
    return [name for name, step in plan.steps.items() if step.convert is not None]


def show(*layouts: str) -> type[Node]:
    if layouts == ("rgb24",):

        class ShowRgb(Node):
            def process(self, image: Annotated[Picture, Layouts("rgb24")]) -> None: ...

        return ShowRgb

    class ShowMore(Node):
        def process(self, image: Annotated[Picture, Layouts("rgba", "yuv420p")]) -> None: ...

    return ShowMore


class Net(Node):
    """Waits for something outside Python, like a model."""

    stateless = blocking = overlaps = batches = True
    devices = ("cpu", "cuda")

    def process(self, image: RGB) -> Detections:
        raise NotImplementedError


class End(Node):
    def process(self, detections: Detections) -> None:
        raise NotImplementedError
