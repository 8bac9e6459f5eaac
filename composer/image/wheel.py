"""Wheel: an installed package as a wheel again, so that an image holds the code that is here."""

import base64
import hashlib
import json
import subprocess
import sys
import zipfile
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from composer.errors import ComposerError

_LEFT_OUT: Final = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")
"""Files of a .dist-info that tell of an installation, and not of the package."""

_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""One time for all files: the same package is the same wheel, byte for byte."""


class NoWheel(ComposerError):
    """An installed package that cannot be had as a wheel."""


def write(name: str, folder: Path) -> Path:
    """The wheel of an installed package, in a folder. Raises NoWheel."""
    found = distribution(name)
    source = _editable(found)
    return _built(name, source, folder) if source is not None else _packed(found, folder)


def _editable(found: Distribution) -> Path | None:
    """The source of a package that is installed as a link to it (PEP 610)."""
    about = json.loads(found.read_text("direct_url.json") or "{}")
    if not about.get("dir_info", {}).get("editable"):
        return None
    return Path(unquote(urlsplit(about["url"]).path))


def _built(name: str, source: Path, folder: Path) -> Path:
    before = set(folder.glob("*.whl"))
    command = [sys.executable, "-P", "-m", "pip", "wheel", "--quiet", "--no-deps"]
    done = subprocess.run(
        [*command, "--wheel-dir", str(folder), str(source)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise NoWheel(f"pip cannot make a wheel of {name} in {source}: {done.stdout[-500:]}")
    return (set(folder.glob("*.whl")) - before).pop()


def _packed(found: Distribution, folder: Path) -> Path:
    """From the files that an installer has written down (the format is PEP 427)."""
    about = next((path for path in found.files or () if path.name == "WHEEL"), None)
    if about is None:
        raise NoWheel(f"nobody has written down which files {found.name} has; install it with pip")
    tags = [
        line.partition(":")[2].strip()
        for line in (found.read_text("WHEEL") or "").splitlines()
        if line.startswith("Tag:")
    ]
    info = about.parts[0]
    target = folder / f"{info.removesuffix('.dist-info')}-{_joined(tags)}.whl"
    record = []
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as made:
        for path in sorted(found.files or (), key=str):
            outside = path.parts[0] == ".." or path.suffix == ".pyc"
            if outside or (path.parts[0] == info and path.name in _LEFT_OUT):
                continue
            data = path.read_binary()
            made.writestr(zipfile.ZipInfo(str(path), _EPOCH), data)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            record.append(f"{path},sha256={digest},{len(data)}")
        record.append(f"{info}/RECORD,,")
        made.writestr(zipfile.ZipInfo(f"{info}/RECORD", _EPOCH), "\n".join(record) + "\n")
    return target


def _joined(tags: list[str]) -> str:
    """Several tags as one, as they stand in the name of a file: py2.py3-none-any."""
    parts = zip(*(tag.split("-") for tag in tags), strict=True)
    return "-".join(".".join(dict.fromkeys(part)) for part in parts)
