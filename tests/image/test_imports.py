"""What the Python of a pipeline imports: who brings it, and what is said where nobody does."""

from pathlib import Path

import pytest

from composer.image import imports
from composer.image.imports import Stranger

FILE = Path("nodes.py")


def found(folder: Path, text: str, *locked: str) -> list[Stranger]:
    (folder / FILE).write_text(text)
    return imports.strangers(folder, [FILE], locked)


def test_a_stranger_is_told_with_what_would_bring_it(tmp_path: Path) -> None:
    (said,) = found(tmp_path, "import json\nimport hypothesis.strategies as st\n")
    assert (said.file, said.line, said.name) == (FILE, 2, "hypothesis")
    assert str(said).startswith(
        "nodes.py:2: nothing brings 'hypothesis' into the image; write hypothesis=="
    )


def test_what_lies_outside_of_the_folder_is_a_stranger(tmp_path: Path) -> None:
    (tmp_path / "hypothesis").mkdir()
    (tmp_path / "mine").mkdir()
    assert len(found(tmp_path / "mine", "import hypothesis\n")) == 1


@pytest.mark.parametrize(
    "line",
    [
        "import os.path",
        "from composer import Node",
        "from nodes.resize import Resize",
        "import beside",
        "from package.part import thing",
        "from . import something",
        "import yaml",  # of PyYAML
        "import PIL.Image",
    ],
)
def test_what_is_there(tmp_path: Path, line: str) -> None:
    (tmp_path / "beside.py").touch()
    (tmp_path / "package").mkdir()
    assert found(tmp_path, f"{line}\n", "pyyaml", "Pillow") == []


@pytest.mark.parametrize(
    "text",
    [
        "try:\n    import hypothesis\nexcept ImportError:\n    hypothesis = None\n",
        "def f():\n    import hypothesis\n",
        "if TYPE_CHECKING:\n    import hypothesis\n",
    ],
)
def test_what_may_not_be_needed_is_left_to_the_image(tmp_path: Path, text: str) -> None:
    assert found(tmp_path, text) == []


def test_a_package_that_is_not_here_either_is_named_as_it_is_imported(tmp_path: Path) -> None:
    (said,) = found(tmp_path, "import surely_nothing_of_this_name\n")
    assert said.package == "surely_nothing_of_this_name"


def test_what_is_locked_comes_though_it_is_not_here(tmp_path: Path) -> None:
    assert found(tmp_path, "import not_in.this.place\n", "not-in") == []
