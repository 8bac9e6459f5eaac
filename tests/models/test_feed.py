from typing import Any, TypeAlias

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError

from composer.models.feed import LARGEST, WHOLE, Feed, Feeder, Feeding, Fit, parsed, settle
from composer.models.onnxfile import Value
from composer.node.frames import ColorTags
from composer.node.node import BadSetting
from composer.pictures import pixels
from composer.testing import picture
from tests.stubs import luma

Image: TypeAlias = NDArray[np.uint8]
Numbers: TypeAlias = NDArray[np.float64]

COLOUR = (200, 100, 50)
GREY = 124
"""COLOUR under BT.601: 0.299, 0.587 and 0.114 of red, green and blue."""


def flat(width: int, height: int, layout: str = "rgb24") -> av.VideoFrame:
    return picture(np.full((height, width, 3), COLOUR, np.uint8), layout)


def value(shape: str, dtype: str = "float32") -> Value:
    """An input as a file declares it: "1x3xHx64"."""
    return Value("x", dtype, tuple(int(s) if s.isdigit() else s for s in shape.split("x")))


def feed_of(**fields: Any) -> Feed:
    return Feed.model_validate(fields)


def fed(image: av.VideoFrame, shape: str = "", **fields: Any) -> NDArray[Any]:
    feeding = settle(feed_of(**fields), value(shape) if shape else None)
    return Feeder(feeding)(image)[0]


def pixels_of(array: NDArray[Any], layout: str) -> Numbers:
    """An input of one picture as (height, width, channel)."""
    inner = layout.replace("n", "").replace("t", "")
    return array.reshape([array.shape[layout.index(axis)] for axis in inner]).transpose(
        [inner.index(axis) for axis in "hwc"]
    )


# numbers


@pytest.mark.parametrize(
    ("channels", "levels"),
    [("rgb", COLOUR), ("bgr", COLOUR[::-1]), ("gray", (GREY,))],
)
@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8"])
@pytest.mark.parametrize("layout", ["nchw", "nhwc", "chw", "hwc", "nwhc", "nthwc", "nctwh"])
def test_each_pixel_is_where_the_layout_says(
    layout: str, dtype: str, channels: str, levels: tuple[int, ...]
) -> None:
    given = fed(flat(6, 4), layout=layout, dtype=dtype, channels=channels)
    extents = {"n": 1, "t": 1, "c": len(levels), "h": 4, "w": 6}
    assert given.shape == tuple(extents[axis] for axis in layout)
    assert given.dtype == dtype
    wanted = np.array(levels) / (1 if dtype == "uint8" else 255)
    numbers = pixels_of(given, layout)
    # Rounded twice at the most: when it was multiplied, and when the offset was added.
    assert np.abs(numbers - wanted).max() <= (0 if dtype == "uint8" else np.finfo(dtype).eps)


def test_every_pixel_of_a_picture_keeps_its_place() -> None:
    rows, columns = np.mgrid[0:5, 0:7]
    image = np.stack([rows * 40, columns * 30, rows * columns], -1).astype(np.uint8)
    for layout in ("nchw", "nhwc", "chw", "hwc", "nwhc", "ntchw", "nctwh"):
        given = fed(picture(image, "rgb24"), layout=layout, dtype="uint8")
        assert np.array_equal(pixels_of(given, layout), image), layout


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"range": (0, 255)},
        {"range": (-1, 1)},
        {"range": (1, 0)},
        {"mean": 0.5, "std": 0.25},
        {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)},
        {"range": (0, 255), "mean": (123.675, 116.28, 103.53), "std": (58.395, 57.12, 57.375)},
        {"channels": "bgr", "range": (0, 255), "mean": (104, 117, 123)},
        {"std": (2, 4, 8)},
        {"channels": "gray", "mean": 0.1307, "std": 0.3081},
        {"channels": "gray", "mean": (0.1307,)},
    ],
    ids=str,
)
def test_range_then_mean_then_std(fields: dict[str, Any], dtype: str) -> None:
    order = {"rgb": COLOUR, "bgr": COLOUR[::-1], "gray": (GREY,)}[fields.get("channels", "rgb")]
    low, high = fields.get("range", (0, 1))
    mean, std = np.array(fields.get("mean", 0)), np.array(fields.get("std", 1))
    scaled, offset = np.array(order) / 255 * (high - low) / std, (low - mean) / std
    wanted = (low + np.array(order) / 255 * (high - low) - mean) / std
    given = fed(flat(4, 4), layout="nhwc", dtype=dtype, **fields)
    # The scaled level, the offset and their sum are each rounded to the type.
    size = np.abs(scaled) + np.abs(offset) + np.abs(wanted)
    assert (np.abs(given[0] - wanted) <= np.finfo(dtype).eps * size).all()


