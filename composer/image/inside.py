"""Inside an image: what it holds, as JSON on one line."""

import os
from collections.abc import Iterator, Mapping
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

from composer import strictjson
from composer.models import weights


def main() -> None:
    print(strictjson.text(held(Path.cwd(), weights.cache())))  # noqa: T201 - the image's word to its builder


def held(app: Path, cache: Path) -> dict[str, list[dict[str, Any]]]:
    """packages: {name, version, bytes}; files and weights: {name, bytes}. The largest first."""
    packages = [
        {"name": each.name, "version": each.version, "bytes": _size(each)}
        for each in distributions()
    ]
    return {
        "packages": _largest_first(packages),
        "files": _largest_first(_files(app)),
        "weights": _largest_first(_files(cache)),
    }


def _size(found: Distribution) -> int:
    """Bytes of a package; a cached .pyc counts as what it is."""
    paths = (Path(str(each.locate())) for each in found.files or ())
    return sum(path.stat().st_size for path in paths if path.is_file())


def _files(folder: Path) -> Iterator[Mapping[str, Any]]:
    for here, _, names in os.walk(folder):
        for name in names:
            path = Path(here, name)
            yield {"name": str(path.relative_to(folder)), "bytes": path.stat().st_size}


def _largest_first(found: Any) -> list[dict[str, Any]]:
    return sorted(found, key=lambda each: (-each["bytes"], each["name"]))


if __name__ == "__main__":
    main()
