"""Which steps run one after another on one thread, with no queue between them."""

from collections.abc import Collection, Mapping

from composer.compiler.plan import Stage, Step
from composer.compiler.steps import Wiring


def staged(wiring: Wiring, asked: Collection[str], threads: Mapping[str, int]) -> tuple[Stage, ...]:
    """Runs of steps that nothing forces apart, in the order of the steps.

    asked: steps that have an inbox because the file says so. threads: step -> how many it has.
    """
    stages: dict[str, list[str]] = {}
    home: dict[str, str] = {}
    for name in wiring.steps:
        into = list(wiring.into(name))
        start = into[0].start if len(into) == 1 else ""
        alone = name in asked or (start and max(threads[start], threads[name]) > 1)
        if start and not alone and _fuses(wiring, start, name):
            home[name] = home[start]
            stages[home[name]].append(name)
        else:
            home[name] = name
            stages[name] = [name]
    return tuple(Stage(name, tuple(steps), threads[name]) for name, steps in stages.items())


def _fuses(wiring: Wiring, start: str, end: str) -> bool:
    return wiring.feeds_one(start) and may_share(wiring.steps[start], wiring.steps[end])


def may_share(first: Step, second: Step) -> bool:
    """Whether nothing about two neighbours themselves keeps them on different threads."""
    if not first.inputs or first.device != second.device:
        return False
    return not _stands_apart(first) and not _stands_apart(second)


def _stands_apart(step: Step) -> bool:
    """Whether the step deserves a stage of its own: it blocks, or it is an end with a codec.

    So does a copy down from a device: the host waits for it, and for nothing else.
    """
    if step.convert is not None:
        return step.inputs["in"].device != "cpu"
    return step.settings is not None and (step.settings.blocking or step.settings.merges)
