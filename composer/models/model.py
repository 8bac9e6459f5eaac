"""Model: what all nodes have in common that run a model, whatever runs it."""

from __future__ import annotations

import logging
from collections import namedtuple
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal, TypeAlias

from pydantic import ConfigDict, Field, PrivateAttr, create_model

from composer import lazy
from composer.models import answer as answers
from composer.models import bind as binds
from composer.models import call as calling
from composer.models.answer import Answer, Post, ReadContext
from composer.models.batch import Batcher
from composer.models.bind import (
    ArrayIn,
    Binding,
    InputFeed,
    Out,
    PictureIn,
    StateIn,
    ValueIn,
    Wanted,
)
from composer.models.call import Call
from composer.models.engine import Engine, ModelFailed
from composer.models.feed import Axes, Feed, Feeder, Fitting, PerChannel, Range, Size, planar
from composer.models.labels import LabelsInvalid, labels_of
from composer.models.labels import read_file as read_labels
from composer.models.onnxfile import Signature
from composer.models.pool import POOL, Lease
from composer.node.formats import Carrier
from composer.node.node import BadSetting, Batching, Context, Fixed, Live, Node, ReadFile
from composer.node.values import Detection, Detections

with lazy.deferred():
    import numpy as np

    from composer.device import lanes
    from composer.models import heads, tensorfeed
    from composer.pictures import boxes, pixels

if TYPE_CHECKING:
    import av
    from numpy.typing import NDArray

    from composer.models.tensorfeed import TensorFeeder

log: Final = logging.getLogger(__name__)

HeadName: TypeAlias = Literal[
    "yolo5",
    "yolo8",
    "yolo10",
    "yolox",
    "ssd",
    "ultraface",
    "detr",
    "rtdetr",
    "yunet",
    "centerface",
    "db",
]
"""Names in composer.models.heads.HEADS, which is loaded only where somebody needs it."""

MOST_REGIONS: Final = 64
"""Regions of one picture that a model is run on; the best ones."""


