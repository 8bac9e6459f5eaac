"""Messages of the Open Inference Protocol, without a server."""

import json
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from composer.remote import v2
from composer.remote.v2 import Metadata, RemoteValue, Unreadable, Unsendable


def objects(*elements: object, shape: tuple[int, ...] = (-1,)) -> NDArray[Any]:
    array = np.empty(len(elements), dtype=object)
    array[:] = elements
    return array.reshape(shape)


ARRAYS = [
    pytest.param(np.array([[True], [False]]), "BOOL", b"\x01\x00", id="bool"),
    pytest.param(np.array([0, 255], np.uint8), "UINT8", b"\x00\xff", id="uint8"),
    pytest.param(np.array([258], np.uint16), "UINT16", b"\x02\x01", id="uint16"),
    pytest.param(np.array([2**32 - 2], np.uint32), "UINT32", b"\xfe\xff\xff\xff", id="uint32"),
    pytest.param(np.array([2**64 - 2], np.uint64), "UINT64", b"\xfe" + b"\xff" * 7, id="uint64"),
    pytest.param(np.array([-2], np.int8), "INT8", b"\xfe", id="int8"),
    pytest.param(np.array([-2], np.int16), "INT16", b"\xfe\xff", id="int16"),
    pytest.param(np.array([-2], np.int32), "INT32", b"\xfe\xff\xff\xff", id="int32"),
    pytest.param(np.array([-(2**63)], np.int64), "INT64", b"\x00" * 7 + b"\x80", id="int64"),
    pytest.param(np.array([[1.5]], np.float16), "FP16", b"\x00\x3e", id="float16"),
    pytest.param(np.array([1.5, 0.1], np.float32), "FP32", struct.pack("<2f", 1.5, 0.1), id="fp32"),
    pytest.param(np.array(0.1), "FP64", struct.pack("<d", 0.1), id="float64 without axes"),
    pytest.param(np.zeros((0, 3), np.float32), "FP32", b"", id="nothing"),
    pytest.param(objects(b"a\0", b"", shape=(2, 1)), "BYTES", b"\x02\0\0\0a\0\0\0\0\0", id="bytes"),
]
"""Array, its datatype, and its bytes by the document of the extension."""


def same(got: NDArray[Any], expected: NDArray[Any]) -> None:
    assert got.dtype == expected.dtype
    assert got.shape == expected.shape
    assert got.tolist() == expected.tolist()
    assert got.flags.writeable
    assert got.flags.aligned


def message(*outputs: dict[str, Any], tensors: bytes = b"") -> tuple[bytes, str | None]:
    head = json.dumps({"outputs": list(outputs)}).encode()
    return head + tensors, str(len(head))


def described(size: int | str | None = None, **changed: Any) -> dict[str, Any]:
    """An output of two float32, as bytes if a size is given."""
    output = {"name": "x", "datatype": "FP32", "shape": [2]} | changed
    if size is not None:
        output["parameters"] = {"binary_data_size": size}
    return output


@pytest.mark.parametrize(("array", "datatype", "data"), ARRAYS)
def test_a_tensor_goes_and_comes_as_bytes(array: NDArray[Any], datatype: str, data: bytes) -> None:
    body, length = v2.in_binary({"x": array}, ["y"])
    shape = list(array.shape)
    assert body[length:] == data
    assert json.loads(body[:length]) == {
        "inputs": [
            {
                "name": "x",
                "shape": shape,
                "datatype": datatype,
                "parameters": {"binary_data_size": len(data)},
            }
        ],
        "outputs": [{"name": "y", "parameters": {"binary_data": True}}],
        "parameters": {"binary_data_output": True},
    }
    output = described(len(data), datatype=datatype, shape=shape)
    same(v2.answer(*message(output, tensors=data))["x"], array)


@pytest.mark.parametrize(("array", "datatype", "data"), ARRAYS)
def test_a_tensor_goes_and_comes_as_a_list(array: NDArray[Any], datatype: str, data: bytes) -> None:
    sent = json.loads(v2.in_json({"x": array}, ["y"]))
    flat = [each.decode() if isinstance(each, bytes) else each for each in array.ravel().tolist()]
    expected = {"name": "x", "shape": list(array.shape), "datatype": datatype, "data": flat}
    assert sent == {"inputs": [expected], "outputs": [{"name": "y"}]}
    same(v2.answer(json.dumps({"outputs": [expected]}).encode(), None)["x"], array)


