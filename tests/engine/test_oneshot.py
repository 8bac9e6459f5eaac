"""One-shot jobs, from bytes to bytes."""

import io
import json
import threading
import zlib
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

from composer import YUV, Node
from composer.compiler.compile import Compiled, compile_file
from composer.engine import oneshot
from composer.engine.oneshot import GivenUp, Job, JobLimits, Order, TooLarge, UnknownKind
from composer.errors import MediaError, NodeFailed, Overdue, ParamRejected
from composer.node.registry import Registry
from composer.testing import bars
from tests.media import films
from tests.server.streams import compiled_of
from tests.stubs import finished, reach

COPY = "nodes: {s: {type: decode}, o: {type: encode}}\n"
COLOR = "params: {sat: look.saturation}\nnodes:\n  s: {type: decode}\n"
COLOR += "  look: {type: color}\n  o: {type: encode}\n"


def compiled(folder: Path, text: str) -> Compiled:
    path = folder / "p.yaml"
    path.write_text(f"version: 1\n{text}", encoding="utf-8")
    made = compile_file(path, Registry.installed(), {})
    assert not made.problems, made.problems
    return made


def pattern() -> NDArray[np.uint8]:
    """Colour bars above a grey ramp."""
    ramp = np.linspace(0, 255, 160).astype(np.uint8)
    grey = np.broadcast_to(ramp[None, :, None], (60, 160, 3))
    return np.ascontiguousarray(np.concatenate([bars(160, 60), grey]))


def picture(rgb: NDArray[np.uint8], kind: str = "PNG") -> bytes:
    made = io.BytesIO()
    PIL.Image.fromarray(rgb).save(made, kind)
    return made.getvalue()


def shown(data: bytes) -> NDArray[np.int16]:
    return np.asarray(PIL.Image.open(io.BytesIO(data)).convert("RGB")).astype(np.int16)


def test_a_png_comes_back_exactly_where_nothing_needs_yuv(tmp_path: Path) -> None:
    result = Job(compiled(tmp_path, COPY), Order(picture(pattern()))).run()
    assert result.format == "png"
    assert np.array_equal(shown(result.body), pattern())
    expected = {"width": 160, "height": 120, "frames": 1, "format": "png", "params": {}}
    assert {key: result.metadata[key] for key in expected} == expected


def test_an_odd_size_stays(tmp_path: Path) -> None:
    rgb = pattern()[:33, :47]
    result = Job(compiled(tmp_path, COPY), Order(picture(rgb))).run()
    assert np.array_equal(shown(result.body), rgb)


def test_colours_survive_a_node_that_works_in_yuv(tmp_path: Path) -> None:
    rgb = pattern()
    order = Order(rgb.tobytes(), size=(160, 120))
    result = Job(compiled(tmp_path, COLOR), order).run()
    assert result.format == "rgb"
    back = np.frombuffer(result.body, np.uint8).reshape(rgb.shape).astype(np.int16)
    inside = [column for column in range(160) if 3 <= column % 20 < 17]
    rows = [*range(2, 56), *range(64, 118)]  # chroma is coarser than luma: not at the edges
    assert np.abs(back - rgb)[rows][:, inside].max() <= 3


def test_raw_rgb_comes_back_exactly(tmp_path: Path) -> None:
    raw = pattern().tobytes()
    assert Job(compiled(tmp_path, COPY), Order(raw, size=(160, 120))).run().body == raw


@pytest.mark.parametrize("kind", ["jpeg", "webp"])
def test_pictures_come_back_as_their_own_kind_or_the_one_asked_for(
    tmp_path: Path, kind: str
) -> None:
    graph = compiled(tmp_path, COPY)
    data = picture(pattern(), kind.upper())
    same = Job(graph, Order(data)).run()
    assert (same.format, PIL.Image.open(io.BytesIO(same.body)).format) == (kind, kind.upper())
    png = Job(graph, Order(data, format="png")).run()
    assert np.array_equal(shown(png.body), shown(data))


def clear() -> NDArray[np.uint8]:
    """RGBA: red and blue by turns, one pixel each; the upper half is clear to a part."""
    rgba = np.full((48, 64, 4), (255, 0, 0, 255), np.uint8)
    rgba[:, 1::2] = (0, 0, 255, 255)
    rgba[:24, :, 3] = 100
    return rgba


