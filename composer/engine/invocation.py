"""The call itself: values into a node's process(), what it gives into envelopes, checked.

Which of the forms below a step has is decided once, at the start of a run.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from composer.engine.checks import Check, check_of
from composer.engine.envelopes import at_its_time, converted, enveloped, enveloped_of_many
from composer.engine.fallback import bounds, completed
from composer.engine.inbox import WorkItem
from composer.engine.instance import Instance
from composer.engine.layers.layer import Call, Missed, Out, Site
from composer.node.frames import Frame, Moment


def invocation(site: Site, now: Callable[[], float]) -> Call:
    """What a step does to a frame when nothing lets it by. now: monotonic seconds."""
    if site.instance is None:
        return _converting(site)
    cls = type(site.instance.node)
    if not cls.outputs:
        return _sinking(site, site.instance, now)
    outputs = Outputs(site)
    if cls.many:
        return _many(site.instance, outputs)
    one = len(cls.inputs) == len(cls.outputs) == 1 and not cls.timed
    if one and cls.outputs[0].name in site.step.outputs:
        return _one_for_one(site, site.instance)
    return _called(site.instance, outputs)


class Outputs:
    """What a call gave, by port: put in envelopes, checked against the plan, counted."""

    def __init__(self, site: Site) -> None:
        cls = type(site.step.settings)
        self._step, self._count = site.step, site.count
        self._ports: Final = tuple(port.name for port in cls.outputs)  # type: ignore[union-attr]
        self._checks: Final[Mapping[str, Check]] = {
            port: check_of(form) for port, form in site.step.outputs.items()
        }

    def of(self, result: Any, frame: Frame[Any], *, many: bool = False) -> Out:
        """The frames of one call, [] where it gave nothing. Raises TypeError for what no edge can
        carry.
        """
        envelope = enveloped_of_many if many else enveloped
        out: Out = []
        for port, value in self.by_port(result):
            output = envelope(value, frame)
            self.check(port, output.value)
            out.append((port, output))
        if out:
            self._count.given += 1
        return out

    def by_port(self, result: Any) -> Iterator[tuple[str, Any]]:
        """What a node gave, for the outputs that somebody reads."""
        if not (isinstance(result, tuple) and hasattr(result, "_fields")):
            result = (result,)
        for port, value in zip(self._ports, result, strict=True):
            if value is not None and port in self._checks:
                yield port, value

    def check(self, port: str, value: Any) -> None:
        """Raises TypeError for what the edges of a port cannot carry."""
        self._checks[port](value)

    def completed(self, out: Out, frame: Frame[Any]) -> Out:
        """The same, and that nothing comes from the other outputs."""
        return completed(out, self._step, frame)

    def nothing(self, frame: Frame[Any]) -> Out:
        """The node dropped the frame."""
        self._count.dropped["node"] += 1
        return bounds(self._step, frame)


def _values(instance: Instance) -> Callable[[WorkItem], dict[str, Any]]:
    """The keyword arguments of process()."""
    timed = type(instance.node).timed

    def values(item: WorkItem) -> dict[str, Any]:
        return {**item.others, item.port: item.frame.value}

    def timed_values(item: WorkItem) -> dict[str, Any]:
        frame = item.frame
        at = Moment(frame.pts, frame.time_base, frame.color, frame.rate)
        return {**item.others, item.port: frame.value, timed: at}

    return timed_values if timed else values


def _called(instance: Instance, outputs: Outputs) -> Call:
    values = _values(instance)

    def call(item: WorkItem) -> Out | Missed:
        frame = item.frame
        out = outputs.of(instance.process(**values(item)), frame)
        return outputs.completed(out, frame) if out else outputs.nothing(frame)

    return call


def _one_for_one(site: Site, instance: Instance) -> Call:
    """One value in, one out: what most nodes are, and what happens to most frames."""
    step, count = site.step, site.count
    port = type(instance.node).outputs[0].name
    check = check_of(step.outputs[port])

    def call(item: WorkItem) -> Out | Missed:
        frame = item.frame
        value = instance.process(**{item.port: frame.value})
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            (value,) = value
        if value is None:
            count.dropped["node"] += 1
            return bounds(step, frame)
        # What was written to, or given on, needs no other envelope.
        same = value is frame.value and getattr(value, "pts", frame.pts) == frame.pts
        output = frame if same else enveloped(value, frame)
        check(output.value)
        count.given += 1
        return [(port, output)]

    return call


def _many(instance: Instance, outputs: Outputs) -> Call:
    values = _values(instance)

    def call(item: WorkItem) -> Out | Missed:
        frame = item.frame
        named = {port: at_its_time(value, frame) for port, value in values(item).items()}
        return [
            out
            for result in instance.process(**named)
            for out in outputs.of(result, frame, many=True)
        ]

    return call


def _sinking(site: Site, instance: Instance, now: Callable[[], float]) -> Call:
    count, values, age = site.count, _values(instance), site.count.age

    def call(item: WorkItem) -> Out | Missed:
        instance.process(**values(item))
        count.given += 1
        age.add(now() - item.frame.born)
        return []

    return call


def _converting(site: Site) -> Call:
    step, count = site.step, site.count
    assert step.convert is not None
    way, wanted = step.convert, step.outputs["out"]

    def call(item: WorkItem) -> Out | Missed:
        started = time.perf_counter()
        frame = converted(item.frame, way, wanted, step.name)
        count.seconds += time.perf_counter() - started
        count.given += 1
        return [("out", frame)]

    return call
