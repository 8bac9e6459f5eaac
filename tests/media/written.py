"""Files as a Writer leaves them."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from composer.media.coders import PictureSettings
from composer.media.reader import Reader
from composer.media.sound_encoder import SoundSettings
from composer.media.writer import Writer
from composer.node.formats import Carrier
from composer.node.frames import ColorTags, Moment
from composer.testing import sound
from tests.media.films import (
    Film,
    read_film,
)

TS = Fraction(1, 90_000)


FAST = PictureSettings(crf=4)


def moment(item: Any, color: ColorTags = ColorTags()) -> Moment:  # noqa: B008 - a frozen value
    return Moment(item.pts, item.time_base, color)


def timed(images: Sequence[av.VideoFrame], pts: Sequence[int], time_base: Fraction = TS) -> Any:
    for image, time in zip(images, pts, strict=True):
        image.pts, image.time_base = time, time_base
    return images


def write(
    path: Path,
    images: Sequence[av.VideoFrame] = (),
    blocks: Sequence[Any] = (),
    pictures: PictureSettings = FAST,
    coded: SoundSettings = SoundSettings(),  # noqa: B008 - a frozen value
    **options: Any,
) -> Film:
    """Write pictures and sound in the order of their times, and read the file by PyAV alone."""
    options = {"image": bool(images), "audio": bool(blocks)} | options
    writer = Writer(str(path), pictures, coded, **options)
    items = [*images, *blocks]
    for item in sorted(items, key=lambda item: item.pts * item.time_base):
        if isinstance(item, av.VideoFrame):
            writer.picture(item, moment(item))
        else:
            writer.sound(item, moment(item))
    writer.finish()
    writer.close()
    return read_film(path) if "%" not in path.name else Film()


def blocks_of(samples: Any, rate: int = 48_000, *, at: float = 0, size: int = 1000) -> list[Any]:
    return [
        sound(samples[:, start : start + size], rate, seconds=at + start / rate)
        for start in range(0, samples.shape[1], size)
    ]


def packets_of(path: Path) -> list[Any]:
    return list(Reader(str(path), sound=Carrier.PACKET).read())