@pytest.mark.parametrize(
    ("kind", "asked", "mode"),
    [
        ("PNG", "", "RGBA"),
        ("PNG", "webp", "RGBA"),
        ("WEBP", "png", "RGBA"),
        ("PNG", "jpeg", "RGB"),
    ],
)
@pytest.mark.parametrize("node", ["", "t: {type: overlay_text, text: '', size: 9}, "])
def test_alpha_and_the_colour_of_each_pixel_come_back(
    tmp_path: Path, kind: str, asked: str, mode: str, node: str
) -> None:
    graph = compiled(tmp_path, f"nodes: {{s: {{type: decode}}, {node}o: {{type: encode}}}}\n")
    data = io.BytesIO()
    PIL.Image.fromarray(clear()).save(data, kind, lossless=True)
    result = Job(graph, Order(data.getvalue(), format=asked)).run()
    given = PIL.Image.open(io.BytesIO(result.body))
    assert given.mode == mode
    wanted = PIL.Image.fromarray(clear()).convert(mode)
    off = np.abs(np.asarray(given).astype(int) - np.asarray(wanted))
    assert off.max() <= (60 if mode == "RGB" else 3)  # JPEG itself loses some at each edge


def test_a_palette_with_a_clear_colour_comes_back_clear(tmp_path: Path) -> None:
    image = PIL.Image.new("P", (16, 16))
    image.putpalette([220, 30, 40, 0, 255, 0])
    image.info["transparency"] = 0
    data = io.BytesIO()
    image.save(data, "PNG")
    result = Job(compiled(tmp_path, COPY), Order(data.getvalue())).run()
    assert PIL.Image.open(io.BytesIO(result.body)).getpixel((3, 3)) == (220, 30, 40, 0)


def test_packed_rgb_has_no_alpha(tmp_path: Path) -> None:
    result = Job(compiled(tmp_path, COPY), Order(picture(clear()), format="rgb")).run()
    assert result.body == clear()[..., :3].tobytes()


def test_a_clip_becomes_a_clip(tmp_path: Path) -> None:
    film = films.write_film(tmp_path / "a.mp4", films.numbered(12))
    result = Job(compiled(tmp_path, COPY), Order(film.read_bytes(), format="mkv")).run()
    (tmp_path / "b.mkv").write_bytes(result.body)
    images = films.read_film(tmp_path / "b.mkv").images
    assert [films.number(image) for image in images] == list(range(12))
    assert (result.metadata["frames"], result.metadata["width"]) == (12, 64)


def test_a_pipeline_without_input_makes_as_much_as_asked_for(tmp_path: Path) -> None:
    text = "nodes: {s: {type: test_source, width: 64, height: 48, fps: 10, duration: 0},"
    graph = compiled(tmp_path, text + " o: {type: encode}}\n")
    result = Job(graph, Order(seconds=0.5)).run()
    assert (result.format, result.metadata["frames"]) == ("mp4", 5)
    assert Job(graph, Order(format="png")).run().metadata["frames"] == 1


def test_records_come_as_json_and_leave_no_file(tmp_path: Path) -> None:
    (tmp_path / "size.py").write_text(
        "from composer import Node, RGB\nfrom composer.node.values import Record\n\n"
        "class Size(Node):\n    def process(self, image: RGB) -> Record:\n"
        "        return {'width': image.shape[1]}\n",
        encoding="utf-8",
    )
    text = "nodes:\n  s: {type: decode}\n  size: {type: size.py:Size}\n  rows: {type: record}\n"
    result = Job(compiled(tmp_path, text), Order(picture(pattern()))).run()
    assert result.format == "json"
    assert [row["width"] for row in json.loads(result.body)["rows"]] == [160]


def test_records_of_a_sink_of_ones_own_come_as_json(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "from composer import Context, Node, RGB, Role\n\n"
        "class Sizes(Node):\n    role = Role.DATA\n\n"
        "    def setup(self, ctx: Context) -> None:\n        self._file = open(ctx.sink, 'w')\n\n"
        "    def process(self, image: RGB) -> None:\n"
        "        print('{\"width\":', image.shape[1], '}', file=self._file)\n\n"
        "    def close(self) -> None:\n        self._file.close()\n",
        encoding="utf-8",
    )
    text = "nodes:\n  s: {type: decode}\n  sizes: {type: own.py:Sizes}\n"
    result = Job(compiled(tmp_path, text), Order(picture(pattern()))).run()
    assert json.loads(result.body) == {"sizes": [{"width": 160}]}


