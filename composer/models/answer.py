"""Answer: what the output of a model means, as a value that other nodes understand."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from composer import lazy
from composer.models.feed import WHOLE, Axes, Feeding, Fit, Range
from composer.models.onnxfile import PRODUCTS
from composer.node.formats import Carrier, Format, Kind
from composer.node.values import Record

with lazy.deferred():
    import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Post: TypeAlias = Literal["image", "mask", "detections", "classes", "embedding", "text", "raw"]
Activation: TypeAlias = Literal["auto", "none", "sigmoid", "softmax"]

FORMATS: Final[Mapping[Post, Format]] = {
    "image": Format(Kind.PICTURE, "rgb24", Carrier.ARRAY),
    "mask": Format(Kind.MASK, "gray", Carrier.ARRAY),
    "detections": Format(Kind.DETECTIONS),
    "classes": Format(Kind.RECORD),
    "embedding": Format(Kind.RECORD),
    "text": Format(Kind.RECORD),
    "raw": Format(Kind.ARRAY, "", Carrier.ARRAY),
}
"""What each meaning travels as."""

PORT: Final = r"^([A-Za-z_][A-Za-z0-9_]{0,63})?$"
"""What a port may be called; "" for the usual name."""

MOST_SCORES: Final = 100
"""Classes up to which a record lists the score of each."""

MOST_NUMBERS: Final = 65_536
"""Numbers that an embedding may have: a record is a line of JSON."""


class AnswerInvalid(ValueError):
    """An output that does not have the meaning it was said to have."""


class Answer(BaseModel):
    """What one output means."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True, allow_inf_nan=False)

    post: Post = Field("raw", description="image, mask, classes, embedding, text or raw")
    port: str = Field("", pattern=PORT, description="name of the port")
    layout: Axes | None = Field(None, description="order of an image's axes, batch included")
    range: Range | None = Field(None, description="what 0 and 255 are in an image or mask")
    channels: Literal["rgb", "bgr", "gray"] | None = Field(
        None, description="order of an image's colours; that of the input if left out"
    )
    activation: Activation = Field(
        "auto",
        description="what turns the scores of classes, or a mask, into 0..1; auto leaves chances as"
        " they are, and takes softmax for classes that are none",
    )
    channel: int | None = Field(
        None,
        ge=0,
        description="the one of several maps that is the mask, or the class in a map of their"
        " numbers; else all but the first",
    )
    normalize: bool = Field(
        default=False, description="stretch a mask to 0..1; bring an embedding to length 1"
    )
    top: int = Field(5, ge=1, le=MOST_SCORES, description="classes to name, the best first")


@dataclass(frozen=True, slots=True)
class ReadContext:
    """What a reader knows besides the output: how the picture went in, and what classes are called.

    size: (width, height) of the model's input.
    """

    feeding: Feeding | None = None
    fit: Fit = WHOLE
    size: tuple[int, int] = (0, 0)
    labels: Sequence[str] = ()


Read: TypeAlias = Callable[[Answer, "NDArray[Any]", ReadContext], Any]


def read(answer: Answer, output: "NDArray[Any]", seen: ReadContext) -> Any:
    """The value of an output, its batch axis of 1 included. Raises AnswerInvalid."""
    with np.errstate(all="ignore"):  # models give what they like; what is no number is left out
        return READERS[answer.post](answer, output, seen)


# image


def _image(answer: Answer, output: "NDArray[Any]", seen: ReadContext) -> "NDArray[np.uint8]":
    """(height, width, 3) uint8 RGB of the model's own size, without the padding that it was fed."""
    planes = _planes(answer, output, seen)
    if backwards(answer, seen, len(planes), output):
        planes = planes[::-1]
    left, top, right, bottom = content(seen.fit, planes.shape[2], planes.shape[1])
    planes = planes[:, top:bottom, left:right]
    image = np.empty((*planes.shape[1:], 3), np.uint8)
    for channel in range(3):
        plane = planes[channel if len(planes) == 3 else 0]
        image[..., channel] = plane if plane.dtype == np.uint8 else _levels(plane, answer.range)
    return image


