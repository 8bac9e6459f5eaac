"""Device pictures beside what swscale and Feeder make of the same picture on the CPU."""

import math
import subprocess
import sys
import threading
from functools import lru_cache
from typing import Any, TypeAlias

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

torch: Any = pytest.importorskip("torch", reason="torch is not installed")

from composer.device import lanes, tensors  # noqa: E402 - after the skip
from composer.device.lanes import Lane, Pinned  # noqa: E402
from composer.models import answer as answers  # noqa: E402
from composer.models import tensorfeed  # noqa: E402
from composer.models.answer import Answer, AnswerInvalid, ReadContext  # noqa: E402
from composer.models.feed import WHOLE, Feed, Feeder, Feeding, Fit, parsed, settle  # noqa: E402
from composer.node.formats import LAYOUTS, YUV_LAYOUTS  # noqa: E402
from composer.node.frames import UNTAGGED, ColorTags  # noqa: E402
from composer.pictures import pixels  # noqa: E402
from tests.clips import BIKES, BUNNY, ROOT, fetched  # noqa: E402

Levels: TypeAlias = NDArray[np.float64]

MATRICES = (1, 2, 5, 6, 7, 9, 10)
"""AVColorSpace numbers; 4 (FCC) is close to BT.601 and taken for it by pixels.yuv_weights."""


def close(found: Any, wanted: Any, how: str) -> None:
    """Both in levels of 0..255. `how` says why they may differ, and so by how much."""
    most, mean, low = {
        # float32, and halves where the level is multiplied by 1 / 255 or a scale
        "the same": (1e-3, 1e-3, -1e-3),
        "in halves": (0.3, 0.1, -0.3),
        # Theirs are whole levels: half of one, and 0.02 for weights of 14 bits (seen: 0.53).
        "rounded": (0.55, 0.3, -0.55),
        # From 4:2:0 and 4:2:2 to RGB of the same size swscale's SIMD code cuts two (red, blue) or
        # three (green) products down instead of rounding their sum: it is up to 3 levels darker,
        # 1.1 on average (seen: 2.94). From 4:4:4 it is not, so it is no rule to follow.
        "cut": (3.0, 1.5, -0.55),
        # Scaled in two passes with weights of 14 bits, each rounded. Seen: 1.3 where pixels become
        # fewer, 1.9 where 144 rows become 1080, 2.3 where 720 become 900 and columns fewer.
        "scaled": (2.4, 0.3, -2.4),
        # Feeder crops RGB by way of 4:4:4, which is rounded once more (seen: 2.04).
        "by way of YUV": (2.5, 0.5, -2.5),
        # Colours out of gamut are cut to it here before they are scaled, there after it: at hard
        # edges single pixels differ more (seen: 9.8), the mean does not.
        "gamut": (11.0, 0.3, -11.0),
        # Feeder scales the planes of 4:2:0 and lets chroma lie between its samples, on the left
        # where the decoder said so; here it was repeated before. Only hard edges of colour show it
        # (seen: 48; mean 0.46 at 720p, 1.26 at 176x144).
        "chroma": (55.0, 1.4, -55.0),
        # A sample of chroma is the mean of four pixels; swscale's cubic filter also looks at the
        # rows around them (seen: 4, mean 0.17).
        "shared": (5.0, 0.3, -5.0),
    }[how]
    difference = np.asarray(found, np.float64) - np.asarray(wanted, np.float64)
    assert difference.max() <= most, how
    assert difference.min() >= low, how
    assert np.abs(difference).mean() <= mean, how


@lru_cache
def real(clip: str = "bunny", layout: str = "yuv420p") -> av.VideoFrame:
    """A picture of a real clip, in the middle of it."""
    path = {"bunny": BUNNY, "bikes": BIKES, "phone": ROOT / ".clips" / "carphone_pristine.mp4"}
    opened: Any
    with av.open(str(fetched(path[clip]))) as opened:
        image = [image for image, _ in zip(opened.decode(video=0), range(31), strict=False)][-1]
    return pixels.convert(image, layout)