class Model(Node):
    """What every node has that runs a model. Subclasses say how it is loaded."""

    model_config = ConfigDict(defer_build=True)  # three classes for each node: only one validates

    by_settings: ClassVar[bool] = True
    shared: ClassVar[bool] = True
    stateless: ClassVar[bool] = True
    blocking: ClassVar[bool] = True
    batches: ClassVar[bool] = True
    overlaps: ClassVar[bool] = True
    warms: ClassVar[bool] = True

    size: Size | None = Fixed(
        None,
        description="of the picture that goes in: 640x480, 640 for a square, 640x or x480 to keep"
        " its shape; else the model's own",
    )
    multiple: int | None = Fixed(
        None,
        ge=1,
        le=1024,
        description="a size left open is rounded to these; else to the file's `stride`",
    )
    fit: Fitting | None = Fixed(
        None,
        description="for a picture of another shape; stretch if left out, and for what"
        " Ultralytics exported as it was trained",
    )
    fill: int | None = Fixed(
        None, ge=0, le=255, description="grey that `fit: pad` fills with; 0, Ultralytics' 114"
    )
    layout: Axes | None = Fixed(
        None, description="order of the axes that go in, as nchw; else what the model's shape says"
    )
    dtype: Literal["float32", "float16", "uint8"] | None = Fixed(
        None, description="type of the numbers that go in; else the model's own"
    )
    channels: Literal["rgb", "bgr", "gray"] | None = Fixed(None, description="order of the colours")
    range: Range | None = Fixed(None, description="what 0 and 255 become; [0, 1] if left out")
    mean: PerChannel | None = Fixed(None, description="subtracted, on the scale of `range`")
    std: PerChannel | None = Fixed(None, description="divided by after that")
    takes: dict[str, InputFeed] = Fixed(
        default_factory=dict, description="what feeds each input of the model, by its name"
    )
    post: Post | None = Fixed(
        None, description="what the output means; else what the model's metadata says, or raw"
    )
    gives: dict[str, Answer] = Fixed(
        default_factory=dict, description="what each output means, by its name, instead of `post`"
    )
    head: HeadName | None = Fixed(
        None, description="how detections are read off the outputs; else told by their shapes"
    )
    labels: str | list[str] | dict[int, str] = ReadFile(
        "",
        description="names of the classes, also by their numbers, or a file of them: one a line,"
        " JSON or YAML",
    )
    min_score: float = Live(0.5, ge=0, le=1, description="detections that score less are left out")
    iou: float = Live(0.45, ge=0, le=1, description="overlap from which the weaker box goes")
    most: int = Live(100, ge=1, le=1000, description="detections in one picture at the most")
    regions: bool = Fixed(
        default=False, description="run on each region of the picture: an input `regions` more"
    )
    region_margin: float = Live(
        0.0, ge=0, le=2, description="added on each side of a region, in parts of its size"
    )
    window: int = Fixed(1, ge=1, le=256, description="the last so many pictures go in together")

    values: ClassVar[tuple[ValueIn, ...]] = ()

    _engine: Lease[Engine] | None = PrivateAttr(default=None)
    _batcher: Lease[Batcher[Call, dict[str, Any]]] | None = PrivateAttr(default=None)
    _binding: Binding = PrivateAttr()
    _feeders: dict[str, Any] = PrivateAttr(default_factory=dict)
    _outputs: tuple[str, ...] = PrivateAttr(default=())
    _given: Any = PrivateAttr(default=None)
    _there: bool = PrivateAttr(default=False)
    _stay: set[str] = PrivateAttr(default_factory=set)
    _states: dict[str, Any] = PrivateAttr(default_factory=dict)

    # what a subclass says

    def signature(self, folder: Path) -> Signature | None:
        """What the model takes and gives, None where that is not known before it is loaded.

        Opens no library. Raises BadSetting.
        """
        return None

    def key(self, ctx: Context) -> Hashable:
        """What tells this model from others that are loaded."""
        raise NotImplementedError

    def load(self, ctx: Context) -> Engine:
        """Load it. Raises ComposerError."""
        raise NotImplementedError

    # compile time

    def shaped(self, folder: Path, batch: Batching) -> Node:
        signature = self.signature(folder)
        binding = self._bind(signature, folder)
        check_batch(binding, signature, batch)
        fields: dict[str, Any] = {}
        for each in binding.values:
            _add_fields(fields, each, type(self))
        cls = _derived(type(self), fields)
        cls.__module__, cls.__doc__ = type(self).__module__, type(self).__doc__
        cls.inputs, cls.outputs, cls.values = binding.inputs, binding.outputs, binding.values
        cls.weights_bytes = signature.weights_bytes if signature is not None else 0
        cls.stateless = self.window == 1 and not binding.states
        cls.remembers = self.window > 1
        # It was checked when it was read; what is new are the numbers that a model takes.
        started = {name: info.default for name, info in cls.model_fields.items() if name in fields}
        made: Node = cls.model_construct(self.model_fields_set, **self.__dict__, **started)
        return made

    def _bind(self, signature: Signature | None, folder: Path) -> Binding:
        wanted = Wanted(
            feed=Feed(**{name: getattr(self, name) for name in binds.FEED}),
            takes=self.takes,
            gives=self.gives,
            post=self.post,
            head=self.head or "",
            window=self.window,
            regions=self.regions,
            labels=self._labels(folder),
            said=frozenset(name for name in binds.FEED if getattr(self, name) is not None),
        )
        return binds.bind(wanted, signature)

    def _labels(self, folder: Path) -> tuple[str, ...]:
        if not isinstance(self.labels, str):
            return labels_of(self.labels)
        if not self.labels:
            return ()
        try:
            return read_labels(folder / self.labels)
        except (OSError, LabelsInvalid) as exc:
            raise BadSetting(("labels",), f"{self.labels} cannot be used: {exc}") from exc

    # run time

    def setup(self, ctx: Context) -> None:
        key = self.key(ctx)
        self._engine = POOL.lease(key, lambda: self.load(ctx), lambda each: each.close())
        engine = self._engine.value
        self._binding = self._bind(engine.signature, ctx.folder)
        check_batch(self._binding, engine.signature, ctx.batch)
        self._check_ports()
        self._outputs = self._wanted_outputs(engine.signature)
        self._states = {
            each.name: np.zeros(each.shape, each.dtype) for each in self._binding.states
        }
        self._feeders = {each.name: self._feeder(each, ctx) for each in self._binding.pictures}
        self._there = any(each.carrier is Carrier.TENSOR for each in ctx.inputs.values())
        self._stay = {port for port, each in ctx.outputs.items() if each.carrier is Carrier.TENSOR}
        if len(self._binding.outs) > 1:
            self._given = _given([each.port for each in self._binding.outs])
        self._batcher = self._gather(key, ctx.batch, engine)
        self._batcher.value.join()
        if self.warms:
            self._warm_up(ctx, engine)

    def _check_ports(self) -> None:
        """Raises ModelFailed where a model that was not there to be read has other ports."""
        for planned, found in (
            (type(self).inputs, self._binding.inputs),
            (type(self).outputs, self._binding.outputs),
        ):
            names, there = ([port.name for port in each] for each in (planned, found))
            if planned and names != there:
                said = (
                    f"it has the ports {', '.join(there)}, and was planned with {', '.join(names)}"
                )
                raise ModelFailed(f"{said}; say in `takes` and `gives` what it has")

    def _feeder(self, each: PictureIn, ctx: Context) -> Feeder | TensorFeeder:
        given = ctx.inputs.get(each.port)
        if given is not None and given.carrier is Carrier.TENSOR:
            return tensorfeed.TensorFeeder(each.feeding, self.window)
        return Feeder(each.feeding, self.window)

    def _gather(
        self, key: Hashable, batch: Batching, engine: Engine
    ) -> Lease[Batcher[Call, dict[str, Any]]]:
        """Everybody who runs this model in the same way takes turns with us."""

        def run(calls: Sequence[Call]) -> Sequence[dict[str, Any]]:
            return calling.run(engine, calls, outputs)

        outputs = self._outputs

        def make() -> Batcher[Call, dict[str, Any]]:
            return Batcher(run, batch.most, batch.delay_ms / 1000)

        return POOL.lease(("batch", key, batch, outputs), make, lambda each: each.close())

    def _wanted_outputs(self, signature: Signature) -> tuple[str, ...]:
        known = tuple(each.name for each in signature.outputs)
        wanted = [each.name or "".join(known[:1]) for each in self._binding.outs] or [*known]
        back = [each.output for each in self._binding.states]
        return tuple(dict.fromkeys([*wanted, *back]))

    def _warm_up(self, ctx: Context, engine: Engine) -> None:
        """Run on made-up numbers, so that the first picture does not wait for what comes once."""
        feeds: dict[str, Any] = {}
        sure = True
        for each in self._binding.ins:
            if isinstance(each, ArrayIn):
                return  # nobody knows its shape before it comes
            if isinstance(each, ValueIn):
                feeds[each.name] = self._packed(each)
                continue
            if isinstance(each, StateIn):
                feeds[each.name] = np.zeros(each.shape, each.dtype)
                continue
            given = ctx.inputs.get(each.port)
            known = given is not None and given.width > 0 and given.height > 0 and not self.regions
            fixed = each.feeding.width > 0 and each.feeding.height > 0
            sure = sure and (known or fixed)
            width, height = (given.width, given.height) if known and given else GUESSED_SIZE
            shape = each.feeding.shape(*each.feeding.target(width, height), self.window)
            feeds[each.name] = np.zeros(shape, each.feeding.dtype)
        shapes = tuple((name, each.shape) for name, each in feeds.items())
        if shapes in engine.warmed:
            return
        try:
            made = engine.run(feeds, self._outputs)
            engine.warmed.add(shapes)
        except Exception as exc:
            if sure:
                raise ModelFailed(f"it does not run on an empty picture: {exc}") from exc
            log.debug("no warm-up, since the size of the picture is not known: %s", exc)
            return
        for out, name in zip(self._binding.outs, self._outputs, strict=False):
            self._settled(out, made[name])

    def process(self, **given: Any) -> Any:
        """The model's outputs for a picture, and whatever else it takes, by port."""
        if self._binding.regions:
            return self._on_each_region(given)
        outputs, seen = self._run(given)
        return self._read(outputs, seen)

    def see(self, **given: Any) -> None:
        """A picture that only goes into the window."""
        for each in self._binding.pictures:
            self._feeders[each.name](_picture_of(given[each.port]))

    def close(self) -> None:
        if self._batcher is not None:
            self._batcher.value.leave()
            self._batcher.close()
            self._batcher = None
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def about(self) -> Mapping[str, Any]:
        if self._engine is None or self._batcher is None:
            return {}
        tally = self._batcher.value.tally
        return {
            **self._engine.value.about,
            "calls": tally.calls,
            "items": tally.items,
            "largest_batch": tally.largest,
        }

    def _run(self, given: Mapping[str, Any]) -> tuple[dict[str, Any], ReadContext]:
        stacked: dict[str, Any] = {}
        shared: dict[str, Any] = {}
        seen = ReadContext(labels=self._binding.labels)
        for each in self._binding.ins:
            if isinstance(each, PictureIn):
                feed, fit = self._feeders[each.name](_picture_of(given[each.port]))
                stacked[each.name] = feed
                if seen.feeding is None:
                    axes = dict(zip(each.feeding.layout, feed.shape, strict=True))
                    size = axes["w"], axes["h"]
                    seen = ReadContext(each.feeding, fit, size, self._binding.labels)
            elif isinstance(each, ArrayIn):
                stacked[each.name] = given[each.port]
            elif isinstance(each, StateIn):
                stacked[each.name] = self._states[each.name]
            else:
                shared[each.name] = self._packed(each)
        assert self._engine is not None
        assert self._batcher is not None
        engine = self._engine.value
        mark = lanes.mark(engine.lane.device) if self._there else None
        call = Call(stacked, shared, mark)
        outputs = self._batcher.value(call, call.alike())
        if mark is not None:
            outputs = {n: lanes.reach(each.tensor, each.mark) for n, each in outputs.items()}
        for state in self._binding.states:
            self._states[state.name] = outputs[state.output]
        return outputs, seen

    def _packed(self, value: ValueIn) -> NDArray[Any]:
        numbers = [getattr(self, name) for name in value.fields]
        return np.array(numbers, value.dtype).reshape(value.shape)

    def _read(self, outputs: Mapping[str, NDArray[Any]], seen: ReadContext) -> Any:
        if not self._binding.outs:
            return Detections(tuple(self._detections(outputs, seen)))
        made = [
            self._meant(out, outputs[name], seen)
            for out, name in zip(self._binding.outs, self._outputs, strict=False)
        ]
        return made[0] if self._given is None else self._given(*made)

    def _meant(self, out: Out, output: Any, seen: ReadContext) -> Any:
        """The value of one output; an image of a device stays there where the plan wants it."""
        if out.port in self._stay:
            return tensorfeed.read_image(out.answer, output, seen)
        output = _hosted(output)
        return answers.read(self._settled(out, output), output, seen)

    def _settled(self, out: Out, output: NDArray[Any]) -> Answer:
        """What the output means. Scores that were no chances once are none in any other picture, in
        no session of this model: whether they get a softmax should not depend on the picture.
        """
        answer = out.answer
        if answer.activation != "auto" or answer.post not in ("classes", "text"):
            return answer
        assert self._engine is not None
        logits = self._engine.value.logits
        if out.name not in logits and answers.are_chances(output):
            return answer
        logits.add(out.name)
        return answer.model_copy(update={"activation": "softmax"})

    def _detections(
        self, outputs: Mapping[str, NDArray[Any]], seen: ReadContext
    ) -> list[Detection]:
        found = heads.decode(
            self._binding.head,
            {name: _unbatched(_hosted(each)) for name, each in outputs.items()},
            seen.size,
            min_score=self.min_score,
            iou=self.iou,
            most=self.most,
            export=self._binding.export,
        )
        fit = seen.fit
        scale = np.array([fit.scale_x, fit.scale_y] * 2)
        offset = np.array([fit.offset_x, fit.offset_y] * 2)
        corners = np.clip(found.corners * scale + offset, 0, 1)
        return [
            Detection(
                left, top, right - left, bottom - top, answers.label_of(label, seen.labels), score
            )
            for (left, top, right, bottom), score, label in zip(
                corners.tolist(), found.scores.tolist(), found.classes.tolist(), strict=True
            )
            if right > left and bottom > top
        ]

    # regions

    def _on_each_region(self, given: Mapping[str, Any]) -> Detections:
        port = self._binding.pictures[0].port
        image, regions = planar(_picture_of(given[port])), given["regions"]
        best = sorted(enumerate(regions), key=lambda each: -each[1].score)[:MOST_REGIONS]
        made: list[Detection] = []
        for _, region in sorted(best, key=lambda each: each[0]):
            for box in boxes.found(image, Detections((region,)), margin=self.region_margin):
                outputs, seen = self._run({port: boxes.cut(image, box)})
                made += self._of_region(region, box, image, outputs, seen)
        return Detections(tuple(made))

    def _of_region(
        self,
        region: Detection,
        box: boxes.PixelBox,
        image: av.VideoFrame,
        outputs: Mapping[str, NDArray[Any]],
        seen: ReadContext,
    ) -> list[Detection]:
        """What the model said of one region: its label and score, or what it found inside."""
        if not self._binding.outs:
            width, height = box.width / image.width, box.height / image.height
            left, top = box.left / image.width, box.top / image.height
            return [
                Detection(
                    left + each.x * width,
                    top + each.y * height,
                    each.width * width,
                    each.height * height,
                    each.label,
                    each.score,
                )
                for each in self._detections(outputs, seen)
            ]
        record = self._read(outputs, seen)
        label, score = record.get("label", record.get("text", "")), record["score"]
        if not label or score < self.min_score:
            return []
        return [
            Detection(region.x, region.y, region.width, region.height, label, score, region.track)
        ]


