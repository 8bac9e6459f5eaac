from collections.abc import Sequence
from fractions import Fraction

import av
import numpy as np
import pytest
from pydantic import ValidationError

from composer.formats import LAYOUTS
from composer.frames import Color, Moment
from composer.media import pixels
from composer.testing import Bench, bars, bench, gradient, picture, run_node
from nodes.filter import Filter, Step, steps_of

RATE = 30


def feed(step: Bench, images: Sequence[av.VideoFrame]) -> list[av.VideoFrame]:
    """What comes out for pictures at 30 per second, and at the end."""
    given = [f for n, image in enumerate(images) for f in step(image=image, at=n / RATE)]
    return given + step.flush()


def row(count: int, width: int = 64, height: int = 48) -> list[av.VideoFrame]:
    return [picture(bars(width, height), seconds=number / RATE) for number in range(count)]


def chroma(image: av.VideoFrame) -> float:
    """How far from grey the picture is."""
    return float(np.abs(pixels.planes(image)[1].astype(int) - 128).mean())


def test_a_chain_changes_the_picture() -> None:
    (given,) = run_node(Filter(graph="hue=s=0, hflip"), image=picture(gradient(64, 48)))
    assert np.abs(pixels.to_rgb(given).astype(int) - gradient(64, 48)[:, ::-1]).max() <= 3
    assert given.pts == 0


