"""Labels: what the classes of a model are called, as its file, a file beside it or YAML says."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from composer.models.ultralytics import literal
from composer.pipeline import source

MOST_LABELS: Final = 100_000

LARGEST: Final = 16 * 1024 * 1024
"""Bytes of a file of labels."""


class LabelsInvalid(ValueError):
    """A file that labels cannot be read from. The message says why."""


def labels_in(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """Names of classes or characters in a model's metadata; () where it has none.

    `names` is a Python mapping as ultralytics writes it, `character` one a line as PP-OCR does.
    """
    if characters := metadata.get("character"):
        return tuple(characters.split("\n"))
    return labels_of(literal(metadata.get("names", "")))


def labels_of(names: Any) -> tuple[str, ...]:
    """Labels in their order, of a list of them, or a mapping of numbers to them, or of them to
    numbers; () for what is none. A number without a name is its own.
    """
    if isinstance(names, list | tuple):
        return tuple(map(str, names[:MOST_LABELS]))
    if not isinstance(names, dict):
        return ()
    if all(isinstance(each, int) for each in names.values()) and not _numbered(names):
        names = {number: name for name, number in names.items()}
    if not _numbered(names):
        return ()
    known = {int(key): name for key, name in names.items()}
    most = max(known, default=-1)
    return tuple(str(known.get(key, key)) for key in range(min(most + 1, MOST_LABELS)))


def _numbered(names: Mapping[Any, Any]) -> bool:
    """JSON has its numbers as text."""
    return all(isinstance(key, int) or (isinstance(key, str) and key.isdecimal()) for key in names)


def read_file(path: Path) -> tuple[str, ...]:
    """Labels of a file: one a line, or JSON or YAML by its suffix.

    Those may have them under `names` (Ultralytics' data files) or `id2label` (Hugging Face's
    config.json); of several names of a class (Keras' class index) the last one counts. Raises
    LabelsInvalid, or OSError from the disk.
    """
    with path.open("rb") as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise LabelsInvalid(f"it is larger than {LARGEST >> 20} MB")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise LabelsInvalid(f"it is no text: {exc}") from exc
    kind = path.suffix.lower()
    if kind in (".json", ".yaml", ".yml"):
        found = labels_of(_inside(literal(text) if kind == ".json" else _yaml(text, path.name)))
        if not found:
            raise LabelsInvalid("no names of classes are in it, as a list or by their numbers")
        return found
    # Not splitlines(): a character of a text model may be one of those that end a line there.
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    lines = text.removesuffix("\n").split("\n") if text else []
    return tuple(lines[:MOST_LABELS])


def _yaml(text: str, name: str) -> Any:
    document = source.parse(text, name, {})
    if document.problems:
        raise LabelsInvalid(str(document.problems[0].message))
    return document.data


def _inside(found: Any) -> Any:
    if isinstance(found, dict):
        found = found.get("names") or found.get("id2label") or found
    if isinstance(found, dict):
        return {key: _last(name) for key, name in found.items()}
    return [_last(name) for name in found] if isinstance(found, list) else found


def _last(name: Any) -> Any:
    return name[-1] if isinstance(name, list | tuple) and name else name
