"""Tensorfeed: what `feed` and `answer` do for pictures of the host, for those of a device."""

from typing import TYPE_CHECKING, Any, NamedTuple

from composer import lazy
from composer.models.answer import Answer, AnswerInvalid, Seen, content, guessed
from composer.models.feed import WHOLE, Feeding, Fit, middle

with lazy.deferred():
    import torch

    from composer import tensors

if TYPE_CHECKING:
    from torch import Tensor


class _Extent(NamedTuple):
    width: int
    height: int


class TensorFeeder:
    """Turns device pictures into inputs: what composer.models.feed.Feeder does for a picture.

    The input stays on the device, in one buffer that is used again for the next picture: the model
    has to be on the same lane, or the lane has to wait for it.
    """

    def __init__(self, feeding: Feeding, window: int = 1) -> None:
        self._how, self._window = feeding, window
        self._buffer: Tensor | None = None

    @tensors.inferring
    def __call__(self, image: "Tensor") -> "tuple[Tensor, Fit]":
        """The input for a (3, H, W) RGB picture, and where it lies in it.

        With a window: the last pictures, the newest last; the first picture fills the window.
        """
        how = self._how
        old = _Extent(image.shape[2], image.shape[1])
        target = _Extent(*how.target(*old))
        shape = how.shape(*target, self._window)
        buffer = self._buffer
        first = buffer is None or buffer.shape != shape or buffer.device != image.device
        if first:
            buffer = torch.zeros(shape, dtype=tensors.dtype_of(how.dtype), device=image.device)
            self._buffer = buffer
        planes = _planes(buffer, how.layout)
        if self._window > 1 and not first:
            planes[:-1] = planes[1:].clone()
        fit = _write(image, old, target, how, planes[-1])
        if first:
            planes[:-1] = planes[-1]
        return buffer, fit


def fed(image: "Tensor", how: Feeding) -> "tuple[Tensor, Fit]":
    """The input for one (3, H, W) RGB picture, in memory of its own, and where it lies in it."""
    return TensorFeeder(how)(image)


def _planes(tensor: "Tensor", layout: str) -> "Tensor":
    """A view as (time, channel, height, width): of one picture, where n is not 1."""
    if "n" in layout:
        tensor = tensor.select(layout.index("n"), 0)
        layout = layout.replace("n", "")
    for axis in "tc":
        if axis not in layout:
            tensor, layout = tensor[None], axis + layout
    return tensor.permute([layout.index(axis) for axis in "tchw"])


def _write(image: "Tensor", old: _Extent, target: _Extent, how: Feeding, planes: "Tensor") -> Fit:
    """Fill (channels, height, width) with the picture. Says where that lies in it."""
    left = top = 0
    inner, fit = target, WHOLE
    if how.fit == "pad":
        ratio = min(target.width / old.width, target.height / old.height)
        inner = _Extent(
            min(max(1, round(old.width * ratio)), target.width),
            min(max(1, round(old.height * ratio)), target.height),
        )
        left, top = (target.width - inner.width) // 2, (target.height - inner.height) // 2
        fit = Fit(
            target.width / inner.width,
            target.height / inner.height,
            -left / inner.width,
            -top / inner.height,
        )
    elif how.fit == "crop" and old.width * target.height != old.height * target.width:
        shaped: Any = old  # its size is all that middle() looks at
        box = middle(shaped, *target)
        image = image[:, box.top : box.bottom, box.left : box.right]
        fit = Fit(
            box.width / old.width,
            box.height / old.height,
            box.left / old.width,
            box.top / old.height,
        )
    if how.channels == "gray":
        image = tensors.gray(image)[None]
    levels = tensors.resized(image, *inner)
    if how.channels == "bgr":
        levels = levels.flip(0)
    room = planes[:, top : top + inner.height, left : left + inner.width]
    for whole, plane, level, scale, offset in zip(
        planes, room, levels, how.scale, how.offset, strict=True
    ):
        if inner != target:
            whole.fill_(how.fill * scale + offset)
        if how.dtype == "uint8":
            plane.copy_(tensors.rounded(level * 255))
        else:
            plane.copy_(level * (255 * scale) + offset)
    return fit


@tensors.inferring
def read_image(answer: Answer, output: "Tensor", seen: Seen) -> "Tensor":
    """(3, H, W) RGB in 0..1 of an image that a model gave, without the padding that it was fed.

    What is no number is 0. Raises AnswerInvalid.
    """
    layout = answer.layout or guessed(output)
    if len(layout) != output.ndim:
        raise AnswerInvalid(f"layout {layout} does not fit the output, which is {_said(output)}")
    planes = _planes(output, layout)[-1]
    if len(planes) not in (1, 3):
        raise AnswerInvalid(f"an image has 1 or 3 channels, and the output is {_said(output)}")
    order = answer.channels or (seen.feeding.channels if seen.feeding is not None else "rgb")
    left, top, right, bottom = content(seen.fit, planes.shape[2], planes.shape[1])
    planes = planes[:, top:bottom, left:right]
    low, high = answer.range if answer.range is not None else (0.0, 1.0)
    if planes.dtype == torch.uint8:
        low, high = 0.0, 255.0
    image = planes.to(torch.float32).sub(low).mul_(1 / (high - low)).nan_to_num_(0).clamp_(0, 1)
    if order == "bgr":
        image = image.flip(0)
    return image.expand(3, -1, -1).contiguous()


def _said(output: "Tensor") -> str:
    return "x".join(map(str, output.shape))
