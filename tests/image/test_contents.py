"""What an image of a pipeline holds: what it names, however it names it, and nothing else."""

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, save_model

from composer.compiler.compile import compile_file
from composer.image import contents
from composer.image.contents import Contents
from composer.node.registry import Registry
from tests.clips import ROOT

SAYS = """\
from composer import RGB, Node


class Says(Node):
    {field}

    def process(self, image: RGB) -> RGB:
        return image
"""

PLAIN = "version: 1\nnodes:\n  source: {type: decode}\n  out: {type: encode}\n"


def found(folder: Path, text: str, *include: str) -> Contents:
    file = folder / "mine.yaml"
    file.write_text(text, encoding="utf-8")
    installed = Registry.installed()
    compiled = compile_file(file, installed)
    assert not compiled.problems
    return contents.of(file, compiled, installed, include)


def names(made: Contents) -> list[str]:
    return [path.as_posix() for path in made.files]


def test_of_a_folder_only_what_the_pipeline_uses(tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text(PLAIN)
    (tmp_path / "clip.mp4").write_bytes(b"x")
    made = found(tmp_path, PLAIN)
    assert names(made) == ["mine.yaml"]
    assert (made.needs, made.packs, made.weights, made.variables) == ((), (), (), ())


def test_a_custom_node_comes_with_what_it_imports_from_its_folder(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "__init__.py").write_text("from own.deep import FACTOR\n")
    (tmp_path / "own" / "deep.py").write_text("FACTOR = 2\n")
    (tmp_path / "beside.py").write_text("import own\n")
    (tmp_path / "unused.py").write_text("")
    (tmp_path / "nodes.py").write_text(
        "import beside\nfrom composer import RGB, Node\n"
        "class Same(Node):\n    def process(self, image: RGB) -> RGB:\n        return image\n"
    )
    made = found(tmp_path, PLAIN.replace("  out", "  same: {type: ./nodes.py:Same}\n  out"))
    expected = ["mine.yaml", "beside.py", "nodes.py", "own/__init__.py", "own/deep.py"]
    assert names(made) == expected


def test_files_that_settings_name_and_a_requirements_file(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("hello")
    (tmp_path / "requirements.txt").write_text("six==1.17.0\n")
    (tmp_path / "nodes.py").write_text(SAYS.format(field="rows: list[str] = []"))
    node = "  says: {type: ./nodes.py:Says, rows: [words.txt, no file]}\n  out"
    made = found(tmp_path, PLAIN.replace("  out", node))
    assert names(made) == ["mine.yaml", "nodes.py", "requirements.txt", "words.txt"]


def test_links_keep_their_names(tmp_path: Path) -> None:
    (tmp_path / "words-2.txt").write_text("hello")
    (tmp_path / "words.txt").symlink_to("words-2.txt")
    (tmp_path / "nodes.py").write_text(SAYS.format(field="words: str = ''"))
    (tmp_path / "elsewhere").mkdir()
    node = "  says: {type: ./nodes.py:Says, words: words.txt}\n  out"
    (tmp_path / "elsewhere" / "real.yaml").write_text(PLAIN.replace("  out", node))
    (tmp_path / "mine.yaml").symlink_to("elsewhere/real.yaml")
    installed = Registry.installed()
    compiled = compile_file(tmp_path / "mine.yaml", installed)
    made = contents.of(tmp_path / "mine.yaml", compiled, installed, ())
    assert names(made) == ["mine.yaml", "nodes.py", "words.txt"]


def test_a_sub_pipeline_and_what_it_names(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "look.cube").write_text(
        (ROOT / "pipelines/assets/teal_orange.cube").read_text()
    )
    part = "version: 1\nnodes:\n  source: {type: decode}\n  look: {type: lut3d, path: look.cube}\n"
    (tmp_path / "parts" / "look.yaml").write_text(part + "  out: {type: encode}\n")
    text = PLAIN.replace("  out", "  part: {type: pipeline, file: parts/look.yaml}\n  out")
    assert names(found(tmp_path, text)) == ["mine.yaml", "parts/look.cube", "parts/look.yaml"]


def test_a_model_comes_with_the_files_of_its_weights(tmp_path: Path) -> None:
    weights = numpy_helper.from_array(np.zeros((3, 1024), np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("Identity", ["image"], ["out"])],
        "same",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 32, 32])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, 3, 32, 32])],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    save_model(
        model,
        str(tmp_path / "same.onnx"),
        save_as_external_data=True,
        location="same.data",
        size_threshold=0,
    )
    text = PLAIN.replace("  out", "  same: {type: onnx, model: same.onnx, post: image}\n  out")
    made = found(tmp_path, text)
    assert names(made) == ["mine.yaml", "same.data", "same.onnx"]
    assert made.needs == ("onnxruntime",)