@pytest.mark.parametrize("layout", ["yuv420p", "yuv422p", "yuv444p", "rgba", "gray"])
def test_a_picture_of_any_layout_has_the_colour_it_shows(layout: str) -> None:
    given = fed(flat(16, 8, layout), layout="nhwc", range=(0, 255))
    wanted = (GREY,) * 3 if layout == "gray" else COLOUR
    assert np.abs(given[0] - wanted).max() <= 2  # limited-range YUV has 219 steps, not 255


@pytest.mark.parametrize("matrix", [1, 5, 9])
def test_a_picture_is_read_as_its_tag_says(matrix: int) -> None:
    array = np.full((8, 16, 3), COLOUR, np.uint8)
    image = pixels.from_rgb(array, "yuv444p", ColorTags(matrix, 1, 1))
    assert np.abs(fed(image, layout="nhwc", range=(0, 255))[0] - COLOUR).max() <= 2


def test_a_picture_is_not_written_to() -> None:
    image = picture(np.full((4, 4, 3), 100, np.uint8), "yuv444p")
    before = luma(image)
    fed(image, size="2x2", fit="crop")[...] = 0
    assert luma(image) == before


# scaling


def covering(size: int, new: int) -> Numbers:
    """(new, size): how much of each old pixel lies in each new one."""
    edges = np.arange(new + 1) * size / new
    upper = np.minimum(edges[1:, None], np.arange(1, size + 1))
    covered = np.maximum(upper - np.maximum(edges[:-1, None], np.arange(size)), 0)
    weights: Numbers = covered * (new / size)
    return weights


def between(size: int, new: int) -> Numbers:
    """(new, size): how much each old pixel counts at the middle of each new one."""
    place = np.clip((np.arange(new) + 0.5) * size / new - 0.5, 0, size - 1)
    weights: Numbers = np.maximum(1 - np.abs(place[:, None] - np.arange(size)), 0)
    return weights


def noise(width: int, height: int) -> Image:
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
@pytest.mark.parametrize(
    "size", ["32x24", "16x12", "40x30", "33x25", "64x24", "63x47", "100x70", "64x96", "64x48"]
)
def test_less_pixels_are_means_and_more_lie_between(size: str, layout: str) -> None:
    image = noise(64, 48)
    width, height = parsed(size)
    weights = covering if width * height < 64 * 48 else between
    rows = np.tensordot(weights(48, height), image, (1, 0))
    wanted = np.tensordot(weights(64, width), rows, (1, 1)).swapaxes(0, 1)
    given = fed(picture(image, "rgb24"), size=size, layout=layout, range=(0, 255))
    # Half a level is rounding; the rest is what 14 bits of a weight leave out.
    assert np.abs(pixels_of(given, layout) - wanted).max() <= 0.75


# where the input lies in the picture

FITS = ("stretch", "pad", "crop")
STEP = 4
"""Levels from one pixel to the next in chart(), so that a level says where it was."""


def chart(width: int, height: int) -> Image:
    """Red says the column, green the row, and blue that this is picture and not padding."""
    rows, columns = np.mgrid[0:height, 0:width]
    return np.stack([columns * STEP, rows * STEP, np.full_like(rows, 200)], -1).astype(np.uint8)


