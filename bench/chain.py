"""What nodes cost that do nothing: chains of them, flat out, without codecs."""

import shutil
import tempfile
import time
from pathlib import Path
from typing import Final

from composer.compiler.compile import compile_file, plan_of
from composer.engine.run import Media, Run
from composer.node.registry import Registry

FRAMES: Final = 300
SHORT, LONG = 1, 41

HEAD: Final = """\
version: 1
nodes:
  source: {{type: test_source, width: 64, height: 36, fps: 30, duration: {seconds}}}
"""
NOTHING: Final = Path(__file__).with_name("nothing.py")


def cost(*, apart: bool) -> float:
    """Seconds that one more node takes per frame, from two lengths of a chain.

    apart: each in a stage of its own, with an inbox between them.
    """
    short, long = seconds_per_frame(SHORT, apart=apart), seconds_per_frame(LONG, apart=apart)
    return (long - short) / (LONG - SHORT)


def seconds_per_frame(length: int, *, apart: bool) -> float:
    """Wall time per frame of a chain of so many nodes."""
    option = ", queue: 2" if apart else ""
    text = HEAD.format(seconds=FRAMES / 30)
    for number in range(length):
        text += f"  n{number}: {{type: ./nothing.py:Nothing{option}}}\n"
    text += "  sink: {type: ./nothing.py:Sink}\n"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(NOTHING, folder)
        (folder / "chain.yaml").write_text(text)
        run = Run(plan_of(compile_file(folder / "chain.yaml", Registry.installed())), Media())
        run.start()
        began = time.perf_counter()
        taken = run.wait().nodes["sink"].taken
    return (time.perf_counter() - began) / taken
