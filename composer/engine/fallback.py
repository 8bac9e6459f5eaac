"""What comes out of a frame that a node was not run on: the frame, the last output, or nothing."""

from typing import Any

from composer.compiler.plan import Step
from composer.engine import marks
from composer.engine.bypass import ways_of
from composer.engine.envelopes import converted
from composer.engine.layers.hold import Last
from composer.engine.layers.layer import Missed, Out, Site
from composer.node.formats import Kind
from composer.node.frames import Bound, Frame
from composer.node.values import Detections


class Fallback:
    """The outputs of one step without its node."""

    def __init__(self, site: Site) -> None:
        self._step, self._count, self._lane = site.step, site.count, site.lane
        self._ways = ways_of(site.step)
        self._last = site.memory.of(Last)

    def instead(self, missed: Missed, frame: Frame[Any]) -> Out:
        """What comes out, counted. Raises NodeFailed where a picture cannot be converted."""
        out: Out = []
        if missed.fallback == "pass":
            out = self._passed(frame)
        elif missed.fallback == "hold_last":
            out = self._held(frame)
        if out or (missed.fallback == "pass" and not self._step.outputs):
            self._count.given += 1
            return completed(out, self._step, frame)
        self._count.dropped[missed.reason] += 1
        return bounds(self._step, frame)

    def _passed(self, frame: Frame[Any]) -> Out:
        """The frame as it came, or turned into what the plan has behind this node."""
        lane = self._lane
        if lane is None or not any(self._ways.values()):
            return self._turned(frame)
        with lane:
            return marks.all_marked(lane, self._step, self._turned(marks.arrived(lane, frame)))

    def _turned(self, frame: Frame[Any]) -> Out:
        out: Out = []
        for port, way in self._ways.items():
            if way is not None:
                wanted = self._step.outputs[port]
                out.append((port, converted(frame, way, wanted, self._step.name)))
            else:
                out.append((port, frame))
        return out

    def _held(self, frame: Frame[Any]) -> Out:
        held: Out = []
        for port, form in self._step.outputs.items():
            if port in self._last:
                held.append((port, frame.carry(self._last[port])))
            elif form.kind is Kind.DETECTIONS:
                held.append((port, frame.carry(Detections())))
        return held


def bounds(step: Step, frame: Frame[Any]) -> Out:
    """Nothing comes for this frame: joins need not wait for it."""
    return [(port, Bound(frame.micros)) for port in step.outputs]


def completed(out: Out, step: Step, frame: Frame[Any]) -> Out:
    """The same, and for each output that gave nothing that nothing comes."""
    if len(out) == len(step.outputs):
        return out
    gave = {port for port, _ in out}
    return [*out, *(bound for bound in bounds(step, frame) if bound[0] not in gave)]