@pytest.mark.parametrize(
    ("line", "needs"),
    [
        ("import torch", ("torch",)),
        ("import torch.nn.functional as F", ("torch",)),
        ("from torch import nn", ("torch",)),
        ("from composer import Tensor", ("torch",)),
        ("import onnxruntime", ("onnxruntime",)),
        ("from safetensors import numpy", ("torch",)),
        ("import torchless", ()),
        ("from . import torch", ()),
    ],
)
def test_what_custom_nodes_need_is_what_they_import(
    tmp_path: Path, line: str, needs: tuple[str, ...]
) -> None:
    """Nothing of it is run: in a build it may not be installed yet."""
    (tmp_path / "nodes.py").write_text(f"raise SystemExit\n{line}\n")
    file = tmp_path / "mine.yaml"
    file.write_text(PLAIN.replace("  out", "  own: {type: ./nodes.py:Own}\n  out"))
    assert contents.needs(file, Registry.installed()) == needs


def test_more_files_may_be_asked_for(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.json").write_text("{}")
    (tmp_path / "data" / "b.json").write_text("{}")
    (tmp_path / "notes.txt").write_text("")
    assert names(found(tmp_path, PLAIN, "data"))[1:] == ["data/a.json", "data/b.json"]
    assert names(found(tmp_path, PLAIN, "*/a.json"))[1:] == ["data/a.json"]
    with pytest.raises(LookupError, match=r"--include nothing\*: no file"):
        found(tmp_path, PLAIN, "nothing*")


def test_the_variables_of_a_pipeline_are_named_and_their_values_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAPTION", "a secret")
    node = "  says: {type: overlay_text, text: '${env:CAPTION}'}\n  out"
    made = found(tmp_path, PLAIN.replace("  out", node))
    assert made.variables == ("CAPTION",)
    assert "a secret" not in made.as_json()


def test_the_list_is_read_back_as_it_was_written() -> None:
    file = ROOT / "pipelines" / "face_blur.yaml"
    installed = Registry.installed()
    made = contents.of(file, compile_file(file, installed), installed, ())
    assert [each.scheme for each in made.weights] == ["pypi"]
    assert Contents.from_json(made.as_json(), made.folder) == made


def test_a_pack_is_named_by_the_package_that_offers_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sparkle").mkdir()
    (tmp_path / "sparkle" / "__init__.py").write_text("")
    (tmp_path / "sparkle" / "glow.py").write_text(
        "from composer import RGB, Node\n"
        "class Glow(Node):\n    needs = ('torch',)\n"
        "    def process(self, image: RGB) -> RGB:\n        return image\n"
    )
    info = tmp_path / "byoc_sparkle-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: byoc-sparkle\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[byoc.nodes]\nsparkle = sparkle\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    made = found(tmp_path, PLAIN.replace("  out", "  glow: {type: glow}\n  out"))
    assert made.packs == ("byoc-sparkle",)
    assert made.needs == ("torch",)
    assert names(made) == ["mine.yaml"]
