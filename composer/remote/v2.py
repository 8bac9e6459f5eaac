"""Messages of the Open Inference Protocol (KServe V2) as bytes; nothing here sends them.

Where facts come from: specification/protocol/inference_rest.md of kserve/open-inference-protocol,
and for tensors as bytes docs/protocol/extension_binary_data.md of triton-inference-server/server.
"""

import json
import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from composer import strictjson

DTYPES: Final[Mapping[str, str]] = {
    "BOOL": "bool",
    "UINT8": "uint8",
    "UINT16": "uint16",
    "UINT32": "uint32",
    "UINT64": "uint64",
    "INT8": "int8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "FP16": "float16",
    "FP32": "float32",
    "FP64": "float64",
    "BYTES": "object",
}
"""Datatype on the wire -> NumPy's name (inference_rest.md, "Tensor Data Types")."""

DATATYPES: Final[Mapping[str, str]] = {dtype: datatype for datatype, dtype in DTYPES.items()}

JSON_BYTES: Final = 32 << 20
"""Longest JSON that is parsed: as Python objects it may take thirty times as much memory."""

MOST_ELEMENTS: Final = 1 << 20
"""Elements of a BYTES tensor: each becomes a Python object."""

SHOWN_CHARS: Final = 300
"""What a message repeats of a text that came from the server."""

_LENGTH: Final = struct.Struct("<I")
"""In front of each element of a BYTES tensor (extension_binary_data.md)."""

_JSON_TYPES: Final[Mapping[str, frozenset[type]]] = {
    "b": frozenset({bool}),
    "u": frozenset({int}),
    "i": frozenset({int}),
    # JSON has no NaN; MLServer's encoder (orjson) writes null in its place
    "f": frozenset({int, float, type(None)}),
    "O": frozenset({str, bytes}),  # bytes: gRPC's lists
}
"""Kind of a NumPy dtype -> what its elements may be in a list."""


class Unreadable(ValueError):
    """An answer that is not what the protocol says, in one sentence."""


class Unsendable(ValueError):
    """An array that the protocol has no form for, in one sentence."""


@dataclass(frozen=True, slots=True)
class RemoteValue:
    """One input or output as the server describes it.

    dtype: NumPy's name; "object" stands for an array of bytes objects. shape: -1 is an open size.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a model takes and gives. Servers may leave all of it out; then it is empty."""

    inputs: tuple[RemoteValue, ...]
    outputs: tuple[RemoteValue, ...]
    platform: str


def shown(text: str) -> str:
    """A foreign text for a line of a message: cut, and without characters that move the cursor."""
    cut = text if len(text) <= SHOWN_CHARS else f"{text[: SHOWN_CHARS - 3]}..."
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in cut
    )


def in_binary(inputs: Mapping[str, NDArray[Any]], outputs: Sequence[str]) -> tuple[bytes, int]:
    """A request with its tensors as bytes behind the JSON, and the length of the JSON.

    Raises Unsendable for a dtype that is none of DTYPES.
    """
    described, parts = [], []
    for name, array in inputs.items():
        part = as_bytes(name, array)
        described.append(_described(name, array) | {"parameters": {"binary_data_size": len(part)}})
        parts.append(part)
    # Triton 2.51 and KServe 0.21 follow binary_data_output only where no output is named
    named = [{"name": name, "parameters": {"binary_data": True}} for name in outputs]
    asked = _request(described, named) | {"parameters": {"binary_data_output": True}}
    head = strictjson.text(asked).encode()
    return b"".join([head, *parts]), len(head)


def in_json(inputs: Mapping[str, NDArray[Any]], outputs: Sequence[str]) -> bytes:
    """A request with its tensors as lists of numbers, flat and row by row.

    Raises Unsendable for a dtype that is none of DTYPES, for NaN and infinities, which JSON does
    not have, and for bytes that are not UTF-8.
    """
    described = [
        _described(name, array) | {"data": _as_list(name, array)} for name, array in inputs.items()
    ]
    return strictjson.text(_request(described, [{"name": name} for name in outputs])).encode()


def as_bytes(name: str, array: NDArray[Any]) -> memoryview:
    """The elements of an array row by row, little-endian; shares the array's memory if it can."""
    if array.dtype.kind == "O":
        elements = [_element(name, each) for each in array.ravel().tolist()]
        return memoryview(b"".join(_LENGTH.pack(len(each)) + each for each in elements))
    datatype_of(name, array)
    flat = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).reshape(-1)
    return flat.view(np.uint8).data


def datatype_of(name: str, array: NDArray[Any]) -> str:
    """The wire's word for the dtype of an input. Raises Unsendable where it has none."""
    found = DATATYPES.get(array.dtype.name)
    if found is None:
        known = ", ".join(DATATYPES)
        raise Unsendable(f"input {name!r} is {array.dtype.name}; what can be sent: {known}")
    return found


