import json
import re
import subprocess
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import ClassVar, NamedTuple

import av
import imageio_ffmpeg
import numpy as np
import pytest
from pydantic import ValidationError

from composer import Node, Picture
from composer.engine.run import Media, Run
from composer.media.live_reader import LiveReader
from composer.node.formats import LAYOUTS
from composer.node.frames import UNSAID, ColorTags, Moment
from composer.pictures import pixels
from composer.pictures.chain import Chain
from composer.testing import Bench, bars, bench, gradient, picture, run_node
from nodes.decode import Decode
from nodes.filter import ChainFilter, Filter, steps_of
from tests.media.films import numbered, write_film
from tests.media.transport import units_of
from tests.stubs import finished, plan_of

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
    color = ColorTags(matrix, 1, 1)
    image = pixels.from_rgb(bars(64, 48), "yuv444p", color)
    (given,) = run_node(Filter(graph=graph), image=image)
    assert pixels.tags(given).matrix == matrix
    for one, other in zip(pixels.planes(given), pixels.planes(image), strict=True):
        assert np.abs(one.astype(int) - other).max() <= 3


def test_rgb_becomes_yuv_by_the_tags_of_the_source() -> None:
    node = Filter(graph="null")
    green = picture(np.full((16, 16, 3), (0, 255, 0), np.uint8), "rgb24")
    with bench(node, layout="yuv444p"):
        (given,) = node.process(green, Moment(0, Fraction(1, 90_000), ColorTags(1, 1, 1)))
        assert [int(plane[0, 0]) for plane in pixels.planes(given)] == pytest.approx(
            [173, 42, 26], abs=1
        )
        assert pixels.tags(given) == ColorTags(1, 1, 1)


@pytest.mark.parametrize("layout", ["yuv420p", "yuv444p", "gray"])
@pytest.mark.parametrize("color_range", ["pc", "tv"])
def test_the_range_is_that_of_the_layout(layout: str, color_range: str) -> None:
    with bench(Filter(graph=f"scale=out_range={color_range}"), layout=layout) as step:
        (given,) = step(image=picture(gradient(64, 48), layout))
    luma = pixels.planes(given)[0]
    ends = (0, 255) if layout == "gray" else (16, 235)
    assert (luma.min(), luma.max()) == pytest.approx(ends, abs=1)


def test_reserved_colour_tags_do_no_harm() -> None:
    image = pixels.from_rgb(bars(64, 48), "yuv420p", ColorTags(1, 3, 0))
    (given,) = run_node(Filter(graph="format=rgb24"), image=image)
    assert pixels.tags(given) == ColorTags(1, 2, 2)
    assert pixels.tags(image) == ColorTags(1, 3, 0)


def test_a_chain_that_changes_the_matrix_is_left_alone() -> None:
    image = pixels.from_rgb(bars(64, 48), "yuv420p", ColorTags(6, 6, 6))
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
    assert list(steps_of(graph)) == [ChainFilter(*each) for each in steps]


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