def drawn(
    width: int, height: int, layout: str = "rgb24", color: ColorTags = UNTAGGED
) -> av.VideoFrame:
    """Two gradients and a coarse chart: every level, and edges of strong colour."""
    rows, columns = np.mgrid[0:height, 0:width]
    image = np.stack(
        [
            columns * 255 // max(1, width - 1),
            rows * 255 // max(1, height - 1),
            (rows // 6 + columns // 9) % 2 * 200 + 20,
        ],
        -1,
    )
    return pixels.from_rgb(image.astype(np.uint8), layout, color)


def levels(tensor: Any) -> Levels:
    """(3, H, W) of 0..255 on the host."""
    found: Levels = tensor.cpu().numpy().astype(np.float64) * 255
    return found


def rgb(image: av.VideoFrame) -> Levels:
    """(3, H, W) of 0..255, as swscale gives it."""
    return pixels.to_rgb(image).transpose(2, 0, 1).astype(np.float64)


def up(image: av.VideoFrame, device: str = "cpu", dtype: str = "float32") -> Any:
    return tensors.upload(image, device, Pinned(device), dtype)


def down(image: Any, layout: str, color: ColorTags = UNTAGGED) -> av.VideoFrame:
    return tensors.download(image, layout, color, Pinned(str(image.device)))


def spread(image: av.VideoFrame) -> av.VideoFrame:
    """The same picture in 4:4:4, each sample of its chroma repeated."""
    full = av.VideoFrame(image.width, image.height, "yuv444p")
    pixels.with_tags(full, pixels.tags(image), image.color_range)
    across, down = pixels.CHROMA_SHIFT[image.format.name]
    for there, here, shift in zip(
        pixels.planes(full),
        pixels.planes(image),
        ((0, 0), (down, across), (down, across)),
        strict=True,
    ):
        wide = here.repeat(1 << shift[0], 0).repeat(1 << shift[1], 1)
        there[...] = wide[: image.height, : image.width]
    return full


# up


@pytest.mark.parametrize("clip", ["bunny", "bikes", "phone"])
@pytest.mark.parametrize(
    ("layout", "how"),
    [
        ("yuv420p", "cut"),
        ("yuv422p", "cut"),
        ("yuv444p", "rounded"),
        ("rgb24", "the same"),
        ("rgba", "the same"),
        ("gray", "the same"),
    ],
)
def test_a_real_picture_goes_up(device: str, clip: str, layout: str, how: str) -> None:
    image = real(clip, layout)
    given = up(image, device)
    assert (given.dtype, given.shape) == (torch.float32, (3, image.height, image.width))
    assert str(given.device) == device
    assert given.is_contiguous()
    close(levels(given), rgb(image), how)


@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize(
    ("layout", "how"), [("yuv420p", "cut"), ("yuv422p", "cut"), ("yuv444p", "rounded")]
)
def test_a_gradient_goes_up_as_its_tag_says(
    device: str, matrix: int, layout: str, how: str
) -> None:
    image = drawn(96, 64, layout, ColorTags(matrix))
    close(levels(up(image, device)), rgb(image), how)


def test_tags_make_a_difference() -> None:
    """So that the test above can fail: the same planes are other colours under another tag."""
    image = drawn(96, 64, "yuv444p")
    plain = levels(up(image))
    pixels.with_tags(image, ColorTags(1), pixels.LIMITED)
    assert np.abs(levels(up(image)) - plain).max() > 10


@pytest.mark.parametrize("layout", ["yuv420p", "yuv444p"])
def test_a_picture_of_full_range_goes_up_as_such(device: str, layout: str) -> None:
    image = pixels.with_tags(drawn(96, 64, layout), UNTAGGED, pixels.FULL)
    wanted = rgb(pixels.with_tags(spread(image), UNTAGGED, pixels.FULL))
    close(levels(up(image, device)), wanted, "rounded")


@pytest.mark.parametrize("layout", YUV_LAYOUTS)
@pytest.mark.parametrize("size", [(1, 1), (2, 1), (1, 2), (3, 5), (31, 17), (17, 64), (64, 17)])
def test_odd_sizes_go_up(device: str, size: tuple[int, int], layout: str) -> None:
    image = drawn(*size, layout)
    close(levels(up(image, device)), rgb(spread(image)), "rounded")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_halves(device: str, layout: str) -> None:
    image = real("bunny", layout)
    given = up(image, device, "float16")
    assert given.dtype == torch.float16
    close(levels(given), levels(up(image, device)), "in halves")


def test_a_tensor_shares_nothing_with_what_goes_up_next(device: str) -> None:
    pool, image = Pinned(device), drawn(32, 16, "rgb24")
    before = [each.copy() for each in pixels.planes(image)]
    first = tensors.upload(image, device, pool)
    for _ in range(3):
        tensors.upload(pixels.from_rgb(np.zeros((16, 32, 3), np.uint8)), device, pool)
    close(levels(first), rgb(image), "the same")
    assert all(map(np.array_equal, before, pixels.planes(image)))


def test_going_up_nothing_waits(device: str) -> None:
    pool, image = Pinned(device), drawn(32, 16, "yuv420p")
    before = lanes.host_waits
    for _ in range(3):
        tensors.upload(image, device, pool)
    assert lanes.host_waits == before


def test_a_buffer_is_lent_again_when_its_copy_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    marks = [lanes.Mark() for _ in range(2)]
    given = iter(marks)
    monkeypatch.setattr(lanes, "mark", lambda device: next(given))
    pool, returned = Pinned("cpu"), []
    monkeypatch.setattr(pool, "give_back", lambda buffer, after: returned.append(after))
    there = tensors.upload(drawn(8, 8), "cpu", pool)
    assert returned == marks[:1]
    assert tensors.begin_download(there, "rgb24", UNTAGGED, pool).mark is marks[1]


# NV12


def nv12(image: av.VideoFrame, layout: str = "nv12") -> av.VideoFrame:
    """A 4:2:0 picture with the chroma of both kinds in one plane, as decoders on a device do."""
    plain = pixels.with_tags(pixels.copy(image), UNTAGGED, pixels.LIMITED)
    packed = plain.reformat(format=layout, src_color_range=1, dst_color_range=1)
    return pixels.with_tags(packed, pixels.tags(image), pixels.LIMITED)


def on(device: str, image: av.VideoFrame) -> tuple[Any, Any]:
    luma, chroma = (torch.from_dlpack(plane.__dlpack__()) for plane in image.planes)
    return luma.to(device), chroma.to(device)


@pytest.mark.parametrize("layout", ["nv12", "p010le"])
@pytest.mark.parametrize("clip", ["bunny", "bikes", "phone"])
def test_nv12_is_what_its_planes_are_apart(device: str, clip: str, layout: str) -> None:
    image = real(clip)
    luma, chroma = on(device, nv12(image, layout))
    assert chroma.shape == (image.height // 2, image.width // 2, 2)
    given = levels(tensors.from_nv12(luma, chroma, pixels.tags(image)))
    close(given, rgb(image), "cut")
    close(given, levels(up(image)), "the same")


@pytest.mark.parametrize("matrix", MATRICES)
def test_nv12_has_the_colours_of_its_tag(device: str, matrix: int) -> None:
    image = drawn(96, 64, "yuv420p", ColorTags(matrix))
    given = tensors.from_nv12(*on(device, nv12(image)), ColorTags(matrix))
    close(levels(given), rgb(spread(image)), "rounded")


def test_ten_bits_lie_between_levels(device: str) -> None:
    """Luma one quarter of a level above 100, as P010 writes it: in the upper ten of 16 bits."""
    luma = torch.full((2, 2), 100 * 256 + 64, dtype=torch.uint16, device=device)
    grey = torch.full((1, 1, 2), 128 * 256, dtype=torch.uint16, device=device)
    given = levels(tensors.from_nv12(luma, grey, UNTAGGED))
    close(given, np.full((3, 2, 2), (100.25 - 16) * 255 / 219), "the same")


@pytest.mark.parametrize("size", [(3, 2), (2, 3), (5, 7)])
def test_chroma_that_an_odd_nv12_lacks_is_that_of_its_neighbour(
    device: str, size: tuple[int, int]
) -> None:
    width, height = size
    rng = np.random.default_rng(3)
    image = av.VideoFrame(width, height, "yuv420p")
    luma, blue, red = pixels.planes(image)
    luma[...] = rng.integers(60, 180, luma.shape)
    for plane in (blue, red):
        whole = rng.integers(110, 146, (height // 2, width // 2)).astype(np.uint8)
        ends = [(0, plane.shape[axis] - whole.shape[axis]) for axis in (0, 1)]
        plane[...] = np.pad(whole, ends, mode="edge")
    short = np.stack([blue, red], -1)[: height // 2, : width // 2].copy()
    given = tensors.from_nv12(
        torch.tensor(luma.copy()).to(device), torch.from_numpy(short).to(device), UNTAGGED
    )
    close(levels(given), rgb(spread(image)), "rounded")


@pytest.mark.parametrize("layout", tensors.HARDWARE)
@pytest.mark.parametrize("full", [False, True])
def test_a_frame_of_a_decoder_is_read_where_it_is(layout: str, full: bool) -> None:  # noqa: FBT001
    """On the CPU, where a decoder's frame has planes of the same shapes."""
    image = nv12(drawn(96, 64, "yuv420p", ColorTags(1)), layout)
    pixels.with_tags(image, ColorTags(1), pixels.FULL if full else pixels.LIMITED)
    given = tensors.from_hardware(image)
    luma, chroma = on("cpu", image)
    assert torch.equal(given, tensors.from_nv12(luma, chroma, ColorTags(1), full=full))
    assert given.dtype == torch.float32
    assert tensors.from_hardware(image, "float16").dtype == torch.float16


def test_a_frame_that_no_decoder_leaves_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"^a decoder leaves nv12 or p010le on a device, got rgb24$"
    ):
        tensors.from_hardware(drawn(4, 4))


@pytest.mark.cuda
def test_a_clip_is_decoded_on_the_device() -> None:
    """Torch was here first, so the decoder takes the context it finds (see PyAV's #2339)."""
    torch.zeros(1, device="cuda:0")
    options: dict[str, object] = {"primary_ctx": "0", "current_ctx": "1"}
    accel = av.codec.hwaccel.HWAccel(
        "cuda", is_hw_owned=True, allow_software_fallback=False, options=options
    )
    opened: Any
    plain: Any
    with av.open(str(fetched(BUNNY)), hwaccel=accel) as opened, av.open(str(BUNNY)) as plain:
        lane, pool = Lane("cuda:0"), Pinned("cuda:0")
        seen = 0
        for there, here in zip(opened.decode(video=0), plain.decode(video=0), strict=True):
            with lane:
                given = tensors.from_hardware(there)
                back = tensors.begin_download(given, "yuv420p", UNTAGGED, pool)
            image = tensors.finish_download(back)
            # H.264 is decoded to the same bits everywhere, and what they become there they become
            # here: as a device's pictures, colours out of gamut are cut.
            wanted = down(tensors.from_hardware(here.reformat(format="nv12")), "yuv420p")
            for plane, other in zip(pixels.planes(image), pixels.planes(wanted), strict=True):
                assert np.abs(plane.astype(int) - other).max() <= 1
            seen += 1
        assert seen == 132


# down


@pytest.mark.parametrize("clip", ["bunny", "bikes", "phone"])
@pytest.mark.parametrize("matrix", [2, 1])
@pytest.mark.parametrize("layout", YUV_LAYOUTS)
def test_a_real_picture_comes_down(device: str, layout: str, matrix: int, clip: str) -> None:
    # It does not say where chroma lies, as no picture from a device does: in the middle.
    image = pixels.from_rgb(pixels.planes(real(clip, "rgb24"))[0])
    color = ColorTags(matrix, 1, 13)
    found = down(up(image, device), layout, color)
    wanted = pixels.convert(image, layout, color=color)
    assert (found.format.name, found.width, found.height) == (layout, image.width, image.height)
    assert (pixels.tags(found), int(found.color_range)) == (color, pixels.LIMITED)
    luma, *chroma = zip(pixels.planes(found), pixels.planes(wanted), strict=True)
    assert np.abs(luma[0].astype(int) - luma[1]).max() <= 1  # rounded on either side of a half
    for plane, other in chroma:
        close(plane, other, "shared")


@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("layout", YUV_LAYOUTS)
def test_chroma_is_the_mean_of_the_pixels_that_share_it(
    device: str, layout: str, matrix: int
) -> None:
    image = real("phone", "rgb24")
    found = pixels.planes(down(up(image, device), layout, ColorTags(matrix)))
    across, down_ = pixels.CHROMA_SHIFT[layout]
    weights = np.array(pixels.yuv_weights(pixels.sws_matrix(matrix)))
    for plane, each, offset in zip(found, weights, (16, 128, 128), strict=True):
        levels_of = np.tensordot(each, rgb(image), 1) + offset
        if offset == 128:
            rows, columns = plane.shape
            levels_of = levels_of.reshape(rows, 1 << down_, columns, 1 << across).mean((1, 3))
        assert np.abs(plane - levels_of).max() <= 0.501


@pytest.mark.parametrize("matrix", MATRICES)
def test_a_gradient_comes_down_as_its_tag_says(device: str, matrix: int) -> None:
    image = drawn(96, 64)
    found = down(up(image, device), "yuv444p", ColorTags(matrix))
    wanted = pixels.convert(image, "yuv444p", color=ColorTags(matrix))
    for plane, other in zip(pixels.planes(found), pixels.planes(wanted), strict=True):
        assert np.abs(plane.astype(int) - other).max() <= 1


@pytest.mark.parametrize("layout", ["rgb24", "rgba"])
def test_rgb_comes_down_as_it_is(device: str, layout: str) -> None:
    image = drawn(33, 17, layout)
    found = down(up(image, device), layout, ColorTags(1))
    assert np.array_equal(pixels.planes(found)[0], pixels.planes(image)[0])
    assert (pixels.tags(found), int(found.color_range)) == (UNTAGGED, pixels.FULL)


def test_grey_comes_down(device: str) -> None:
    image = real("bunny", "rgb24")
    found = down(up(image, device), "gray")
    difference = (
        pixels.planes(found)[0].astype(int) - pixels.planes(pixels.convert(image, "gray"))[0]
    )
    assert np.abs(difference).max() <= 1
    assert int(found.color_range) == pixels.FULL


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("size", [(1, 1), (2, 1), (3, 5), (31, 17)])
def test_odd_sizes_come_down(device: str, size: tuple[int, int], layout: str) -> None:
    """A flat colour has the same planes whatever shares a sample with what."""
    array = np.full((size[1], size[0], 3), (200, 100, 50), np.uint8)
    image = pixels.from_rgb(array)
    found = down(up(image, device), layout)
    for plane, other in zip(
        pixels.planes(found), pixels.planes(pixels.convert(image, layout)), strict=True
    ):
        assert plane.shape == other.shape
        assert np.abs(plane.astype(int) - other).max() <= 1


def test_a_last_odd_sample_is_the_mean_of_what_it_covers(device: str) -> None:
    """3x3 in 4:2:0: the corner's sample covers one pixel, those beside it two."""
    array = np.random.default_rng(5).integers(0, 256, (3, 3, 3), np.uint8)
    found = pixels.planes(down(up(pixels.from_rgb(array), device), "yuv420p"))[1]
    of_blue = np.array(pixels.yuv_weights(2)[1])
    for row, column in np.ndindex(2, 2):
        covered = array[2 * row : 2 * row + 2, 2 * column : 2 * column + 2].reshape(-1, 3)
        assert abs(found[row, column] - (covered.mean(0) @ of_blue + 128)) <= 0.51


def test_what_is_brighter_than_white_and_darker_than_black_is_cut(device: str) -> None:
    image = torch.tensor([[[-0.5, 1.5]], [[-3, 3]], [[-0.001, 1.001]]], device=device)
    assert pixels.planes(down(image, "rgb24"))[0].tolist() == [[[0] * 3, [255] * 3]]
    assert pixels.planes(down(image, "yuv444p"))[0].tolist() == [[16, 235]]
    assert image.min() == -3  # the tensor itself is left alone


@pytest.mark.parametrize("layout", YUV_LAYOUTS)
def test_a_picture_that_was_only_up_and_down_is_the_same(device: str, layout: str) -> None:
    """But for colours that RGB does not have, and those there are none of here."""
    rng = np.random.default_rng(2)
    image = av.VideoFrame(64, 48, layout)
    for plane, (low, high) in zip(
        pixels.planes(image), ((80, 170), (110, 146), (110, 146)), strict=True
    ):
        plane[...] = rng.integers(low, high, plane.shape)
    found = down(up(image, device), layout)
    assert all(map(np.array_equal, pixels.planes(found), pixels.planes(image)))


def test_the_host_waits_once_for_a_picture_and_in_the_thread_that_finishes_it(device: str) -> None:
    pool, lane = Pinned(device), Lane(device)
    image = drawn(64, 32)
    done: list[av.VideoFrame] = []
    with lane:
        before = lanes.host_waits
        there = tensors.resized(tensors.upload(image, device, pool), 32, 16)
        begun = tensors.begin_download(there, "rgb24", UNTAGGED, pool)
        assert lanes.host_waits == before
    thread = threading.Thread(target=lambda: done.append(tensors.finish_download(begun)))
    thread.start()
    thread.join()
    assert lanes.host_waits == before + 1
    wanted = pixels.convert(image, "rgb24", 32, 16, interpolation="AREA")
    close(pixels.to_rgb(done[0]), pixels.to_rgb(wanted), "scaled")


def test_a_buffer_comes_back_when_the_picture_is_finished(device: str) -> None:
    pool = Pinned(device)
    there = up(drawn(8, 8), device)
    first = tensors.begin_download(there, "rgb24", UNTAGGED, pool)
    second = tensors.begin_download(there, "rgb24", UNTAGGED, pool)
    assert first.buffer.data_ptr() != second.buffer.data_ptr()
    done = tensors.finish_download(first)
    assert pool.borrow(8 * 8 * 3) is first.buffer
    first.buffer.fill_(0)
    assert pixels.to_rgb(done).max() == 255  # the picture has memory of its own


# size


def covering(size: int, new: int) -> Levels:
    """(new, size): how much of each old pixel lies in each new one."""
    edges = np.arange(new + 1) * size / new
    upper = np.minimum(edges[1:, None], np.arange(1, size + 1))
    covered = np.maximum(upper - np.maximum(edges[:-1, None], np.arange(size)), 0)
    weights: Levels = covered * (new / size)
    return weights


def between(size: int, new: int) -> Levels:
    """(new, size): how much each old pixel counts at the middle of each new one."""
    place = np.clip((np.arange(new) + 0.5) * size / new - 0.5, 0, size - 1)
    weights: Levels = np.maximum(1 - np.abs(place[:, None] - np.arange(size)), 0)
    return weights


@pytest.mark.parametrize(
    "size",
    "32x24 16x12 40x30 33x25 64x24 64x47 63x48 1x1 100x70 64x96 65x48 100x20 20x100".split(),
)
def test_less_pixels_are_means_and_more_lie_between(device: str, size: str) -> None:
    """Also one of each: 100x20 is wider and lower, and less in all."""
    image = torch.rand((3, 48, 64), generator=torch.Generator().manual_seed(1))
    width, height = parsed(size)
    rows = (covering if height <= 48 else between)(48, height)
    columns = (covering if width <= 64 else between)(64, width)
    wanted = np.einsum("yh,chw,xw->cyx", rows, image.numpy().astype(np.float64), columns)
    given = tensors.resized(image.to(device), width, height)
    assert given.shape == (3, height, width)
    close(levels(given), wanted * 255, "the same")


@pytest.mark.parametrize("clip", ["bunny", "bikes", "phone"])
@pytest.mark.parametrize("size", [(640, 640), (224, 224), (320, 180), (1000, 500), (1920, 1080)])
def test_a_real_picture_is_scaled_as_swscale_does(
    device: str, clip: str, size: tuple[int, int]
) -> None:
    image = real(clip, "rgb24")
    less = math.prod(size) < image.width * image.height
    kind = "AREA" if less else "BILINEAR"
    wanted = rgb(pixels.convert(image, "rgb24", *size, interpolation=kind))
    close(levels(tensors.resized(up(image, device), *size)), wanted, "scaled")


def test_more_pixels_of_one_axis_and_less_of_the_other_when_there_are_more_in_all(
    device: str,
) -> None:
    """swscale's BILINEAR widens its filter where pixels become less, and so does torch's."""
    image = real("bunny", "rgb24")
    wanted = rgb(pixels.convert(image, "rgb24", 2000, 600, interpolation="BILINEAR"))
    close(levels(tensors.resized(up(image, device), 2000, 600)), wanted, "scaled")


def test_a_picture_of_the_right_size_is_not_touched(device: str) -> None:
    image = torch.rand((3, 8, 6), device=device)
    assert tensors.resized(image, 6, 8) is image


@pytest.mark.parametrize("size", [(10, 10), (90, 70), (10, 200)])
def test_halves_are_scaled(device: str, size: tuple[int, int]) -> None:
    image = up(drawn(64, 48), device, "float16")
    given = tensors.resized(image, *size)
    assert given.dtype == torch.float16
    close(levels(given), levels(tensors.resized(image.float(), *size)), "in halves")


# what models take


def feeding(**fields: Any) -> Feeding:
    return settle(Feed.model_validate(fields), None)


def fed(image: av.VideoFrame, how: Feeding, device: str) -> tuple[Any, Fit]:
    array, fit = tensorfeed.fed(up(image, device), how)
    assert str(array.device) == device
    return array.cpu(), fit


def scale_of(how: Feeding) -> float:
    """What a level of 0..255 is worth in an input, at the most."""
    return max(map(abs, how.scale))


@pytest.mark.parametrize(
    ("layout", "how"),
    [
        ("rgb24", "scaled"),
        ("rgba", "scaled"),
        ("gray", "scaled"),
        ("yuv444p", "gamut"),
        ("yuv422p", "chroma"),
        ("yuv420p", "chroma"),
    ],
)
@pytest.mark.parametrize("fit", ["stretch", "pad", "crop"])
@pytest.mark.parametrize(
    ("clip", "size"),
    [
        ("phone", "96"),
        ("phone", "64x150"),
        ("phone", "300x200"),
        ("bikes", "224"),
        ("bunny", "640"),
    ],
)
def test_a_real_picture_is_fed_as_feeder_does(
    device: str, clip: str, size: str, fit: str, layout: str, how: str
) -> None:
    image = real(clip, layout)
    told = feeding(size=size, fit=fit, fill=114, range=(0, 255))
    wanted, place = Feeder(told)(image)
    given, found = fed(image, told, device)
    assert found == place
    cropped = fit == "crop" and place.scale_x * place.scale_y < 1
    by_way = cropped and layout in ("rgb24", "rgba", "gray")
    close(given, wanted, "by way of YUV" if by_way else how)


@pytest.mark.parametrize("layout", ["nchw", "nhwc", "chw", "hwc", "nwhc", "nthwc", "nctwh"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8"])
@pytest.mark.parametrize("channels", ["rgb", "bgr", "gray"])
def test_every_layout_dtype_and_order(device: str, layout: str, dtype: str, channels: str) -> None:
    image = real("bikes", "rgb24")
    told = feeding(size="96x64", layout=layout, dtype=dtype, channels=channels)
    wanted, _ = Feeder(told)(image)
    given, _ = fed(image, told, device)
    assert (str(given.dtype), given.shape) == (f"torch.{dtype}", wanted.shape)
    unit = 1 if dtype == "uint8" else 255
    close(given.double() * unit, wanted.astype(np.float64) * unit, "scaled")


@pytest.mark.parametrize(
    "fields",
    [
        {"range": (-1, 1)},
        {"range": (1, 0)},
        {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)},
        {"range": (0, 255), "mean": (123.675, 116.28, 103.53), "std": (58.395, 57.12, 57.375)},
        {"channels": "bgr", "range": (0, 255), "mean": (104, 117, 123)},
        {"channels": "gray", "mean": 0.1307, "std": 0.3081},
        {"channels": "bgr", "fit": "pad", "fill": 114, "mean": (0.1, 0.2, 0.3), "std": (0.5, 1, 2)},
    ],
    ids=str,
)
def test_range_mean_and_std(device: str, fields: dict[str, Any]) -> None:
    image = real("bikes", "rgb24")
    told = feeding(size="96", **fields)
    wanted, _ = Feeder(told)(image)
    given, _ = fed(image, told, device)
    close(given.double() / scale_of(told), wanted / scale_of(told), "scaled")


@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("size", ["96x64", "40x30"])
def test_grey_is_the_same_whatever_the_source_was(device: str, size: str, matrix: int) -> None:
    image = drawn(96, 64, "yuv444p", ColorTags(matrix))
    told = feeding(channels="gray", size=size, range=(0, 255))
    close(fed(image, told, device)[0], Feeder(told)(image)[0], "scaled")


@settings(max_examples=150, deadline=None)
@given(
    size=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    target=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    fit=st.sampled_from(["stretch", "pad", "crop"]),
)
def test_an_input_lies_where_feeder_says(
    size: tuple[int, int], target: tuple[int, int], fit: str
) -> None:
    told = feeding(size="{}x{}".format(*target), fit=fit, fill=9, layout="hwc", range=(0, 255))
    flat = np.full((size[1], size[0], 3), (200, 100, 50), np.uint8)
    wanted, place = Feeder(told)(pixels.from_rgb(flat))
    given, found = fed(pixels.from_rgb(flat), told, "cpu")
    assert found == place
    close(given, wanted, "by way of YUV")


def test_what_the_file_leaves_open_follows_from_the_picture() -> None:
    told = feeding(size="640x", multiple=32)
    assert fed(real("bunny", "rgb24"), told, "cpu")[0].shape == (1, 3, 352, 640)


@pytest.mark.parametrize("layout", ["ntchw", "nthwc", "tchw", "nctwh"])
def test_a_window_holds_the_last_pictures_and_the_first_fills_it(device: str, layout: str) -> None:
    told = settle(Feed.model_validate({"size": "8", "layout": layout, "range": (0, 255)}), None, 3)
    feeder, other = tensorfeed.TensorFeeder(told, 3), Feeder(told, 3)
    held = []
    for level in (10, 60, 110, 160):
        image = pixels.from_rgb(np.full((8, 8, 3), level, np.uint8))
        given, _ = feeder(up(image, device))
        close(given.cpu(), other(image)[0], "the same")
        frames = given.movedim(layout.index("t"), 0).flatten(1)
        held.append(frames[:, 0].round().tolist())
    assert held == [[10, 10, 10], [10, 10, 60], [10, 60, 110], [60, 110, 160]]


def test_the_buffer_is_used_again_until_the_size_changes(device: str) -> None:
    feeder = tensorfeed.TensorFeeder(feeding(size="16x"), 1)
    wide, high = (torch.rand((3, *size), device=device) for size in ((8, 16), (16, 8)))
    first, _ = feeder(wide)
    pointer = first.data_ptr()
    assert feeder(wide)[0].data_ptr() == pointer
    taller, _ = feeder(high)
    assert taller.shape == (1, 3, 32, 16)
    assert tensorfeed.fed(wide, feeding(size="16x"))[0].data_ptr() != pointer


# what models give

IMAGE: Any = np.random.default_rng(4).uniform(-0.1, 1.1, (5, 7, 3)).astype(np.float32)


def seen_as(fit: Fit = WHOLE, channels: str = "rgb") -> ReadContext:
    return ReadContext(feeding(channels=channels), fit, (7, 5))


@pytest.mark.parametrize(
    ("axes", "fields"),
    [
        ("nchw", {}),
        ("nhwc", {}),
        ("chw", {}),
        ("hwc", {"layout": "hwc"}),
        ("nthwc", {"layout": "nthwc"}),
        ("nwhc", {"layout": "nwhc"}),
        ("nchw", {"range": (0, 255)}),
        ("nchw", {"range": (-1, 1)}),
        ("nchw", {"range": (1, 0)}),
        ("nchw", {"channels": "bgr"}),
        ("nchw", {"channels": "gray"}),
    ],
)
def test_an_image_is_read_as_on_the_host(device: str, axes: str, fields: dict[str, Any]) -> None:
    answer = Answer.model_validate({"post": "image", **fields})
    low, high = answer.range or (0, 1)
    inner = axes.replace("n", "").replace("t", "")
    array = (low + IMAGE * (high - low)).transpose(["hwc".index(axis) for axis in inner])
    array = array.reshape([{"n": 1, "t": 1, "h": 5, "w": 7, "c": 3}[axis] for axis in axes])
    given = tensorfeed.read_image(answer, torch.from_numpy(array).to(device), seen_as())
    assert given.shape == (3, 5, 7)
    wanted = answers.read(answer, array, seen_as()).transpose(2, 0, 1)
    close(levels(given), wanted, "rounded")


def test_one_channel_is_grey(device: str) -> None:
    output = torch.full((1, 1, 2, 2), 0.25, device=device)
    given = tensorfeed.read_image(Answer(post="image"), output, seen_as())
    assert given.tolist() == [[[0.25] * 2] * 2] * 3


def test_colours_have_the_order_that_went_in(device: str) -> None:
    output = torch.tensor([0.0, 0.5, 1.0], device=device).reshape(1, 3, 1, 1)
    given = tensorfeed.read_image(Answer(post="image"), output, seen_as(channels="bgr"))
    assert given.flatten().tolist() == [1.0, 0.5, 0.0]


def test_bytes_are_levels_whatever_the_range(device: str) -> None:
    output = torch.tensor([0, 51, 255], dtype=torch.uint8, device=device).reshape(1, 3, 1, 1)
    answer = Answer(post="image", range=(-1, 1))
    given = tensorfeed.read_image(answer, output, seen_as())
    close(levels(given).flatten(), [0, 51, 255], "the same")


def test_what_is_no_number_is_black(device: str) -> None:
    output = torch.tensor([math.nan, math.inf, -math.inf], device=device).reshape(1, 3, 1, 1)
    given = tensorfeed.read_image(Answer(post="image"), output, seen_as())
    assert given.flatten().tolist() == [0.0, 1.0, 0.0]


@pytest.mark.parametrize("size", [(64, 48), (48, 64), (31, 17)])
def test_padding_is_cut_off(device: str, size: tuple[int, int]) -> None:
    told = feeding(size="40", fit="pad", fill=255, range=(0, 1))
    image = drawn(*size)
    given, fit = tensorfeed.fed(up(image, device), told)
    answer, seen = Answer(post="image"), ReadContext(told, fit, (40, 40))
    found = tensorfeed.read_image(answer, given, seen)
    wanted = answers.read(answer, given.cpu().numpy(), seen)
    assert found.shape[1:] == wanted.shape[:2] != (40, 40)
    close(levels(found), wanted.transpose(2, 0, 1), "rounded")


@pytest.mark.parametrize(
    ("shape", "fields", "said"),
    [
        ((1, 4, 8, 8), {}, "an image has 1 or 3 channels, and the output is 1x4x8x8"),
        ((1, 3, 8, 8), {"layout": "hwc"}, "layout hwc does not fit the output, which is 1x3x8x8"),
    ],
)
def test_an_output_that_is_no_image(
    shape: tuple[int, ...], fields: dict[str, Any], said: str
) -> None:
    answer = Answer.model_validate({"post": "image", **fields})
    with pytest.raises(AnswerInvalid, match=f"^{said}$"):
        tensorfeed.read_image(answer, torch.zeros(shape), seen_as())
    with pytest.raises(AnswerInvalid, match=f"^{said}$"):
        answers.read(answer, np.zeros(shape, np.float32), seen_as())


# on the host


def test_rgb_of_the_host_becomes_a_tensor_and_back() -> None:
    image = pixels.to_rgb(real("phone"))
    there = tensors.hosted(image)
    close(levels(there), image.transpose(2, 0, 1), "the same")
    assert there.is_contiguous()
    assert np.array_equal(tensors.as_rgb(there), image)


def test_a_tensor_of_the_host_is_rounded_and_cut_off() -> None:
    there = torch.tensor([-1.0, 0.2, 2.0]).reshape(3, 1, 1)
    assert tensors.as_rgb(there).tolist() == [[[0, 51, 255]]]
    assert there.flatten().tolist() == [-1.0, pytest.approx(0.2), 2.0]


# mixing


@pytest.mark.parametrize(("weight", "wanted"), [(0, 0.2), (1, 0.8), (0.25, 0.35)])
def test_opacity(device: str, weight: float, wanted: float) -> None:
    base, top = (torch.full((3, 2, 2), each, device=device) for each in (0.2, 0.8))
    assert tensors.mixed(base, top, weight).cpu().numpy() == pytest.approx(wanted)
    assert base.unique().item() == pytest.approx(0.2)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_mask_says_for_each_pixel(device: str, dtype: str) -> None:
    made = getattr(torch, dtype)
    base, top = torch.zeros((3, 1, 3), dtype=made), torch.ones((3, 1, 3), dtype=made)
    mask = torch.tensor([[0.0, 0.5, 1.0]])
    given = tensors.mixed(base.to(device), top.to(device), mask.to(device))
    assert given.dtype == made
    assert given.tolist() == [[[0.0, 0.5, 1.0]]] * 3


# the device alone

META = "meta"
"""Tensors without memory: whatever reads a number on the host, or brings another device in, fails
on them as it would stall or fail on CUDA."""


def test_nothing_is_read_on_the_host_on_the_way() -> None:
    luma = torch.empty((48, 64), dtype=torch.uint8, device=META)
    chroma = torch.empty((24, 32, 2), dtype=torch.uint8, device=META)
    image = tensors.from_nv12(luma, chroma, ColorTags(1))
    small, large = tensors.resized(image, 33, 25), tensors.resized(image, 100, 20)
    mask = torch.empty((48, 64), device=META)
    made = [image, small, large, tensors.mixed(image, image, mask)]
    for layout in LAYOUTS:
        made.append(tensors.packed(small, layout, ColorTags(1)))
    for fit in ("stretch", "pad", "crop"):
        for channels in ("rgb", "bgr", "gray"):
            given, place = tensorfeed.fed(image, feeding(size="32", fit=fit, channels=channels))
            made += [
                given,
                tensorfeed.read_image(Answer(post="image"), given, ReadContext(fit=place)),
            ]
    assert {str(each.device) for each in made} == {META}
    with pytest.raises(RuntimeError):
        made[0].mean().item()


def test_nothing_keeps_a_record_for_gradients(device: str) -> None:
    image = up(drawn(16, 16), device)
    given = [
        image,
        tensors.resized(image, 8, 8),
        tensorfeed.fed(image, feeding(size="8"))[0],
        tensors.mixed(image, image, 0.5),
        tensorfeed.read_image(Answer(post="image"), image[None], ReadContext()),
        tensors.packed(image, "rgb24", UNTAGGED),
    ]
    assert [each.is_inference() for each in given] == [True] * len(given)


@pytest.mark.cuda
@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype")
def test_torch_sees_nothing_that_synchronizes() -> None:
    """All of it but `finish_download`, twice: what is made once is made without waiting too."""
    pool, lane = Pinned("cuda:0"), Lane("cuda:0")
    told = feeding(size="64", fit="pad", mean=0.5)
    picture = real("bunny")
    luma, chroma = on("cuda:0", nv12(picture))
    feeder = tensorfeed.TensorFeeder(told)
    begun = []
    torch.cuda.set_sync_debug_mode("error")
    try:
        with lane:
            for _ in range(2):
                image = tensors.mixed(
                    tensors.upload(picture, "cuda:0", pool),
                    tensors.from_nv12(luma, chroma, UNTAGGED),
                    0.5,
                )
                given, fit = feeder(image)
                seen = ReadContext(told, fit, (64, 64))
                read = tensorfeed.read_image(Answer(post="image"), given, seen)
                large = tensors.resized(read, 320, 180)
                for layout in LAYOUTS:
                    begun.append(tensors.begin_download(large, layout, UNTAGGED, pool))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert len([tensors.finish_download(each) for each in begun]) == 2 * len(LAYOUTS)


@pytest.mark.cuda
def test_pictures_on_overlapping_lanes_are_those_of_the_cpu() -> None:
    """Sixty pictures at once on three lanes; memory that came back too early would show."""
    rise, middle, fall = (Lane("cuda:0") for _ in range(3))
    pool = Pinned("cuda:0", most=4)
    images = [
        pixels.from_rgb(np.full((360, 640, 3), (4 * number, 255 - 4 * number, 9), np.uint8))
        for number in range(60)
    ]
    begun = []
    for image in images:
        with rise:
            there = tensors.upload(image, "cuda:0", pool)
        middle.after(rise.mark(), there)
        with middle:
            small = tensors.resized(there, 320, 180)
        fall.after(middle.mark(), small)
        with fall:
            begun.append(tensors.begin_download(small, "rgb24", UNTAGGED, pool))
    for image, each in zip(images, begun, strict=True):
        found = pixels.to_rgb(tensors.finish_download(each))
        assert np.array_equal(found, pixels.to_rgb(image)[:180, :320])


# imports


def test_importing_costs_neither_torch_nor_numpy_nor_pyav() -> None:
    said = (
        "import sys\n"
        "import composer.device.lanes, composer.device.tensors\n"
        "heavy = [sys.modules.get(name) for name in ('torch', 'numpy', 'av')]\n"
        "print([type(module).__name__ for module in heavy])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", said], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "['_Deferred', '_Deferred', '_Deferred']"
