"""Files of weights are judged without PyTorch; PyTorch here only writes them."""

import io
import json
import os
import pickle
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from composer.models import stored
from composer.models.stored import StoredInvalid


def saved(path: Path, content: Any, *, zipped: bool = True) -> Path:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    return path


def weights() -> dict[str, Any]:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    return {
        "a": torch.zeros(2, 3),
        "b": torch.ones(4, dtype=torch.float16),
        "c": torch.nn.Parameter(torch.ones(1)),
        "d": torch.zeros((), dtype=torch.int64),
    }


def safetensors(tensors: dict[str, Any], data: bytes) -> bytes:
    header = json.dumps(tensors).encode()
    return struct.pack("<Q", len(header)) + header + data


ONE = {"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}


class Touch:
    """What runs a command when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (f"touch {self.target}",)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_a_state_dict_is_fine(tmp_path: Path, *, zipped: bool) -> None:
    stored.check(saved(tmp_path / "w.pth", weights(), zipped=zipped), ".pth")


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.fault("F-51")
def test_a_pickle_that_would_run_something_is_refused_and_not_run(
    tmp_path: Path, *, zipped: bool
) -> None:
    path = saved(tmp_path / "w.pth", {"a": Touch(tmp_path / "canary")}, zipped=zipped)
    with pytest.raises(StoredInvalid) as caught:
        stored.check(path, ".pth")
    assert str(caught.value) == "it would import posix.system, and weights need no such thing"
    assert not (tmp_path / "canary").exists()


def test_a_name_that_is_put_together_while_unpickling_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    path.write_bytes(pickle.dumps(Touch(tmp_path / "canary"), protocol=4) * 4)
    with pytest.raises(StoredInvalid, match=r"posix\.system"):
        stored.check(path, ".pth")


def test_a_name_that_is_put_together_is_refused_whatever_it_seems_to_be(tmp_path: Path) -> None:
    """Its parts may come from anywhere in the pickle, and not be those that were seen last."""
    path = tmp_path / "w.pth"
    path.write_bytes(pickle.dumps(OrderedDict, protocol=4) * 4)
    with pytest.raises(StoredInvalid, match="its pickle puts names together"):
        stored.check(path, ".pth")


def test_a_pickled_module_is_no_weights(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    with pytest.raises(StoredInvalid, match=r"torch\.nn\.modules\.linear\.Linear"):
        stored.check(saved(tmp_path / "w.pth", torch.nn.Linear(2, 2)), ".pth")


@pytest.mark.parametrize("keep", [0.02, 0.5, 0.98])
def test_a_pickle_that_is_cut_short_is_refused(tmp_path: Path, keep: float) -> None:
    whole = saved(tmp_path / "w.pth", weights()).read_bytes()
    cut = tmp_path / "cut.pth"
    cut.write_bytes(whole[: int(len(whole) * keep)])
    with pytest.raises(StoredInvalid):
        stored.check(cut, ".pth")


@pytest.mark.parametrize(
    ("content", "suffix", "said"),
    [
        pytest.param(b"", ".pth", "the file is empty", id="empty"),
        pytest.param(
            b"<html>",
            ".pth",
            "it is neither a zip file nor a pickle, as torch.save() writes",
            id="a page",
        ),
        pytest.param(
            b"\x80\x02garbage", ".pth", "its pickle is damaged, or cut short", id="no pickle"
        ),
        pytest.param(
            b"<html>", ".safetensors", "it is no file of safetensors, or cut short", id="page"
        ),
        pytest.param(
            struct.pack("<Q", 1 << 62) + b"x" * 100,
            ".safetensors",
            "it is no file of safetensors, or cut short",
            id="a header without end",
        ),
        pytest.param(
            struct.pack("<Q", 4) + b"[[[[" + b"x" * 100,
            ".safetensors",
            "its header is no JSON: it is no file of safetensors",
            id="a broken header",
        ),
        pytest.param(
            safetensors(ONE, b"1234"),
            ".safetensors",
            "the tensor 'w' lies outside the file: it is cut short",
            id="tensors cut off",
        ),
        pytest.param(b"<html>", ".npz", "it is no zip file, as it should be, or cut short", id="z"),
        pytest.param(b"<html>", ".pt2", "it is no zip file, as it should be, or cut short", id="2"),
    ],
)
def test_a_file_that_is_something_else(
    tmp_path: Path, content: bytes, suffix: str, said: str
) -> None:
    path = tmp_path / "blob"
    path.write_bytes(content)
    with pytest.raises(StoredInvalid) as caught:
        stored.check(path, suffix)
    assert str(caught.value) == said


def test_safetensors_that_are_whole_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "blob"
    path.write_bytes(safetensors({**ONE, "__metadata__": {"format": "pt"}}, b"12345678"))
    stored.check(path, ".safetensors")


def test_arrays_are_fine_and_objects_are_not(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", w=np.zeros(3, np.float32))
    stored.check(tmp_path / "a.npz", ".npz")
    np.savez(tmp_path / "o.npz", w=np.array([{}], object))
    with pytest.raises(StoredInvalid, match=r"'w\.npy' in it holds Python objects"):
        stored.check(tmp_path / "o.npz", ".npz")


def test_a_zip_without_a_program_is_no_program(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "p.pt2", "w") as archive:
        archive.writestr("hello", "world")
    with pytest.raises(StoredInvalid, match="no exported program"):
        stored.check(tmp_path / "p.pt2", ".pt2")


def test_script_is_told_from_weights(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    with pytest.warns(DeprecationWarning, match="deprecated"):
        torch.jit.script(torch.nn.Linear(2, 2)).save(str(tmp_path / "s.pt"))
    assert stored.is_script(tmp_path / "s.pt")
    assert not stored.is_script(saved(tmp_path / "w.pt", weights()))
    (tmp_path / "x.pt").write_bytes(io.BytesIO(b"no zip").getvalue())
    assert not stored.is_script(tmp_path / "x.pt")
