"""Single pictures as bytes: which kind they are, how large, and from one kind into another."""

import io
from pathlib import Path
from typing import Any, Final

import numpy as np
import PIL.Image
import PIL.ImageOps

from composer.errors import MediaError

KINDS: Final = {"png": "PNG", "jpeg": "JPEG", "webp": "WEBP"}
"""The kinds of pictures, and what Pillow calls them."""

_QUALITY: Final[dict[str, dict[str, Any]]] = {
    "png": {"compress_level": 4},
    "jpeg": {"quality": 95, "subsampling": 0},
    "webp": {"lossless": True},
}


CLEAR: Final = ("png", "webp")
"""The kinds that have alpha."""


def kind_of(data: bytes) -> str:
    """png, jpeg or webp by the first bytes; "" for anything else."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if data.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    return "webp" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else ""


def size_of(data: bytes) -> tuple[int, int]:
    """Width and height as the header says them; nothing is decoded. Raises MediaError."""
    return _opened(data).size


def write_png(data: bytes, path: Path) -> None:
    """A picture of any kind as RGB, or as RGBA where it has alpha, in a PNG; upright. Raises
    MediaError.
    """
    image = _opened(data)
    try:
        image.load()
        if image.mode.startswith("I"):  # 16 bits: Pillow would cut the values off at 255
            image = PIL.Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
        mode = "RGBA" if image.has_transparency_data else "RGB"
        upright = PIL.ImageOps.exif_transpose(image).convert(mode)
    except (OSError, ValueError, SyntaxError) as exc:
        raise MediaError("the picture is damaged") from exc
    upright.save(path, "PNG", compress_level=0)


def write_raw_png(data: bytes, size: tuple[int, int], path: Path) -> None:
    """Packed RGB24 as a PNG."""
    PIL.Image.frombytes("RGB", size, data).save(path, "PNG", compress_level=0)


def from_png(path: Path, kind: str) -> tuple[bytes, tuple[int, int]]:
    """A PNG as a picture of this kind, or as packed RGB24 (kind "rgb"), and its size. Only those in
    CLEAR have alpha.
    """
    with PIL.Image.open(path, formats=("PNG",)) as image:
        clear = image.mode == "RGBA" and kind in CLEAR
        picture = image.convert("RGBA" if clear else "RGB")
    if kind == "rgb":
        return picture.tobytes(), picture.size
    buffer = io.BytesIO()
    picture.save(buffer, KINDS[kind], **_QUALITY[kind])
    return buffer.getvalue(), picture.size


def _opened(data: bytes) -> PIL.Image.Image:
    try:
        return PIL.Image.open(io.BytesIO(data), formats=tuple(KINDS.values()))
    except (PIL.Image.DecompressionBombError, PIL.Image.DecompressionBombWarning) as exc:
        raise MediaError("the picture is too large") from exc
    except (OSError, ValueError, SyntaxError) as exc:
        raise MediaError("the picture is damaged") from exc
