"""Runner: a loaded model as one node runs it, from what comes at its ports to arrays."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from composer import lazy
from composer.models import call as calling
from composer.models.answer import ReadContext
from composer.models.batch import Batcher
from composer.models.bind import ArrayIn, Binding, PictureIn, StateIn, ValueIn
from composer.models.call import Call
from composer.models.engine import Engine, ModelFailed
from composer.models.feed import Feeder
from composer.models.onnxfile import Signature
from composer.models.pool import POOL, Lease
from composer.node.formats import Carrier
from composer.node.node import Batching, Context

with lazy.deferred():
    import numpy as np

    from composer.device import lanes
    from composer.models import tensorfeed
    from composer.pictures import pixels

if TYPE_CHECKING:
    import av
    from numpy.typing import NDArray

    from composer.models.tensorfeed import TensorFeeder

log: Final = logging.getLogger(__name__)

GUESSED_SIZE: Final = (256, 256)
"""Size of the picture for a warm-up where nothing says how large pictures will be."""


class Runner:
    """Makes what goes in, and shares calls with all who run this model in the same way.

    key: what tells the model from others. window: pictures that go in together. numbers: what the
    node has now for a value of the file. outputs: the names of the arrays that are read.
    """

    def __init__(
        self,
        key: Hashable,
        engine: Engine,
        binding: Binding,
        ctx: Context,
        *,
        window: int,
        numbers: Callable[[ValueIn], NDArray[Any]],
    ) -> None:
        self._engine, self._binding, self._ctx = engine, binding, ctx
        self._window, self._numbers = window, numbers
        self.outputs: Final = _wanted_outputs(binding, engine.signature)
        self._states: dict[str, Any] = {
            state.name: np.zeros(state.shape, state.dtype) for state in binding.states
        }
        self._feeders = {picture.name: self._feeder(picture) for picture in binding.pictures}
        self._there = any(form.carrier is Carrier.TENSOR for form in ctx.inputs.values())
        self._batcher = self._gather(key, ctx.batch)
        self._batcher.value.join()

    def _feeder(self, picture: PictureIn) -> Feeder | TensorFeeder:
        form = self._ctx.inputs.get(picture.port)
        if form is not None and form.carrier is Carrier.TENSOR:
            return tensorfeed.TensorFeeder(picture.feeding, self._window)
        return Feeder(picture.feeding, self._window)

    def _gather(self, key: Hashable, batch: Batching) -> Lease[Batcher[Call, dict[str, Any]]]:
        """Everybody who runs this model in the same way takes turns with us."""
        engine, outputs = self._engine, self.outputs

        def run(calls: Sequence[Call]) -> Sequence[dict[str, Any]]:
            return calling.run(engine, calls, outputs)

        def make() -> Batcher[Call, dict[str, Any]]:
            return Batcher(run, batch.most, batch.delay_ms / 1000)

        return POOL.lease(("batch", key, batch, outputs), make, lambda batcher: batcher.close())

    def close(self) -> None:
        """Leave those who share calls."""
        self._batcher.value.leave()
        self._batcher.close()

    def about(self) -> Mapping[str, Any]:
        """What the model is, and how often it was called."""
        tally = self._batcher.value.tally
        return {
            **self._engine.about,
            "calls": tally.calls,
            "items": tally.items,
            "largest_batch": tally.largest,
        }

    def warm_up(self, *, sized: bool) -> Mapping[str, Any]:
        """Run on made-up numbers, so that the first picture does not wait for what comes once.

        sized: whether pictures come in the size that the plan says. What it gave, by name; nothing
        where it was not run. Raises ModelFailed.
        """
        feeds: dict[str, Any] = {}
        sure = True
        for model_input in self._binding.ins:
            if isinstance(model_input, ArrayIn):
                return {}  # nobody knows its shape before it comes
            if isinstance(model_input, ValueIn):
                feeds[model_input.name] = self._numbers(model_input)
            elif isinstance(model_input, StateIn):
                feeds[model_input.name] = np.zeros(model_input.shape, model_input.dtype)
            else:
                feeds[model_input.name], known = self._empty(model_input, sized=sized)
                sure = sure and known
        shapes = tuple((name, array.shape) for name, array in feeds.items())
        if shapes in self._engine.warmed:
            return {}
        try:
            outputs = self._engine.run(feeds, self.outputs)
            self._engine.warmed.add(shapes)
        except Exception as exc:
            if sure:
                raise ModelFailed(f"it does not run on an empty picture: {exc}") from exc
            log.debug("no warm-up, since the size of the picture is not known: %s", exc)
            return {}
        return outputs

    def _empty(self, picture: PictureIn, *, sized: bool) -> tuple[NDArray[Any], bool]:
        """An empty picture as it goes in, and whether its size is known."""
        form, feeding = self._ctx.inputs.get(picture.port), picture.feeding
        known = sized and form is not None and form.width > 0 and form.height > 0
        width, height = (form.width, form.height) if known and form else GUESSED_SIZE
        shape = feeding.shape(*feeding.target(width, height), self._window)
        fixed = feeding.width > 0 and feeding.height > 0
        return np.zeros(shape, feeding.dtype), known or fixed

    def run(self, values: Mapping[str, Any]) -> tuple[dict[str, Any], ReadContext]:
        """The arrays for what came at the ports, by name, and how the first picture went in."""
        stacked: dict[str, Any] = {}
        shared: dict[str, Any] = {}
        context = ReadContext(labels=self._binding.labels)
        for model_input in self._binding.ins:
            if isinstance(model_input, PictureIn):
                feed, fit = self._feeders[model_input.name](picture_of(values[model_input.port]))
                stacked[model_input.name] = feed
                if context.feeding is None:
                    axes = dict(zip(model_input.feeding.layout, feed.shape, strict=True))
                    size = axes["w"], axes["h"]
                    context = ReadContext(model_input.feeding, fit, size, self._binding.labels)
            elif isinstance(model_input, ArrayIn):
                stacked[model_input.name] = values[model_input.port]
            elif isinstance(model_input, StateIn):
                stacked[model_input.name] = self._states[model_input.name]
            else:
                shared[model_input.name] = self._numbers(model_input)
        mark = lanes.mark(self._engine.lane.device) if self._there else None
        call = Call(stacked, shared, mark)
        outputs = self._batcher.value(call, call.alike())
        if mark is not None:
            outputs = {name: lanes.reach(out.tensor, out.mark) for name, out in outputs.items()}
        for state in self._binding.states:
            self._states[state.name] = outputs[state.output]
        return outputs, context

    def see(self, values: Mapping[str, Any]) -> None:
        """Pictures that only go into the window."""
        for picture in self._binding.pictures:
            self._feeders[picture.name](picture_of(values[picture.port]))


def _wanted_outputs(binding: Binding, signature: Signature) -> tuple[str, ...]:
    known = tuple(output.name for output in signature.outputs)
    wanted = [out.name or "".join(known[:1]) for out in binding.outs] or [*known]
    back = [state.output for state in binding.states]
    return tuple(dict.fromkeys([*wanted, *back]))


def picture_of(value: Any) -> av.VideoFrame:
    """A mask is an array; to the feeder everything is a picture, or a tensor of a device."""
    if not isinstance(value, np.ndarray):
        picture: av.VideoFrame = value
        return picture
    return pixels.from_mask(value)
