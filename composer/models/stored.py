"""Stored: whether a file of PyTorch weights is what it seems, found out without PyTorch.

Nothing in it is run: a pickle is read op by op, as pickletools lists them, and every name that it
would import is held against the few that tensors need. A file is read as PyTorch would read it, so
that nothing is one thing here and another there.
"""

import json
import pickletools
import re
import struct
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import IO, Any, Final

LONGEST_HEADER: Final = 100_000_000
"""Bytes of the header of safetensors (github.com/huggingface/safetensors, MAX_HEADER_SIZE)."""

MOST_OPS: Final = 20_000_000
"""Operations of a pickle that are looked at."""

LEGACY_PICKLES: Final = 4
"""What torch.save() wrote one after another before it wrote zip files (torch/serialization.py):
a magic number, a version, the system, and the weights."""

_ZIP: Final = b"PK\x03\x04"
"""By which PyTorch tells a zip file (torch/serialization.py)."""

_NAMES: Final = re.compile(
    r"collections OrderedDict|torch\._utils _rebuild_(tensor(_v2|_v3)?|parameter|qtensor)"
    r"|torch (\w+Storage|Size|device|float\w*|bfloat16|half|double|u?int\w*|long|bool|complex\w*)"
    r"|torch\.(storage \w+Storage|serialization _get_layout|nn\.parameter Parameter)"
    r"|_codecs encode|torch\._tensor _rebuild_from_type_v2"
)
"""What a pickle of weights imports; all of it is on the list of torch.load(weights_only=True)."""


class StoredInvalid(ValueError):
    """A file that is damaged, or holds more than weights. The message says which."""


def check(path: Path, suffix: str) -> None:
    """Raises StoredInvalid for a file that is not what its suffix promises, and OSError.

    suffix: of the file's own name, since the cache calls it otherwise.
    """
    if path.stat().st_size == 0:
        raise StoredInvalid("the file is empty")
    if suffix == ".safetensors":
        _check_safetensors(path)
    elif suffix == ".npz":
        _check_arrays(path)
    elif suffix == ".pt2":
        _check_exported(path)
    else:
        _check_pickled(path)


def is_script(path: Path) -> bool:
    """Whether a file is TorchScript: a zip with code in it."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any("/code/" in name for name in archive.namelist())


def _check_safetensors(path: Path) -> None:
    """The header (8 bytes of length, JSON) and whether the tensors it names lie in the file."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(8)
        length = struct.unpack("<Q", head)[0] if len(head) == 8 else size
        if length > min(LONGEST_HEADER, size - 8):
            raise StoredInvalid("it is no file of safetensors, or cut short")
        try:
            header = json.loads(file.read(length))
        except (ValueError, RecursionError) as exc:
            raise StoredInvalid("its header is no JSON: it is no file of safetensors") from exc
    for name, about in header.items() if isinstance(header, dict) else []:
        if name == "__metadata__":
            continue
        offsets = about.get("data_offsets") if isinstance(about, dict) else None
        if not _fits(offsets, size - 8 - length):
            raise StoredInvalid(f"the tensor {name!r} lies outside the file: it is cut short")


def _fits(offsets: Any, room: int) -> bool:
    if not isinstance(offsets, list) or len(offsets) != 2:
        return False
    return all(isinstance(each, int) for each in offsets) and 0 <= offsets[0] <= offsets[1] <= room


def _check_arrays(path: Path) -> None:
    with _opened(path) as archive:
        for name in archive.namelist():
            with archive.open(name) as file:
                if file.read(6) != b"\x93NUMPY":
                    raise StoredInvalid(f"{name!r} in it is no array")
                if re.search(rb"'descr': *'[|<>=]?O", file.read(256)):
                    raise StoredInvalid(f"{name!r} in it holds Python objects")


def _check_exported(path: Path) -> None:
    with _opened(path) as archive:
        names = archive.namelist()
    if not any(name.endswith((".json", "serialized_exported_program.json")) for name in names):
        raise StoredInvalid("there is no exported program in it (torch.export.save() writes one)")


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as exc:
        raise StoredInvalid("it is no zip file, as it should be, or cut short") from exc


def _check_pickled(path: Path) -> None:
    for each in _imported(path):
        if not _NAMES.fullmatch(each):
            said = f"it would import {each.replace(' ', '.')}, and weights need no such thing"
            raise StoredInvalid(said)


def _imported(path: Path) -> Iterator[str]:
    """ "module name" of everything that a file of torch.save() would import."""
    with path.open("rb") as file:
        head = file.read(len(_ZIP))
        if head == _ZIP:
            yield from _zipped(path)
            return
        if head[:1] != b"\x80":
            raise StoredInvalid("it is neither a zip file nor a pickle, as torch.save() writes")
        file.seek(0)
        for _ in range(LEGACY_PICKLES):
            yield from _globals(file)


def _zipped(path: Path) -> Iterator[str]:
    """The same of its zip file. PyTorch's reader of those takes no notice of case."""
    with _opened(path) as archive:
        names = [name.lower() for name in archive.namelist()]
        if len(set(names)) < len(names):
            raise StoredInvalid("two files in it have the same name")
        found = [each for each in archive.infolist() if _last(each.filename) == "data.pkl"]
        if not found:
            raise StoredInvalid("it is a zip file without weights in it")
        for each in found:
            if each.file_size > LONGEST_HEADER:
                raise StoredInvalid("what it says of its tensors is too long")
            yield from _globals(BytesIO(archive.read(each)))


def _last(name: str) -> str:
    return name.replace("\\", "/").rpartition("/")[2].lower()


def _globals(file: IO[bytes]) -> Iterator[str]:
    """What one pickle imports, in order. Names that are put together on its stack are none that
    torch.save() writes: they may come from anywhere in the pickle.
    """
    strings: list[str] = []
    try:
        for count, (op, argument, _) in enumerate(pickletools.genops(file)):
            if count > MOST_OPS:
                raise StoredInvalid("its pickle has no end")
            if op.name in ("GLOBAL", "INST"):
                yield str(argument)
            elif op.name == "STACK_GLOBAL":
                yield " ".join(strings[-2:])
                raise StoredInvalid("its pickle puts names together, as torch.save() does not")
            elif op.name in ("EXT1", "EXT2", "EXT4"):
                yield f"copyreg extension {argument}"
            elif isinstance(argument, str):
                strings = [*strings[-1:], argument]
    except StoredInvalid:
        raise
    except Exception as exc:  # pickletools raises whatever the bytes make it stumble over
        raise StoredInvalid("its pickle is damaged, or cut short") from exc