def test_outputs_come_in_both_forms_and_each_is_an_array_of_its_own() -> None:
    body, length = message(
        described(8),
        described(name="l", data=[[3], [None]], shape=[2, 1]),
        described(3, name="odd", datatype="BOOL", shape=[3]),
        described(8, name="z"),
        tensors=struct.pack("<2f3B2f", 1, float("nan"), 1, 0, 1, 5, 6),
    )
    found = v2.answer(body, length)
    assert list(found) == ["x", "l", "odd", "z"]
    assert str(found["x"]) == "[ 1. nan]"
    assert str(found["l"].tolist()) == "[[3.0], [nan]]"
    same(found["odd"], np.array([True, False, True]))
    same(found["z"], np.array([5, 6], np.float32))  # whose bytes began at an odd place


@pytest.mark.parametrize(
    "array",
    [
        pytest.param(np.array([[1, 2], [3, 4]], ">f4"), id="big-endian"),
        pytest.param(np.array([[1, 9, 2], [3, 9, 4]], np.float32)[:, ::2], id="with steps"),
        pytest.param(np.array([[1, 3], [2, 4]], np.float32).T, id="transposed"),
    ],
)
def test_memory_of_any_order_is_sent_row_by_row(array: NDArray[Any]) -> None:
    body, length = v2.in_binary({"x": array}, ())
    assert body[length:] == struct.pack("<4f", 1, 2, 3, 4)
    assert json.loads(v2.in_json({"x": array}, ()))["inputs"][0]["data"] == [1, 2, 3, 4]


def test_more_digits_than_fit_are_rounded() -> None:
    outputs = [described(data=[0.1, 1e300])]
    found = v2.answer(json.dumps({"outputs": outputs}).encode(), None)
    same(found["x"], np.array([0.1, np.inf], np.float32))


@pytest.mark.parametrize(
    ("array", "text"),
    [
        pytest.param(
            np.zeros(1, np.complex64),
            "input 'x' is complex64; what can be sent: bool, uint8, uint16, uint32, uint64, int8,"
            " int16, int32, int64, float16, float32, float64, object",
            id="a dtype that the protocol lacks",
        ),
        pytest.param(
            objects("text"), "input 'x' holds str, its array is for bytes", id="text for bytes"
        ),
    ],
)
def test_what_has_no_form_is_not_sent(array: NDArray[Any], text: str) -> None:
    for write in (v2.in_binary, v2.in_json):
        with pytest.raises(Unsendable) as caught:
            write({"x": array}, ())
        assert str(caught.value) == text


@pytest.mark.parametrize(
    ("array", "text"),
    [
        pytest.param(
            np.array([1, np.nan]),
            "input 'x' holds NaN or infinity, which JSON cannot say",
            id="nan",
        ),
        pytest.param(
            np.array([np.inf]), "input 'x' holds NaN or infinity, which JSON cannot say", id="inf"
        ),
        pytest.param(
            objects(b"\xff"), "input 'x' holds bytes that are not UTF-8 for JSON", id="bytes"
        ),
    ],
)
def test_what_only_bytes_can_say_is_not_sent_as_json(array: NDArray[Any], text: str) -> None:
    body, length = v2.in_binary({"x": array}, ())
    assert len(body) > length
    with pytest.raises(Unsendable) as caught:
        v2.in_json({"x": array}, ())
    assert str(caught.value) == text


KNOWN = "BOOL, UINT8, UINT16, UINT32, UINT64, INT8, INT16, INT32, INT64, FP16, FP32, FP64, BYTES"