@pytest.mark.parametrize("out", LAYOUTS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_planned_layout_comes_out(layout: str, out: str) -> None:
    with bench(Filter(graph="null"), layout=out, width=33, height=21) as step:
        (given,) = step(image=picture(gradient(33, 21), layout))
    assert (given.format.name, given.width, given.height) == (out, 33, 21)
    assert np.abs(pixels.to_rgb(given).astype(int) - gradient(33, 21)).max() <= 3
    assert pixels.is_full_range(given) is not out.startswith("yuv")


def test_a_picture_that_needs_nothing_is_not_copied() -> None:
    image = picture(bars(64, 48))
    (given,) = run_node(Filter(graph="null"), image=image)
    assert np.shares_memory(pixels.planes(given)[0], pixels.planes(image)[0])
    assert not Filter.outputs[0].own


@pytest.mark.parametrize("graph", ["null", "colorbalance=rs=0", "format=rgb24"])
@pytest.mark.parametrize("matrix", [1, 5, 6, 9])
def test_the_matrix_of_the_source_stays(graph: str, matrix: int) -> None:
    color = Color(matrix, 1, 1)
    image = pixels.with_time(pixels.from_rgb(bars(64, 48), "yuv444p", color), picture(bars(8, 8)))
    (given,) = run_node(Filter(graph=graph), image=image)
    assert pixels.tags(given).matrix == matrix
    for one, other in zip(pixels.planes(given), pixels.planes(image), strict=True):
        assert np.abs(one.astype(int) - other).max() <= 3


def test_rgb_becomes_yuv_by_the_tags_of_the_source() -> None:
    node = Filter(graph="null")
    green = picture(np.full((16, 16, 3), (0, 255, 0), np.uint8), "rgb24")
    with bench(node, layout="yuv444p"):
        (given,) = node.process(green, Moment(0, Fraction(1, 90_000), Color(1, 1, 1)))
        assert [int(plane[0, 0]) for plane in pixels.planes(given)] == pytest.approx(
            [173, 42, 26], abs=1
        )
        assert pixels.tags(given) == Color(1, 1, 1)


@pytest.mark.parametrize("layout", ["yuv420p", "yuv444p", "gray"])
@pytest.mark.parametrize("color_range", ["pc", "tv"])
def test_the_range_is_that_of_the_layout(layout: str, color_range: str) -> None:
    with bench(Filter(graph=f"scale=out_range={color_range}"), layout=layout) as step:
        (given,) = step(image=picture(gradient(64, 48), layout))
    luma = pixels.planes(given)[0]
    ends = (0, 255) if layout == "gray" else (16, 235)
    assert (luma.min(), luma.max()) == pytest.approx(ends, abs=1)


def test_reserved_colour_tags_do_no_harm() -> None:
    image = pixels.from_rgb(bars(64, 48), "yuv420p", Color(1, 3, 0))
    (given,) = run_node(Filter(graph="format=rgb24"), image=image)
    assert pixels.tags(given) == Color(1, 2, 2)
    assert pixels.tags(image) == Color(1, 3, 0)


def test_a_chain_that_changes_the_matrix_is_left_alone() -> None:
    image = pixels.from_rgb(bars(64, 48), "yuv420p", Color(6, 6, 6))
    with bench(Filter(graph="scale=out_color_matrix=bt709"), layout="yuv420p") as step:
        (given,) = step(image=image)
    assert given.colorspace == 1


def test_the_chain_may_give_another_size() -> None:
    node = Filter(graph="scale=32:-2, crop=16:16")
    (given,) = run_node(node, image=picture(bars(64, 48)))
    assert (given.width, given.height) == (16, 16)
    assert node.picture_size(64, 48) == (0, 0)


def test_the_chain_may_give_more_or_fewer_pictures() -> None:
    with bench(Filter(graph="fps=60"), layout="yuv420p") as step:
        given = feed(step, row(10))
    assert [image.time for image in given] == pytest.approx([number / 60 for number in range(20)])
    with bench(Filter(graph="fps=15"), layout="yuv420p") as step:
        assert len(feed(step, row(10))) == 5


def test_pictures_that_the_chain_holds_back_come_at_the_end() -> None:
    with bench(Filter(graph="reverse"), layout="yuv420p") as step:
        given = feed(step, row(5))
    assert len(given) == 5
    with bench(Filter(graph="reverse"), layout="yuv420p") as step:
        assert step(image=row(1)[0]) == []


def test_a_chain_that_has_enough_gives_no_more() -> None:
    with bench(Filter(graph="trim=end_frame=3"), layout="yuv420p") as step:
        assert len(feed(step, row(10))) == 3


def test_the_time_is_that_of_the_envelope() -> None:
    node = Filter(graph="setpts=PTS+3000")
    image = picture(bars(64, 48), seconds=7)
    with bench(node, layout="yuv420p"):
        (given,) = node.process(image, Moment(500, Fraction(1, 1000)))
    assert (given.pts, given.time_base) == (3500, Fraction(1, 1000))
    assert (image.pts, image.time_base) == (630_000, Fraction(1, 90_000))


def test_a_picture_of_another_size_starts_the_chain_anew() -> None:
    with bench(Filter(graph="hue=s=0"), layout="yuv420p") as step:
        given = feed(step, [*row(2), *row(2, 33, 21), *row(1)])
    sizes = [(image.width, image.height) for image in given]
    assert sizes == [(64, 48), (64, 48), (33, 21), (33, 21), (64, 48)]


def test_what_the_chain_held_comes_before_the_new_size() -> None:
    with bench(Filter(graph="reverse"), layout="yuv420p") as step:
        given = feed(step, [*row(2), *row(3, 32, 32)])
    assert [image.width for image in given] == [64, 64, 32, 32, 32]


# commands


def test_a_command_changes_a_running_filter() -> None:
    node = Filter(graph="hue=s=1")
    with bench(node, layout="yuv420p") as step:
        (before,) = step(image=row(1)[0], at=0)
        node.commands = {"hue.s": 0}
        (after,) = step(image=row(1)[0], at=0.1)
        node.commands = {"hue.s": 1.0}
        (again,) = step(image=row(1)[0], at=0.2)
    assert chroma(before) > 40
    assert chroma(after) < 1
    assert chroma(again) > 40


def test_a_command_holds_after_a_change_of_size() -> None:
    with bench(Filter(graph="hue=s=1", commands={"hue.s": 0}), layout="yuv420p") as step:
        assert all(chroma(image) < 1 for image in feed(step, [*row(1), *row(1, 32, 32)]))


def test_a_label_says_which_of_two_filters_is_meant() -> None:
    graph = "hue@first=s=1, hue@second=b=0"
    with bench(Filter(graph=graph, commands={"hue@second.b": -10}), layout="yuv420p") as step:
        (dark,) = step(image=picture(gradient(64, 48)))
    assert pixels.planes(dark)[0].max() <= 16
    with pytest.raises(ValidationError, match=r"leads to no filter; the chain has hue@first"):
        Filter(graph=graph, commands={"hue@third.b": 1})


@pytest.mark.parametrize(
    ("graph", "commands", "said"),
    [
        pytest.param("unsharp", {"unsharp.la": 1}, "unsharp has no 'la' that can", id="not live"),
        pytest.param("hue", {"hue.nonsense": 1}, "hue has no 'nonsense' that can", id="no option"),
        pytest.param("gblur", {"gblur.sigma": 9999}, "gblur.sigma cannot be 9999", id="too large"),
        pytest.param("gblur", {"gblur.sigma": "wide"}, "sigma cannot be 'wide'", id="a word"),
    ],
)
def test_a_command_that_the_filter_refuses_is_told_once(
    graph: str, commands: dict[str, int | float | str], said: str
) -> None:
    with bench(Filter(graph=graph, commands=commands), layout="yuv420p") as step:
        with pytest.raises(ValueError, match=said):
            step(image=row(1)[0])
        assert len(step(image=row(1)[0], at=0.1)) == 1


@pytest.mark.parametrize(
    ("commands", "said"),
    [
        pytest.param({"blur.x": 1}, "leads to no filter; the chain has scale, crop", id="filter"),
        pytest.param({"scale.w": 99}, "would change the size", id="size of scale"),
        pytest.param({"crop.out_h": 99}, "would change the size", id="size of crop"),
        pytest.param({"lut1d.file": "x"}, "opens files", id="a file"),
        pytest.param({"scale": 1}, "match pattern", id="no option"),
        pytest.param({"crop.x": "a:b"}, "match pattern", id="a colon"),
        pytest.param({"crop.x": "a,b"}, "match pattern", id="a comma"),
        pytest.param({"crop.x": "/etc/passwd"}, "match pattern", id="a path"),
        pytest.param({"crop.x": "x" * 33}, "match pattern", id="a long word"),
        pytest.param({"crop.x": float("nan")}, "finite number", id="not a number"),
        pytest.param({f"crop.x{n}": 1 for n in range(33)}, "at most 32", id="too many"),
    ],
)
def test_a_command_from_outside_can_only_set_harmless_values(
    commands: dict[str, int | float | str], said: str
) -> None:
    with pytest.raises(ValidationError, match=said):
        Filter(graph="scale=64:64, crop=32:32, lut1d", commands=commands)


# the text of the graph


@pytest.mark.parametrize(
    ("graph", "steps"),
    [
        ("hue", [("hue", "", "")]),
        (" hue=s=0 ,\n unsharp ", [("hue", "", "s=0"), ("unsharp", "", "")]),
        ("hue@a=s=0:h=1", [("hue", "a", "s=0:h=1")]),
        (r"geq=lum=if(gt(X\,10)\,1\,2)", [("geq", "", "lum=if(gt(X,10),1,2)")]),
        ("geq=lum=if(gt(X,10),1,2),null", [("geq", "", "lum=if(gt(X,10),1,2)"), ("null", "", "")]),
        ("select='eq(n,0)', null", [("select", "", "eq(n,0)"), ("null", "", "")]),
        ("a='x;[y]'", [("a", "", "x;[y]")]),
        (r"a=b\\\:c", [("a", "", r"b\:c")]),
        (r"a='b\:c'", [("a", "", r"b\:c")]),
    ],
)
def test_a_graph_is_read_as_ffmpeg_does(graph: str, steps: list[tuple[str, str, str]]) -> None:
    assert list(steps_of(graph)) == [Step(*each) for each in steps]


@pytest.mark.parametrize(
    ("graph", "said"),
    [
        ("", "at least 1 character"),
        (" ", "should have a filter before and after each comma"),
        ("hue,", "should have a filter before and after each comma"),
        (",hue", "should have a filter before and after each comma"),
        ("[in]hue[out]", r"has '\[': only one row of filters is taken here, without labels"),
        ("hue;negate", r"has ';': only one row of filters is taken here"),
        ("hue='s=0", "has a quote that is never closed"),
        ("geq=lum=max(1", r"has a '\(' that is never closed"),
        ("geq=lum=1)", r"has a '\)' too many"),
        ("hue s=0", "has 'hue s' where the name of a filter belongs"),
        ("=s=0", "has '' where the name of a filter belongs"),
    ],
)
def test_a_graph_that_cannot_be_read_says_why(graph: str, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Filter(graph=graph)


@pytest.mark.parametrize(
    ("graph", "said"),
    [
        ("huee", "this FFmpeg has no filter 'huee'; did you mean 'hue'?"),
        ("overlay", "filter 'overlay' has 2 inputs; only filters of one input and one"),
        ("hstack", "filter 'hstack' has 2 inputs; only"),
        ("split", "filter 'split' has 2 outputs; only"),
        ("testsrc2", "filter 'testsrc2' has no inputs; only"),
        ("nullsink", "filter 'nullsink' has no outputs; only"),
        ("hue=nonsense=1", "filter 'hue' refuses 'nonsense=1': Option not found"),
        ("gblur=sigma=9999", "filter 'gblur' refuses 'sigma=9999': "),
    ],
)
def test_a_filter_that_cannot_be_used_is_named_before_the_first_picture(
    graph: str, said: str
) -> None:
    with pytest.raises(ValueError, match=said.replace("?", r"\?")), bench(Filter(graph=graph)):
        pass


@pytest.mark.parametrize(
    ("graph", "said"),
    [
        ("crop=100:100", "the chain crop does not take 64x48 yuv420p pictures: Invalid argument"),
        ("null,volume=2", "the chain null, volume does not take 64x48 yuv420p pictures"),
    ],
)
def test_a_chain_that_does_not_take_the_picture_says_so(graph: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        run_node(Filter(graph=graph), image=picture(bars(64, 48)))


def test_the_input_is_not_changed() -> None:
    image = picture(bars(64, 48))
    before = [plane.copy() for plane in pixels.planes(image)]
    run_node(Filter(graph="negate, drawbox=c=red:t=fill"), image=image)
    assert all((a == b).all() for a, b in zip(before, pixels.planes(image), strict=True))


def test_pictures_that_would_crash_a_filter_are_refused() -> None:
    with pytest.raises(ValueError, match=r"'gblur' needs pictures of 34x34 at least, got 16x48"):
        run_node(Filter(graph="gblur=sigma=2"), image=picture(gradient(16, 48)))
    (given,) = run_node(Filter(graph="scale=64:64,gblur"), image=picture(gradient(16, 48)))
    assert (given.width, given.height) == (64, 64)
