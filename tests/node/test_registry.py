import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from composer.node import registry as files
from composer.node.registry import NotFound, Registry
from tests import stubs

GOOD = """\
import helper_of_mine
from composer import RGB, Node


class Mine(Node):
    def process(self, image: RGB) -> RGB:
        return image


class Other:
    pass
"""


def test_the_installed_types_are_found() -> None:
    names = Registry.installed().names()
    assert {"decode", "encode", "flip"} <= set(names)
    assert names == sorted(names)


def test_every_installed_type_loads() -> None:
    registry = Registry.installed()
    for name in registry.names():
        assert registry.find(name, Path()).__doc__


def test_an_entry_may_name_a_class() -> None:
    assert stubs.registry().find("pass", Path()) is stubs.Pass


def refused(type_: str, folder: Path = Path(), *, registry: Registry | None = None) -> NotFound:
    with pytest.raises(NotFound) as caught:
        (registry or stubs.registry()).find(type_, folder)
    return caught.value


def test_an_unknown_type_has_a_suggestion() -> None:
    found = refused("tresh")
    assert (found.code, str(found)) == ("unknown-node", "no node type 'tresh'")
    assert "fresh" in found.hint


@pytest.mark.parametrize(
    ("value", "said"),
    [
        pytest.param("tests.stubs:TICK", "tests.stubs:TICK is not a Node class", id="no class"),
        pytest.param("json", "module json holds no Node class for type 'x'", id="module"),
        pytest.param("no_such_module", "No module named 'no_such_module'", id="missing"),
    ],
)
def test_an_entry_that_leads_to_no_class(value: str, said: str) -> None:
    registry = Registry({"x": EntryPoint("x", value, "byoc.nodes")})
    found = refused("x", registry=registry)
    assert found.code == "bad-node"
    assert said in str(found)


def test_a_class_of_a_file_may_import_from_its_folder(tmp_path: Path) -> None:
    (tmp_path / "helper_of_mine.py").write_text("", encoding="utf-8")
    (tmp_path / "mine.py").write_text(GOOD, encoding="utf-8")
    cls = stubs.registry().find("./mine.py:Mine", tmp_path)
    assert cls.__name__ == "Mine"
    assert stubs.registry().find("mine.py:Mine", tmp_path) is cls


MINE = """\
from beside_it import WHERE

class Mine:
    at = WHERE
"""


def test_what_two_folders_import_by_one_name_are_two_modules(tmp_path: Path) -> None:
    for name in ("one", "other"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "mine.py").write_text(MINE)
        (folder / "beside_it.py").write_text(f"WHERE = {name!r}\n")

    def found(name: str) -> str:
        where: str = files.load_class(tmp_path / name, "./mine.py:Mine").at
        return where

    assert [found(name) for name in ("one", "other", "one", "other")] == ["one", "other"] * 2
    for name in ("one", "other"):  # the one that has the name in sys.modules, and the other one
        helper = tmp_path / name / "beside_it.py"
        assert helper in files.followed()
        helper.write_text(f"WHERE = 'new {name}'\n")
        files.forget({helper})
        assert found(name) == f"new {name}"
    assert [found(name) for name in ("one", "other")] == ["new one", "new other"]


def test_files_of_one_name_do_not_meet(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.py").write_text(
            GOOD.replace("import helper_of_mine\n", f"FOLDER = {folder!r}\n"), encoding="utf-8"
        )
    one, two = (
        stubs.registry().find("./mine.py:Mine", tmp_path / folder) for folder in ("one", "two")
    )
    assert one is not two


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("x = 1\ny = = 2\n", "mine.py:2: invalid syntax", id="syntax"),
        pytest.param("x = 1\n1 / 0\n", "mine.py:2: ZeroDivisionError", id="raises"),
        pytest.param("Mine = 3\n", "mine.py:Mine is not a Node class", id="no class"),
        pytest.param(
            "from composer import Node\nclass Mine(Node): pass\n", "has no process()", id="no work"
        ),
        pytest.param(
            "from composer import RGB, Node\nclass Mine(Node):\n    queue: int = 1\n"
            "    def process(self, image: RGB) -> RGB: return image\n",
            "field 'queue' has the name of an option",
            id="name of an option",
        ),
        pytest.param(
            "from composer import Node\nclass Mine(Node):\n"
            "    def process(self, image: int) -> None: pass\n",
            "mine.py:2: process() has 'image' as int, which is not a Format",
            id="no Format",
        ),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "mine.py").write_text(text, encoding="utf-8")
    found = refused("./mine.py:Mine", tmp_path)
    assert found.code == "bad-node"
    assert said in str(found)


@pytest.mark.fault("F-58")
def test_a_file_that_was_mended_loads(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("1 / 0\n", encoding="utf-8")
    refused("./mine.py:Mine", tmp_path)
    path.write_text(GOOD.replace("import helper_of_mine\n", ""), encoding="utf-8")
    assert stubs.registry().find("./mine.py:Mine", tmp_path).__name__ == "Mine"


def test_a_file_outside_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "mine.py").write_text(GOOD, encoding="utf-8")
    assert "outside the pipeline's folder" in str(refused("../mine.py:Mine", tmp_path / "inner"))


def test_a_missing_file_and_a_missing_class_have_suggestions(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(GOOD.replace("import helper_of_mine\n", ""), encoding="utf-8")
    assert "mine.py" in refused("./mien.py:Mine", tmp_path).hint
    assert "Mine" in refused("./mine.py:Mien", tmp_path).hint


HIDING = '''
from composer import YUV, Node


class Mine(Node):
    """Pass the picture on."""

    def process(self, image: YUV) -> YUV:
        return image
'''

HIDDEN = """\
version: 1
nodes:
  source: {type: test_source, width: 32, height: 32, duration: 0.1}
  mine: {type: ./nodes.py:Mine}
  out: {type: encode}
"""


@pytest.mark.parametrize(
    "command",
    [
        [sys.executable, "-m", "composer", "check", "pipeline.yaml"],
        [str(Path(sys.executable).with_name("byoc")), "check", "pipeline.yaml"],
        [
            sys.executable,
            "-c",
            "import sys; sys.path.insert(0, ''); from nodes import Mine\n"
            "from composer.command.cli import app\n"
            "app(['check', 'pipeline.yaml'])",
        ],
    ],
    ids=["module", "script", "imported before"],
)
def test_a_file_called_nodes_hides_nothing(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "nodes.py").write_text(HIDING)
    (tmp_path / "pipeline.yaml").write_text(HIDDEN)
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("pipeline.yaml: fine", "")


def test_a_file_called_nodes_that_does_not_load_is_not_asked(tmp_path: Path) -> None:
    (tmp_path / "nodes.py").write_text("import what_is_not_installed\n")
    command = [sys.executable, "-m", "composer", "nodes", "resize"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
