"""Tensorfeed: what `feed` and `answer` do for pictures of the host, for those of a device."""

from typing import TYPE_CHECKING

from composer import lazy
from composer.models.answer import Answer, ReadContext, axes, backwards, content
from composer.models.feed import Feeding, Fit, placed

with lazy.deferred():
    import torch

    from composer.device import tensors

if TYPE_CHECKING:
    from torch import Tensor


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
        old = image.shape[2], image.shape[1]
        target = how.target(*old)
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


def _write(
    image: "Tensor", old: tuple[int, int], target: tuple[int, int], how: Feeding, planes: "Tensor"
) -> Fit:
    """Fill (channels, height, width) with the picture. Says where that lies in it."""
    place = placed(how.fit, old, target)
    if place.cut is not None:
        left, top, right, bottom = place.cut
        image = image[:, top:bottom, left:right]
    if how.channels == "gray":
        image = tensors.gray(image)[None]
    levels = tensors.resized(image, place.width, place.height)
    if how.channels == "bgr":
        levels = levels.flip(0)
    rows = slice(place.top, place.top + place.height)
    columns = slice(place.left, place.left + place.width)
    room = planes[:, rows, columns]
    for whole, plane, level, scale, offset in zip(
        planes, room, levels, how.scale, how.offset, strict=True
    ):
        if (place.width, place.height) != target:
            whole.fill_(how.fill * scale + offset)
        if how.dtype == "uint8":
            plane.copy_(tensors.rounded(level * 255))
        else:
            plane.copy_(level * (255 * scale) + offset)
    return place.fit


@tensors.inferring
def read_image(answer: Answer, output: "Tensor", seen: ReadContext) -> "Tensor":
    """(3, H, W) RGB in 0..1 of an image that a model gave, without the padding that it was fed.

    What is no number is 0. Raises AnswerInvalid.
    """
    planes = _planes(output, axes(answer, output, seen))[-1]
    bgr = backwards(answer, seen, len(planes), output)
    left, top, right, bottom = content(seen.fit, planes.shape[2], planes.shape[1])
    planes = planes[:, top:bottom, left:right]
    low, high = answer.range if answer.range is not None else (0.0, 1.0)
    if planes.dtype == torch.uint8:
        low, high = 0.0, 255.0
    image = planes.to(torch.float32).sub(low).mul_(1 / (high - low)).nan_to_num_(0).clamp_(0, 1)
    if bgr:
        image = image.flip(0)
    return image.expand(3, -1, -1).contiguous()