def _given(ports: Sequence[str]) -> Any:
    """The class of what a node with several outputs gives: their order counts, not their names."""
    return namedtuple("Given", ports, rename=True)  # a port may be called `class`


def _derived(cls: type[Model], fields: Mapping[str, Any]) -> type[Model]:
    """A subclass with more fields, for one node of a file."""
    made: type[Model] = create_model(cls.__name__, __base__=cls, **fields)
    return made


GUESSED_SIZE: Final = (256, 256)
"""Size of the picture for a warm-up where nothing says how large pictures will be."""


def _hosted(output: Any) -> NDArray[Any]:
    """An output as an array of the host; for one of a device the host waits here."""
    if isinstance(output, np.ndarray):
        return output
    array: NDArray[Any] = output.float().cpu().numpy()
    return array


def _picture_of(value: Any) -> av.VideoFrame:
    """A mask is an array; to the feeder everything is a picture, or a tensor of a device."""
    if not isinstance(value, np.ndarray):
        picture: av.VideoFrame = value
        return picture
    return pixels.from_mask(value)


def _unbatched(output: NDArray[Any]) -> NDArray[Any]:
    """An output without its batch axis of 1."""
    return output[0] if output.ndim > 1 and output.shape[0] == 1 else output


def _add_fields(fields: dict[str, Any], value: ValueIn, cls: type[Model]) -> None:
    """A live field for each number of the file (or for a list of them) that a model takes."""
    limits = {
        key: each for key, each in (("ge", value.least), ("le", value.most)) if each is not None
    }
    for name in value.fields:
        at = ("takes", value.name, "value")
        if name in cls.model_fields or name in fields or hasattr(cls, name):
            said = f"{name!r} is a field of the node already"
            raise BadSetting(
                at, said, f"give it another name: `value: {{name: {value.default[0]:g}}}`"
            )
        if name.startswith("_") or not name.isidentifier():
            raise BadSetting(at, f"{name!r} cannot name a field: use letters, digits and '_'")
    help_ = f"what the model takes as {value.name}"
    if len(value.fields) == len(value.default):
        for name, number in zip(value.fields, value.default, strict=True):
            fields[name] = (float, Live(number, description=help_, **limits))
        return
    count = len(value.default)
    each = float if not limits else _limited(limits)
    kept = Live(list(value.default), description=help_, min_length=count, max_length=count)
    fields[value.fields[0]] = (list[each], kept)  # type: ignore[valid-type]  # made at run time


def _limited(limits: Mapping[str, Any]) -> Any:
    return Annotated[float, Field(**limits)]


def check_batch(binding: Binding, signature: Signature | None, batch: Batching) -> None:
    """Raises BadSetting where a model cannot take several frames in one call."""
    if batch.most == 1:
        return
    if binding.states:
        raise BadSetting(("batch",), "each session has a state of its own, which cannot be shared")
    for each in binding.pictures:
        if not each.feeding.layout.startswith("n"):
            raise BadSetting(("batch",), f"the input {each.feeding.layout} has no axis n in front")
    if signature is None:
        return
    fed = {each.name for each in binding.ins if not isinstance(each, ValueIn)}
    ends = [each for each in signature.inputs if each.name in fed]
    for value in (*ends, *signature.outputs):
        if value.shape is not None and (not value.shape or isinstance(value.shape[0], int)):
            said = f"the model cannot take any number of frames at once: {value.name!r} is {value}"
            raise BadSetting(("batch",), said, "leave `batch` out, or export it with an open batch")
