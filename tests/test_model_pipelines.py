"""The pipelines with models show what they say, each on one picture of a person or of words."""

import json
import os
import re
import shutil
import subprocess
import sys
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
import pytest
from numpy.typing import NDArray

from composer.compiler.compile import Compiled, compile_file, plan_of
from composer.engine.run import Media, Run
from composer.models import weights
from composer.models.fetch import FetchFailed, fetch
from composer.models.weights import Weights, WeightsMissing
from composer.node.registry import Registry
from tests.clips import BIKES, BUNNY, ROOT, fetched
from tests.server.streams import pictures, pieces, ran, serving

PIPELINES: Final = ROOT / "pipelines"
FILES: Final = sorted(path for path in PIPELINES.glob("*.yaml") if "sha256:" in path.read_text())

ASTRONAUT: Final = weights.parse(
    "pypi://scikit-image==0.26.0/skimage/data/astronaut.png",
    "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
)
"""512x512: Eileen Collins in front of a flag and a shuttle (NASA, public domain)."""

FACE: Final = np.s_[72:172, 182:266]
"""Eyes, nose and mouth in the upper 288 rows."""

AROUND: Final = np.s_[30:210, 140:308]
"""The face with whatever a detector may add on its sides."""

Pixels = NDArray[np.uint8]


def here(wanted: Weights) -> Path:
    """Where a file lies, after it was fetched if need be."""
    try:
        return weights.verify(wanted, Path())
    except WeightsMissing:
        try:
            return fetch(wanted)
        except FetchFailed as exc:
            pytest.skip(f"{wanted.name} is not in the cache and cannot be fetched: {exc}")


@cache
def compiled(file: Path) -> Compiled:
    """A pipeline whose weights are on this machine."""
    made = compile_file(file, Registry.installed())
    assert made.graph is not None, made.problems
    if not made.graph.absent:
        return made
    for each in made.graph.weights:
        here(each)
    return compile_file(file, Registry.installed())


def person(folder: Path) -> Path:
    """The upper part of the astronaut, in the shape of a film."""
    path = folder / "person.png"
    with PIL.Image.open(here(ASTRONAUT)) as whole:
        upper = np.asarray(whole.convert("RGB"))[:288]
    PIL.Image.fromarray(upper).save(path)  # without the colour profile: reading one crashes PyAV 18
    return path


def pixels_of(path: Path) -> Pixels:
    with PIL.Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def made(file: Path, picture: Path, folder: Path, *, times: int = 1, **params: Any) -> Pixels:
    """What a pipeline makes of a picture shown so many times, at 25 a second: the last one.

    What it writes beside that lies in the folder.
    """
    for number in range(times):
        shutil.copy(picture, folder / f"in-{number}.png")
    for old in folder.glob("out-*.png"):
        old.unlink()
    media = Media({"": str(folder / "in-%d.png")}, {"": str(folder / "out-%03d.png")})
    run = Run(plan_of(compiled(file)), media)
    if params:
        run.params.patch(params)
    run.start()
    run.wait()
    given = sorted(folder.glob("out-*.png"))
    assert len(given) == times
    for number in range(times):
        (folder / f"in-{number}.png").unlink()
    return pixels_of(given[-1])


RAMP: Final = 16
"""Pictures until what was set at the start holds where it gets there bit by bit."""


def away(one: Pixels, other: Pixels) -> float:
    """Mean distance of two pictures, in levels."""
    return float(np.abs(one.astype(int) - other).mean())


def fineness(part: Pixels) -> float:
    """How much neighbours differ, in levels."""
    return float(np.abs(np.diff(part.astype(int), axis=1)).mean())


def scaled(picture: Pixels, width: int, height: int) -> Pixels:
    return np.asarray(PIL.Image.fromarray(picture).resize((width, height)))


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_face_is_blurred_and_nothing_else(tmp_path: Path) -> None:
    picture = person(tmp_path)
    old, file = pixels_of(picture), PIPELINES / "face_blur.yaml"
    given = made(file, picture, tmp_path)
    assert fineness(given[FACE]) < 0.4 * fineness(old[FACE])
    rest = np.ones(old.shape[:2], np.bool_)
    rest[AROUND] = False
    assert away(given[rest], old[rest]) < 2  # what the way through YUV costs
    assert away(made(file, picture, tmp_path, strength=0)[FACE], old[FACE]) < 2