@settings(max_examples=150, deadline=None)
@given(
    size=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    target=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    fit=st.sampled_from(FITS),
    layout=st.sampled_from(["rgb24", "yuv444p"]),
)
def test_a_point_of_the_input_is_found_in_the_picture(
    size: tuple[int, int], target: tuple[int, int], fit: str, layout: str
) -> None:
    feeding = settle(
        feed_of(size="{}x{}".format(*target), fit=fit, layout="hwc", range=(0, 255)), None
    )
    array, found = Feeder(feeding)(picture(chart(*size), layout))
    # Half a pixel is where scaling stops at an edge, and YUV is three levels wrong at times.
    room = 0.5 + np.maximum(0.75, np.array(size) / target / 2) + 3 / STEP
    rows, columns = np.mgrid[0 : target[1], 0 : target[0]]
    places = (np.stack([columns, rows], -1) + 0.5) / target
    scale, offset = [found.scale_x, found.scale_y], [found.offset_x, found.offset_y]
    there = places * scale + offset
    assert np.abs((there - offset) / scale - places).max() < 1e-9
    inside = ((there > 0) & (there < 1)).all(-1)
    assert np.array_equal(inside, array[..., 2] > 100)
    wanted, seen = there * size - 0.5, array[..., :2] / STEP
    assert (np.abs(seen - wanted)[inside] <= room).all()


@settings(deadline=None)
@given(
    size=st.tuples(st.integers(1, 99), st.integers(1, 99)),
    target=st.tuples(st.integers(1, 99), st.integers(1, 99)),
)
def test_pad_shows_the_whole_picture_in_its_shape_and_in_the_middle(
    size: tuple[int, int], target: tuple[int, int]
) -> None:
    wanted = "{}x{}".format(*target)
    array = fed(flat(*size), size=wanted, fit="pad", fill=7, dtype="uint8", layout="hwc")
    shown = np.argwhere((array == COLOUR).all(-1))
    (top, left), (bottom, right) = shown.min(0), shown.max(0) + 1
    assert len(shown) == (bottom - top) * (right - left)
    assert ((array == 7).all(-1)).sum() == array.shape[0] * array.shape[1] - len(shown)
    assert (left == 0 and right == target[0]) or (top == 0 and bottom == target[1])
    before, behind = np.array([left, top]), np.array(target) - [right, bottom]
    assert ((behind - before == 0) | (behind - before == 1)).all()  # the odd one lies behind
    scale = min(target[0] / size[0], target[1] / size[1])
    assert np.abs(np.array([right - left, bottom - top]) - np.array(size) * scale).max() <= 1


@settings(deadline=None)
@given(
    size=st.tuples(st.integers(2, 99), st.integers(2, 99)),
    target=st.tuples(st.integers(1, 99), st.integers(1, 99)),
    layout=st.sampled_from(["yuv420p", "yuv422p", "rgb24", "gray"]),
)
def test_crop_takes_the_largest_part_of_that_shape_in_the_middle(
    size: tuple[int, int], target: tuple[int, int], layout: str
) -> None:
    feeding = settle(feed_of(size="{}x{}".format(*target), fit="crop", layout="hwc"), None)
    array, fit = Feeder(feeding)(flat(*size, layout))
    assert array.shape[:2] == target[::-1]
    taken = np.array([fit.scale_x * size[0], fit.scale_y * size[1]])
    start = np.array([fit.offset_x * size[0], fit.offset_y * size[1]])
    ratio = min(size[0] / target[0], size[1] / target[1])
    assert (start >= 0).all()
    assert (start + taken <= np.array(size) + 1e-9).all()
    assert np.abs(taken - np.clip(np.array(target) * ratio, 2, size)).max() < 0.51
    assert np.abs(start - (size - taken) / 2).max() < 1.51  # on the grid of the chroma