def test_params_hold_for_the_picture_and_are_told(tmp_path: Path) -> None:
    order = Order(picture(pattern()), {"sat": 0})
    result = Job(compiled(tmp_path, COLOR), order).run()
    assert np.ptp(shown(result.body), axis=2).max() <= 2
    assert result.metadata["params"] == {"sat": 0.0}


def test_wrong_params_are_told_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(ParamRejected) as caught:
        Job(compiled(tmp_path, COLOR), Order(picture(pattern()), {"sat": 9, "sta": 1}))
    assert [problem.at for problem in caught.value.problems] == ["sat", "sta"]


def test_a_format_that_is_misspelt(tmp_path: Path) -> None:
    with pytest.raises(ParamRejected) as caught:
        Job(compiled(tmp_path, COPY), Order(picture(pattern()), format="pgn"))
    assert caught.value.problems[0].hint == "did you mean 'png'?"


def test_a_picture_is_measured_before_it_is_decoded(tmp_path: Path) -> None:
    data = bytearray(picture(pattern()))
    data[16:24] = (9_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    with pytest.raises(TooLarge, match="9000x9000"):
        Job(compiled(tmp_path, COPY), Order(bytes(data)))
    with pytest.raises(TooLarge, match="160x120"):
        Job(compiled(tmp_path, COPY), Order(picture(pattern())), JobLimits(pixels=160 * 119))


def test_a_clip_that_is_too_long(tmp_path: Path) -> None:
    film = films.write_film(tmp_path / "a.ts", films.numbered(50))
    job = Job(compiled(tmp_path, COPY), Order(film.read_bytes()), JobLimits(media_seconds=1))
    with pytest.raises(TooLarge, match="50 pictures"):
        job.run()


@pytest.mark.parametrize("data", [b"hello", b"#EXTM3U\nfile:///etc/passwd\n", b"ffconcat version"])
def test_bytes_of_no_known_kind(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(UnknownKind):
        Job(compiled(tmp_path, COPY), Order(data))


def test_raw_rgb_of_another_size(tmp_path: Path) -> None:
    with pytest.raises(ParamRejected, match="12 bytes, got 11"):
        Job(compiled(tmp_path, COPY), Order(bytes(11), size=(2, 2)))


def test_a_damaged_picture(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="damaged"):
        Job(compiled(tmp_path, COPY), Order(picture(pattern())[:200])).run()


def test_a_clip_in_a_container_that_cannot_hold_it_names_no_folder(tmp_path: Path) -> None:
    graph = compiled(tmp_path, "nodes: {s: {type: decode}, o: {type: encode, codec: h264}}\n")
    with pytest.raises(MediaError, match="webm files cannot hold h264") as caught:
        Job(graph, Order(picture(pattern()), format="webm")).run()
    assert "byoc-" not in str(caught.value)


def test_a_node_that_raises(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text(
        "from composer import Node, RGB\n\nclass Bad(Node):\n"
        "    def process(self, image: RGB) -> RGB:\n        raise RuntimeError('no')\n",
        encoding="utf-8",
    )
    text = "nodes:\n  s: {type: decode}\n  bad: {type: bad.py:Bad}\n  o: {type: encode}\n"
    with pytest.raises(NodeFailed) as caught:
        Job(compiled(tmp_path, text), Order(picture(pattern()))).run()
    assert caught.value.node == "bad"


def test_a_job_that_is_given_up_before_it_began(tmp_path: Path) -> None:
    job = Job(compiled(tmp_path, COPY), Order(picture(pattern())))
    job.abort()
    with pytest.raises(GivenUp):
        job.run()


def test_a_job_holds_its_limit_where_a_node_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oneshot, "GRACE_SECONDS", 0.1)
    allowed = threading.Event()

    class Hang(Node):
        """Comes back when the test lets it."""

        def process(self, image: YUV) -> YUV:
            reach(allowed)
            return image

    text = "nodes: {s: {type: decode}, h: {type: hang}, o: {type: encode}}\n"
    job = Job(compiled_of(text, hang=Hang), Order(picture(pattern())), JobLimits(seconds=0.1))
    try:
        with pytest.raises(Overdue):
            job.run()
    finally:
        allowed.set()
    assert job._run is not None
    finished(job._run)
