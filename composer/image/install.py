"""Inside a build: install what a pipeline needs beside the engine.

What is locked is installed with its digests. A pipeline's own packs and requirements.txt come after
it and may not change a version of the lock; digests in requirements.txt are held to.

It runs where only the engine is installed, and imports nothing of the user's.
"""

import argparse
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Final

import composer
from composer.image import contents
from composer.image.imports import normal
from composer.node.registry import Registry

VARIANTS: Final = ("cpu", "gpu")

PACKS: Final = Path("packs")
"""In a context: the wheels of the packs, and pins.txt with what was installed beside them."""

PINS: Final = "pins.txt"


def main(arguments: Sequence[str] | None = None) -> None:
    asked = _asked(arguments)
    install = _Pip(asked.pip)
    listed = contents.listed(asked.pipeline.parent)
    if listed is not None:
        needs = listed.needs
    else:
        needs = contents.needs(asked.pipeline, Registry.installed())
    for name in locks(needs, asked.variant):
        install("--require-hashes", "-r", str(asked.lock / f"{name}.txt"))
    pins = _pins(asked.lock, needs, asked.variant)
    if packs := sorted(str(path) for path in PACKS.glob("*.whl")):
        beside = PACKS / PINS
        install(*(["-c", str(beside)] if beside.is_file() else []), "-c", str(pins), *packs)
    if (own := asked.pipeline.parent / contents.REQUIREMENTS).is_file():
        if "--hash" not in own.read_text(encoding="utf-8"):
            sys.stderr.write(
                f"{own.name} has no digests; `uv pip compile --generate-hashes` does\n"
            )
        install("-c", str(pins), "-r", str(own))
    _trim(Path(sys.prefix))


def _asked(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="install", description=__doc__)
    parser.add_argument("pipeline", type=Path)
    parser.add_argument("--variant", choices=VARIANTS, default="cpu")
    parser.add_argument("--pip", required=True, help="a pip that is not part of the image")
    parser.add_argument("--lock", type=Path, required=True)
    return parser.parse_args(arguments)


def locks(needs: Sequence[str], variant: str) -> list[str]:
    """The files of the lock for what a pipeline needs."""
    return [f"{each}-{variant}" for each in needs]


def locked(lock: Path, names: Sequence[str]) -> list[str]:
    """The packages in some files of the lock."""
    return [line.partition("==")[0] for line in pinned(lock, names)]


def pinned(lock: Path, names: Sequence[str]) -> list[str]:
    """A line for each of them: its version, and where it holds, but no digest."""
    texts = [(lock / f"{name}.txt").read_text(encoding="utf-8") for name in names]
    return re.findall(r"^[\w.-]+==[^\\\n]*[^\\\s]", "".join(texts), re.MULTILINE)


class _Pip:
    """pip of another environment, for this one."""

    def __init__(self, pip: str) -> None:
        self._command = [pip, "--python", sys.executable, "install"]

    def __call__(self, *arguments: str) -> None:
        done = subprocess.run([*self._command, *arguments], check=False)
        if done.returncode != 0:
            sys.exit(f"pip cannot install {' '.join(arguments)}")


def _pins(lock: Path, needs: Sequence[str], variant: str) -> Path:
    """The versions of the lock without their digests, which would be asked of all else, too."""
    lines = pinned(lock, ["core", *locks(needs, variant)])
    target = Path("lock-pins.txt")
    target.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return target


def _trim(prefix: Path) -> None:
    """Leave out NumPy's own tests; what has to start fast lies where no package is imported."""
    for folder in sorted(prefix.glob("lib/python*/site-packages/numpy/**/tests")):
        shutil.rmtree(folder, ignore_errors=True)
    engine = Path(composer.__file__).parent
    shutil.copy(engine / "health.py", prefix / "health.py")
    start = (engine / "image" / "start.py").read_text(encoding="utf-8")
    (prefix / "bin" / "byoc").write_text(f"#!{sys.executable}\n{start}", encoding="utf-8")


def versions(but: Sequence[str]) -> str:
    """What is installed here, as constraints for packs; without the names that the lock decides."""
    left_out = {normal(name) for name in but}
    found = {normal(each.name): each for each in distributions() if each.name}
    return "".join(
        f"{name}=={found[name].version}\n"
        for name in sorted(found)
        if name not in left_out and not _is_local(found[name])
    )


def _is_local(found: Distribution) -> bool:
    """Whether it came from a folder or an address, and no index has its version."""
    return found.read_text("direct_url.json") is not None


if __name__ == "__main__":
    main()
