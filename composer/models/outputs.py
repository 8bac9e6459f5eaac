"""OutputReader: from the arrays that a model gave to the values that its node gives."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from composer import lazy
from composer.models import answer as answers
from composer.models.answer import Answer, ReadContext
from composer.models.bind import Binding, Out
from composer.node.values import Detection, Detections

with lazy.deferred():
    import numpy as np

    from composer.models import heads, tensorfeed

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray


class Thresholds(NamedTuple):
    """Which detections are given: their least score, the overlap from which the weaker one goes,
    and how many at the most.
    """

    min_score: float
    iou: float
    most: int


class OutputReader:
    """Reads one model's outputs for one node.

    outputs: their names, in the order of the binding. logits: outputs whose scores were no chances
    once, shared by all who run the model. there: ports whose images stay on a device.
    """

    def __init__(
        self,
        binding: Binding,
        outputs: Sequence[str],
        logits: set[str],
        there: Collection[str],
    ) -> None:
        self._binding, self._outputs = binding, outputs
        self._logits, self._there = logits, there
        self._ports = _several([out.port for out in binding.outs])

    def learn(self, outputs: Mapping[str, NDArray[Any]]) -> None:
        """See in the outputs of a warm-up which scores are no chances."""
        for out, name in zip(self._binding.outs, self._outputs, strict=False):
            if name in outputs:
                self._settled(out, outputs[name])

    def read(self, outputs: Mapping[str, Any], context: ReadContext, thresholds: Thresholds) -> Any:
        """The value of the node's only output, or a named tuple of all."""
        if not self._binding.outs:
            return Detections(tuple(self.detections(outputs, context, thresholds)))
        values = [
            self._meant(out, outputs[name], context)
            for out, name in zip(self._binding.outs, self._outputs, strict=False)
        ]
        return values[0] if self._ports is None else self._ports(*values)

    def _meant(self, out: Out, output: Any, context: ReadContext) -> Any:
        """The value of one output; an image of a device stays there where the plan wants it."""
        if out.port in self._there:
            return tensorfeed.read_image(out.answer, output, context)
        output = _hosted(output)
        return answers.read(self._settled(out, output), output, context)

    def _settled(self, out: Out, output: NDArray[Any]) -> Answer:
        """What the output means. Scores that were no chances once are none in any other picture, in
        no session of this model: whether they get a softmax should not depend on the picture.
        """
        answer = out.answer
        if answer.activation != "auto" or answer.post not in ("classes", "text"):
            return answer
        if out.name not in self._logits and answers.are_chances(output):
            return answer
        self._logits.add(out.name)
        return answer.model_copy(update={"activation": "softmax"})

    def detections(
        self, outputs: Mapping[str, Any], context: ReadContext, thresholds: Thresholds
    ) -> list[Detection]:
        """What a head finds in all outputs together, in parts of the picture that went in."""
        boxes = heads.decode(
            self._binding.head,
            {name: _unbatched(_hosted(output)) for name, output in outputs.items()},
            context.size,
            min_score=thresholds.min_score,
            iou=thresholds.iou,
            most=thresholds.most,
            export=self._binding.export,
        )
        fit = context.fit
        scale = np.array([fit.scale_x, fit.scale_y] * 2)
        offset = np.array([fit.offset_x, fit.offset_y] * 2)
        corners = np.clip(boxes.corners * scale + offset, 0, 1)
        labels = context.labels
        return [
            Detection(left, top, right - left, bottom - top, answers.label_of(label, labels), score)
            for (left, top, right, bottom), score, label in zip(
                corners.tolist(), boxes.scores.tolist(), boxes.classes.tolist(), strict=True
            )
            if right > left and bottom > top
        ]


def _several(ports: Sequence[str]) -> Any:
    """The class of what a node with several outputs gives, None for one output: their order counts,
    not their names.
    """
    if len(ports) < 2:
        return None
    return namedtuple("Given", ports, rename=True)  # a port may be called `class`


def _hosted(output: Any) -> NDArray[Any]:
    """An output as an array of the host; for one of a device the host waits here."""
    if isinstance(output, np.ndarray):
        return output
    array: NDArray[Any] = output.float().cpu().numpy()
    return array


def _unbatched(output: NDArray[Any]) -> NDArray[Any]:
    """An output without its batch axis of 1."""
    return output[0] if output.ndim > 1 and output.shape[0] == 1 else output
