"""What tests/remote/test_inference_mlserver.py runs in .mlserver/, where tritonclient is.

Run as: python other_python.py CHECK ADDRESS. It fails by an exception.
"""

import contextlib
import sys
import time
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from composer.remote import rpc, v2
from composer.remote.inference import RemoteFailed, RemoteValue, ServedModel

FIELDS: Final = {
    "bool": "bool_contents",
    **dict.fromkeys(["int8", "int16", "int32"], "int_contents"),
    "int64": "int64_contents",
    **dict.fromkeys(["uint8", "uint16", "uint32"], "uint_contents"),
    "uint64": "uint64_contents",
    "float32": "fp32_contents",
    "float64": "fp64_contents",
    "object": "bytes_contents",
}
"""Field of InferTensorContents for each dtype (inference_grpc.md, "Tensor Data")."""

IMAGE: Final = np.arange(24, dtype=np.float32).reshape(1, 3, 2, 4)


def every_dtype() -> dict[str, NDArray[Any]]:
    names = ["bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"]
    arrays: dict[str, NDArray[Any]] = {
        name: np.array([[0, 1], [1, 1]]).astype(name) for name in [*names, "float32", "float64"]
    }
    arrays["text"] = np.array([b"a\xc3\xa9", b"", b"c"], dtype=object)
    return arrays


def check_same(got: dict[str, NDArray[Any]], expected: dict[str, NDArray[Any]]) -> None:
    assert sorted(got) == sorted(expected)
    for name, array in expected.items():
        assert got[name].dtype == array.dtype, name
        np.testing.assert_array_equal(got[name], array)


def check_plus_one(url: str) -> None:
    """The answers that MLServer should give, over whatever the address says."""
    remote = ServedModel(url, "plusone", timeout=30)
    assert remote.ready()
    metadata = remote.metadata()
    image = RemoteValue("image", "float32", (1, 3, -1, -1))
    assert metadata.platform == "test"
    assert metadata.inputs == (image,)
    assert metadata.outputs[0] == image
    assert metadata.outputs[3] == RemoteValue("word", "object", (1,))
    for _ in range(2):
        found = remote.infer({"image": IMAGE})
        assert sorted(found) == ["image", "mean", "size", "word"]
        check_same(remote.infer({"image": IMAGE}, ["image"]), {"image": IMAGE + 1})
        np.testing.assert_array_equal(found["image"], IMAGE + 1)
        assert found["mean"].tolist() == [12.5]
        assert found["size"].tolist() == [1, 3, 2, 4]
        assert found["word"].tolist() == [b"brighter"]
    remote.close()
    remote = ServedModel(url, "echo", timeout=30)
    check_same(remote.infer(every_dtype()), every_dtype())
    remote.close()


def check_unknown(url: str) -> None:
    named, _, why = failure(url, "nobody").partition(": ")
    assert named.startswith("model 'nobody' at 127.0.0.1:"), named
    assert "nobody" in why, why


def check_death(url: str) -> None:
    why = failure(url, "dies")
    assert "no answer within" not in why, why


def check_silent(url: str) -> None:
    began = time.monotonic()
    why = failure(url, "plusone", timeout=0.5)
    assert why.endswith(": no answer within 0.5 s"), why
    assert 0.4 < time.monotonic() - began < 10


def failure(url: str, name: str, timeout: float = 60) -> str:
    with contextlib.closing(ServedModel(url, name, timeout=timeout)) as remote:
        try:
            found = remote.infer({"image": IMAGE})
        except RemoteFailed as exc:
            return str(exc)
    raise AssertionError(f"it should have failed, got {list(found)}")


def check_lists(_: str) -> None:
    """A server may fill the lists of the message instead of raw_output_contents."""
    from tritonclient.grpc import service_pb2  # type: ignore[import-not-found]

    response = service_pb2.ModelInferResponse()
    for name, array in every_dtype().items():
        output = response.outputs.add(
            name=name, datatype=v2.DATATYPES[array.dtype.name], shape=array.shape
        )
        getattr(output.contents, FIELDS[array.dtype.name]).extend(array.ravel().tolist())
    check_same(rpc.answer(response), every_dtype())
    response.raw_output_contents.append(b"1234")
    assert unreadable(response) == "12 outputs are described, 1 are there"


def unreadable(response: Any) -> str:
    try:
        rpc.answer(response)
    except v2.Unreadable as exc:
        return str(exc)
    return ""


def check_played(url: str) -> None:
    """Triton's own client understands the server that tests/remote/played.py plays."""
    import tritonclient.http as triton  # type: ignore[import-not-found] # only in .mlserver/

    arrays = every_dtype() | {"half": np.array([0.5, np.nan], np.float16)}
    inputs = []
    for name, array in arrays.items():
        datatype = triton.np_to_triton_dtype(array.dtype)
        inputs.append(triton.InferInput(name, list(array.shape), datatype))
        inputs[-1].set_data_from_numpy(array)
    client = triton.InferenceServerClient(url.removeprefix("http://"))
    result = client.infer("m", inputs)
    check_same({name: result.as_numpy(name) for name in arrays}, arrays)
    client.close()


CHECKS: Final[dict[str, Callable[[str], None]]] = {
    "plus_one": check_plus_one,
    "unknown": check_unknown,
    "death": check_death,
    "silent": check_silent,
    "lists": check_lists,
    "played": check_played,
}

if __name__ == "__main__":
    CHECKS[sys.argv[1]](sys.argv[2])