def test_a_small_picture_becomes_larger_and_sharper_than_by_scaling(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    with av.open(str(fetched(BUNNY))) as opened:
        image = PIL.Image.fromarray(next(opened.decode(video=0)).to_ndarray(format="rgb24"))
    image.save(tmp_path / "bunny.png")
    truth = np.asarray(image.resize((640, 360)))
    small = image.resize((320, 180))
    given = made(PIPELINES / "upscale.yaml", tmp_path / "bunny.png", tmp_path)
    assert given.shape == truth.shape
    scaled_up = np.asarray(small.resize((640, 360), PIL.Image.Resampling.BICUBIC))
    # Nearer to the fine detail of the original, and nowhere far from it. Its colours went through
    # 4:2:0 and the others did not, which costs half a decibel.
    assert fineness(scaled_up) < 0.9 * fineness(given) < fineness(truth)
    assert psnr(given, truth) > psnr(scaled_up, truth) - 1


def psnr(one: Pixels, other: Pixels) -> float:
    """Decibels."""
    return float(10 * np.log10(255**2 / np.square(one.astype(float) - other).mean()))


def test_cuts_between_shots_are_told(tmp_path: Path) -> None:
    """Two films in turns: each change is told once, by the last picture before it."""
    pytest.importorskip("torch", reason="torch is not installed")
    lengths = ((BUNNY, 30), (BIKES, 26), (BUNNY, 44))
    with av.open(str(tmp_path / "film.mp4"), "w") as film:
        track, count = film.add_stream("libx264", rate=25), 0
        track.width, track.height, track.pix_fmt = 160, 90, "yuv420p"
        for name, length in lengths:
            with av.open(str(fetched(name))) as opened:
                for image, _ in zip(opened.decode(video=0), range(length), strict=False):
                    small = image.reformat(160, 90, "yuv420p")
                    small.pts, small.pict_type, small.time_base = count, 0, Fraction(1, 25)
                    film.mux(track.encode(small))
                    count += 1
        film.mux(track.encode(None))
    run = Run(
        plan_of(compiled(PIPELINES / "shot_cuts.yaml")),
        Media({"": str(tmp_path / "film.mp4")}, {"": str(tmp_path / "out.mp4")}),
    )
    run.start()
    run.wait()
    lines = (tmp_path / "records.jsonl").read_text().splitlines()
    told = [json.loads(line)["cut_after"] for line in lines]
    assert told == pytest.approx([29 / 25, 55 / 25], abs=0.001)


def test_a_style_paints_the_picture_and_another_one_does_it_differently(tmp_path: Path) -> None:
    picture, file = person(tmp_path), PIPELINES / "style_live.yaml"
    old = scaled(pixels_of(picture), 640, 360)
    first, other = (
        made(file, picture, tmp_path, times=RAMP, style_0=1 - which, style_19=which)
        for which in (0, 1)
    )
    for given in (first, other):
        assert given.shape == old.shape
        assert away(given, old) > 15
        assert alike(given, old) > 0.5
    assert away(first, other) > 25


def alike(one: Pixels, other: Pixels) -> float:
    """Correlation of brightness in small copies: 1 where light and dark are in the same places."""
    small = [scaled(each, 32, 18).mean(2).ravel() for each in (one, other)]
    return float(np.corrcoef(*small)[0, 1])


def test_any_picture_is_a_style(tmp_path: Path) -> None:
    picture = person(tmp_path)
    old = scaled(pixels_of(picture), 640, 360)
    first = made(PIPELINES / "style_any.yaml", picture, tmp_path)
    (tmp_path / "assets").mkdir()
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::16], stripes[:, 1::16] = (255, 90, 20), (255, 200, 20)
    PIL.Image.fromarray(stripes).save(tmp_path / "assets" / "brush.png")
    file = Path(shutil.copy(PIPELINES / "style_any.yaml", tmp_path))
    other = made(file, picture, tmp_path)
    for given in (first, other):
        assert given.shape == old.shape
        assert away(given, old) > 15
    assert alike(first, old) > 0.3
    assert away(first, other) > 15


def test_the_background_is_replaced_and_the_person_is_not(tmp_path: Path) -> None:
    picture, file = person(tmp_path), PIPELINES / "background.yaml"
    given = made(file, picture, tmp_path)
    old = scaled(pixels_of(picture), *given.shape[1::-1])
    dusk = scaled(pixels_of(PIPELINES / "assets" / "dusk.png"), *old.shape[1::-1])
    scale = old.shape[1] / 512
    face = tuple(slice(round(s.start * scale), round(s.stop * scale)) for s in FACE)
    corner = np.s_[: round(60 * scale), -round(60 * scale) :]
    assert away(given[face], old[face]) < 3  # what the way through YUV and the mask cost
    assert away(given[corner], dusk[corner]) < 4
    assert away(given[corner], old[corner]) > 30


