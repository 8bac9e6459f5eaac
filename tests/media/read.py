"""Files as a Reader gives them."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from composer.media.reader import Reader


def images_of(path: Path | str, layout: str = "yuv420p", **options: Any) -> list[av.VideoFrame]:
    reader = Reader(str(path), layout=layout, **options)
    images = [item for item in reader.read() if isinstance(item, av.VideoFrame)]
    reader.close()
    return images


def times_of(images: list[Any]) -> list[Fraction]:
    return [image.pts * image.time_base for image in images]


def at_packet(path: Path, number: int) -> int:
    """Byte at which a picture of a transport stream begins."""
    with av.open(str(path)) as file:
        places = [packet.pos for packet in file.demux(video=0) if packet.size]
    return places[number] or 0
