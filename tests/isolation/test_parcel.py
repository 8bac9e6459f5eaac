"""Plans in another process."""

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from composer import YUV, Node, strictjson
from composer.compiler import change
from composer.compiler.compile import compile_file, plan_of
from composer.compiler.plan import Mode, Plan, as_data
from composer.isolation.parcel import Parcel
from composer.node import registry
from composer.node.registry import Registry
from tests.clips import ROOT
from tests.server.streams import live_plan

OPEN = """\
import pickle, sys
from composer import strictjson
from composer.compiler.plan import as_data
plan, *others = pickle.load(sys.stdin.buffer).opened()
print(strictjson.text([as_data(plan), *others]))
"""


def compiled(file: Path) -> Plan:
    return plan_of(compile_file(file, Registry.installed()), Mode.LIVE)


def opened_elsewhere(parcel: Parcel) -> str:
    command = [sys.executable, "-c", OPEN]
    done = subprocess.run(command, input=pickle.dumps(parcel), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().strip()


def test_every_pipeline_is_the_same_plan_elsewhere() -> None:
    files = sorted((ROOT / "pipelines").glob("*.yaml"))
    plans = [compiled(file) for file in files]
    command = [
        sys.executable,
        "-c",
        "import pickle, sys\nfrom composer import strictjson\n"
        "from composer.compiler.plan import as_data\n"
        "for parcel in pickle.load(sys.stdin.buffer):\n"
        "    print(strictjson.text(as_data(parcel.opened()[0])))",
    ]
    parcels = pickle.dumps([Parcel.of(plan) for plan in plans])
    done = subprocess.run(command, input=parcels, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.decode().splitlines() == [strictjson.text(as_data(plan)) for plan in plans]


FILE = """\
version: 1
params: {amount: mine.amount}
nodes:
  source: {type: decode}
  mine: {type: ./mine.py:Mine, amount: 0.5}
  out: {type: encode}
"""
MINE = """\
from composer import YUV, Live, Node
from beside import Base

class Mine(Base, Node):
    '''Does nothing.'''
    amount: float = Live(0.1)
    def process(self, image: YUV) -> YUV:
        return image
"""


def test_a_class_in_a_users_file_is_found_there(tmp_path: Path) -> None:
    (tmp_path / "pipeline.yaml").write_text(FILE)
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "beside.py").write_text("class Base:\n    pass\n")
    plan = compiled(tmp_path / "pipeline.yaml")
    found = change.between(plan, plan)
    parcel = Parcel.of(plan, found.built)
    assert parcel.files == (tmp_path / "mine.py",)
    assert opened_elsewhere(parcel) == strictjson.text([as_data(plan), []])


def test_a_plan_outlives_the_module_that_its_classes_came_from(tmp_path: Path) -> None:
    """A file that was saved with a mistake in it: what ran goes on, and its sessions begin."""
    (tmp_path / "pipeline.yaml").write_text(FILE)
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "beside.py").write_text("class Base:\n    pass\n")
    plan = compiled(tmp_path / "pipeline.yaml")
    registry.forget({tmp_path / "mine.py"})
    compiled(tmp_path / "pipeline.yaml")
    assert opened_elsewhere(Parcel.of(plan)) == strictjson.text([as_data(plan)])


def test_a_class_that_is_in_no_module_cannot_go_elsewhere() -> None:
    class Local(Node):
        """Nobody else finds it."""

        def process(self, image: YUV) -> YUV:
            return image

    text = "nodes: {s: {type: decode}, l: {type: local}, o: {type: encode}}"
    with pytest.raises((pickle.PicklingError, AttributeError), match="Local"):
        Parcel.of(live_plan(text, local=Local))