def test_words_are_read(tmp_path: Path) -> None:
    board = PIL.Image.new("RGB", (1280, 720), "#204060")
    draw, font = PIL.ImageDraw.Draw(board), PIL.ImageFont.load_default(80)
    draw.text((200, 150), "LIVE 1234", "white", font)
    draw.text((300, 450), "goal by Anna", "yellow", font)
    board.save(tmp_path / "board.png")
    given = made(PIPELINES / "read_text.yaml", tmp_path / "board.png", tmp_path)
    (line,) = (tmp_path / "records.jsonl").read_text().splitlines()
    found = json.loads(line)["detections"]
    assert [each["label"] for each in found] == ["LIVE 1234", "goal by Anna"]
    assert found[0]["x"] == pytest.approx(200 / 1280, abs=0.02)
    assert found[0]["y"] == pytest.approx(150 / 720, abs=0.04)
    assert away(given, np.asarray(board)) > 1
    bare = made(PIPELINES / "read_text.yaml", tmp_path / "board.png", tmp_path, draw=False)
    assert away(bare, np.asarray(board)) < 1


def test_a_harmless_picture_is_shown_and_a_strict_threshold_veils_it(tmp_path: Path) -> None:
    picture, file = person(tmp_path), PIPELINES / "moderate.yaml"
    old = pixels_of(picture)
    assert away(made(file, picture, tmp_path), old) < 2
    veiled = made(file, picture, tmp_path, above=0)
    assert fineness(veiled) < 0.2 * fineness(old)


def test_a_style_from_a_still_neither_ends_nor_holds_up_a_session(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = PIPELINES / "style_any.yaml"
    compiled(file)
    monkeypatch.chdir(PIPELINES)

    async def test() -> None:
        async with serving(file.read_text().partition("\n")[2]) as stage:
            stream = await stage.start()
            assert stream.status == 200, stream.answer
            session = stage.sessions[stream.name]
            await stream.publish(pieces(50), speed=1)
            await stream.until(lambda: len(list(pictures(stream.output))) >= 5)
            assert session.reason is None
            report = session.execution.account()
            assert report.nodes["manner"].given == 1
            assert report.nodes["paint"].errors == 0
            await stream.stop()

    ran(test)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_model_pipeline_says_where_its_weights_are_from(file: Path) -> None:
    text = file.read_text()
    assert re.search(r"^capability: ", text, re.M)
    assert re.search(r"^description: ", text, re.M)
    assert re.search(r"MIT|Apache-2.0|BSD", text), "no licence"
    assert text.count("model: ") == text.count("sha256: ")


@pytest.mark.parametrize("fetched", [True, False], ids=["weights here", "nothing fetched"])
def test_checking_and_planning_need_no_library_of_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, fetched: bool
) -> None:
    if not fetched:
        monkeypatch.setenv("BYOC_CACHE", str(tmp_path / "empty"))
    for name in ("onnxruntime", "torch"):
        (tmp_path / f"{name}.py").write_text(f"raise ImportError('no {name} here')\n")
    program = (
        "import sys\n"
        "from composer.command.cli import app\n"
        "for name in ('onnxruntime', 'torch'):\n"
        "    try: __import__(name)\n"
        "    except ImportError: pass\n"
        "    else: raise AssertionError(name)\n"
        "codes = [app(['check', *sys.argv[1:]], standalone_mode=False)]\n"
        "codes += [app(['plan', each], standalone_mode=False) for each in sys.argv[1:]]\n"
        "assert not any(codes), codes\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, FILES)],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(": fine") == len(FILES) >= 6


def docs() -> list[str]:
    page = (ROOT / "docs" / "models.md").read_text()
    return re.findall(r"^```yaml\n(.*?)^```$", page, re.M | re.S)


@pytest.mark.parametrize("number", range(len(docs())))
def test_a_pipeline_in_the_docs_compiles(number: int, tmp_path: Path) -> None:
    """A block is a whole file, or nodes between a source and a sink."""
    text = docs()[number]
    if not text.startswith("version:"):
        text = f"version: 1\nnodes:\n  source: {{type: decode}}\n{text}  out: {{type: encode}}\n"
    file = Path(shutil.copytree(PIPELINES, tmp_path / "pipelines"), "docs.yaml")
    file.write_text(text)
    assert list(compile_file(file, Registry.installed()).problems) == []
