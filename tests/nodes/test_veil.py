import math
from typing import Any

import av
import numpy as np
import pytest

from composer.compiler.compile import compile_file
from composer.node.formats import YUV_LAYOUTS
from composer.node.registry import Registry
from composer.pictures import pixels
from composer.testing import bench, gradient, picture, run_node
from nodes.veil import Veil
from tests.clips import ROOT
from tests.nodes.test_blur_regions import detail, detailed

HOW = ("blur", "black", "pixelate")
BAD, GOOD = {"nsfw": 0.9}, {"nsfw": 0.1}


def is_hidden(image: av.VideoFrame, old: av.VideoFrame) -> bool:
    """Whether its detail is gone; fails for a picture that is neither hidden nor as it was."""
    if all(
        np.array_equal(one, other)
        for one, other in zip(pixels.planes(image), pixels.planes(old), strict=True)
    ):
        return False
    for plane, before in zip(pixels.planes(image), pixels.planes(old), strict=True):
        assert detail(plane) < 0.2 * detail(before)
    return True


def hides(facts: Any, **settings: Any) -> bool:
    node = Veil.model_validate({"key": "nsfw", **settings})
    return is_hidden(run_node(node, image=detailed(96, 64), facts=facts), detailed(96, 64))


@pytest.mark.parametrize("layout", YUV_LAYOUTS)
@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("size", [(97, 131), (640, 360), (1280, 720)])
def test_the_whole_picture_is_hidden(size: tuple[int, int], how: str, layout: str) -> None:
    image, old = detailed(*size, layout), detailed(*size, layout)
    given = run_node(Veil.model_validate({"key": "nsfw", "how": how}), image=image, facts=BAD)
    assert (given.width, given.height, given.format.name) == (*size, layout)
    for plane, before in zip(pixels.planes(given), pixels.planes(old), strict=True):
        assert detail(plane) < 0.2 * detail(before)  # the edges of blocks are detail, too


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("size", [(1, 1), (2, 2), (17, 9)])
def test_tiny_pictures(size: tuple[int, int], how: str) -> None:
    node = Veil.model_validate({"key": "nsfw", "how": how})
    given = run_node(node, image=detailed(*size), facts=BAD)
    assert (given.width, given.height) == size


def test_black_is_black_and_blur_keeps_the_light() -> None:
    dark, soft = (
        run_node(Veil(key="nsfw", how=how), image=picture(gradient(320, 180)), facts=BAD)
        for how in ("black", "blur")
    )
    assert [int(plane.max()) for plane in pixels.planes(dark)] == [16, 128, 128]
    luma = pixels.planes(soft)[0]
    assert luma[:, 300].mean() - luma[:, 20].mean() > 150


@pytest.mark.parametrize(
    ("facts", "hidden"),
    [
        pytest.param({"nsfw": 0.51}, True, id="above"),
        pytest.param({"nsfw": 0.5}, False, id="not above"),
        pytest.param({"label": "safe", "scores": {"safe": 0.1, "nsfw": 0.9}}, True, id="a score"),
        pytest.param({"scores": {"safe": 0.9, "nsfw": 0.1}}, False, id="a score that is low"),
        pytest.param({"nsfw": 0.1, "scores": {"nsfw": 0.9}}, False, id="the record goes first"),
        pytest.param({"nsfw": True}, True, id="true is 1"),
        pytest.param({"nsfw": False}, False, id="false is 0"),
        pytest.param({"nsfw": np.float32(0.1)}, False, id="a number of NumPy"),
        pytest.param({}, True, id="no such key"),
        pytest.param({"scores": {"safe": 0.9}}, True, id="no such score"),
        pytest.param({"scores": [0.1, 0.2]}, True, id="scores without names"),
        pytest.param({"nsfw": None}, True, id="nothing"),
        pytest.param({"nsfw": "0.1"}, True, id="text"),
        pytest.param({"nsfw": {"score": 0.1}}, True, id="a mapping"),
        pytest.param({"nsfw": math.nan}, True, id="not a number"),
        pytest.param({"nsfw": -math.inf}, False, id="less than anything"),
    ],
)
def test_what_hides(facts: dict[str, Any], *, hidden: bool) -> None:
    assert hides(facts) is hidden


@pytest.mark.parametrize(
    ("key", "facts", "hidden"),
    [
        pytest.param("a.b", {"a": {"b": 0.1}}, False, id="below a key"),
        pytest.param("a.b", {"a": {"b": 0.9}}, True, id="below a key, above"),
        pytest.param("a.b", {"a.b": 0.1}, False, id="a key with a dot in it"),
        pytest.param("not.safe", {"scores": {"not.safe": 0.1}}, False, id="a label with a dot"),
        pytest.param("a.b", {"a": 0.1}, True, id="ends too early"),
        pytest.param("scores.x", {"scores": {"x": 0.1}}, False, id="scores by name"),
    ],
)
def test_a_dot_leads_into_a_mapping(key: str, facts: dict[str, Any], *, hidden: bool) -> None:
    assert hides(facts, key=key) is hidden


def timeline(steps: list[tuple[float, Any]], **settings: Any) -> str:
    """What becomes of pictures at (seconds, facts): # hidden, . shown."""
    shown = ""
    with bench(Veil.model_validate({"key": "nsfw", **settings})) as run:
        for seconds, facts in steps:
            given = run(image=detailed(64, 64), facts=facts, at=seconds)
            shown += "#" if is_hidden(given, detailed(64, 64)) else "."
    return shown


def test_it_stays_hidden_for_a_time_after_the_last_bad_picture() -> None:
    steps = [(second / 4, BAD if second in (2, 4) else GOOD) for second in range(12)]
    assert timeline(steps, hold_s=1) == "..#######..."
    assert timeline(steps, hold_s=0) == "..#.#......."


def test_without_news_the_time_runs_on() -> None:
    steps: list[tuple[float, Any]] = [(0, BAD), (0.5, None), (0.9, None), (1.1, None), (1.2, GOOD)]
    assert timeline(steps, hold_s=1) == "###.."


def test_before_the_first_record_it_is_as_start_says() -> None:
    steps: list[tuple[float, Any]] = [(0, None), (1, None), (2, GOOD), (3, None)]
    assert timeline(steps) == "##.."
    assert timeline(steps, start="shown") == "...."


def test_time_that_goes_back_begins_the_wait_anew() -> None:
    steps = [(1000, BAD), (0, GOOD), (0.9, GOOD), (1.1, GOOD)]
    assert timeline(steps, hold_s=1) == "###."


def test_settings_change_between_two_frames() -> None:
    node = Veil(key="nsfw", hold_s=0)
    given = []
    with bench(node) as run:
        for name, value in (("above", 0.95), ("above", 0.5), ("how", "black"), ("hold_s", 5)):
            setattr(node, name, value)
            given.append(pixels.planes(run(image=detailed(64, 64), facts=BAD))[0])
        later = run(image=detailed(64, 64), facts=GOOD, at=4)
    old = pixels.planes(detailed(64, 64))[0]
    assert np.array_equal(given[0], old)
    assert not np.array_equal(given[1], old)
    assert given[1].max() > 16
    assert given[2].max() == 16
    assert pixels.planes(later)[0].max() == 16


def test_a_file_has_to_name_the_key(tmp_path: Any) -> None:
    file = tmp_path / "a.yaml"
    text = (ROOT / "pipelines" / "moderate.yaml").read_text()
    file.write_text(text.replace("    key: nsfw\n", ""))
    said = [each.message for each in compile_file(file, Registry.installed()).problems]
    assert "nodes.veil.key is required" in said
