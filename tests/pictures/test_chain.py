from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import av
import numpy as np
import pytest

from composer.node.formats import YUV_LAYOUTS
from composer.node.frames import ColorTags
from composer.pictures import pixels
from composer.pictures.chain import Chain, Filter
from composer.testing import gradient, picture

MIRROR: Filter = ("hflip", {})


@pytest.mark.parametrize("layout", [*YUV_LAYOUTS, "gray", "gbrp"])
def test_filters_run_in_their_order_and_leave_the_input(layout: str) -> None:
    image = pixels.convert(picture(gradient(64, 16)), layout)
    before = [plane.copy() for plane in pixels.planes(image)]
    given = Chain().run(image, MIRROR, ("crop", {"w": "16", "h": "16", "x": "0", "y": "0"}))
    assert (given.format.name, given.width, given.height) == (layout, 16, 16)
    wanted = before[0][:, ::-1][:, :16]
    assert np.array_equal(pixels.planes(given)[0], wanted)
    for plane, old in zip(pixels.planes(image), before, strict=True):
        assert np.array_equal(plane, old)


def test_tags_and_time_stay() -> None:
    tags = ColorTags(1, 1, 1)
    image = pixels.with_tags(picture(gradient(16, 16), seconds=3), tags, pixels.LIMITED)
    image.pts, image.time_base = 75, Fraction(1, 25)
    given = Chain().run(image, MIRROR)
    assert (pixels.tags(given), given.color_range) == (tags, pixels.LIMITED)
    assert (given.pts, given.time_base) == (75, Fraction(1, 25))


def test_size_layout_and_options_may_change_from_one_picture_to_the_next() -> None:
    chain = Chain()
    for round_ in range(30):
        image = picture(gradient(16 + round_ // 6, 16), YUV_LAYOUTS[round_ // 2 % 3])
        given = chain.run(image, ("lutyuv", {"y": str(16 + round_)}))
        assert (given.width, given.format.name) == (image.width, image.format.name)
        assert (pixels.planes(given)[0] == 16 + round_).all()


def test_options_need_no_escaping() -> None:
    given = Chain().run(picture(gradient(16, 16)), ("lutyuv", {"y": "clip(val,100,min(101,102))"}))
    assert set(np.unique(pixels.planes(given)[0])) == {100, 101}


def test_a_refused_option_is_an_error_and_the_chain_goes_on() -> None:
    chain, image = Chain(), picture(gradient(16, 16))
    with pytest.raises(av.FFmpegError):
        chain.run(image, ("lutyuv", {"y": "no such thing"}))
    assert chain.run(image, MIRROR).width == 16


def test_threads_may_share_a_chain() -> None:
    chain = Chain()

    def level_of(level: int) -> int:
        flat = np.full((64, 64, 3), level, np.uint8)
        given = chain.run(picture(flat, "yuv444p"), MIRROR, MIRROR)
        return int(pixels.to_rgb(given)[5, 5, 0])

    with ThreadPoolExecutor(4) as threads:
        levels = list(threads.map(level_of, range(200)))
    assert max(abs(level - wanted) for wanted, level in enumerate(levels)) <= 2
