"""The self-test: pictures through a pipeline as in a session, and what it says when they fail."""

from pathlib import Path

import pytest

from composer.command import selftest
from composer.command.selftest import Tried
from composer.compiler.compile import compile_file
from composer.errors import NodeFailed
from composer.node.registry import Registry

NODES = """\
from composer import RGB, Node


class Breaks(Node):
    def process(self, image: RGB) -> RGB:
        raise RuntimeError("no luck")


class Swallows(Node):
    def process(self, image: RGB) -> RGB | None:
        return None


class Unready(Node):
    def setup(self, ctx) -> None:
        raise RuntimeError("no model")

    def process(self, image: RGB) -> RGB:
        return image
"""


def tried(folder: Path, *lines: str, frames: int = 10) -> Tried:
    (folder / "nodes.py").write_text(NODES)
    file = folder / "pipeline.yaml"
    file.write_text("version: 1\nnodes:\n" + "".join(f"  {line}\n" for line in lines))
    installed = Registry.installed()
    return selftest.run(compile_file(file, installed), installed, frames)


SOURCE, OUT = "source: {type: decode}", "out: {type: encode, on_full: wait}"


def test_pictures_and_sound_go_through(tmp_path: Path) -> None:
    made = tried(tmp_path, SOURCE, OUT, frames=12)
    assert (made.problem, made.sent, made.coded) == ("", 12, 12)
    assert made.bytes > 188
    assert made.report.nodes["source"].given > 12  # the tone, too


def test_a_pipeline_that_makes_its_own_pictures(tmp_path: Path) -> None:
    made = tried(tmp_path, "source: {type: test_source, width: 64, height: 48}", OUT)
    assert made.problem == ""
    assert made.coded


def test_one_that_codes_nothing(tmp_path: Path) -> None:
    node = "from composer import RGB, Node, Record\n\n\nclass Says(Node):\n"
    node += "    def process(self, image: RGB) -> Record:\n        return {'a': 1}\n"
    (tmp_path / "says.py").write_text(node)
    made = tried(tmp_path, SOURCE, "says: {type: ./says.py:Says}", "out: {type: record}")
    assert (made.problem, made.coded) == ("", None)
    assert made.report.nodes["out"].taken == 10


def test_a_node_that_fails_on_frames_is_named_though_a_session_would_go_on(tmp_path: Path) -> None:
    made = tried(tmp_path, SOURCE, "breaks: {type: ./nodes.py:Breaks}", OUT)
    assert made.problem == "nodes failed on frames: breaks on 10"
    assert made.coded == 10


def test_a_pipeline_that_gives_no_picture(tmp_path: Path) -> None:
    made = tried(tmp_path, SOURCE, "gone: {type: ./nodes.py:Swallows}", OUT)
    assert made.problem == "no picture came out"


def test_a_node_that_cannot_be_set_up(tmp_path: Path) -> None:
    with pytest.raises(NodeFailed, match="'unready' failed in setup"):
        tried(tmp_path, SOURCE, "unready: {type: ./nodes.py:Unready}", OUT)
