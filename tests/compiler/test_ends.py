"""From file to file: alpha and the colour of each pixel stay, or it is said that they do not."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any

import av
import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

from composer import RGB, Layouts, Node, Picture
from composer.compiler import plan as plans
from composer.compiler.compile import compile_file, plan_of
from composer.compiler.ends import NO_ENDS, Ends, fitted
from composer.compiler.plan import Mode, Plan
from composer.engine.run import Media, Run
from composer.media import reader
from composer.node.registry import Registry
from composer.pictures import pixels
from nodes.record import Record
from tests.stubs import finished, good_graph

RED, BLUE = (220, 30, 40), (40, 60, 200)
WIDTH, HEIGHT = 64, 48

PASS = "{source: {type: decode}, out: {type: encode}}"


def colours() -> NDArray[np.uint8]:
    """RGBA: red, half of it clear to a part; blue is under what is all clear."""
    rgba = np.full((HEIGHT, WIDTH, 4), (*RED, 255), np.uint8)
    rgba[: HEIGHT // 2, : WIDTH // 2] = (*RED, 100)
    rgba[HEIGHT // 2 :, : WIDTH // 2] = (*BLUE, 0)
    return rgba


def stripes() -> NDArray[np.uint8]:
    """RGB: red and blue by turns, one pixel each; as 4:2:0 it is all violet."""
    rgb = np.full((HEIGHT, WIDTH, 3), (255, 0, 0), np.uint8)
    rgb[:, 1::2] = (0, 0, 255)
    return rgb


def film(path: Path, codec: str, layout: str, options: dict[str, str] | None = None) -> Path:
    """Three pictures of colours()."""
    with av.open(str(path), "w") as file:
        stream: Any = file.add_stream(codec, rate=10, options=options or {})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, layout
        for number in range(3):
            image = av.VideoFrame.from_ndarray(colours(), "rgba").reformat(format=layout)
            image.pts, image.time_base = number, Fraction(1, 10)
            file.mux(stream.encode(image))
        file.mux(stream.encode(None))
    return path


def still(path: Path, mode: str = "RGBA", **options: Any) -> Path:
    PIL.Image.fromarray(colours()).convert(mode).save(path, **options)
    return path


def indexed(path: Path, *, clear: bool) -> Path:
    """A PNG of three colours, of which the third is clear."""
    image = PIL.Image.new("P", (WIDTH, HEIGHT))
    image.putpalette([*RED, 0, 255, 0, *BLUE])
    image.paste(2, (0, HEIGHT // 2, WIDTH // 2, HEIGHT))
    if clear:
        image.info["transparency"] = 2
    image.save(path)
    return path


def planned(folder: Path, nodes: str, source: Any, sink: Any, mode: Mode = Mode.FILE) -> Plan:
    file = folder / "pipeline.yaml"
    file.write_text(f"version: 1\nnodes: {nodes}\n")
    ends = Ends({"": str(source)} if source else {}, {"": str(sink)} if sink else {})
    return plan_of(compile_file(file, Registry.installed()), mode, ends)


def made(folder: Path, source: Path | str, sink: str, nodes: str = PASS) -> Path:
    """What `byoc run` writes."""
    plan = planned(folder, nodes, source, folder / sink)
    run = Run(plan, Media({"": str(source)}, {"": str(folder / sink)}))
    run.start()
    finished(run)
    return folder / sink


def opened(path: Path) -> PIL.Image.Image:
    with PIL.Image.open(path) as image:
        image.load()
        return image


def shown(path: Path) -> NDArray[np.int64]:
    """A PNG as it is, one value or as many as it has for each pixel."""
    return np.asarray(opened(path)).astype(np.int64)


def pictures(path: Path, decoder: str = "") -> Iterator[NDArray[np.int64]]:
    """The pictures of a clip as RGBA, by PyAV alone."""
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        context: Any = av.CodecContext.create(decoder, "r") if decoder else stream.codec_context
        for packet in file.demux(stream):
            for image in context.decode(packet):
                rgba = pixels.planes(image.reformat(format="rgba"))[0]
                yield rgba.astype(np.int64)


def assert_clear(image: NDArray[np.int64], off: int = 3, *, parts: bool = True) -> None:
    """The colours and the alpha of colours(), in the middle of each of its fields."""
    assert image.shape == (HEIGHT, WIDTH, 4)
    assert np.abs(image[24, 48] - (*RED, 255)).max() <= off
    assert image[36, 16, 3] <= 1
    if parts:
        assert np.abs(image[12, 16] - (*RED, 100)).max() <= off


FILMS = [
    pytest.param("a.mov", "prores_ks", "yuva444p10le", {}, id="ProRes 4444"),
    pytest.param("a.mov", "qtrle", "argb", {}, id="QuickTime Animation"),
    pytest.param("a.mov", "png", "rgba", {}, id="PNG in MOV"),
    pytest.param("a.webm", "libvpx-vp9", "yuva420p", {"crf": "5"}, id="VP9"),
    pytest.param("a.webm", "libvpx", "yuva420p", {"auto-alt-ref": "0", "crf": "5"}, id="VP8"),
    pytest.param("a.mkv", "ffv1", "yuva444p", {}, id="FFV1"),
    pytest.param("a.mkv", "ffv1", "bgra", {}, id="FFV1 in RGB"),
]


@pytest.mark.parametrize(("name", "codec", "layout", "options"), FILMS)
def test_the_alpha_of_a_clip_reaches_pictures(
    tmp_path: Path, name: str, codec: str, layout: str, options: dict[str, str]
) -> None:
    source = film(tmp_path / name, codec, layout, options)
    made(tmp_path, source, "o%d.png")
    for number in (1, 2, 3):
        assert_clear(shown(tmp_path / f"o{number}.png"), 6)


STILLS = [
    pytest.param("a.png", {}, True, id="PNG"),
    pytest.param("a.webp", {"lossless": True, "exact": True}, True, id="WebP, lossless"),
    pytest.param("a.webp", {"quality": 95}, True, id="WebP"),
    pytest.param("a.gif", {}, False, id="GIF"),
    pytest.param("a.bmp", {}, True, id="BMP"),
]


@pytest.mark.parametrize(("name", "options", "parts"), STILLS)
def test_the_alpha_of_a_picture_stays(
    tmp_path: Path,
    name: str,
    options: dict[str, Any],
    parts: bool,  # noqa: FBT001
) -> None:
    source = still(tmp_path / name, **options)
    given = opened(made(tmp_path, source, "o.png"))
    assert given.mode == "RGBA"
    assert_clear(np.asarray(given).astype(np.int64), 6, parts=parts)


def test_png_to_png_is_the_same(tmp_path: Path) -> None:
    source = still(tmp_path / "a.png")
    assert np.array_equal(shown(made(tmp_path, source, "o.png")), colours())


def test_grey_with_alpha_becomes_rgba(tmp_path: Path) -> None:
    source = still(tmp_path / "a.png", "LA")
    given = shown(made(tmp_path, source, "o.png"))
    wanted = np.asarray(opened(source).convert("RGBA")).astype(int)
    assert np.abs(given - wanted).max() <= 1


def test_a_palette_has_alpha_only_where_it_is_used(tmp_path: Path) -> None:
    clear = opened(made(tmp_path, indexed(tmp_path / "c.png", clear=True), "o.png"))
    assert clear.mode == "RGBA"
    assert clear.getpixel((0, HEIGHT - 1)) == (*BLUE, 0)
    opaque = opened(made(tmp_path, indexed(tmp_path / "o.png", clear=False), "p.png"))
    assert opaque.mode == "RGB"
    assert opaque.getpixel((0, HEIGHT - 1)) == BLUE


def test_an_opaque_webp_gives_no_alpha(tmp_path: Path) -> None:
    source = still(tmp_path / "a.webp", "RGB", lossless=True)
    assert opened(made(tmp_path, source, "o.png")).mode == "RGB"


def sixteen(path: Path, layout: str) -> Path:
    """A PNG of 16 bits a channel."""
    image = av.VideoFrame.from_ndarray(colours(), "rgba").reformat(format=layout)
    context: Any = av.CodecContext.create("png", "w")
    context.width, context.height, context.pix_fmt = WIDTH, HEIGHT, layout
    context.time_base = Fraction(1, 25)
    path.write_bytes(b"".join(bytes(each) for each in context.encode(image)))
    return path


@pytest.mark.parametrize(
    ("layout", "mode"),
    [("rgba64be", "RGBA"), ("rgb48be", "RGB"), ("gray16be", "L"), ("ya16be", "RGBA")],
)
def test_16_bits_become_8(tmp_path: Path, layout: str, mode: str) -> None:
    given = opened(made(tmp_path, sixteen(tmp_path / "a.png", layout), "o.png"))
    assert given.mode == mode
    if layout.startswith("rgb"):
        wanted = PIL.Image.fromarray(colours()).convert(mode)
        assert np.abs(np.asarray(given).astype(int) - np.asarray(wanted)).max() <= 1


# clips with alpha


CLIPS = [
    pytest.param("a.webm", "{type: encode, crf: 5}", "libvpx-vp9", id="VP9"),
    pytest.param("a.mkv", "{type: encode, codec: vp9, crf: 5}", "libvpx-vp9", id="VP9 in MKV"),
    pytest.param("a.mov", "{type: encode, codec: prores}", "", id="ProRes"),
    pytest.param("a.mov", "{type: encode, codec: qtrle}", "", id="QuickTime Animation"),
    pytest.param("a.mov", "{type: encode, codec: png}", "", id="PNG"),
]


@pytest.mark.parametrize(("sink", "encode", "decoder"), CLIPS)
@pytest.mark.parametrize("layout", ["yuva444p", "bgra"])
def test_a_clip_keeps_its_alpha(
    tmp_path: Path, sink: str, encode: str, decoder: str, layout: str
) -> None:
    source = film(tmp_path / "source.mkv", "ffv1", layout)
    path = made(tmp_path, source, sink, f"{{source: {{type: decode}}, out: {encode}}}")
    found = list(pictures(path, decoder))
    assert len(found) == 3
    for image in found:
        assert_clear(image, 6)


@pytest.mark.parametrize(
    ("codec", "layout"), [("prores", "yuv422p10le"), ("qtrle", "rgb24"), ("png", "rgb24")]
)
def test_without_alpha_they_have_none(tmp_path: Path, codec: str, layout: str) -> None:
    source = film(tmp_path / "source.mkv", "ffv1", "yuv420p")
    nodes = f"{{source: {{type: decode}}, out: {{type: encode, codec: {codec}}}}}"
    with av.open(str(made(tmp_path, source, "a.mov", nodes))) as file:
        image = next(file.decode(video=0))
    assert image.format.name in (layout, layout.replace("10le", "12le"))


# through nodes


@pytest.mark.parametrize(
    ("node", "spot"),
    [
        pytest.param("resize, width: 32, height: 24", (6, 8), id="resize"),
        pytest.param("crop, width: 32, height: 24", (12, 16), id="crop"),
        pytest.param("flip, direction: vertical", (36, 16), id="flip"),
        pytest.param("rotate, angle: 180", (36, 48), id="rotate"),
        pytest.param("overlay_text, text: hi, size: 10, x: 40, y: 30", (12, 16), id="text"),
        pytest.param("color, brightness: 0.001", (12, 16), id="color"),
        pytest.param("filter, graph: 'hue=s=1'", (12, 16), id="filter"),
        pytest.param("fps, fps: 10", (12, 16), id="a node of any picture"),
    ],
)
def test_alpha_goes_through_a_node(tmp_path: Path, node: str, spot: tuple[int, int]) -> None:
    source = still(tmp_path / "a.png")
    nodes = f"{{source: {{type: decode}}, n: {{type: {node}}}, out: {{type: encode}}}}"
    given = shown(made(tmp_path, source, "o.png", nodes))
    assert np.abs(given[spot] - (*RED, 100)).max() <= 3


BLEND = """{source: {type: decode}, top: {type: decode, path: top.mov},
  both: {type: blend, in: {base: source, top: top}}, out: {type: encode, crf: 4}}"""


@pytest.mark.parametrize(
    ("codec", "layout"), [("prores_ks", "yuva444p10le"), ("qtrle", "argb"), ("png", "rgba")]
)
def test_base_is_seen_where_the_top_is_clear(tmp_path: Path, codec: str, layout: str) -> None:
    film(tmp_path / "top.mov", codec, layout)
    base = tmp_path / "base.mkv"
    with av.open(str(base), "w") as file:
        stream: Any = file.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(3):
            green = np.full((HEIGHT, WIDTH, 3), (30, 200, 60), np.uint8)
            image = av.VideoFrame.from_ndarray(green, "rgb24").reformat(format="yuv420p")
            image.pts, image.time_base = number, Fraction(1, 10)
            file.mux(stream.encode(image))
        file.mux(stream.encode(None))
    found = [rgba[..., :3] for rgba in pictures(made(tmp_path, base, "o.mp4", BLEND))]
    assert len(found) == 3
    part = 100 / 255
    mixed = np.array(RED) * part + np.array((30, 200, 60)) * (1 - part)
    for rgb in found:
        assert np.abs(rgb[36, 16] - (30, 200, 60)).max() <= 4
        assert np.abs(rgb[24, 48] - RED).max() <= 4
        assert np.abs(rgb[12, 16] - mixed).max() <= 4


# where it is lost


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if "alpha" in each.getMessage()]


@pytest.mark.parametrize(("name", "codec", "layout", "options"), FILMS)
def test_what_holds_none_loses_it_and_says_so(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    name: str,
    codec: str,
    layout: str,
    options: dict[str, str],
) -> None:
    source = film(tmp_path / name, codec, layout, options)
    plan = planned(tmp_path, PASS, source, tmp_path / "o.mp4")
    assert plan.steps["source"].loses_alpha
    assert plans.as_data(plan)["steps"]["source"]["loses"] == ["alpha"]
    assert plan.conversions == 0
    made(tmp_path, source, "o.mp4")
    assert lines(caplog) == [f"{name}: its pictures have alpha, which is left out"]


def test_what_is_opaque_loses_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = still(tmp_path / "a.webp", "RGB", lossless=True)
    made(tmp_path, source, "o.mp4")
    assert lines(caplog) == []
    assert not planned(tmp_path, PASS, source, tmp_path / "o.mp4").steps["source"].loses_alpha


def test_an_encoder_that_was_not_known_says_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = still(tmp_path / "a.png")
    plan = planned(tmp_path, PASS, source, "")
    assert plan.steps["out"].inputs["image"].layout == "rgba"
    run = Run(plan, Media({"": str(source)}, {"": str(tmp_path / "o.mp4")}))
    run.start()
    finished(run)
    assert lines(caplog) == ["h264: the pictures have alpha, which is left out"]


def test_a_vp9_in_mp4_has_no_alpha(tmp_path: Path) -> None:
    source = film(tmp_path / "a.mkv", "ffv1", "yuva444p")
    nodes = "{source: {type: decode}, out: {type: encode, codec: vp9}}"
    plan = planned(tmp_path, nodes, source, tmp_path / "o.mp4")
    assert plan.steps["source"].loses_alpha
    assert plan.steps["out"].inputs["image"].layout == "yuv420p"


@pytest.mark.parametrize("mode", list(Mode))
def test_a_path_in_the_pipeline_is_known_without_a_run(tmp_path: Path, mode: Mode) -> None:
    film(tmp_path / "top.mov", "prores_ks", "yuva444p10le")
    plan = planned(tmp_path, BLEND, "", "", mode)
    assert plan.steps["top"].outputs["image"].layout == "yuva444p"
    assert plan.steps["out"].inputs["image"].layout == "yuv420p"
    assert not any(step.loses_alpha for step in plan.steps.values())


def test_a_node_of_rgb_loses_it_and_the_plan_says_where(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from composer import RGB, Node\n\nclass Mine(Node):\n"
        "    def process(self, image: RGB) -> RGB:\n        return image\n"
    )
    nodes = "{source: {type: decode}, n: {type: ./mine.py:Mine}, out: {type: encode}}"
    plan = planned(tmp_path, nodes, still(tmp_path / "a.png"), tmp_path / "o.png")
    assert [name for name, step in plan.steps.items() if step.loses_alpha] == ["source"]
    assert plan.steps["out"].inputs["image"].layout == "rgb24"


def test_a_node_of_rgba_keeps_it(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from typing import Annotated\nfrom composer import Layouts, Node, Picture\n"
        'Clear = Annotated[Picture, Layouts("rgba")]\n\nclass Mine(Node):\n'
        "    def process(self, image: Clear) -> Clear:\n        return image\n"
    )
    nodes = "{source: {type: decode}, n: {type: ./mine.py:Mine}, out: {type: encode}}"
    given = shown(made(tmp_path, still(tmp_path / "a.png"), "o.png", nodes))
    assert np.array_equal(given, colours())


# colours of each pixel


def test_no_colour_is_shared_between_two_pictures(tmp_path: Path) -> None:
    source = tmp_path / "a.png"
    PIL.Image.fromarray(stripes()).save(source)
    assert np.array_equal(shown(made(tmp_path, source, "o.png")), stripes())


@pytest.mark.parametrize(
    "node",
    [
        "resize, width: 64, height: 48",
        "crop, width: 64",
        "flip, direction: vertical",
        "overlay_text, text: '', size: 8",
        "color, contrast: 1.001",
        "blend, in: {base: source, top: source}",
        "filter, graph: vflip",
        "fps, fps: 25",
    ],
)
def test_nor_by_a_node_between_them(tmp_path: Path, node: str) -> None:
    source = tmp_path / "a.png"
    PIL.Image.fromarray(stripes()).save(source)
    nodes = f"{{source: {{type: decode}}, n: {{type: {node}}}, out: {{type: encode}}}}"
    given = shown(made(tmp_path, source, "o.png", nodes))
    assert np.abs(given - stripes()).max() <= 3


def test_a_row_of_pictures_stays_what_it_is(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        PIL.Image.fromarray(np.roll(stripes(), number, axis=1)).save(tmp_path / f"a{number}.png")
    made(tmp_path, tmp_path / "a%d.png", "o%02d.png")
    for number in (1, 2, 3):
        given = shown(tmp_path / f"o0{number}.png")
        assert np.array_equal(given, np.roll(stripes(), number, axis=1))


def test_grey_stays_grey(tmp_path: Path) -> None:
    source = still(tmp_path / "a.png", "L")
    given = opened(made(tmp_path, source, "o.png"))
    assert given.mode == "L"
    assert np.array_equal(np.asarray(given), np.asarray(opened(source)))


@pytest.mark.parametrize("subsampling", [0, 1, 2], ids=["4:4:4", "4:2:2", "4:2:0"])
def test_a_jpeg_loses_no_more_than_it_has(tmp_path: Path, subsampling: int) -> None:
    source = tmp_path / "a.jpg"
    PIL.Image.fromarray(stripes()).save(source, quality=95, subsampling=subsampling)
    with av.open(str(source)) as file:
        wanted = next(file.decode(video=0)).to_ndarray(format="rgb24").astype(int)
    given = shown(made(tmp_path, source, "o.png"))
    assert np.abs(given - wanted).max() <= 2


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_a_jpeg_is_written_with_the_colours_of_each_pixel(tmp_path: Path, name: str) -> None:
    source = tmp_path / name
    PIL.Image.fromarray(stripes()).save(source, quality=98, subsampling=0)
    given = opened(made(tmp_path, source, "o.jpg"))
    assert given.getpixel((20, 20))[0] > 200  # type: ignore[index]
    assert given.getpixel((21, 20))[2] > 200  # type: ignore[index]


def test_a_jpeg_of_shared_colours_is_not_made_larger(tmp_path: Path) -> None:
    source = tmp_path / "a.jpg"
    PIL.Image.fromarray(stripes()).save(source, subsampling=2)
    with av.open(str(made(tmp_path, source, "o.jpg"))) as file:
        assert next(file.decode(video=0)).format.name == "yuvj420p"


def test_a_clip_of_whole_colours_gives_them_to_pictures(tmp_path: Path) -> None:
    for layout in ("yuv444p", "gbrp"):
        source = tmp_path / f"{layout}.mkv"
        with av.open(str(source), "w") as file:
            stream: Any = file.add_stream("ffv1", rate=10)
            stream.width, stream.height = WIDTH, HEIGHT
            stream.pix_fmt = "bgr0" if layout == "gbrp" else layout
            image = av.VideoFrame.from_ndarray(stripes(), "rgb24").reformat(format=stream.pix_fmt)
            file.mux(stream.encode(image))
            file.mux(stream.encode(None))
        given = shown(made(tmp_path, source, "o.png"))
        assert np.abs(given - stripes()).max() <= 3


# what is asked of the ends


class Plain(Node):
    """Takes what codecs take."""

    def process(self, image: Annotated[Picture, Layouts("yuv420p", "rgb24")]) -> None: ...


@pytest.mark.parametrize(
    ("name", "codec", "layout"), [("a.mov", "qtrle", "rgb24"), ("a.mkv", "ffv1", "yuv444p")]
)
def test_a_clip_of_whole_colours_gives_them_to_whoever_looks(
    tmp_path: Path, name: str, codec: str, layout: str
) -> None:
    (tmp_path / "nodes.py").write_text(
        "from composer import Node, Picture, Record\n\n\n"
        "class Look(Node):\n"
        "    def process(self, image: Picture) -> Record:\n"
        "        return {}\n"
    )
    nodes = "{source: {type: decode}, look: {type: ./nodes.py:Look}, out: {type: record}}"
    plan = planned(tmp_path, nodes, film(tmp_path / name, codec, layout), None)
    assert plan.steps["source"].outputs["image"].layout == layout


def test_ends_are_found_by_name_and_else_by_none() -> None:
    ends = Ends({"": "a.mp4", "top": "b.mov"}, {"out": "o.png"})
    assert (ends.source("top"), ends.source("source")) == ("b.mov", "a.mp4")
    assert (ends.sink("out"), ends.sink("other")) == ("o.png", "")


def test_a_graph_of_usual_colours_is_planned_as_ever() -> None:
    class Knows(Node):
        def stored_layout(self, source: str, folder: Path) -> str:
            return "yuv422p"

        def process(self) -> Iterator[Annotated[Picture, Layouts("yuv420p", "yuv422p")]]:
            raise NotImplementedError

    graph = good_graph("nodes: {s: {type: knows}, o: {type: plain}}", knows=Knows, plain=Plain)
    assert fitted(graph, NO_ENDS, live=False) is graph


def test_what_cannot_be_read_is_not_known(tmp_path: Path) -> None:
    (tmp_path / "text.mov").write_text("no film")
    for name in ("text.mov", "missing.png", "missing%d.png", "", "http://127.0.0.1:1/a.mov", "."):
        assert reader.stored_layout(str(tmp_path / name) if "." in name[:8] else name) == ""


def test_a_node_that_knows_nothing_says_nothing() -> None:
    class Made(Node):
        def process(self) -> Iterator[RGB]:
            raise NotImplementedError

    assert Made().stored_layout("a.png", Path()) == ""
    assert Made().held_layouts("a.png", live=False) == ()


def test_records_go_into_no_output_that_does_not_name_them() -> None:
    ends = Ends(sinks={"": "o.png", "said": "said.jsonl"})
    assert ends.sink("rows", Record()) == ""
    assert ends.sink("said", Record()) == "said.jsonl"