def answer(body: bytes | bytearray, head: str | None) -> dict[str, NDArray[Any]]:
    """The outputs of an inference, each an array of its own that may be written to.

    head: the header Inference-Header-Content-Length, None for an answer that is all JSON.
    Raises Unreadable unless names are unique, datatypes known, and sizes those of the shapes.
    """
    view = memoryview(body)
    length = _head_length(head, len(view))
    rest = view[length:]
    found: dict[str, NDArray[Any]] = {}
    for each in _listed(_parsed(view[:length]), "outputs"):
        value = _value(each, lowest=0)
        if value.name in found:
            raise Unreadable(f"two outputs are called '{shown(value.name)}'")
        size = _binary_size(each)
        if size is None:
            found[value.name] = from_list(value, each.get("data"))
            continue
        if size > len(rest):
            raise Unreadable(f"{_output(value)} says {size} bytes, {len(rest)} are there")
        found[value.name] = from_bytes(value, rest[:size])
        rest = rest[size:]
    if rest:
        raise Unreadable(f"{len(rest)} bytes behind the last output")
    return found


def checked(name: object, datatype: object, dims: object, *, lowest: int = 0) -> RemoteValue:
    """A described tensor once it is checked. lowest: -1 where sizes may be open.

    Raises Unreadable.
    """
    if not isinstance(name, str) or not name:
        raise Unreadable("a tensor has no name")
    if not isinstance(datatype, str):
        raise Unreadable(f"'{shown(name)}' has no datatype")
    if datatype not in DTYPES:
        known = ", ".join(DTYPES)
        raise Unreadable(
            f"'{shown(name)}' has the datatype '{shown(datatype)}', not one of {known}"
        )
    if not isinstance(dims, list) or not all(type(dim) is int for dim in dims):
        raise Unreadable(f"'{shown(name)}' has no shape: a list of whole numbers")
    if any(dim < lowest for dim in dims):
        raise Unreadable(f"'{shown(name)}' has the shape {shown(str(dims))}")
    return RemoteValue(name, DTYPES[datatype], tuple(dims))


def from_bytes(output: RemoteValue, data: memoryview | bytes) -> NDArray[Any]:
    """A new array from little-endian elements. Raises Unreadable if the shape has other bytes."""
    count = math.prod(output.shape)
    if output.dtype == "object":
        return _shaped(output, _elements(output, memoryview(data), count))
    dtype = np.dtype(output.dtype)
    if count * dtype.itemsize != len(data):
        expected = f"{count * dtype.itemsize} bytes as {output.dtype}{list(output.shape)}"
        raise Unreadable(f"{_output(output)} should have {expected}, got {len(data)}")
    if output.dtype == "bool" and count and np.frombuffer(data, np.uint8).max() > 1:
        raise Unreadable(f"{_output(output)} has a byte that is neither false (0) nor true (1)")
    wire = np.frombuffer(data, dtype.newbyteorder("<"))
    return _shaped(output, wire.astype(dtype))


def from_list(output: RemoteValue, data: object) -> NDArray[Any]:
    """A new array from a list, flat or nested as the shape says; null is NaN.

    Raises Unreadable for other lists, for elements of another type and for numbers out of range.
    """
    if not isinstance(data, list):
        raise Unreadable(f"{_output(output)} has no data")
    dtype = np.dtype(output.dtype)
    try:
        cells = np.array(data, dtype=object)
    except ValueError as exc:  # lists of different lengths, or too many inside each other
        raise Unreadable(f"{_output(output)} is not nested as a tensor") from exc
    if cells.size != math.prod(output.shape) or (cells.ndim > 1 and cells.shape != output.shape):
        got = f"{list(output.shape)}, its data {list(cells.shape)}"
        raise Unreadable(f"{_output(output)} has the shape {got}")
    flat = cells.ravel().tolist()
    if not set(map(type, flat)) <= _JSON_TYPES[dtype.kind]:
        raise Unreadable(f"{_output(output)} has an element that is no {output.dtype}")
    return _shaped(output, _converted(output, dtype, flat))


def metadata(body: bytes | bytearray) -> Metadata:
    """What a model takes and gives. Raises Unreadable."""
    root = _parsed(memoryview(body))
    platform = root.get("platform")
    return Metadata(
        described(_value(each, lowest=-1) for each in _listed(root, "inputs")),
        described(_value(each, lowest=-1) for each in _listed(root, "outputs")),
        platform if isinstance(platform, str) else "",
    )


def described(values: Iterable[RemoteValue]) -> tuple[RemoteValue, ...]:
    """Inputs or outputs in their order. Raises Unreadable for a name that comes twice."""
    found: dict[str, RemoteValue] = {}
    for each in values:
        if each.name in found:
            raise Unreadable(f"two tensors are called '{shown(each.name)}'")
        found[each.name] = each
    return tuple(found.values())


def is_ready(body: bytes | bytearray) -> bool:
    """Whether a good answer to /ready says yes: Triton and MLServer say nothing more than 200."""
    try:
        return _parsed(memoryview(body)).get("ready") is not False
    except Unreadable:
        return True


def error(body: bytes | bytearray) -> str:
    """The server's own words for what went wrong, fit for a message; "" if it has none."""
    try:
        said = _parsed(memoryview(body)).get("error")
    except Unreadable:
        return ""
    return shown(said) if isinstance(said, str) else ""