def backwards(answer: Answer, seen: ReadContext, channels: int, output: Any) -> bool:
    """Whether the colours of an image begin with blue. Raises AnswerInvalid for no image."""
    if channels not in (1, 3):
        raise AnswerInvalid(f"an image has 1 or 3 channels, and the output is {_shape(output)}")
    order = answer.channels or (seen.feeding.channels if seen.feeding is not None else "rgb")
    return order == "bgr" and channels == 3


def axes(answer: Answer, output: Any, seen: ReadContext) -> str:
    """The layout of an output, an array or a tensor. Raises AnswerInvalid."""
    layout = answer.layout or _guessed(tuple(output.shape), seen)
    if not layout:
        said = f"it cannot be told which axes of the output ({_shape(output)}) are rows and columns"
        raise AnswerInvalid(f"{said}; say its `layout`")
    if len(layout) != output.ndim:
        raise AnswerInvalid(f"layout {layout} does not fit the output, which is {_shape(output)}")
    return layout


def _planes(answer: Answer, output: "NDArray[Any]", seen: ReadContext) -> "NDArray[Any]":
    """The output as (channel, height, width)."""
    layout = axes(answer, output, seen)
    order = [layout.index(axis) for axis in layout if axis in "nt"]
    for axis in sorted(order, reverse=True):
        output = output.take(-1 if layout[axis] == "t" else 0, axis)
    inner = layout.replace("n", "").replace("t", "")
    if "c" not in inner:
        output, inner = output[None], "c" + inner
    planes: NDArray[Any] = output.transpose([inner.index(axis) for axis in "chw"])
    return planes


def _guessed(shape: tuple[int, ...], seen: ReadContext) -> str:
    if len(shape) == 4:
        return "n" + _channelled(shape[1:], seen)
    if len(shape) == 3 and shape[0] == 1:
        return "nhw"
    if len(shape) == 3:
        return _channelled(shape, seen)
    return "hw" if len(shape) == 2 else ""


def _channelled(shape: tuple[int, ...], seen: ReadContext) -> str:
    """Where the channels are: an image has 1 or 3, and maps of classes have the picture's shape."""
    first, middle, last = shape
    if first in (1, 3) or last in (1, 3):
        return "chw" if first in (1, 3) else "hwc"
    width, height = seen.size
    before, behind = middle * width == last * height, first * width == middle * height
    if before != behind:
        return "chw" if before else "hwc"
    return "hwc" if seen.feeding is not None and seen.feeding.layout.endswith("c") else "chw"


def _levels(plane: "NDArray[Any]", ends: tuple[float, float] | None) -> "NDArray[np.uint8]":
    """Numbers of a range (0..1 for None) as 0..255, rounded; what is no number is 0."""
    low, high = ends if ends is not None else (0.0, 1.0)
    scaled = np.multiply(plane, np.float32(255 / (high - low)), dtype=np.float32)
    scaled += np.float32(0.5 - low * 255 / (high - low))
    np.fmax(scaled, 0, out=scaled)  # fmax and fmin take the number where the other is none
    np.fmin(scaled, 255, out=scaled)
    levels: NDArray[np.uint8] = scaled.astype(np.uint8)
    return levels


