import struct
import zlib
from pathlib import Path
from typing import Any

import av
import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

from composer.pictures import pixels, sprite
from composer.testing import gradient, picture

LAYOUTS = ["yuv420p", "yuv422p", "yuv444p"]

PLACES = [
    pytest.param(4, 6, id="even"),
    pytest.param(5, 7, id="odd"),
    pytest.param(-5, -3, id="over the left top corner"),
    pytest.param(-4, 5, id="over the left border"),
    pytest.param(33, 21, id="over the right bottom corner"),
    pytest.param(15, 14, id="at the right bottom corner of 45x33"),
    pytest.param(60, 6, id="outside on the right"),
    pytest.param(6, -40, id="outside above"),
]


def colourful(width: int = 30, height: int = 19) -> NDArray[np.uint8]:
    """RGBA noise: every alpha, clear and opaque corners."""
    made = np.random.default_rng(7).integers(0, 256, (height, width, 4), np.uint8)
    made[:6, :6, 3], made[-6:, -6:, 3] = 0, 255
    return made


def laid(
    image: av.VideoFrame, rgba: NDArray[np.uint8], x: int, y: int, opacity: float = 1.0
) -> list[NDArray[Any]]:
    """The planes that must come out, worked out pixel by pixel in floating point."""
    height, width = image.height, image.width
    color, alpha = np.zeros((3, height, width)), np.zeros((height, width))
    weights = np.array(pixels.yuv_weights(int(image.colorspace)))
    yuv = weights @ rgba[..., :3].reshape(-1, 3).T.astype(float)
    yuv = (yuv + np.array([[16], [128], [128]])).reshape(3, *rgba.shape[:2])
    for row in range(rgba.shape[0]):
        for column in range(rgba.shape[1]):
            if 0 <= y + row < height and 0 <= x + column < width:
                alpha[y + row, x + column] = rgba[row, column, 3] / 255 * opacity
                color[:, y + row, x + column] = yuv[:, row, column]
    wanted = []
    for number, plane in enumerate(pixels.planes(image)):
        shifts = pixels.CHROMA_SHIFT[image.format.name] if number else (0, 0)
        through = mean(alpha, *shifts)
        wanted.append(plane * (1 - through) + mean(alpha * color[number], *shifts))
    return wanted


def mean(samples: NDArray[Any], shift_x: int, shift_y: int) -> NDArray[Any]:
    """The mean over the luma samples that each chroma sample of a picture has: fewer at an edge."""
    rows = range(0, samples.shape[0], 1 << shift_y)
    columns = range(0, samples.shape[1], 1 << shift_x)

    def sums(values: NDArray[Any]) -> NDArray[Any]:
        return np.add.reduceat(np.add.reduceat(values, rows, axis=0), columns, axis=1)

    means: NDArray[Any] = sums(samples) / sums(np.ones_like(samples))
    return means


def stamped(image: av.VideoFrame, rgba: NDArray[np.uint8], x: int, y: int, **kwargs: Any) -> None:
    sprite.Shelf().stamp(
        image,
        "it",
        (x, y, x + rgba.shape[1], y + rgba.shape[0]),
        lambda part: rgba[part[1] : part[3], part[0] : part[2]],
        **kwargs,
    )


def assert_planes_close(image: av.VideoFrame, wanted: list[NDArray[Any]]) -> None:
    """Within one level: the sums are rounded once, alpha has 256 steps."""
    for plane, expected in zip(pixels.planes(image), wanted, strict=True):
        assert np.abs(plane - expected).max() <= 1.0


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("size", [(64, 48), (45, 33), (16, 16), (2, 2), (1, 1)], ids=str)
@pytest.mark.parametrize(("x", "y"), PLACES)
def test_a_sprite_is_laid_where_it_belongs(
    layout: str, size: tuple[int, int], x: int, y: int
) -> None:
    image = picture(gradient(*size), layout)
    wanted = laid(image, colourful(), x, y)
    stamped(image, colourful(), x, y)
    assert_planes_close(image, wanted)


@pytest.mark.parametrize("opacity", [0.0, 0.25, 0.75, 1.0])
def test_opacity_thins_the_whole_sprite(opacity: float) -> None:
    image = picture(gradient(64, 48))
    wanted = laid(image, colourful(), 5, 6, opacity)
    stamped(image, colourful(), 5, 6, opacity=opacity)
    assert_planes_close(image, wanted)


@pytest.mark.parametrize("matrix", [1, 5, 9, 2], ids=["BT.709", "BT.601", "BT.2020", "untagged"])
def test_colours_follow_the_tag_of_the_picture(matrix: int) -> None:
    image = picture(gradient(16, 16))
    image.colorspace = matrix
    stamped(image, np.full((16, 16, 4), (200, 40, 90, 255), np.uint8), 0, 0)
    seen = [int(plane[0, 0]) for plane in pixels.planes(image)]
    assert np.abs(np.subtract(seen, pixels.yuv_of((200, 40, 90), matrix))).max() <= 1


def test_large_sprites_are_copied_where_solid_and_skipped_where_clear() -> None:
    rgba = colourful(400, 300)
    rgba[:, :150, 3], rgba[:140, 150:300, 3], rgba[140:, 150:, 3] = 0, 255, 255
    image = picture(gradient(420, 310))
    wanted = laid(image, rgba, 9, 4)
    stamped(image, rgba, 9, 4)
    assert_planes_close(image, wanted)
    made = sprite.prepare(rgba, sprite.Ground("yuv420p"))
    assert {part.solid for part in made.layers[0].parts} == {True, False}
    assert all(part.left >= 128 for part in made.layers[0].parts)