def _request(inputs: list[dict[str, Any]], outputs: list[dict[str, Any]]) -> dict[str, Any]:
    return {"inputs": inputs} | ({"outputs": outputs} if outputs else {})


def _described(name: str, array: NDArray[Any]) -> dict[str, Any]:
    return {"name": name, "shape": list(array.shape), "datatype": datatype_of(name, array)}


def _as_list(name: str, array: NDArray[Any]) -> list[Any]:
    flat: list[Any] = array.ravel().tolist()
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise Unsendable(f"input {name!r} holds NaN or infinity, which JSON cannot say")
    if array.dtype.kind != "O":
        return flat
    try:
        return [_element(name, each).decode() for each in flat]
    except UnicodeDecodeError as exc:
        raise Unsendable(f"input {name!r} holds bytes that are not UTF-8 for JSON") from exc


def _element(name: str, element: object) -> bytes:
    if not isinstance(element, bytes):
        raise Unsendable(f"input {name!r} holds {type(element).__name__}, its array is for bytes")
    return element


def _head_length(head: str | None, body: int) -> int:
    if head is None:
        return body
    if not (head.isascii() and head.isdigit() and len(head) < 20 and int(head) <= body):
        raise Unreadable(f"Inference-Header-Content-Length is '{shown(head)}' of {body} bytes")
    return int(head)


def _parsed(view: memoryview) -> dict[str, Any]:
    if len(view) > JSON_BYTES:
        raise Unreadable(f"{len(view)} bytes of JSON, more than {JSON_BYTES >> 20} MiB")
    try:
        root = json.loads(str(view, "utf-8"))
    except (ValueError, RecursionError) as exc:
        raise Unreadable("the answer is not JSON") from exc
    if not isinstance(root, dict):
        raise Unreadable("the answer is JSON, but no object")
    return root


def _listed(root: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """What stands under a key; servers write null or nothing for an empty list."""
    listed = root.get(key)
    if listed is None:
        return []
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        raise Unreadable(f"'{key}' is not a list of objects")
    return listed


def _value(each: dict[str, Any], *, lowest: int) -> RemoteValue:
    return checked(each.get("name"), each.get("datatype"), each.get("shape"), lowest=lowest)


def _binary_size(each: dict[str, Any]) -> int | None:
    parameters = each.get("parameters")
    size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
    if size is None:
        return None
    if type(size) is not int or size < 0:
        raise Unreadable("binary_data_size is no number of bytes")
    return size


def _elements(output: RemoteValue, view: memoryview, count: int) -> NDArray[Any]:
    """The elements of a BYTES tensor, each with its length in front."""
    if count > MOST_ELEMENTS:
        raise Unreadable(f"{_output(output)} has more than {MOST_ELEMENTS} elements")
    found: list[bytes] = []
    at = 0
    while at < len(view) and len(found) <= count:
        if at + _LENGTH.size > len(view):
            raise Unreadable(f"{_output(output)} ends inside the length of an element")
        start = at + _LENGTH.size
        at = start + _LENGTH.unpack_from(view, at)[0]
        if at > len(view):
            raise Unreadable(f"{_output(output)} ends inside an element")
        found.append(bytes(view[start:at]))
    if len(found) != count:
        more = "more" if len(found) > count else f"{len(found)}"
        raise Unreadable(f"{_output(output)} should have {count} elements, got {more}")
    return _objects(found)


def _converted(output: RemoteValue, dtype: np.dtype[Any], flat: list[Any]) -> NDArray[Any]:
    if dtype.kind == "O":
        try:
            return _objects([each if isinstance(each, bytes) else each.encode() for each in flat])
        except UnicodeEncodeError as exc:
            raise Unreadable(f"{_output(output)} has text that is not Unicode") from exc
    if dtype.kind in "iu" and flat:
        limits = np.iinfo(dtype)
        if min(flat) < limits.min or max(flat) > limits.max:
            raise Unreadable(f"{_output(output)} has a number that is no {output.dtype}")
    try:
        # a server may send more digits than fit: 1e300 is infinity as float32, not a warning
        with np.errstate(over="ignore"):
            return np.array(flat, np.float64 if dtype.kind == "f" else dtype).astype(dtype)
    except OverflowError as exc:
        raise Unreadable(f"{_output(output)} has a number that is no {output.dtype}") from exc


def _objects(elements: list[bytes]) -> NDArray[Any]:
    """An array of bytes objects; NumPy left alone would cut zeros off their ends."""
    array = np.empty(len(elements), dtype=object)
    array[:] = elements
    return array


def _shaped(output: RemoteValue, flat: NDArray[Any]) -> NDArray[Any]:
    try:
        return flat.reshape(output.shape)
    except ValueError as exc:  # too many axes, or a size beyond NumPy's integers
        raise Unreadable(f"{_output(output)} has a shape that no array has") from exc


def _output(output: RemoteValue) -> str:
    return f"output '{shown(output.name)}'"
