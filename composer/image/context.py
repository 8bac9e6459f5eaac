"""Context: the folder that a builder is given, with one pipeline and the code that is here.

Dockerfile            the same for all pipelines
composer/image/lock/  versions and digests of what is installed
dist/                 the engine as a wheel
packs/                the packs as wheels, and the versions of what they use
pipelines/            the pipeline and the files that it names
fetched/              the weights that go in
contents.json         what was found
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import composer
from composer import strictjson
from composer.image import contents, gather, install, wheel
from composer.image.contents import ENGINE, Contents
from composer.models import weights

HERE: Final = Path(__file__).parent
LOCK: Final = HERE / "lock"

FOLDER: Final = "pipelines"
"""Where a pipeline lies in a context, and below /app in the image."""

CERTIFICATES: Final = "ca.crt"
"""What pip trusts here, for the build alone: a company's network may need it."""


def dockerfile() -> Path:
    """Our Dockerfile: beside this module where the package is installed, else at the top."""
    installed = HERE / "Dockerfile"
    return installed if installed.is_file() else HERE.parent.parent / "Dockerfile"


def write(found: Contents, folder: Path, *, baked: bool) -> None:
    """Write the context into an empty folder. Raises NoWheel and OSError."""
    shutil.copyfile(dockerfile(), folder / "Dockerfile")
    lock = folder / "composer" / "image" / "lock"
    shutil.copytree(LOCK, lock)
    if (trusted := _trusted()) is not None:
        shutil.copyfile(trusted, lock / CERTIFICATES)
    (folder / "dist").mkdir()
    wheel.write(ENGINE, folder / "dist")
    if found.packs:
        (folder / install.PACKS).mkdir()
        for each in found.packs:
            wheel.write(each, folder / install.PACKS)
        everything = [path.stem for path in lock.glob("*.txt")]
        pins = install.versions([*found.packs, *install.locked(lock, everything)])
        (folder / install.PACKS / install.PINS).write_text(pins, encoding="utf-8")
    for path in found.files:
        gather.copy(found.folder / path, folder / FOLDER / path)
    if baked:
        for wanted in found.weights:
            source = weights.place(wanted)
            gather.copy(source, folder / gather.FETCHED / source.relative_to(weights.cache()))
    (folder / contents.LIST).write_text(found.as_json(), encoding="utf-8")


def arguments(
    found: Contents, manifest: Mapping[str, Any], variant: str, kept: str
) -> dict[str, str]:
    """The build arguments. kept: where the weights are, "baked" or "mounted"."""
    made = {
        "PIPELINE": f"{FOLDER}/{found.pipeline}",
        "VARIANT": variant,
        "WEIGHTS": kept,
        "VERSION": composer.__version__,
        "CAPABILITY": str(manifest["capability"]),
        "DESCRIPTION": str(manifest["description"]),
        "MANIFEST": strictjson.text(manifest, ensure_ascii=False, separators=(",", ":")),
    }
    indexes = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL")
    made |= {name: os.environ[name] for name in indexes if os.environ.get(name)}
    if _trusted() is not None:
        made |= dict.fromkeys(("PIP_CERT", "SSL_CERT_FILE"), f"/build/lock/{CERTIFICATES}")
    return made


def _trusted() -> Path | None:
    """A file of certificates that somebody has told pip, or Python, to trust."""
    told = os.environ.get("PIP_CERT") or os.environ.get("SSL_CERT_FILE")
    return Path(told) if told and Path(told).is_file() else None
