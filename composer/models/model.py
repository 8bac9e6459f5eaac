"""Model: what all nodes have in common that run a model, whatever runs it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal, TypeAlias

from pydantic import ConfigDict, Field, PrivateAttr, create_model

from composer import lazy
from composer.models import bind as binds
from composer.models.answer import Answer, Post, ReadContext
from composer.models.bind import (
    Binding,
    InputFeed,
    ValueIn,
    Wanted,
)
from composer.models.engine import Engine, ModelFailed
from composer.models.feed import Axes, Feed, Fitting, PerChannel, Range, Size, planar
from composer.models.labels import LabelsInvalid, labels_of
from composer.models.labels import read_file as read_labels
from composer.models.onnxfile import Signature
from composer.models.outputs import OutputReader, Thresholds
from composer.models.pool import POOL, Lease
from composer.models.runner import Runner, picture_of
from composer.node.formats import Carrier
from composer.node.node import BadSetting, Batching, Context, Fixed, Live, Node, ReadFile
from composer.node.values import Detection, Detections

with lazy.deferred():
    import numpy as np

    from composer.pictures import boxes

if TYPE_CHECKING:
    import av
    from numpy.typing import NDArray


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
    _runner: Runner | None = PrivateAttr(default=None)
    _reader: OutputReader = PrivateAttr()
    _binding: Binding = PrivateAttr()

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
        self._runner = Runner(
            key, engine, self._binding, ctx, window=self.window, numbers=self._numbers
        )
        tensors = {port for port, form in ctx.outputs.items() if form.carrier is Carrier.TENSOR}
        outputs = self._runner.outputs
        self._reader = OutputReader(self._binding, outputs, engine.logits, tensors)
        if self.warms:
            self._reader.learn(self._runner.warm_up(sized=not self.regions))

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

    def process(self, **values: Any) -> Any:
        """The model's outputs for a picture, and whatever else it takes, by port."""
        assert self._runner is not None
        if self._binding.regions:
            return self._on_each_region(self._runner, values)
        outputs, context = self._runner.run(values)
        return self._reader.read(outputs, context, self._thresholds())

    def see(self, **values: Any) -> None:
        """A picture that only goes into the window."""
        assert self._runner is not None
        self._runner.see(values)

    def close(self) -> None:
        if self._runner is not None:
            self._runner.close()
            self._runner = None
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def about(self) -> Mapping[str, Any]:
        return self._runner.about() if self._runner is not None else {}

    def _numbers(self, value: ValueIn) -> NDArray[Any]:
        """What its fields hold now for a value of the file."""
        numbers = [getattr(self, name) for name in value.fields]
        return np.array(numbers, value.dtype).reshape(value.shape)

    def _thresholds(self) -> Thresholds:
        return Thresholds(self.min_score, self.iou, self.most)

    # regions

    def _on_each_region(self, runner: Runner, values: Mapping[str, Any]) -> Detections:
        port = self._binding.pictures[0].port
        image, regions = planar(picture_of(values[port])), values["regions"]
        best = sorted(enumerate(regions), key=lambda numbered: -numbered[1].score)[:MOST_REGIONS]
        detections: list[Detection] = []
        for _, region in sorted(best, key=lambda numbered: numbered[0]):
            for box in boxes.found(image, Detections((region,)), margin=self.region_margin):
                outputs, context = runner.run({port: boxes.cut(image, box)})
                detections += self._of_region(region, box, image, outputs, context)
        return Detections(tuple(detections))

    def _of_region(
        self,
        region: Detection,
        box: boxes.PixelBox,
        image: av.VideoFrame,
        outputs: Mapping[str, NDArray[Any]],
        context: ReadContext,
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
                for each in self._reader.detections(outputs, context, self._thresholds())
            ]
        record = self._reader.read(outputs, context, self._thresholds())
        label, score = record.get("label", record.get("text", "")), record["score"]
        if not label or score < self.min_score:
            return []
        return [
            Detection(region.x, region.y, region.width, region.height, label, score, region.track)
        ]


def _derived(cls: type[Model], fields: Mapping[str, Any]) -> type[Model]:
    """A subclass with more fields, for one node of a file."""
    made: type[Model] = create_model(cls.__name__, __base__=cls, **fields)
    return made


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
