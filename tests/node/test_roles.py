"""Which nodes read the input and write the output, by what their classes declare."""

from collections.abc import Iterator

import pytest

from composer import YUV, Node, Record, Role
from composer.node.node import Declared
from composer.node.roles import having, playing
from nodes import record as records
from tests.stubs import good_graph


class Camera(Node):
    """A source of one's own."""

    role = Role.INPUT

    camera: int = -1

    def plays_role(self) -> bool:
        return self.camera < 0

    def process(self) -> Iterator[YUV]:
        yield from ()


class Screen(Node):
    """A sink of one's own."""

    role = Role.OUTPUT

    def process(self, image: YUV) -> None:
        pass


TEXT = """
nodes:
  own:  {type: camera, camera: 0}
  seen: {type: screen, in: own}
  came: {type: camera}
  out:  {type: screen, in: came}
  none: {type: collect, in: came}
"""


def test_parts_are_found_by_the_role_that_their_class_declares_and_their_settings_play() -> None:
    nodes = good_graph(TEXT, camera=Camera, screen=Screen).nodes
    assert set(having(nodes, Role.INPUT)) == {"own", "came"}
    assert set(playing(nodes, Role.INPUT)) == {"came"}
    assert set(playing(nodes, Role.OUTPUT)) == {"seen", "out"}
    assert playing(nodes, Role.DATA) == {}


def test_records_with_a_file_of_their_own_are_no_data_of_the_session() -> None:
    assert records.Record().plays_role()
    assert not records.Record(path="a.jsonl").plays_role()


def test_what_reads_the_input_takes_nothing() -> None:
    with pytest.raises(Declared, match="a source"):

        class Between(Node):
            role = Role.INPUT

            def process(self, image: YUV) -> YUV:
                return image


def test_what_writes_gives_nothing() -> None:
    with pytest.raises(Declared, match="a sink"):

        class Between(Node):
            role = Role.DATA

            def process(self, image: YUV) -> Record:
                return {}


def test_a_role_that_there_is_not() -> None:
    with pytest.raises(Declared, match=r"Role\.INPUT, Role\.OUTPUT, Role\.DATA"):

        class Odd(Node):
            role = "inptu"  # type: ignore[assignment]

            def process(self) -> Iterator[YUV]:
                yield from ()
