"""Small pictures with alpha, made ready once and then laid over many frames in place.

A sprite holds for each plane what remains of the picture below and what is added to it, so that a
frame costs one multiplication and one addition per sample, in 16 bits, only where the sprite is.
Alpha counts to 256 there: below * (256 - alpha) + value * alpha never passes 65535.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

import av
import numpy as np
import PIL.Image
import PIL.ImageOps
from numpy.typing import NDArray

from composer.node.formats import has_alpha
from composer.pictures import alpha, pixels
from composer.pictures.pixels import Plane

Words: TypeAlias = NDArray[np.uint16]

Box: TypeAlias = tuple[int, int, int, int]
"""(left, top, right, bottom); right and bottom are the first pixels outside."""

Window: TypeAlias = tuple[slice, slice]
"""Rows and columns of a plane."""

WHOLE: Final = 256
"""Alpha of what hides everything below."""

HALF: Final = 128
"""Half of WHOLE: added before the shift, so that the result is rounded."""

TILE: Final = 128
"""Pixels a side of the tiles that are skipped or copied whole. Smaller ones cost more calls than
they save: a call is worth about 15 000 samples."""

MEGAPIXELS: Final = 64
"""Largest picture that read() opens; decoded it takes 256 MB."""


class SpriteRect(NamedTuple):
    """A rectangle of a layer with something in it. solid: nothing of the picture below remains."""

    left: int
    top: int
    right: int
    bottom: int
    solid: bool


@dataclass(frozen=True, slots=True, eq=False)
class SpritePlane:
    """One plane of a sprite. keep: 256 - alpha. add: value * alpha + 128. Both (height, width)."""

    keep: Words
    add: Words
    parts: tuple[SpriteRect, ...]


@dataclass(frozen=True, slots=True)
class Ground:
    """What a sprite is made for: the planes it goes on, and how it falls on their chroma samples.

    odd_x, odd_y: it begins on the second luma sample of a chroma sample. edge_x, edge_y: it ends at
    the border of a picture of odd size, where the last chroma sample has one luma sample only.
    """

    layout: str
    matrix: int = pixels.UNSPECIFIED
    odd_x: bool = False
    odd_y: bool = False
    edge_x: bool = False
    edge_y: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Sprite:
    """A picture with alpha, ready to be laid on planes of one layout: Y, Cb, Cr."""

    width: int
    height: int
    ground: Ground
    layers: tuple[SpritePlane, ...]

    @property
    def nbytes(self) -> int:
        arrays = {id(words): words for layer in self.layers for words in (layer.keep, layer.add)}
        return sum(words.nbytes for words in arrays.values())


def ground(image: av.VideoFrame, box: Box) -> Ground:
    """What a sprite must be made for that covers `box` of this picture."""
    layout = image.format.name
    shift_x, shift_y = pixels.CHROMA_SHIFT[layout]
    left, top, right, bottom = box
    return Ground(
        layout=layout,
        matrix=int(image.colorspace),
        odd_x=bool(left & shift_x),
        odd_y=bool(top & shift_y),
        edge_x=right == image.width and bool(right & shift_x),
        edge_y=bottom == image.height and bool(bottom & shift_y),
    )


def prepare(rgba: Plane, on: Ground) -> Sprite:
    """A sprite of (height, width, 4) uint8 RGBA with straight alpha."""
    height, width = rgba.shape[:2]
    weights = _weights(on.matrix)
    scaled = _premultiplied(rgba)
    keep, (luma,) = _encoded(scaled, weights[:1])
    layers = [SpritePlane(keep, luma, _parts(keep))]
    halved = _halved(scaled, on)
    keep, chroma = _encoded(halved, weights[1:])
    parts = _parts(keep)
    layers += [SpritePlane(keep, add, parts) for add in chroma]
    return Sprite(width, height, on, tuple(layers))


def _weights(matrix: int) -> NDArray[np.float32]:
    """(3, 4): Y, Cb and Cr from red, green, blue and alpha, all of them times alpha."""
    rows = pixels.yuv_weights(matrix)
    return np.array([(*row, add) for row, add in zip(rows, (16, 128, 128), strict=True)], "f4")


def _premultiplied(rgba: Plane) -> NDArray[np.float32]:
    """(4, height, width): red, green and blue times alpha, and alpha; alpha is 0..256."""
    scaled = np.empty((4, *rgba.shape[:2]), np.float32)
    opaque = np.multiply(rgba[..., 3], np.float32(WHOLE / 255), out=scaled[3])
    for channel in range(3):
        np.multiply(rgba[..., channel], opaque, out=scaled[channel])
    return scaled


def _halved(scaled: NDArray[np.float32], on: Ground) -> NDArray[np.float32]:
    """The mean over the luma samples of each chroma sample; outside of the sprite alpha is 0."""
    for axis, (shift, odd, edge) in enumerate(
        zip(
            pixels.CHROMA_SHIFT[on.layout],
            (on.odd_x, on.odd_y),
            (on.edge_x, on.edge_y),
            strict=True,
        )
    ):
        if not shift:
            continue
        along = 2 - axis
        scaled = _padded(scaled, along, before=int(odd))
        if scaled.shape[along] % 2:
            last = np.take(scaled, [-1], along)
            scaled = np.concatenate([scaled, last if edge else np.zeros_like(last)], along)
        first, second = (
            scaled[(slice(None),) * along + (slice(start, None, 2),)] for start in (0, 1)
        )
        scaled = (first + second) * np.float32(0.5)
    return scaled


def _padded(scaled: NDArray[np.float32], along: int, before: int) -> NDArray[np.float32]:
    if not before:
        return scaled
    return np.concatenate([np.zeros_like(np.take(scaled, [0], along)), scaled], along)


def _encoded(
    scaled: NDArray[np.float32], weights: NDArray[np.float32]
) -> tuple[Words, list[Words]]:
    """What remains of the planes below, and what is added to each of them."""
    keep = (WHOLE + 0.5 - scaled[3]).astype(np.uint16)
    flat = weights @ scaled.reshape(4, -1)
    # One half more than HALF: the cast cuts where it should round.
    add = (flat + np.float32(HALF + 0.5)).astype(np.uint16)
    return keep, [plane.reshape(keep.shape) for plane in add]


def _parts(keep: Words) -> tuple[SpriteRect, ...]:
    """The tiles that are not empty, those of one kind in a row and in a column as one part."""
    height, width = keep.shape
    if height <= TILE and width <= TILE:
        return _kind(keep, (0, 0, width, height))
    done: list[SpriteRect] = []
    above: list[SpriteRect] = []
    for top in range(0, height, TILE):
        bottom = min(top + TILE, height)
        row: list[SpriteRect] = []
        for left in range(0, width, TILE):
            right = min(left + TILE, width)
            for part in _kind(keep, (left, top, right, bottom)):
                if row and row[-1].right == left and row[-1].solid == part.solid:
                    row[-1] = row[-1]._replace(right=right)
                else:
                    row.append(part)
        if [part[::2] + part[4:] for part in row] == [part[::2] + part[4:] for part in above]:
            above = [part._replace(bottom=bottom) for part in above]
        else:
            done += above
            above = row
    return tuple(done + above)


def _kind(keep: Words, box: Box) -> tuple[SpriteRect, ...]:
    left, top, right, bottom = box
    tile = keep[top:bottom, left:right]
    if tile.min() == WHOLE:
        return ()
    return (SpriteRect(*box, solid=bool(tile.max() == 0)),)


def fade(sprite: Sprite, opacity: float) -> Sprite:
    """The same sprite, less opaque: 0 is gone, 1 as it is."""
    if opacity >= 1:
        return sprite
    factor = np.float32(opacity)
    seen: dict[int, Words] = {}
    layers = []
    for layer in sprite.layers:
        keep = seen.get(id(layer.keep))
        if keep is None:
            keep = (WHOLE + 0.5 - (WHOLE - layer.keep) * factor).astype(np.uint16)
            seen[id(layer.keep)] = keep
        add = ((layer.add - np.uint16(HALF)) * factor + np.float32(HALF + 0.5)).astype(np.uint16)
        parts = tuple(part._replace(solid=False) for part in layer.parts)
        layers.append(SpritePlane(keep, add, parts))
    return replace(sprite, layers=tuple(layers))


def blend(image: av.VideoFrame, sprite: Sprite, x: int, y: int) -> None:
    """Lay a sprite over a picture, in place, its corner at (x, y); what is outside is cut.

    It must have been made for such a ground: see ground().
    """
    shift_x, shift_y = pixels.CHROMA_SHIFT[image.format.name]
    assert image.format.name == sprite.ground.layout
    assert (bool(x & shift_x), bool(y & shift_y)) == (sprite.ground.odd_x, sprite.ground.odd_y)
    if has_alpha(sprite.ground.layout):
        _lay_over(pixels.planes(image), sprite, x, y)
        return
    luma, *chroma = pixels.planes(image)
    _lay(luma, sprite.layers[0], x, y)
    for plane, layer in zip(chroma, sprite.layers[1:], strict=True):
        _lay(plane, layer, x >> shift_x, y >> shift_y)


def _lay(plane: Plane, layer: SpritePlane, x: int, y: int) -> None:
    for here, there, solid in _inside(plane, layer, x, y):
        below, add = plane[here], layer.add[there]
        if solid:
            np.right_shift(add, 8, out=below, casting="unsafe")
            continue
        mixed = below.astype(np.uint16)
        mixed *= layer.keep[there]
        mixed += add
        mixed >>= 8
        below[...] = mixed


def _inside(
    plane: Plane, layer: SpritePlane, x: int, y: int
) -> Iterator[tuple[Window, Window, bool]]:
    """The parts of a layer that are inside of the plane: where there, where in the layer, solid."""
    height, width = plane.shape
    for part in layer.parts:
        left, right = max(part.left, -x), min(part.right, width - x)
        top, bottom = max(part.top, -y), min(part.bottom, height - y)
        if left < right and top < bottom:
            here = slice(y + top, y + bottom), slice(x + left, x + right)
            yield here, (slice(top, bottom), slice(left, right)), part.solid


def _lay_over(planes: list[Plane], sprite: Sprite, x: int, y: int) -> None:
    """The same on a picture with alpha, whose planes all have one size: Y, Cb, Cr, alpha."""
    *colours, clear = planes
    for here, there, _ in _inside(clear, sprite.layers[0], x, y):
        weights = WHOLE - sprite.layers[0].keep[there]
        share, clear[here] = alpha.over(clear[here], weights)
        part = share / np.float32(WHOLE)
        for plane, layer in zip(colours, sprite.layers, strict=True):
            value = (layer.add[there] - np.float32(HALF)) / np.maximum(weights, 1)
            plane[here] = np.rint(plane[here] * (1 - part) + value * part)


def fill(
    image: av.VideoFrame, boxes: Sequence[Box], color: tuple[int, int, int], opacity: float = 1.0
) -> None:
    """Paint rectangles of one colour (Y, Cb, Cr) over a picture, in place; cut at its borders.

    Chroma samples are painted by the part of them that a rectangle covers.
    """
    level = round(opacity * WHOLE)
    shift_x, shift_y = pixels.CHROMA_SHIFT[image.format.name]
    luma, *chroma = pixels.planes(image)
    clear = chroma.pop() if has_alpha(image.format.name) else None
    height, width = luma.shape
    for left, top, right, bottom in boxes:
        left, top, right, bottom = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
        if left >= right or top >= bottom or not level:
            continue
        if clear is not None:
            here = slice(top, bottom), slice(left, right)
            share, clear[here] = alpha.over(clear[here], np.uint16(level))
            for plane, value in zip((luma, *chroma), color, strict=True):
                _paint(plane[here], value, share)
            continue
        _paint(luma[top:bottom, left:right], color[0], level)
        columns, across = _cover(left, right, shift_x, width)
        rows, down = _cover(top, bottom, shift_y, height)
        covered = _alpha(across, down, level)
        for plane, value in zip(chroma, color[1:], strict=True):
            _paint(plane[rows, columns], value, covered)


def _cover(start: int, end: int, shift: int, extent: int) -> tuple[slice, Words | None]:
    """The chroma samples of start..end, and how much of each is covered; None is all of each."""
    samples = slice(start >> shift, -(-end >> shift))
    first_cut, last_cut = start & shift, end & shift and end != extent
    if not first_cut and not last_cut:
        return samples, None
    covered = np.full(samples.stop - samples.start, WHOLE, np.uint16)
    if first_cut:
        covered[0] = HALF
    if last_cut:
        covered[-1] = HALF
    return samples, covered


def _alpha(across: Words | None, down: Words | None, level: int) -> Words | int:
    """Alpha of each sample; a number when it is the same everywhere, and it may be one row."""
    if down is None and across is None:
        return level
    if down is None or across is None:
        covered = across if across is not None else np.asarray(down)[:, np.newaxis]
        return covered if level == WHOLE else _scaled(covered.astype(np.uint32) * level, 8)
    return _scaled(np.multiply.outer(down.astype(np.uint32), across) * level, 16)


def _scaled(product: NDArray[np.uint32], bits: int) -> Words:
    return ((product + (1 << (bits - 1))) >> bits).astype(np.uint16)


def _paint(below: Plane, value: int, opaque: Words | int) -> None:
    if isinstance(opaque, int):
        if opaque == WHOLE:
            below[...] = value
            return
        add: Words | np.uint16 = np.uint16(opaque * value + HALF)
    else:
        add = opaque * np.uint16(value)
        add += np.uint16(HALF)
    mixed = below.astype(np.uint16)
    mixed *= WHOLE - opaque
    mixed += add
    mixed >>= 8
    below[...] = mixed


class Shelf:
    """The sprites that were used last, by what they were made from; the oldest one goes first."""

    def __init__(self, most: int = 8, room: int = 64 << 20) -> None:
        """most: how many it keeps. room: bytes they may take together; the newest always stays."""
        self._most, self._room = most, room
        self._sprites: dict[Hashable, Sprite] = {}
        self._taken = 0

    def __len__(self) -> int:
        return len(self._sprites)

    def get(self, key: Hashable, make: Callable[[], Sprite]) -> Sprite:
        sprite = self._sprites.pop(key, None)
        if sprite is None:
            sprite = make()
            self._taken += sprite.nbytes
        self._sprites[key] = sprite
        while len(self._sprites) > self._most or (
            self._taken > self._room and len(self._sprites) > 1
        ):
            self._taken -= self._sprites.pop(next(iter(self._sprites))).nbytes
        return sprite

    def stamp(
        self,
        image: av.VideoFrame,
        key: Hashable,
        box: Box,
        draw: Callable[[Box], Plane],
        opacity: float = 1.0,
    ) -> None:
        """Lay what `draw` draws over `box` of a picture, in place.

        draw: gives (height, width, 4) uint8 RGBA of a part of the box, counted from its corner. It
        is called for the part inside of the picture, once per key, part, opacity and ground.
        """
        left, top = max(box[0], 0), max(box[1], 0)
        right, bottom = min(box[2], image.width), min(box[3], image.height)
        level = round(opacity * WHOLE)
        if left >= right or top >= bottom or not level:
            return
        part = (left - box[0], top - box[1], right - box[0], bottom - box[1])
        on = ground(image, (left, top, right, bottom))
        sprite = self.get((key, part, on), lambda: prepare(draw(part), on))
        if level < WHOLE:
            whole = sprite
            sprite = self.get((key, part, on, level), lambda: fade(whole, level / WHOLE))
        blend(image, sprite, left, top)


def read(path: Path) -> PIL.Image.Image:
    """The picture of a PNG, JPEG or WebP file, in mode RGBA.

    Raises ValueError, with a sentence for the reader, for any other file and for one above 64
    megapixels.
    """
    too_large = f"{path.name} is too large: at most {MEGAPIXELS} megapixels"
    try:
        with PIL.Image.open(path, formats=("PNG", "JPEG", "WEBP")) as image:
            if image.width * image.height > MEGAPIXELS * 1_000_000:
                raise ValueError(f"{too_large}, it has {image.width}x{image.height}")
            return _upright(image)
    except (PIL.Image.DecompressionBombError, PIL.Image.DecompressionBombWarning) as exc:
        raise ValueError(too_large) from exc
    except PIL.UnidentifiedImageError as exc:
        raise ValueError(f"{path.name} is not a PNG, JPEG or WebP picture") from exc
    except (OSError, SyntaxError) as exc:
        raise ValueError(f"{path.name} cannot be read: {exc}") from exc


def _upright(image: PIL.Image.Image) -> PIL.Image.Image:
    """The first picture of a file, turned as its camera says."""
    if image.mode.startswith("I;16"):  # Pillow cuts at 255 where it should scale
        image = PIL.Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return PIL.ImageOps.exif_transpose(image).convert("RGBA")