@pytest.mark.parametrize(
    ("output", "tensors", "text"),
    [
        pytest.param(
            described(8), b"1234567", "output 'x' says 8 bytes, 7 are there", id="too few bytes"
        ),
        pytest.param(
            described(8), b"123456789", "1 bytes behind the last output", id="too many bytes"
        ),
        pytest.param(
            described(4),
            b"1234",
            "output 'x' should have 8 bytes as float32[2], got 4",
            id="bytes of another shape",
        ),
        pytest.param(
            described(-1), b"", "binary_data_size is no number of bytes", id="size below zero"
        ),
        pytest.param(
            described(size="8"),
            b"",
            "binary_data_size is no number of bytes",
            id="size that is no number",
        ),
        pytest.param(
            described(4, datatype="BF16"),
            b"1234",
            f"'x' has the datatype 'BF16', not one of {KNOWN}",
            id="unknown datatype",
        ),
        pytest.param(described(8, name=""), b"12345678", "a tensor has no name", id="no name"),
        pytest.param(described(8, name=None), b"12345678", "a tensor has no name", id="null name"),
        pytest.param(
            described(8, shape=[-1]), b"12345678", "'x' has the shape [-1]", id="an open size"
        ),
        pytest.param(
            described(8, shape=[2.0]),
            b"12345678",
            "'x' has no shape: a list of whole numbers",
            id="size with a point",
        ),
        pytest.param(
            described(8, shape=2), b"12345678", "'x' has no shape: a list of whole numbers", id="2"
        ),
        pytest.param(
            described(8, datatype=2), b"12345678", "'x' has no datatype", id="datatype that is 2"
        ),
        pytest.param(
            described(0, shape=[0, 2**70]),
            b"",
            "output 'x' has a shape that no array has",
            id="size beyond any array",
        ),
        pytest.param(
            described(4, shape=[1] * 99),
            b"1234",
            "output 'x' has a shape that no array has",
            id="too many axes",
        ),
        pytest.param(
            described(2, datatype="BOOL"),
            b"\0\2",
            "output 'x' has a byte that is neither false (0) nor true (1)",
            id="a bool of 2",
        ),
        pytest.param(
            described(3, datatype="BYTES"),
            b"\0\0\0",
            "output 'x' ends inside the length of an element",
            id="half a length",
        ),
        pytest.param(
            described(5, datatype="BYTES"),
            b"\2\0\0\0a",
            "output 'x' ends inside an element",
            id="half an element",
        ),
        pytest.param(
            described(4, datatype="BYTES"),
            b"\0\0\0\0",
            "output 'x' should have 2 elements, got 1",
            id="an element less",
        ),
        pytest.param(
            described(16, datatype="BYTES"),
            bytes(16),
            "output 'x' should have 2 elements, got more",
            id="two elements more",
        ),
        pytest.param(
            described(0, datatype="BYTES", shape=[1024, 1025]),
            b"",
            "output 'x' has more than 1048576 elements",
            id="a million elements",
        ),
        pytest.param(described(), b"", "output 'x' has no data", id="no data"),
        pytest.param(described(data="12"), b"", "output 'x' has no data", id="data that is text"),
        pytest.param(
            described(data=[1]),
            b"",
            "output 'x' has the shape [2], its data [1]",
            id="a number less",
        ),
        pytest.param(
            described(data=[[1], [2]]),
            b"",
            "output 'x' has the shape [2], its data [2, 1]",
            id="nested otherwise",
        ),
        pytest.param(
            described(data=[[1], 2]),
            b"",
            "output 'x' has an element that is no float32",
            id="half nested",
        ),
        pytest.param(
            described(data=[1, "2"]),
            b"",
            "output 'x' has an element that is no float32",
            id="text among numbers",
        ),
        pytest.param(
            described(data=[1, True]),
            b"",
            "output 'x' has an element that is no float32",
            id="true among numbers",
        ),
        pytest.param(
            described(data=[1, 2.5], datatype="INT8"),
            b"",
            "output 'x' has an element that is no int8",
            id="a fraction for an integer",
        ),
        pytest.param(
            described(data=[1, 128], datatype="INT8"),
            b"",
            "output 'x' has a number that is no int8",
            id="an integer too large",
        ),
        pytest.param(
            described(data=[1, 10**400]),
            b"",
            "output 'x' has a number that is no float32",
            id="an integer beyond float",
        ),
        pytest.param(
            described(data=["a", "\ud800"], datatype="BYTES"),
            b"",
            "output 'x' has text that is not Unicode",
            id="half a surrogate pair",
        ),
    ],
)
def test_an_output_that_is_not_as_it_says(
    output: dict[str, Any], tensors: bytes, text: str
) -> None:
    with pytest.raises(Unreadable) as caught:
        v2.answer(*message(output, tensors=tensors))
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("body", "head", "text"),
    [
        pytest.param(b"{", None, "the answer is not JSON", id="half of JSON"),
        pytest.param(b"\xff", None, "the answer is not JSON", id="no text"),
        pytest.param(b"[" * 100_000, None, "the answer is not JSON", id="very deep"),
        pytest.param(b"[]", None, "the answer is JSON, but no object", id="a list"),
        pytest.param(b'{"outputs": {}}', None, "'outputs' is not a list of objects", id="no list"),
        pytest.param(b'{"outputs": [1]}', None, "'outputs' is not a list of objects", id="numbers"),
        pytest.param(
            b"{}", "3", "Inference-Header-Content-Length is '3' of 2 bytes", id="more than there is"
        ),
        pytest.param(
            b"{}", "-1", "Inference-Header-Content-Length is '-1' of 2 bytes", id="below zero"
        ),
        pytest.param(
            b"{}", "\u0662", "Inference-Header-Content-Length is '\u0662' of 2 bytes", id="no digit"
        ),
        pytest.param(
            *message(described(0, shape=[0]), described(0, shape=[0])),
            "two outputs are called 'x'",
            id="one name twice",
        ),
    ],
)
def test_an_answer_that_is_none(body: bytes, head: str | None, text: str) -> None:
    with pytest.raises(Unreadable) as caught:
        v2.answer(body, head)
    assert str(caught.value) == text


