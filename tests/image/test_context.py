"""The folder that a builder is given, and the arguments that go with it."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from composer.compiler.compile import compile_file
from composer.image import contents, context, ship, wheel
from composer.image.contents import Contents
from composer.models import weights
from composer.node.registry import Registry
from tests.clips import ROOT


def of(file: Path) -> tuple[Contents, dict[str, Any]]:
    installed = Registry.installed()
    compiled = compile_file(file, installed)
    found = contents.of(file, compiled, installed, ())
    return found, dict(ship.describe(compiled, file))


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wheel of the engine takes pip some seconds; test_images.py makes a real one."""

    def write(name: str, folder: Path) -> Path:
        made = folder / f"{name.replace('-', '_')}-0-py3-none-any.whl"
        with zipfile.ZipFile(made, "w"):
            return made

    monkeypatch.setattr(wheel, "write", write)


@pytest.mark.usefixtures("engine")
def test_it_holds_the_pipeline_the_lock_and_the_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PIP_CERT", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    found, _ = of(ROOT / "pipelines" / "overlay_image.yaml")
    context.write(found, tmp_path, baked=True)
    held = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    locked = {f"composer/image/lock/{path.name}" for path in context.LOCK.iterdir()}
    assert held - locked == {
        "Dockerfile",
        "contents.json",
        "dist/byoc_composer-0-py3-none-any.whl",
        "pipelines/assets/logo.png",
        "pipelines/overlay_image.yaml",
    }
    assert locked <= held


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("kept", ["baked", "mounted"])
def test_weights_come_out_of_the_cache_or_stay_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: str
) -> None:
    monkeypatch.setenv("BYOC_CACHE", str(tmp_path / "cache"))
    wanted = weights.parse("pypi://x==1.0/x.onnx", "ab" * 32)
    weights.place(wanted).parent.mkdir(parents=True)
    weights.place(wanted).write_bytes(b"numbers")
    (tmp_path / "mine.yaml").write_text("version: 1\n")
    found = Contents(tmp_path, (Path("mine.yaml"),), (wanted,), (), ("onnxruntime",))
    target = tmp_path / "context"
    target.mkdir()
    context.write(found, target, baked=kept == "baked")
    held = [path for path in (target / "fetched").rglob("*") if path.is_file()]
    assert [path.read_bytes() for path in held] == ([b"numbers"] if kept == "baked" else [])


@pytest.mark.usefixtures("engine")
def test_what_pip_trusts_and_asks_here_it_trusts_and_asks_in_the_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ours.crt").write_text("certificate")
    monkeypatch.setenv("PIP_CERT", str(tmp_path / "ours.crt"))
    monkeypatch.setenv("PIP_INDEX_URL", "https://packages.example/simple")
    found, about = of(ROOT / "pipelines" / "blur.yaml")
    made = context.arguments(found, about, "cpu", "baked")
    assert made["PIP_INDEX_URL"] == "https://packages.example/simple"
    target = tmp_path / "context"
    target.mkdir()
    context.write(found, target, baked=True)
    # The Dockerfile copies the lock to /build/lock before anything is installed.
    inside = made["PIP_CERT"].removeprefix("/build/lock/")
    assert (target / "composer/image/lock" / inside).read_text() == "certificate"


def test_the_manifest_is_an_argument() -> None:
    found, about = of(ROOT / "pipelines" / "lower_third.yaml")
    made = context.arguments(found, about, "gpu", "mounted")
    assert made["PIPELINE"] == "pipelines/lower_third.yaml"
    assert (made["VARIANT"], made["WEIGHTS"]) == ("gpu", "mounted")
    assert json.loads(made["MANIFEST"]) == about
    assert about["capability"] == made["CAPABILITY"] == "lower-third"


def test_every_argument_is_one_of_the_dockerfile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://packages.example/simple")
    found, about = of(ROOT / "pipelines" / "blur.yaml")
    text = context.dockerfile().read_text(encoding="utf-8")
    for name in context.arguments(found, about, "cpu", "baked"):
        assert f"\nARG {name}" in text, name