def content(fit: Fit, width: int, height: int) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of what is picture and not padding, in an output of this size."""
    if fit.scale_x <= 1 and fit.scale_y <= 1:
        return 0, 0, width, height
    left, right = _span(-fit.offset_x / fit.scale_x, 1 / fit.scale_x, width)
    top, bottom = _span(-fit.offset_y / fit.scale_y, 1 / fit.scale_y, height)
    return left, top, right, bottom


def _span(start: float, extent: float, size: int) -> tuple[int, int]:
    """Pixels of a part of `size`, one at least."""
    first = min(round(start * size), size - 1)
    return first, max(first + 1, round((start + extent) * size))


# mask


def _mask(answer: Answer, output: "NDArray[Any]", seen: ReadContext) -> "NDArray[np.uint8]":
    """(height, width) uint8 with the shape of the whole picture: 0 outside, 255 inside."""
    level = _chosen_map(answer, _planes(answer, output, seen))
    if answer.normalize:
        level = _stretched(level.astype(np.float32))
    if level.dtype == np.bool_:
        mask = level.astype(np.uint8) * 255
    elif level.dtype == np.uint8 and answer.range is None:
        mask = level
    else:
        mask = _levels(level, None if answer.normalize else answer.range)
    return _placed(np.ascontiguousarray(mask), seen.fit)


def _stretched(level: "NDArray[np.float32]") -> "NDArray[np.float32]":
    """The least number of a map becomes 0 and the largest 1; what is not finite does not count."""
    finite = level[np.isfinite(level)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    stretched: NDArray[np.float32] = (level - low) / max(high - low, 1e-9)
    return stretched


def _chosen_map(answer: Answer, planes: "NDArray[Any]") -> "NDArray[Any]":
    if len(planes) > 1 and answer.channel is None:
        inside: NDArray[Any] = planes.argmax(0) != 0
        return inside
    channel = answer.channel or 0
    if len(planes) == 1 and answer.channel is not None and _are_classes(planes, channel):
        named: NDArray[Any] = planes[0] == channel
        return named
    if channel >= len(planes):
        raise AnswerInvalid(f"there is no map {channel}: the output has {len(planes)}")
    level: NDArray[Any] = planes[channel]
    if answer.activation == "softmax":
        level = _softmax(planes.astype(np.float32), 0)[channel]
    return _sigmoid(level) if answer.activation == "sigmoid" else level


def _are_classes(planes: "NDArray[Any]", channel: int) -> bool:
    """Whether a map has the number of a class in each pixel; in bytes it may also be a mask."""
    return planes.dtype.kind in "iu" and (planes.dtype != np.uint8 or channel > 0)


def _placed(mask: "NDArray[np.uint8]", fit: Fit) -> "NDArray[np.uint8]":
    """A mask of the input as one of the picture: padding cut off, what crop left out is outside."""
    height, width = mask.shape
    left, top, right, bottom = content(fit, width, height)
    if (left, top, right, bottom) != (0, 0, width, height):
        return np.ascontiguousarray(mask[top:bottom, left:right])
    if fit.scale_x >= 1 and fit.scale_y >= 1:
        return mask
    whole = np.zeros((round(height / fit.scale_y), round(width / fit.scale_x)), np.uint8)
    left, top = round(fit.offset_x * whole.shape[1]), round(fit.offset_y * whole.shape[0])
    room = whole[top : top + height, left : left + width]
    room[...] = mask[: room.shape[0], : room.shape[1]]
    return whole


# classes, embedding, text


def _classes(answer: Answer, output: "NDArray[Any]", seen: ReadContext) -> Record:
    """{label, score, scores: {label: score}}: the best class, and the `top` ones or all of few."""
    if not output.size:
        raise AnswerInvalid("the output is empty")
    if output.size == 1 and output.dtype.kind in "iu":  # its last step was to choose
        label = label_of(int(output.item()), seen.labels)
        return {"label": label, "score": 1.0, "scores": {label: 1.0}}
    scores = np.nan_to_num(_likely(answer, output.reshape(1, -1))[0])
    best = np.argsort(-scores, kind="stable")
    shown = best if scores.size <= MOST_SCORES else best[: answer.top]
    named: dict[str, float] = {}
    for each in shown.tolist():  # of classes with the same name the best one counts
        named.setdefault(label_of(each, seen.labels), round(float(scores[each]), 6))
    label, score = next(iter(named.items()))
    return {"label": label, "score": score, "scores": named}


def _likely(answer: Answer, output: "NDArray[Any]") -> "NDArray[np.float32]":
    """The chances of each class, for every row of an output."""
    scores = output.astype(np.float32)
    scores = np.nan_to_num(scores, nan=-np.inf if answer.activation == "softmax" else 0.0)
    if answer.activation == "none" or (answer.activation == "auto" and are_chances(scores)):
        return scores
    # One class alone is weighed against none: a softmax of it would always be 1.
    if answer.activation == "sigmoid" or scores.shape[1] == 1:
        return _sigmoid(scores)
    return _softmax(scores, 1)


def are_chances(scores: "NDArray[Any]") -> bool:
    """Whether scores of classes can be chances, each for itself: 0..1, but for what rounding does.

    They need not sum up to 1: a picture may have several labels, or one of which nothing is known.
    """
    sure = scores[np.isfinite(scores)]
    return not sure.size or (float(sure.min()) > -ROUNDING and float(sure.max()) < 1 + ROUNDING)


ROUNDING: Final = 0.01
"""How far beyond 0 and 1 a chance may lie: a few steps of float16."""


def made_by(answer: Answer, op: str) -> Answer:
    """The same with what the op behind an output says of its activation, if nobody else does.

    What a layer gives without an activation are no chances, even if all lie within 0 and 1.
    """
    if answer.activation != "auto" or answer.post not in ("classes", "text"):
        return answer
    if op in _ACTIVATIONS:
        return answer.model_copy(update={"activation": "none"})
    return answer.model_copy(update={"activation": "softmax"}) if op in _LAYERS else answer


_ACTIVATIONS: Final = frozenset({"Sigmoid", "HardSigmoid", "Softmax", "Hardmax"})
_LAYERS: Final = PRODUCTS | {"LogSoftmax"}


def label_of(index: int, labels: Sequence[str]) -> str:
    return labels[index] if 0 <= index < len(labels) else str(index)


def _embedding(answer: Answer, output: "NDArray[Any]", seen: ReadContext) -> Record:
    """{embedding: [numbers]}"""
    if output.size > MOST_NUMBERS:
        raise AnswerInvalid(f"an embedding has at most {MOST_NUMBERS} numbers, got {output.size}")
    vector = np.nan_to_num(output.reshape(-1).astype(np.float32))
    if answer.normalize:
        vector = vector / max(float(np.linalg.norm(vector)), 1e-12)
    return {"embedding": [round(float(each), 6) for each in vector]}


def _text(answer: Answer, output: "NDArray[Any]", seen: ReadContext) -> Record:
    """{text, score}: read off an output of (steps, characters) by CTC, its blank the class 0.

    score: the mean of the characters', 0 where there are none.
    """
    if not output.size:
        return {"text": "", "score": 0.0}
    steps = np.nan_to_num(output.reshape(-1, output.shape[-1]))  # the batch is 1, wherever it is
    best = steps.argmax(1)
    likely = _likely(answer, steps)[np.arange(len(steps)), best]
    kept = (best != 0) & (np.diff(best, prepend=-1) != 0)
    letters = letters_of(seen.labels, steps.shape[1])
    text = "".join(letters[each] for each in best[kept])
    score = float(likely[kept].mean()) if kept.any() else 0.0
    return {"text": text, "score": round(score, 6)}


def letters_of(labels: Sequence[str], classes: int) -> Sequence[str]:
    """What each class of a CTC output stands for: models may add a blank before and a space after.

    Raises AnswerInvalid when the number of labels fits neither.
    """
    if len(labels) == classes:
        return labels
    if len(labels) == classes - 1:
        return ["", *labels]
    if len(labels) == classes - 2:
        return ["", *labels, " "]
    raise AnswerInvalid(f"the output has {classes} characters, and `labels` has {len(labels)}")


def _raw(answer: Answer, output: "NDArray[Any]", seen: ReadContext) -> "NDArray[Any]":
    """The output as the model gave it."""
    return output


def _softmax(levels: "NDArray[np.float32]", axis: int) -> "NDArray[np.float32]":
    raised = np.exp(levels - levels.max(axis, keepdims=True))
    likely: NDArray[np.float32] = raised / raised.sum(axis, keepdims=True)
    return likely


def _sigmoid(levels: "NDArray[Any]") -> "NDArray[np.float32]":
    likely: NDArray[np.float32] = 0.5 * (1 + np.tanh(0.5 * levels.astype(np.float32)))
    return likely


def _shape(output: Any) -> str:
    return "x".join(map(str, output.shape)) or "scalar"


READERS: Final[Mapping[Post, Read]] = {
    "image": _image,
    "mask": _mask,
    "classes": _classes,
    "embedding": _embedding,
    "text": _text,
    "raw": _raw,
}
"""How each meaning is read; detections take all outputs together, see composer.models.heads."""