def test_what_is_very_deep_is_unreadable() -> None:
    deep = "[" * 900 + "]" * 900
    for key in ("shape", "data", "datatype", "name"):
        text = json.dumps(described(**{key: 0})).replace(f'"{key}": 0', f'"{key}": {deep}')
        with pytest.raises(Unreadable):
            v2.answer(f'{{"outputs": [{text}]}}'.encode(), None)


def test_json_is_parsed_up_to_a_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(v2, "JSON_BYTES", 1 << 20)
    body, head = message(described(8), tensors=bytes(8))
    padded = body[:1] + b" " * (2 << 20) + body[1:]
    with pytest.raises(Unreadable) as caught:
        v2.answer(padded, str(int(head or "") + (2 << 20)))
    assert str(caught.value) == f"{len(padded) - 8} bytes of JSON, more than 1 MiB"


@given(st.binary(max_size=64), st.none() | st.integers(0, 80).map(str))
def test_any_bytes_are_an_answer_or_unreadable(body: bytes, head: str | None) -> None:
    try:
        v2.answer(body, head)
    except Unreadable:
        return
    assert json.loads(body if head is None else body[: int(head)]).get("outputs") in (None, [])


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 300) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=8,
)


@given(
    st.sampled_from([*v2.DTYPES, "BF16"]),
    VALUES | st.lists(st.integers(0, 3), max_size=3),
    VALUES,
    st.none() | st.integers(0, 16),
    st.binary(max_size=16),
)
def test_any_description_is_an_answer_or_unreadable(
    datatype: str, shape: Any, data: Any, size: int | None, tensors: bytes
) -> None:
    output = described(size, datatype=datatype, shape=shape, data=data)
    try:
        found = v2.answer(*message(output, tensors=tensors))
    except Unreadable:
        return
    assert list(found["x"].shape) == shape
    assert found["x"].dtype == v2.DTYPES[datatype]


def test_metadata_has_open_sizes_and_may_be_left_out() -> None:
    body = {
        "name": "m",
        "versions": None,
        "platform": "onnx",
        "inputs": [{"name": "a", "datatype": "FP16", "shape": [-1, 3]}],
        "outputs": [{"name": "a", "datatype": "BYTES", "shape": []}],
    }
    assert v2.metadata(json.dumps(body).encode()) == Metadata(
        (RemoteValue("a", "float16", (-1, 3)),), (RemoteValue("a", "object", ()),), "onnx"
    )
    assert v2.metadata(b'{"name": "m", "inputs": null}') == Metadata((), (), "")


@pytest.mark.parametrize(
    ("tensor", "text"),
    [
        pytest.param({"shape": [-2]}, "'a' has the shape [-2]", id="below -1"),
        pytest.param(
            {"datatype": "TYPE_FP32"},
            f"'a' has the datatype 'TYPE_FP32', not one of {KNOWN}",
            id="unknown datatype",
        ),
        pytest.param({"name": "b"}, "two tensors are called 'b'", id="one name twice"),
    ],
)
def test_metadata_that_cannot_be_used(tensor: dict[str, Any], text: str) -> None:
    inputs = [
        {"name": "a", "datatype": "FP32", "shape": [1]} | tensor,
        {"name": "b", "datatype": "FP32", "shape": [1]},
    ]
    with pytest.raises(Unreadable) as caught:
        v2.metadata(json.dumps({"inputs": inputs}).encode())
    assert str(caught.value) == text


def test_foreign_text_is_cut_and_cannot_move_the_cursor() -> None:
    assert v2.shown("a\x1b[2J\nb\u202e\ud800") == "a\\x1b[2J\\nb\\u202e\\ud800"
    assert v2.shown("a" * 301) == "a" * 297 + "..."
    assert v2.error(json.dumps({"error": "no\r\n" + "x" * 999}).encode()) == (
        "no\\r\\n" + "x" * 293 + "..."
    )
    assert v2.error(b'{"error": 5}') == v2.error(b"<html>") == ""
