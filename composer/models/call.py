"""Call: what goes into a model at once, alone or gathered with others."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from composer import lazy
from composer.models.engine import Engine, ModelFailed
from composer.node.frames import OnDevice

with lazy.deferred():
    import numpy as np
    import torch


Outputs = dict[str, Any]
"""Arrays by the names of a model's outputs; from a device, each an OnDevice."""


@dataclass(frozen=True, slots=True)
class Call:
    """The inputs of one run: those that stack along their first axis, and those that all share.

    mark: where there are tensors of a device, when they are complete.
    """

    stacked: Mapping[str, Any]
    shared: Mapping[str, Any]
    mark: Any = None

    def alike(self) -> Hashable:
        """What calls of one batch have in common."""
        shapes = tuple(
            (name, tuple(each.shape[1:]), str(each.dtype)) for name, each in self.stacked.items()
        )
        return shapes, tuple((name, each.tobytes()) for name, each in self.shared.items())


def run(engine: Engine, calls: Sequence[Call], outputs: Sequence[str]) -> Sequence[Outputs]:
    """The outputs of several calls, made as one. Raises ModelFailed where they cannot be parted."""
    if calls[0].mark is not None:
        return _on_lane(engine, calls, outputs)
    if len(calls) == 1:
        return [engine.run({**calls[0].stacked, **calls[0].shared}, outputs)]
    first = calls[0]
    feeds = {name: np.concatenate([call.stacked[name] for call in calls]) for name in first.stacked}
    return _parted(engine.run({**feeds, **first.shared}, outputs), _counts(calls))


def _on_lane(engine: Engine, calls: Sequence[Call], outputs: Sequence[str]) -> Sequence[Outputs]:
    """The same on the engine's own lane: its device waits for the callers', and they for it."""
    lane = engine.lane
    with lane:
        for call in calls:
            lane.after(call.mark, *(each for each in call.stacked.values() if not _is_array(each)))
        first = calls[0]
        feeds = {
            name: _joined(lane.device, [call.stacked[name] for call in calls])
            for name in first.stacked
        }
        given = engine.run_there({**feeds, **first.shared}, outputs)
        mark = lane.mark()
    parts = [given] if len(calls) == 1 else _parted(given, _counts(calls))
    return [{name: OnDevice(each, mark) for name, each in part.items()} for part in parts]


def _joined(device: str, tensors: Sequence[Any]) -> Any:
    """Inputs side by side. Arrays go up now: a call may mix them with tensors."""
    arrays = [torch.from_numpy(each) if _is_array(each) else each for each in tensors]
    there = [each.to(device, non_blocking=True) for each in arrays]
    return there[0] if len(there) == 1 else torch.cat(there)


def _is_array(fed: Any) -> bool:
    return isinstance(fed, np.ndarray)


def _counts(calls: Sequence[Call]) -> list[int]:
    return [len(next(iter(call.stacked.values()))) for call in calls]


def _parted(given: Mapping[str, Any], counts: Sequence[int]) -> Sequence[Outputs]:
    for name, each in given.items():
        if not each.ndim or len(each) != sum(counts):
            shape = "x".join(map(str, each.shape))
            said = f"{name!r} is {shape} for {sum(counts)} frames: it cannot be parted"
            raise ModelFailed(said)
    ends = np.cumsum(counts).tolist()
    spans = zip([0, *ends], ends, strict=False)
    return [{name: each[start:end] for name, each in given.items()} for start, end in spans]
