"""The corpus: small inputs in tests/corpus, by kind. What once failed is there too, and stays."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.clips import ROOT

CORPUS: Final = ROOT / "tests" / "corpus"


def inputs(kind: str) -> Iterator[tuple[str, bytes]]:
    """Name and content of each."""
    for path in sorted((CORPUS / kind).iterdir()):
        yield path.name, path.read_bytes()


def keep(kind: str, data: bytes, folder: Path = CORPUS) -> Path:
    """Write an input that failed; it is replayed by every test run from then on."""
    path = folder / kind / f"failed-{hashlib.sha256(data).hexdigest()[:16]}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path
