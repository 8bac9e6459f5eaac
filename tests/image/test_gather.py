"""What a build lays out for an image: files that everybody may read, and the weights."""

import stat
from pathlib import Path

import pytest

from composer.image import context, gather
from composer.image.contents import Contents
from composer.models import weights

PLAIN = "version: 1\nnodes:\n  source: {type: decode}\n  out: {type: encode}\n"


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "mine.yaml").write_text(PLAIN)
    (tmp_path / "pipelines" / "mine.yaml").chmod(0o600)
    monkeypatch.setenv("BYOC_CACHE", str(tmp_path / "nowhere"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def gathered(build: Path, kept: str = "baked") -> dict[str, str]:
    """Path -> content of what the image gets."""
    target = build / "image"
    places = ["--app", str(target / "app"), "--cache", str(target / "weights")]
    tools = ["--pip", "false", "--lock", str(context.LOCK)]
    gather.main(["pipelines/mine.yaml", "--weights", kept, *tools, *places])
    files = [path for path in target.rglob("*") if path.is_file()]
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o644 for path in files)
    return {str(path.relative_to(target)): path.read_text() for path in files}


def test_a_checkout_is_looked_through(build: Path) -> None:
    (build / "pipelines" / "other.yaml").write_text(PLAIN)
    assert gathered(build) == {"app/pipelines/mine.yaml": PLAIN}
    assert (build / "image" / "weights").is_dir()


def test_a_list_is_followed_without_a_look_at_the_file(build: Path) -> None:
    (build / "pipelines" / "mine.yaml").write_text("nodes: ${env:NOT_SET_IN_A_BUILD}\n")
    (build / "pipelines" / "words.txt").write_text("hello")
    found = Contents(build / "pipelines", (Path("mine.yaml"), Path("words.txt")), (), (), ())
    (build / "contents.json").write_text(found.as_json())
    assert gathered(build)["app/pipelines/words.txt"] == "hello"


@pytest.mark.parametrize("kept", ["baked", "mounted"])
def test_weights_that_came_along_are_checked_and_baked(build: Path, kept: str) -> None:
    digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"  # of "test"
    wanted = weights.parse("pypi://x==1.0/x.onnx", digest)
    found = Contents(build / "pipelines", (Path("mine.yaml"),), (wanted,), (), ())
    (build / "contents.json").write_text(found.as_json())
    place = build / gather.FETCHED / "weights" / digest[:2] / digest
    place.parent.mkdir(parents=True)
    place.write_text("test")
    made = gathered(build, kept)
    baked = {f"weights/weights/{digest[:2]}/{digest}": "test"}
    assert made == {"app/pipelines/mine.yaml": PLAIN} | (baked if kept == "baked" else {})


def test_a_file_with_problems_ends_the_build_with_them(build: Path) -> None:
    (build / "pipelines" / "mine.yaml").write_text(PLAIN.replace("decode", "decoed"))
    with pytest.raises(SystemExit, match="no node type 'decoed'"):
        gathered(build)