def test_the_numbers_of_a_fit() -> None:
    assert Feeder(settle(feed_of(size=32), None))(flat(64, 48))[1] == WHOLE
    # 64x48 in a square of 64: 8 rows above and below, which are a sixth of the picture each
    padded = Feeder(settle(feed_of(size=64, fit="pad"), None))(flat(64, 48))[1]
    assert padded == Fit(1.0, 64 / 48, 0.0, -8 / 48)
    # the square in the middle of 64x48 leaves 8 columns on each side
    cropped = Feeder(settle(feed_of(size=32, fit="crop"), None))(flat(64, 48))[1]
    assert cropped == Fit(48 / 64, 1.0, 8 / 64, 0.0)
    same = Feeder(settle(feed_of(size="32x24", fit="crop"), None))(flat(64, 48))[1]
    assert same == WHOLE


def test_padding_is_the_fill_on_the_scale_of_the_input() -> None:
    array = fed(
        flat(8, 4),
        size=8,
        fit="pad",
        fill=114,
        channels="bgr",
        mean=(0.1, 0.2, 0.3),
        std=(0.5, 1, 2),
    )
    wanted = (114 / 255 - np.array([0.1, 0.2, 0.3])) / [0.5, 1, 2]
    assert np.abs(array[0, :, 0, 0] - wanted).max() < 1e-6
    assert np.abs(array[0, :, -1, -1] - wanted).max() < 1e-6


@pytest.mark.parametrize("layout", ["yuv420p", "yuv422p", "yuv444p", "rgb24", "rgba", "gray"])
@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("size", [(1, 1), (3, 5), (31, 17), (17, 64)])
def test_odd_sizes(size: tuple[int, int], fit: str, layout: str) -> None:
    wanted = (GREY,) * 3 if layout == "gray" else COLOUR
    array = fed(flat(*size, layout), size="15x9", fit=fit, layout="hwc", range=(0, 255))
    middle = array[4, 7]
    assert np.abs(middle - wanted).max() <= 3


# sizes


@pytest.mark.parametrize(
    ("written", "multiple", "picture_size", "wanted"),
    [
        (None, 1, (1280, 720), (1280, 720)),
        (640, 1, (1280, 720), (640, 640)),
        ("640x360", 1, (5, 5), (640, 360)),
        ("640x", 1, (1280, 720), (640, 360)),
        ("x360", 1, (1280, 720), (640, 360)),
        ("640x", 1, (720, 1280), (640, 1138)),
        ("640x", 32, (1280, 720), (640, 352)),
        ("x360", 32, (1280, 720), (640, 360)),
        (None, 32, (1281, 719), (1280, 704)),
        (None, 32, (3, 3), (32, 32)),
        ("641x", 32, (1280, 720), (641, 352)),
        ("641x359", 32, (1280, 720), (641, 359)),
        ("4x", 1, (1000, 1), (4, 1)),
        ("x480", 1, (16384, 1), (LARGEST, 480)),
        ("480x", 1, (1, 16384), (480, LARGEST)),
    ],
)
def test_what_the_file_leaves_open_follows_from_the_picture(
    written: object, multiple: int, picture_size: tuple[int, int], wanted: tuple[int, int]
) -> None:
    feeding = settle(feed_of(size=written, multiple=multiple), None)
    assert feeding.target(*picture_size) == wanted


@pytest.mark.parametrize(
    ("shape", "written", "wanted"),
    [
        ("1x3x64x128", None, (128, 64)),
        ("1x64x128x3", None, (128, 64)),
        ("1x3x64xW", None, (114, 64)),
        ("1x3xHxW", "100x", (100, 56)),
        ("1x3x64xW", "100x", (100, 64)),
        ("1x3x64x128", "128x64", (128, 64)),
        ("1x3xHxW", None, (1280, 720)),
    ],
)
def test_a_size_that_the_model_has_goes_before(
    shape: str, written: object, wanted: tuple[int, int]
) -> None:
    assert settle(feed_of(size=written), value(shape)).target(1280, 720) == wanted


def test_a_multiple_leaves_the_sizes_alone_that_the_model_has() -> None:
    feeding = settle(feed_of(multiple=32), value("1x3x100xW"))
    assert feeding.target(1280, 720) == (192, 100)


