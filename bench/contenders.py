"""Who is measured: this worker, and pytrickle from PyPI in an environment of its own."""

import subprocess
import sys
import venv
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bench.clips import Clip

BYOC: Final = str(Path(sys.executable).with_name("byoc"))
PEERS: Final = Path(".bench")
PYTRICKLE: Final = "pytrickle==0.1.6"
TORCH: Final = "torch==2.13.0"
"""Its own requirement admits any; the one that `make torch` takes comes as a build for the CPU."""


@dataclass(frozen=True)
class Contender:
    """A worker with the REST of BYOC. command: `{port}` in it is where it is to listen. in_flight:
    pictures between sender and reader when it goes as fast as it can, enough for all that it holds.
    """

    name: str
    command: tuple[str, ...]
    params: Mapping[str, Any] = field(default_factory=dict)
    in_flight: int = 8


def byoc(pipeline: Path, sessions: int = 1, isolation: str = "") -> Contender:
    """This worker. isolation: "none", "process", or "" for what the pipeline says."""
    serve = (BYOC, "serve", str(pipeline), "--host", "127.0.0.1", "--port", "{port}")
    apart = ("--isolation", isolation) if isolation else ()
    return Contender("byoc", (*serve, "--capacity", str(sessions), *apart))


def pytrickle(work: str, clip: Clip) -> Contender:
    """The peer with a handler that does nothing ("pass"), or tints ("tint")."""
    python = str(PEERS / "pytrickle" / "bin" / "python")
    script = str(Path(__file__).parent / "pytrickle_worker.py")
    size = {"width": clip.width, "height": clip.height, "max_framerate": 60}
    return Contender("pytrickle", (python, script, "{port}", work), size, in_flight=60)


def install() -> None:
    """Make the peer's environment, once. Raises CalledProcessError where the registry fails."""
    folder = PEERS / "pytrickle"
    done = folder / ".installed"
    if done.exists():
        return
    venv.create(folder, with_pip=True, clear=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, TORCH], check=True)
    # Wheels only: the newest PyAV that it admits has none for every Python.
    wheels = ["--only-binary", "av,opencv-python"]
    subprocess.run([*pip, *wheels, PYTRICKLE], check=True)
    done.touch()