def test_a_grey_edge_on_grey_brings_no_colour() -> None:
    image = picture(np.full((32, 32, 3), 90, np.uint8))
    rgba = np.zeros((9, 9, 4), np.uint8)
    rgba[..., 0], rgba[2:7, 2:7] = 255, (200, 200, 200, 255)  # clear pixels are red
    stamped(image, rgba, 7, 7)
    for plane in pixels.planes(image)[1:]:
        assert np.abs(plane.astype(int) - 128).max() <= 1


@pytest.mark.parametrize("value", [0, 255])
@pytest.mark.parametrize("color", [0, 255])
def test_no_sum_overflows(value: int, color: int) -> None:
    image = av.VideoFrame(256, 16, "yuv420p")
    for plane in pixels.planes(image):
        plane[...] = value
    rgba = np.full((16, 256, 4), color, np.uint8)
    rgba[..., 3] = np.arange(256)
    wanted = laid(image, rgba, 0, 0)
    stamped(image, rgba, 0, 0)
    assert_planes_close(image, wanted)


@pytest.mark.parametrize("x", [-13, 3, 60])
def test_blend_cuts_at_the_borders_by_itself(x: int) -> None:
    image = picture(gradient(64, 48))
    wanted = laid(image, colourful(), x, 40)
    on = sprite.Ground("yuv420p", odd_x=bool(x % 2))
    sprite.blend(image, sprite.prepare(colourful(), on), x, 40)
    assert_planes_close(image, wanted)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("opacity", [1.0, 0.5])
@pytest.mark.parametrize(
    "box", [(4, 6, 20, 22), (5, 7, 8, 8), (-9, 3, 7, 99), (3, 2, 4, 30), (44, 32, 99, 99)], ids=str
)
def test_fill_paints_a_rectangle(layout: str, opacity: float, box: sprite.Box) -> None:
    image = picture(gradient(45, 33), layout)
    left, top, right, bottom = box
    rgba = np.full((bottom - top, right - left, 4), (250, 60, 20, 255), np.uint8)
    wanted = laid(image, rgba, left, top, opacity)
    sprite.fill(image, [box], pixels.yuv_of((250, 60, 20), 2), opacity)
    assert_planes_close(image, wanted)


def test_a_sprite_is_made_once_for_each_ground() -> None:
    calls, shelf = [], sprite.Shelf()

    def draw(part: sprite.Box) -> NDArray[np.uint8]:
        calls.append(part)
        return colourful()[part[1] : part[3], part[0] : part[2]]

    for x in (4, 4, 6, 5, 7, 4):
        shelf.stamp(picture(gradient(64, 48)), "it", (x, 4, x + 30, 23), draw)
    assert len(calls) == 2


def test_a_shelf_forgets_what_was_not_used_for_longest() -> None:
    made = sprite.prepare(colourful(), sprite.Ground("yuv420p"))
    shelf, calls = sprite.Shelf(most=2), ""
    for key in "abacab":

        def make() -> sprite.Sprite:
            nonlocal calls
            calls += key  # noqa: B023  called at once
            return made

        shelf.get(key, make)
    assert calls == "abcb"
    assert len(shelf) == 2


def test_a_shelf_holds_so_many_bytes() -> None:
    made = sprite.prepare(colourful(), sprite.Ground("yuv420p"))
    shelf = sprite.Shelf(most=100, room=made.nbytes * 3)
    for key in range(10):
        shelf.get(key, lambda: made)
    assert len(shelf) == 3
    assert made.nbytes == 30 * 19 * 4 + 15 * 10 * 6


@pytest.mark.parametrize(
    ("name", "options"),
    [("a.png", {}), ("a.webp", {"lossless": True, "exact": True}), ("a.jpg", {"quality": 95})],
)
def test_files_are_read(tmp_path: Path, name: str, options: dict[str, Any]) -> None:
    saved = PIL.Image.new("RGBA", (8, 6), (200, 30, 40, 128))
    (saved.convert("RGB") if name == "a.jpg" else saved).save(tmp_path / name, **options)
    found = sprite.read(tmp_path / name)
    assert (found.mode, found.size) == ("RGBA", (8, 6))
    wanted = (200, 30, 40, 255 if name == "a.jpg" else 128)
    assert np.abs(np.asarray(found)[2, 2].astype(int) - wanted).max() <= 3


def test_grey_of_16_bits_is_scaled(tmp_path: Path) -> None:
    PIL.Image.fromarray(np.full((4, 4), 0x80FF, np.uint16)).save(tmp_path / "deep.png")
    assert np.asarray(sprite.read(tmp_path / "deep.png"))[0, 0].tolist() == [128, 128, 128, 255]


def huge_png(path: Path, width: int, height: int) -> Path:
    """The beginning of a PNG that says it is this large."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + check

    head = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b""))
    return path


@pytest.mark.parametrize(
    ("side", "said"),
    [
        pytest.param(8001, ", it has 8001x8001$", id="a little more"),
        pytest.param(10_000, "", id="Pillow warns"),
        pytest.param(40_000, "", id="Pillow refuses"),
    ],
)
def test_a_picture_above_64_megapixels_is_refused(tmp_path: Path, side: int, said: str) -> None:
    path = huge_png(tmp_path / "huge.png", side, side)
    with pytest.raises(ValueError, match=f"huge.png is too large: at most 64 megapixels{said}"):
        sprite.read(path)


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"not a picture")
    with pytest.raises(ValueError, match=r"a\.png is not a PNG, JPEG or WebP picture"):
        sprite.read(tmp_path / "a.png")


def test_a_torn_file_is_refused(tmp_path: Path) -> None:
    PIL.Image.fromarray(colourful(200, 200)).save(tmp_path / "a.png")
    whole = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"a\.png cannot be read"):
        sprite.read(tmp_path / "a.png")