def test_a_filter_that_holds_all_pictures_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        pytest.raises(ValueError, match="'reverse' waits for the end, which a session does not"),
        bench(Filter(graph="reverse"), live=True),
    ):
        pass
    monkeypatch.setattr("nodes.filter.HELD_BYTES", 5 * 64 * 48 * 3 // 2)
    with (
        bench(Filter(graph="reverse"), layout="yuv420p") as step,
        pytest.raises(ValueError, match="'reverse' holds all pictures until the end"),
    ):
        feed(step, row(6))


def test_a_chain_without_an_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nodes.filter.MOST", 50)
    with (
        bench(Filter(graph="tpad=stop=-1"), layout="yuv420p") as step,
        pytest.raises(ValueError, match="more than 50 pictures for one, so it has no end"),
    ):
        feed(step, row(2))


# what the source says, and what FFmpeg's own command makes of the same


class Shown(NamedTuple):
    """A picture as `showinfo` tells it."""

    seconds: float
    shape: Fraction
    size: str
    fields: str


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Wide pixels at ten per second, and interlaced ones at 25."""
    folder = tmp_path_factory.mktemp("films")
    wide, fields = folder / "wide.mp4", folder / "fields.mpg"
    images = [picture(gradient(90, 72)) for _ in range(20)]
    write_film(wide, images, time_base=Fraction(1, 10), sample_aspect_ratio=Fraction(64, 45))
    interlaced = [
        Chain().run(image, ("setfield", {"mode": "tff"})) for image in numbered(12, 64, 48)
    ]
    flags = av.codec.context.Flags.interlaced_dct
    write_film(fields, interlaced, codec="mpeg2video", flags=flags)
    return {"wide": wide, "fields": fields}


def by_ffmpeg(path: Path, graph: str) -> list[Shown]:
    ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
    given = ("-vf", f"{graph},showinfo", "-fps_mode", "passthrough", "-f", "null", "-")
    command = [ffmpeg, "-hide_banner", "-nostdin", "-i", str(path), *given]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    found = re.findall(r" pts_time:(\S+) .*? sar:(\d+)/(\d+) s:(\S+) i:(\w)", said)
    return [
        Shown(round(float(seconds), 3), Fraction(int(wide), int(high)), size, fields)
        for seconds, wide, high, size, fields in found
    ]


def shown(seconds: float, image: av.VideoFrame) -> Shown:
    fields = "BT"[pixels.is_top_first(image)] if image.interlaced_frame else "P"
    size = f"{image.width}x{image.height}"
    return Shown(round(seconds, 3), pixels.aspect(image), size, fields)


def by_us(path: Path, graph: str) -> list[Shown]:
    class Keep(Node):
        seen: ClassVar[list[Shown]] = []

        def process(self, image: Picture, at: Moment) -> None:
            self.seen.append(shown(at.seconds, image))

    text = f"nodes: {{s: {{type: decode}}, f: {{type: filter, graph: {json.dumps(graph)}}},"
    plan = plan_of(text + " out: {type: keep}}", decode=Decode, filter=Filter, keep=Keep)
    run = Run(plan, Media({"": str(path)}))
    run.start()
    finished(run)
    return Keep.seen


def by_a_session(path: Path, graph: str, *, rate: bool) -> list[Shown]:
    """The same of MPEG-TS as it comes over the wire, whether it says its rate or not."""
    node = Filter(graph=graph)
    given: list[av.VideoFrame] = []
    reader = LiveReader(units_of(path.read_bytes()), layout="yuv420p")
    with bench(node, layout="yuv420p"):
        for image in reader.read():
            assert isinstance(image, av.VideoFrame)
            assert image.pts is not None
            assert reader.rate == 10
            told = reader.rate if rate else UNSAID
            at = Moment(image.pts, Fraction(1, 90_000), pixels.tags(image), told)
            given += node.process(image, at)
        given += node.flush()
    return [shown(float((image.pts or 0) * (image.time_base or 0)), image) for image in given]


WIDE = (
    "null",
    "select='not(mod(n,2))',setpts=N/FRAME_RATE/TB",
    "select='eq(pict_type,I)'",
    "setpts='if(eq(N,0),PTS,PREV_OUTPTS+1/FR/TB)'",
    "tpad=stop_duration=1:stop_mode=clone",
    "tpad=start_duration=0.5",
    "telecine",
    "fps=source_fps*2",
    "fps=7",
    "scale=trunc(iw*sar/2)*2:ih,setsar=1",
    "scale=64:64",
    "setdar=16/9",
    "setsar=sar*2",
    "pad=200:100",
    "transpose=clock,scale=iw*sar:ih",
    "minterpolate=fps=20:mi_mode=dup",
    "framerate=fps=50",
    "tblend=all_mode=average",
    "loop=loop=2:size=3:start=1",
    "trim=start=0.2:end=0.5",
    "zoompan=d=2:s=64x48",
    "framestep=2",
    "tile=2x2",
    "reverse",
    "settb=1/1000,setpts=2*PTS",
)
FIELDS = (
    "null",
    "fieldmatch,decimate",
    "yadif=mode=send_field:deint=interlaced",
    "bwdif",
    "separatefields",
    "doubleweave",
    "detelecine",
    "fps=source_fps*2",
)


@pytest.mark.parametrize(
    ("film", "graph"), [*(("wide", each) for each in WIDE), *(("fields", each) for each in FIELDS)]
)
def test_a_chain_gives_what_it_gives_in_ffmpeg(
    films: dict[str, Path], film: str, graph: str
) -> None:
    wanted = by_ffmpeg(films[film], graph)
    assert wanted
    assert by_us(films[film], graph) == wanted


def test_the_films_say_what_they_should(films: dict[str, Path]) -> None:
    assert by_us(films["wide"], "null")[-1] == Shown(1.9, Fraction(64, 45), "90x72", "P")
    assert by_us(films["fields"], "null")[-1] == Shown(0.44, Fraction(1), "64x48", "T")


@pytest.mark.parametrize(
    "graph",
    [
        "null",
        "select='not(mod(n,2))',setpts=N/FRAME_RATE/TB",
        "tpad=stop_duration=1:stop_mode=clone",
        "telecine",
        "fps=source_fps*2",
        "scale=trunc(iw*sar/2)*2:ih,setsar=1",
        "yadif=mode=send_field:deint=interlaced",
    ],
)
@pytest.mark.parametrize("says_its_rate", [True, False])
def test_a_session_gives_what_a_file_gives(
    tmp_path: Path,
    graph: str,
    says_its_rate: bool,  # noqa: FBT001
) -> None:
    path = write_film(
        tmp_path / "a.ts",
        [picture(gradient(90, 72)) for _ in range(20)],
        time_base=Fraction(1, 10),
        options={"bf": "0"},
        sample_aspect_ratio=Fraction(64, 45),
    )
    wanted, given = by_us(path, graph), by_a_session(path, graph, rate=says_its_rate)
    begin = given[0].seconds - wanted[0].seconds
    assert [each._replace(seconds=round(each.seconds - begin, 3)) for each in given] == wanted


def test_a_rate_that_nothing_says_is_that_of_the_first_two_pictures() -> None:
    with bench(Filter(graph="setpts=N/FRAME_RATE/TB"), layout="yuv420p") as step:
        assert step(image=row(1)[0], at=0.2) == []
        first, second = step(image=row(1)[0], at=0.24)
        assert (first.pts, second.pts) == (0, 3600)
    with bench(Filter(graph="setpts=N/FRAME_RATE/TB"), layout="yuv420p") as step:
        assert step(image=row(1)[0], at=0.2) == []
        assert len(step.flush()) == 1


def test_a_rate_that_is_not_needed_is_not_waited_for() -> None:
    with bench(Filter(graph="hue=s=0"), layout="yuv420p") as step:
        assert len(step(image=row(1)[0])) == 1