@pytest.mark.parametrize(
    ("written", "kept"),
    [(640, "640"), ("640", "640"), ("640x480", "640x480"), ("640x", "640x"), ("x480", "x480")],
)
def test_a_size_in_yaml(written: object, kept: str) -> None:
    assert feed_of(size=written).size == kept


_FORM = "should be a size as 640x480, 640 for a square, or 640x or x480"
_RANGE = "should be 1 to 16384 pixels wide and high"


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("", _FORM),
        ("x", _FORM),
        ("640X480", _FORM),
        ("640 x 480", _FORM),
        ("640x480x3", _FORM),
        ("-1", _FORM),
        (-1, _FORM),
        ("123456", _FORM),
        ("0", _RANGE),
        (0, _RANGE),
        ("0x480", _RANGE),
        ("640x0", _RANGE),
        ("x0", _RANGE),
        ("0x", _RANGE),
        ("16385", _RANGE),
        ("1x99999", _RANGE),
    ],
)
def test_a_size_that_is_none(written: object, said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        feed_of(size=written)
    assert caught.value.errors()[0]["msg"] == f"Value error, {said}"


@pytest.mark.parametrize("written", [True, 6.5, [640, 480]])
def test_a_size_that_is_not_even_text(written: object) -> None:
    with pytest.raises(ValidationError, match="Input should be a valid string"):
        feed_of(size=written)


@pytest.mark.parametrize("written", ["", "nchwc", "nch", "bchw", "NCHW", "hw"])
def test_axes_that_are_none(written: str) -> None:
    with pytest.raises(ValidationError) as caught:
        feed_of(layout=written)
    assert caught.value.errors()[0]["msg"] == (
        "Value error, should name each axis once: n (batch), t (time), c, h and w, as in nchw"
    )


def test_a_range_has_two_different_ends() -> None:
    with pytest.raises(ValidationError) as caught:
        feed_of(range=(1, 1))
    assert caught.value.errors()[0]["msg"] == "Value error, should be two different numbers"


# what follows from the model


@pytest.mark.parametrize(
    ("shape", "layout", "channels"),
    [
        ("1x3x64x64", "nchw", "rgb"),
        ("1x64x64x3", "nhwc", "rgb"),
        ("Nx1x64x64", "nchw", "gray"),
        ("1x64x64x1", "nhwc", "gray"),
        ("3xHxW", "chw", "rgb"),
        ("HxWx3", "hwc", "rgb"),
        ("1xCxHxW", "nchw", "rgb"),
        ("1x3x64x3", "nchw", "rgb"),
    ],
)
def test_layout_and_colours_follow_from_the_shape(shape: str, layout: str, channels: str) -> None:
    feeding = settle(Feed(), value(shape))
    assert (feeding.layout, feeding.channels) == (layout, channels)


@pytest.mark.parametrize(
    ("shape", "window", "layout"),
    [
        ("1x4x3x8x8", 4, "ntchw"),
        ("1x4x8x8x3", 4, "nthwc"),
        ("1x3x4x8x8", 4, "ncthw"),
        ("4x3x8x8", 4, "tchw"),
        ("4x8x8x3", 4, "thwc"),
    ],
)
def test_the_layout_of_several_frames(shape: str, window: int, layout: str) -> None:
    assert settle(Feed(), value(shape), window).layout == layout


def test_what_nobody_says_where_the_model_is_not_at_hand() -> None:
    plain = settle(Feed(), None)
    assert plain == Feeding(
        layout="nchw",
        dtype="float32",
        width=0,
        height=0,
        multiple=1,
        fit="stretch",
        fill=0,
        channels="rgb",
        scale=(1 / 255,) * 3,
        offset=(0.0,) * 3,
    )
    assert settle(Feed(), Value("x", "float32", None)) == plain
    assert settle(Feed(), None, window=4).layout == "ntchw"


@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8"])
def test_the_type_follows_from_the_model(dtype: str) -> None:
    assert settle(Feed(), value("1x3x8x8", dtype)).dtype == dtype


_INPUT = "'x' (float32 1x3x64x128)"
_BYTES = "the model takes bytes, which stay as they are"


@pytest.mark.parametrize(
    ("shape", "dtype", "fields", "window", "at", "said", "hint"),
    [
        pytest.param(
            *("1x4x8x8", "float32", {}, 1, "layout"),
            "the model takes 4 channels in 'x' (float32 1x4x8x8), and rgb has 3",
            "",
            id="four channels",
        ),
        pytest.param(
            *("1x3x64x128", "float32", {"channels": "gray"}, 1, "channels"),
            f"the model takes 3 channels in {_INPUT}, and gray has 1",
            "",
            id="gray where it takes colours",
        ),
        pytest.param(
            *("1x1x8x8", "float32", {"channels": "bgr"}, 1, "channels"),
            "the model takes 1 channels in 'x' (float32 1x1x8x8), and bgr has 3",
            "",
            id="colours where it takes gray",
        ),
        pytest.param(
            *("1x3x64x128", "float32", {"layout": "nhwc"}, 1, "layout"),
            f"the model takes 128 channels in {_INPUT}, and rgb has 3",
            "",
            id="the wrong order",
        ),
        pytest.param(
            *("1x3x64x128", "float32", {"layout": "chw"}, 1, "layout"),
            f"chw has 3 axes, and the model takes {_INPUT}",
            "",
            id="too few axes",
        ),
        pytest.param(
            *("Nx3x8x8", "float32", {"layout": "nchw"}, 4, "layout"),
            "the layout needs an axis t for the frames of `window`",
            "write it as ntchw, say",
            id="no axis for time",
        ),
        pytest.param(
            *("1x4x3x8x8", "float32", {}, 2, "window"),
            "the model takes 4 frames at once in 'x' (float32 1x4x3x8x8)",
            "write `window: 4`",
            id="another number of frames",
        ),
        pytest.param(
            *("1x3x64x128", "float32", {}, 4, "window"),
            f"the model takes one frame at a time in {_INPUT}",
            "leave it out",
            id="several frames for a model of one",
        ),
        pytest.param(
            *("4x3x8x8", "float32", {}, 1, ""),
            "the model takes 4 pictures at once in 'x' (float32 4x3x8x8)",
            "export it for one picture, or for any number",
            id="a batch of four",
        ),
        pytest.param(
            *("1x10", "float32", {}, 1, ""),
            "the model takes no picture in 'x' (float32 1x10)",
            "say what it takes in `takes:`",
            id="no picture",
        ),
        pytest.param(
            *("1x4x3x8x8", "float32", {}, 1, ""),
            "the model takes no picture in 'x' (float32 1x4x3x8x8)",
            "`window:` frames of it?",
            id="one picture where it takes several",
        ),
        pytest.param(
            *("1x3x64x128", "float32", {"size": "64x128"}, 1, "size"),
            f"the model takes {_INPUT}, got 64x128",
            "leave it out: it follows from the model",
            id="another size",
        ),
        pytest.param(
            *("1x3xHx128", "float32", {"size": "64x"}, 1, "size"),
            "the model takes 'x' (float32 1x3xHx128), got 64x",
            "leave it out: it follows from the model",
            id="another width",
        ),
        pytest.param(
            *("1x3x64x128", "float32", {"dtype": "uint8"}, 1, "dtype"),
            f"the model takes {_INPUT}, got uint8",
            "",
            id="another type",
        ),
        pytest.param(
            *("1x3x8x8", "int64", {}, 1, ""),
            "the model takes 'x' (int64 1x3x8x8), and a picture has no numbers of that type",
            "say what it takes in `takes:`",
            id="a type that no picture has",
        ),
        pytest.param(
            "1x3x8x8", "uint8", {"range": (0, 1)}, 1, "range", _BYTES, "", id="bytes in a range"
        ),
        pytest.param(
            "1x3x8x8", "uint8", {"mean": 0.5}, 1, "mean", _BYTES, "", id="bytes with a mean"
        ),
        pytest.param("1x3x8x8", "uint8", {"std": 2}, 1, "std", _BYTES, "", id="bytes with a std"),
        pytest.param(
            *("1x3x8x8", "float32", {"std": (1, 0, 1)}, 1, "std"),
            "nothing can be divided by 0",
            "",
            id="a std of 0",
        ),
        pytest.param(
            *("1x3x8x8", "float32", {"mean": (1, 2)}, 1, "mean"),
            "should be one number, or 3, got 2",
            "",
            id="two means for three channels",
        ),
        pytest.param(
            *("1x1x8x8", "float32", {"std": (1, 2, 3)}, 1, "std"),
            "should be one number, or 1, got 3",
            "",
            id="three for one channel",
        ),
    ],
)
@pytest.mark.parametrize("above", [(), ("takes", "x")])
def test_what_a_model_cannot_take(
    shape: str,
    dtype: str,
    fields: dict[str, Any],
    window: int,
    at: str,
    said: str,
    hint: str,
    above: tuple[str, ...],
) -> None:
    with pytest.raises(BadSetting) as caught:
        settle(feed_of(**fields), value(shape, dtype), window, above)
    assert (str(caught.value), caught.value.hint) == (said, hint)
    # The window is the node's, whichever input it does not fit.
    assert caught.value.at == (("window",) if at == "window" else (*above, *filter(None, [at])))


# one buffer


def grey(level: int, width: int = 4, height: int = 4) -> av.VideoFrame:
    return picture(np.full((height, width, 3), level, np.uint8), "rgb24")


def test_the_next_picture_is_written_where_the_last_one_was() -> None:
    feeder = Feeder(settle(feed_of(dtype="uint8"), None))
    first = feeder(grey(10))[0]
    second = feeder(grey(20))[0]
    assert np.shares_memory(first, second)
    assert (second == 20).all()


def test_a_picture_of_another_size_has_a_buffer_of_its_own_size() -> None:
    feeder = Feeder(settle(feed_of(dtype="uint8"), None))
    assert feeder(grey(10))[0].shape == (1, 3, 4, 4)
    assert feeder(grey(20, 6, 2))[0].shape == (1, 3, 2, 6)


@pytest.mark.parametrize("layout", ["ntchw", "nthwc", "ncthw", "tchw", "cthw"])
def test_a_window_holds_the_last_pictures_the_newest_last(layout: str) -> None:
    feeder = Feeder(settle(feed_of(dtype="uint8", layout=layout), None, window=3), window=3)
    axis = layout.index("t")
    seen = [_levels(feeder(grey(level))[0], axis) for level in (10, 20, 30, 40)]
    assert seen == [[10, 10, 10], [10, 10, 20], [10, 20, 30], [20, 30, 40]]


def test_a_window_begins_anew_with_a_picture_of_another_size() -> None:
    feeder = Feeder(settle(feed_of(dtype="uint8"), None, window=2), window=2)
    for level in (10, 20):
        feeder(grey(level))
    assert _levels(feeder(grey(30, 6, 6))[0], 1) == [30, 30]


def test_a_padded_window_keeps_its_padding() -> None:
    feeder = Feeder(
        settle(feed_of(dtype="uint8", size="8x4", fit="pad", fill=9), None, window=2), window=2
    )
    feeder(grey(10))
    array, fit = feeder(grey(20))
    assert array[0, :, 0, 2, :].tolist() == [
        [9, 9, 10, 10, 10, 10, 9, 9],
        [9, 9, 20, 20, 20, 20, 9, 9],
    ]
    assert fit == Fit(2.0, 1.0, -0.5, 0.0)


def _levels(array: NDArray[Any], axis: int) -> list[int]:
    """The level of each picture in a window; every pixel of one should have the same."""
    moved = np.moveaxis(array, axis, 0).reshape(array.shape[axis], -1)
    assert (moved == moved[:, :1]).all()
    return [int(each) for each in moved[:, 0]]
