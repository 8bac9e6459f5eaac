"""Write composer/image/lock/: the packages of an image, with the digests of their files.

core.txt is what every image holds; each other file has what a need adds to it. All of them come
out of one resolution, so they fit each other. It needs uv (`make lock` brings it).
"""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
LOCK: Final = ROOT / "composer" / "image" / "lock"

EXTRAS: Final = {
    "onnxruntime-cpu": "cpu",
    "onnxruntime-gpu": "gpu",
    "torch-gpu": "torch",
    "hub": "hub",
}
"""File -> the extra of pyproject.toml."""

FOR_CUDA: Final = ("cuda-", "nvidia-", "torch==", "triton==")
"""What torch for the CPU does without."""

TORCH_CPU: Final = """\
--extra-index-url https://download.pytorch.org/whl/cpu
torch==2.13.0+cpu \\
    --hash=sha256:6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b \\
    --hash=sha256:4ca4a9394b0c771238a4f73590fdbbc4debad85ed0fa63d026ae1b085da7d6e2 \\
    --hash=sha256:3fbf9c9d1f3c10c2d59d04aca426dee9ccc6ceb32d255c61e93acc3b4f75fae6 \\
    --hash=sha256:84453b69508ec79902f899c5ed9495acb9e2bbe9fda5f1d5d6f19e3c3842e1a7 \\
    --hash=sha256:6f307c2c32d764ffc6ff6893b801fad6d4752f3e67966cb8abf1843427c02604 \\
    --hash=sha256:0b8f7d0423027ae8b90c7977c627f3379f325363a08224dffad9b4b2d684a83d
"""
"""Builds for the CPU are on PyTorch's own index: manylinux_2_28, x86_64 for Python 3.11, 3.12 and
3.13, then aarch64 for the same.
"""

BUILD: Final = "hatchling"
"""What makes our wheel where an image is built from a checkout."""

HEAD: Final = "# Made by `make lock`. {said}\n"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        core = _blocks(_exported(Path(folder)))
        _write("core", "What every image holds.", core)
        for name, extra in EXTRAS.items():
            blocks = _blocks(_exported(Path(folder), "--extra", extra))
            said = f"What the extra {extra!r} adds to core.txt."
            _write(name, said, [each for each in blocks if each not in core])
        torch = _blocks(_exported(Path(folder), "--extra", "torch"))
        shared = [each for each in torch if each not in core and not each.startswith(FOR_CUDA)]
        _write("torch-cpu", "The extra 'torch' as a build for the CPU.", [TORCH_CPU[:-1], *shared])
        _write("build", "What makes the wheel of this program.", _blocks(_compiled(BUILD)))


def _exported(folder: Path, *extra: str) -> str:
    """The requirements of the project, resolved once for all files."""
    (folder / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    (folder / "README.md").write_text("")
    (folder / "LICENSE").write_text("")
    (folder / "composer").mkdir(exist_ok=True)
    (folder / "composer" / "__init__.py").write_text('__version__ = "0"\n')
    command = ["export", "--no-dev", "--no-emit-project", "--no-header", "--no-annotate"]
    return _uv([*command, "--quiet", *extra], folder)


def _compiled(requirement: str) -> str:
    options = ["--universal", "--generate-hashes", "--no-header", "--no-annotate", "--quiet"]
    return _uv(["pip", "compile", *options, "--python-version", "3.11", "-"], ROOT, requirement)


def _uv(arguments: list[str], folder: Path, stdin: str = "") -> str:
    command = [sys.executable, "-m", "uv", *arguments]
    done = subprocess.run(
        command, cwd=folder, input=stdin, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout


def _blocks(text: str) -> list[str]:
    """One text per package: its line, and those of its digests."""
    found: list[str] = []
    for line in text.splitlines():
        if line.startswith(" "):
            found[-1] += f"\n{line}"
        elif line:
            found.append(line)
    return found


def _write(name: str, said: str, blocks: list[str]) -> None:
    text = HEAD.format(said=said) + "".join(f"{each}\n" for each in blocks)
    (LOCK / f"{name}.txt").write_text(text, encoding="utf-8")
    print(f"{name}.txt: {len(blocks)} packages")


if __name__ == "__main__":
    main()
