"""Animated WebP, which FFmpeg does not read: its pictures by way of Pillow."""

import io
from collections.abc import Iterator
from fractions import Fraction
from typing import Final

import av
import numpy as np
import PIL.Image

from composer.errors import MediaError

TIME_BASE: Final = Fraction(1, 1000)

_ANIMATED: Final = 0x02
"""Flag in the chunk VP8X (RFC 9649, 2.7)."""


def is_animated(data: bytes) -> bool:
    """Whether these are the bytes of a WebP file with several pictures."""
    return data[:4] == b"RIFF" and data[8:16] == b"WEBPVP8X" and bool(data[20] & _ANIMATED)


def pictures(data: bytes, max_pixels: int) -> Iterator[av.VideoFrame]:
    """Whole pictures in rgba, with time and duration in 1/1000 s. Raises MediaError."""
    at = 0
    try:
        with PIL.Image.open(io.BytesIO(data), formats=("WEBP",)) as image:
            if image.width * image.height > max_pixels:
                raise MediaError(
                    f"its pictures of {image.width}x{image.height} are too large;"
                    f" {max_pixels} pixels are the most"
                )
            for index in range(getattr(image, "n_frames", 1)):
                image.seek(index)
                picture = av.VideoFrame.from_ndarray(np.asarray(image.convert("RGBA")), "rgba")
                picture.pts, picture.time_base = at, TIME_BASE
                picture.duration = int(image.info.get("duration", 0))
                at += max(picture.duration, 1)
                yield picture
    except (OSError, ValueError, SyntaxError, EOFError) as exc:
        raise MediaError("it is damaged") from exc
    except (PIL.Image.DecompressionBombError, PIL.Image.DecompressionBombWarning) as exc:
        raise MediaError("its pictures are too large") from exc
