"""ONNX files: bytes -> what a model takes and gives, and whether it may be loaded.

A pipeline is checked where neither onnx nor a runtime is installed, so this reads protobuf's wire
format (protobuf.dev/programming-guides/encoding) itself. Weights are stepped over: their pages are
never read. Numbers of fields, from onnx/onnx.proto of onnx 1.23; everything else is stepped over:

  ModelProto      ir_version 1, producer_name 2, producer_version 3, graph 7, opset_import 8,
                  metadata_props 14, functions 25
  GraphProto      node 1, initializer 5, input 11, output 12, sparse_initializer 15
  FunctionProto   name 1, node 7, domain 10, overload 13
  NodeProto       input 1, output 2, op_type 4, attribute 5, domain 7, overload 8
  AttributeProto  t 5, g 6, tensors 10, graphs 11, sparse_tensor 22, sparse_tensors 23
  TensorProto     dims 1, data_type 2, string_data 6, name 8, raw_data 9, external_data 13,
                  data_location 14
  SparseTensorProto  values 1, indices 2, dims 3
  ValueInfoProto  name 1, type 2
  TypeProto       tensor_type 1, sequence_type 4, map_type 5, opaque_type 7, sparse_tensor_type 8,
                  optional_type 9; Tensor: elem_type 1, shape 2
  TensorShapeProto  dim 1; Dimension: dim_value 1, dim_param 2
  OperatorSetIdProto  domain 1, version 2
  StringStringEntryProto  key 1, value 2
"""

import math
import mmap
import os
import re
import stat
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PureWindowsPath
from typing import Final

LARGEST: Final = 2**31 - 1
"""Bytes of a protobuf message (protobuf.dev/programming-guides/proto-limits)."""

DEEPEST: Final = 64
"""Messages inside each other; the runtimes' own parser stops at 100."""

MOST_FIELDS: Final = 4_000_000
"""Fields that are looked at, which takes 2 to 3 seconds: a node has about 10 of them."""

MOST_NODES: Final = 200_000
MOST_VALUES: Final = 1000
"""Inputs, and as many outputs."""

MOST_DIMENSIONS: Final = 16
MOST_FOREIGN_OPS: Final = 10_000
"""Kinds of ops of other domains, and as many functions."""

MOST_LOCATIONS: Final = 10_000
"""Files of external weights; an exporter may write one for each tensor."""

LONGEST_NAME: Final = 4096
"""Bytes of a name, and of the path of external weights."""

LONGEST_METADATA: Final = 1024 * 1024
"""Bytes of one entry."""

MOST_METADATA: Final = 1000
"""Entries."""

METADATA_BYTES: Final = 16 * 1024 * 1024
"""Of all entries together."""

LAST_NODES: Final = 256
"""Nodes, the last ones of a file, among which the makers of its outputs are looked for."""

NEWEST_OPSET: Final = 30

DOMAINS: Final = frozenset(
    {
        *("", "ai.onnx", "ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview.training"),
        *("com.microsoft", "com.microsoft.nchwc", "com.microsoft.experimental"),
    }
)
"""Domains whose ops onnxruntime brings along."""


class OnnxInvalid(ValueError):
    """The bytes are not an ONNX model that may be loaded. The message says why, in one sentence."""


@dataclass(frozen=True, slots=True)
class Value:
    """An input or output of a model.

    dtype: numpy's name of it (bfloat16 and smaller: that of ml_dtypes) or "string"; "" for what is
    no tensor, or has a type that is not known. shape: a number, a name or "" (not known) per
    dimension; None when the rank is not said.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...] | None

    def __str__(self) -> str:
        """As in float32 1x3x640x640, int64 Nx?, bool scalar, float16 of any shape, no tensor."""
        if not self.dtype:
            return "no tensor"
        if self.shape is None:
            return f"{self.dtype} of any shape"
        return f"{self.dtype} {'x'.join(map(_dimension, self.shape)) or 'scalar'}"


@dataclass(frozen=True, slots=True)
class Signature:
    """What a model takes and gives, and what it is made of.

    inputs: without those that have an initializer, as older files list their weights there.
    opset: of the default domain, 0 when that is not said. nodes: with those of subgraphs and
    functions. domains: of the ops in use, "" is the default one; the model's own functions are no
    ops. weights_bytes: size of all initializers and constants once loaded, as their shapes say.
    external: locations of weights kept in other files, each once, as written. What other engines
    have to say is its inputs and outputs; no outputs: that shows when it runs. makers: the op that
    computes each output, where that is sure: what only moves numbers, or takes one of several or
    their mean, is looked through, and so is what is added to a product.
    """

    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    opset: int = 0
    ir_version: int = 0
    producer: str = ""
    nodes: int = 0
    domains: frozenset[str] = frozenset()
    weights_bytes: int = 0
    external: tuple[str, ...] = ()
    makers: Mapping[str, str] = field(default_factory=dict)


def read(data: bytes | memoryview | mmap.mmap) -> Signature:
    """What the bytes of a model file say about it. Raises OnnxInvalid."""
    with memoryview(data) as view:
        if not view.nbytes:
            raise OnnxInvalid("the file is empty")
        if view.nbytes > LARGEST:
            raise OnnxInvalid("the file is larger than 2 GiB, which no ONNX model can be")
        try:
            return _ModelScan(_Wire(view)).model(view.nbytes)
        except OnnxInvalid as exc:
            instead = _seems(view[:_HEAD].tobytes())
            if not instead:
                raise
            raise OnnxInvalid(instead) from exc


def read_file(path: Path) -> Signature:
    """What a model file says about itself. Raises OnnxInvalid, or OSError from the disk."""
    with open(path, "rb", opener=_without_waiting) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OnnxInvalid("this is a device or a pipe, not a file")
        try:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError:
            raise OnnxInvalid("the file is empty") from None
        with data:
            return read(data)


def _without_waiting(path: str, flags: int) -> int:
    """Opens a pipe at once, where nobody may ever write."""
    return os.open(path, flags | os.O_NONBLOCK)


def check(signature: Signature, folder: Path, *, custom_ops: bool = False) -> None:
    """Raise OnnxInvalid unless a model of this signature, in this folder, may be loaded."""
    if not signature.outputs:
        raise OnnxInvalid("the model has no outputs")
    if signature.nodes > MOST_NODES:
        raise OnnxInvalid(f"the model has {signature.nodes} nodes; at most {MOST_NODES} may be")
    if signature.opset == 0:
        raise OnnxInvalid("the model does not say which opset it uses")
    if not 1 <= signature.opset <= NEWEST_OPSET:
        raise OnnxInvalid(f"opset {signature.opset} is not known; 1 to {NEWEST_OPSET} are")
    foreign = sorted(signature.domains - DOMAINS)
    if foreign and not custom_ops:
        raise OnnxInvalid(
            f"the model uses ops that need a library of their own: {_listed(foreign)}"
        )
    for location in signature.external:
        why = _refused(location, folder)
        if why:
            raise OnnxInvalid(f"its weights in {_shown(location)} {why}")


def _refused(location: str, folder: Path) -> str:
    """Why weights may not be read from there, "" when they may.

    No part of the path may be a link, so one without ".." cannot lead out of the folder.
    """
    # Windows' rules know both slashes and drives, and a model may have been written there.
    path = PureWindowsPath(location)
    if path.anchor:
        return "have an absolute path; it should be relative to the model"
    if ".." in path.parts:
        return "lie outside the model's folder"
    # A runtime would open the bytes as they are, which replaced ones no longer tell.
    if not location.isprintable() or "\ufffd" in location:
        return "have a path that is not readable"
    # onnxruntime's name for weights at an address in memory (tensorprotoutils.h).
    if any(part.endswith("MEM_ADDR_") for part in path.parts):
        return "have a path that onnxruntime keeps for itself"
    try:
        return _refused_file(folder, Path(location))
    except FileNotFoundError:
        return "are missing"
    except OSError as exc:
        return f"cannot be read: {exc.strerror}"


def _refused_file(folder: Path, location: Path) -> str:
    for part in reversed([location, *location.parents]):
        if part.parts and stat.S_ISLNK(os.lstat(folder / part).st_mode):
            return "are a link, or behind one; they should be a file"
    found = os.lstat(folder / location)
    if not stat.S_ISREG(found.st_mode):
        return "are no regular file"
    if found.st_nlink > 1:
        return "have several hard links; they should be a copy"
    return ""


# protobuf

_VARINT: Final = 0
_LEN: Final = 2
_FIXED: Final = (0, 8, 0, -1, -1, 4, -1, -1)
"""Bytes of each wire type; 0: a number says, -1: groups, which ONNX never had, and what is none."""


class _Wire:
    """The wire format over bytes that are not copied, and how much of them was looked at."""

    def __init__(self, data: memoryview) -> None:
        self._data: Final = data
        self._left = MOST_FIELDS

    def fields(self, at: int, end: int) -> Iterator[tuple[int, int, int]]:
        """Yield (key, start, stop) for each field of the message at..end.

        key: number << 3 | wire type, so that a field of another wire type than ours is stepped
        over, as the specification wants. A varint's value stands in place of its start.
        Raises OnnxInvalid where no message can go on.
        """
        data = self._data
        while at < end:
            self._left -= 1
            if self._left < 0:
                raise OnnxInvalid(f"the model has more than {MOST_FIELDS} fields")
            # Most numbers are one byte, and a call for each would take half of the time.
            key, at = data[at], at + 1
            if key > 0x7F:
                key, at = self._varint(at - 1, end)
            if not 8 <= key < 1 << 32:
                raise OnnxInvalid(f"no field can begin at byte {at - 1}; the file is damaged")
            kind = key & 7
            size = _FIXED[kind]
            if size < 0:
                raise OnnxInvalid(f"no field can begin at byte {at - 1}; the file is damaged")
            if size == 0:
                if at < end and data[at] < 0x80:
                    size, at = data[at], at + 1
                else:
                    size, at = self._varint(at, end)
            if kind == _VARINT:
                yield key, size, at
                continue
            stop = at + size
            if stop > end:
                raise OnnxInvalid(f"a field at byte {at} is cut off; the file is damaged")
            yield key, at, stop
            at = stop

    def numbers(self, at: int, end: int) -> Iterator[int]:
        """Yield the signed numbers of a packed field."""
        while at < end:
            value, at = self._varint(at, end)
            yield _signed(value)

    def has(self, pattern: re.Pattern[bytes], at: int, end: int) -> bool:
        """Whether the pattern is anywhere in at..end."""
        return pattern.search(self._data, at, end) is not None

    def text(self, at: int, end: int, longest: int = LONGEST_NAME) -> str:
        """A string; bytes that are no UTF-8 are replaced. Raises OnnxInvalid when it is longer."""
        if end - at > longest:
            raise OnnxInvalid(f"a name of {end - at} bytes is too long; at most {longest} may be")
        return str(self._data[at:end], "utf-8", "replace")

    def _varint(self, at: int, end: int) -> tuple[int, int]:
        """A number of up to 70 bits, and where it ends."""
        if at < end and self._data[at] < 0x80:
            return self._data[at], at + 1
        value = 0
        for place, byte in enumerate(self._data[at : min(end, at + 10)]):
            value |= (byte & 0x7F) << 7 * place
            if byte < 0x80:
                return value, at + place + 1
        raise OnnxInvalid(f"a number at byte {at} does not end; the file is damaged")


def _signed(value: int, bits: int = 64) -> int:
    """What a varint means for int64 or int32; more bits than that are dropped."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


# messages


def _int(number: int) -> int:
    return number << 3 | _VARINT


def _bytes(number: int) -> int:
    return number << 3 | _LEN


_MODEL_IR_VERSION: Final = _int(1)
_MODEL_PRODUCER: Final = (_bytes(2), _bytes(3))
_MODEL_GRAPH: Final = _bytes(7)
_MODEL_OPSET: Final = _bytes(8)
_MODEL_METADATA: Final = _bytes(14)
_MODEL_FUNCTION: Final = _bytes(25)
_GRAPH_NODE: Final = _bytes(1)
_GRAPH_INITIALIZER: Final = _bytes(5)
_GRAPH_INPUT: Final = _bytes(11)
_GRAPH_OUTPUT: Final = _bytes(12)
_GRAPH_SPARSE: Final = _bytes(15)
_FUNCTION_NAME: Final = _bytes(1)
_FUNCTION_NODE: Final = _bytes(7)
_FUNCTION_DOMAIN: Final = _bytes(10)
_FUNCTION_OVERLOAD: Final = _bytes(13)
_NODE_INPUT: Final = _bytes(1)
_NODE_OUTPUT: Final = _bytes(2)
_NODE_OP: Final = _bytes(4)
_NODE_ATTRIBUTE: Final = _bytes(5)
_NODE_DOMAIN: Final = _bytes(7)
_NODE_OVERLOAD: Final = _bytes(8)
_ATTRIBUTE_TENSORS: Final = (_bytes(5), _bytes(10))
_ATTRIBUTE_GRAPHS: Final = (_bytes(6), _bytes(11))
_ATTRIBUTE_SPARSE: Final = (_bytes(22), _bytes(23))
_ATTRIBUTE_BYTES: Final = re.compile(
    b"[%s]"
    % b"".join(
        re.escape(bytes({key & 0x7F | 0x80, min(key, key & 0x7F | 0x80)}))
        for key in (*_ATTRIBUTE_TENSORS, *_ATTRIBUTE_GRAPHS, *_ATTRIBUTE_SPARSE)
    )
)
"""The bytes that one of these keys may begin with, written as short as can be or longer."""

_TENSOR_DIMS: Final = (_int(1), _bytes(1))
_TENSOR_TYPE: Final = _int(2)
_TENSOR_STRING: Final = _bytes(6)
_TENSOR_NAME: Final = _bytes(8)
_TENSOR_RAW: Final = _bytes(9)
_TENSOR_EXTERNAL: Final = _bytes(13)
_TENSOR_LOCATION: Final = _int(14)
_SPARSE_VALUES: Final = _bytes(1)
_SPARSE_INDICES: Final = _bytes(2)
_SPARSE_DIMS: Final = (_int(3), _bytes(3))
_VALUE_NAME: Final = _bytes(1)
_VALUE_TYPE: Final = _bytes(2)
_TYPE_TENSOR: Final = _bytes(1)
_TYPE_OTHERS: Final = (_bytes(4), _bytes(5), _bytes(7), _bytes(8), _bytes(9))
_TENSOR_TYPE_ELEMENT: Final = _int(1)
_TENSOR_TYPE_SHAPE: Final = _bytes(2)
_SHAPE_DIMENSION: Final = _bytes(1)
_DIMENSION_VALUE: Final = _int(1)
_DIMENSION_NAME: Final = _bytes(2)
_OPSET_DOMAIN: Final = _bytes(1)
_OPSET_VERSION: Final = _int(2)
_ENTRY_KEY: Final = _bytes(1)
_ENTRY_VALUE: Final = _bytes(2)

_MOVING: Final = frozenset(
    {
        *("Cast", "Dropout", "Expand", "Flatten", "Gather", "GatherElements", "GatherND"),
        *("Identity", "Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze"),
        *("AveragePool", "GlobalAveragePool", "GlobalMaxPool", "MaxPool"),
        *("ReduceMax", "ReduceMean", "ReduceMin"),
        *("DequantizeLinear", "QuantizeLinear"),
    }
)
"""Ops whose numbers are those of their first input, some of them, or between them."""

PRODUCTS: Final = frozenset({"Conv", "Gemm", "MatMul"})
"""Ops of layers whose numbers may be any."""

_EXTERNAL: Final = 1
"""TensorProto.DataLocation: the weights are in another file."""

_TYPES: Final = {
    1: ("float32", 32),
    2: ("uint8", 8),
    3: ("int8", 8),
    4: ("uint16", 16),
    5: ("int16", 16),
    6: ("int32", 32),
    7: ("int64", 64),
    8: ("string", 0),
    9: ("bool", 8),
    10: ("float16", 16),
    11: ("float64", 64),
    12: ("uint32", 32),
    13: ("uint64", 64),
    14: ("complex64", 64),
    15: ("complex128", 128),
    16: ("bfloat16", 16),
    17: ("float8_e4m3fn", 8),
    18: ("float8_e4m3fnuz", 8),
    19: ("float8_e5m2", 8),
    20: ("float8_e5m2fnuz", 8),
    21: ("uint4", 4),
    22: ("int4", 4),
    23: ("float4_e2m1fn", 4),
    24: ("float8_e8m0fnu", 8),
    25: ("uint2", 2),
    26: ("int2", 2),
    27: ("float6_e2m3fn", 6),
    28: ("float6_e3m2fn", 6),
}
"""TensorProto.DataType -> numpy's or ml_dtypes' name and bits per element; 0: it varies."""


@dataclass(frozen=True, slots=True)
class _WeightTensor:
    """Weights. held: bytes of them in the file, where their shape cannot say the size."""

    name: str
    type: int
    dims: tuple[int, ...]
    held: int

    @property
    def size(self) -> int:
        """Bytes once loaded."""
        _, bits = _TYPES.get(self.type, ("", 0))
        return (math.prod(self.dims) * bits + 7) // 8 if bits else self.held


def _entry(wire: _Wire, at: int, end: int, longest: int) -> tuple[str, str]:
    """Key and value of a StringStringEntryProto."""
    texts = {_ENTRY_KEY: "", _ENTRY_VALUE: ""}
    for key, start, stop in wire.fields(at, end):
        if key in texts:
            texts[key] = wire.text(start, stop, longest)
    return texts[_ENTRY_KEY], texts[_ENTRY_VALUE]


class _ValueScan:
    """Reads what goes in and comes out."""

    def __init__(self, wire: _Wire) -> None:
        self._wire: Final = wire

    def value(self, at: int, end: int) -> Value:
        value = Value("", "", None)
        for key, start, stop in self._wire.fields(at, end):
            if key == _VALUE_NAME:
                value = replace(value, name=self._wire.text(start, stop))
            elif key == _VALUE_TYPE:
                dtype, shape = self._type(start, stop)
                value = replace(value, dtype=dtype, shape=shape)
        return value

    def _type(self, at: int, end: int) -> tuple[str, tuple[int | str, ...] | None]:
        dtype, shape = "", None
        for key, start, stop in self._wire.fields(at, end):
            if key == _TYPE_TENSOR:
                dtype, shape = self._tensor_type(start, stop)
            elif key in _TYPE_OTHERS:
                dtype, shape = "", None
        return dtype, shape

    def _tensor_type(self, at: int, end: int) -> tuple[str, tuple[int | str, ...] | None]:
        dtype, shape = "", None
        for key, start, stop in self._wire.fields(at, end):
            if key == _TENSOR_TYPE_ELEMENT:
                dtype, _ = _TYPES.get(_signed(start, 32), ("", 0))
            elif key == _TENSOR_TYPE_SHAPE:
                shape = self._shape(start, stop)
        return dtype, shape

    def _shape(self, at: int, end: int) -> tuple[int | str, ...]:
        dims: list[int | str] = []
        for key, start, stop in self._wire.fields(at, end):
            if key == _SHAPE_DIMENSION:
                dims.append(self._dimension(start, stop))
                _limit("dimensions", len(dims), MOST_DIMENSIONS)
        return tuple(dims)

    def _dimension(self, at: int, end: int) -> int | str:
        dimension: int | str = ""
        for key, start, stop in self._wire.fields(at, end):
            if key == _DIMENSION_VALUE:
                # Exporters write -1 for what is open, and onnxruntime takes it so.
                dimension = _signed(start) if _signed(start) >= 0 else ""
            elif key == _DIMENSION_NAME:
                dimension = self._wire.text(start, stop)
        return dimension


class _WeightScan:
    """Reads weights, but for their numbers. bytes: once all of them are loaded. external: the files
    that hold some of them.
    """

    def __init__(self, wire: _Wire) -> None:
        self._wire: Final = wire
        self.bytes = 0
        self.external: dict[str, None] = {}

    def add(self, at: int, end: int) -> _WeightTensor:
        tensor = self._tensor(at, end)
        self.bytes += tensor.size
        return tensor

    def add_sparse(self, at: int, end: int) -> _WeightTensor:
        """The tensor that a runtime makes of them, which has all the zeros."""
        tensor = _WeightTensor("", 0, (), 0)
        dims: list[int] = []
        for key, start, stop in self._wire.fields(at, end):
            if key == _SPARSE_VALUES:
                tensor = self._tensor(start, stop)
            elif key == _SPARSE_INDICES:
                self._tensor(start, stop)
            elif key in _SPARSE_DIMS:
                self._read_dims(dims, key, start, stop)
        tensor = replace(tensor, dims=tuple(dims))
        self.bytes += tensor.size
        return tensor

    def _tensor(self, at: int, end: int) -> _WeightTensor:
        name, kind, held = "", 0, 0
        dims: list[int] = []
        located = external = False
        for key, start, stop in self._wire.fields(at, end):
            if key in _TENSOR_DIMS:
                self._read_dims(dims, key, start, stop)
            elif key == _TENSOR_TYPE:
                kind = _signed(start, 32)
            elif key == _TENSOR_NAME:
                name = self._wire.text(start, stop)
            elif key in (_TENSOR_RAW, _TENSOR_STRING):
                held += stop - start
            elif key == _TENSOR_EXTERNAL:
                located |= self._read_location(start, stop)
            elif key == _TENSOR_LOCATION:
                external |= _signed(start, 32) == _EXTERNAL
        if external and not located:
            raise OnnxInvalid(f"the weights {_shown(name)} are in another file that is not named")
        return _WeightTensor(name, kind, tuple(dims), held)

    def _read_dims(self, dims: list[int], key: int, start: int, stop: int) -> None:
        """Add the size of one dimension, or of several when they are packed."""
        packed = key & 7 == _LEN
        for size in self._wire.numbers(start, stop) if packed else (_signed(start),):
            if size < 0:
                raise OnnxInvalid(f"some weights have a dimension of {size}")
            dims.append(size)
            _limit("dimensions", len(dims), MOST_DIMENSIONS)

    def _read_location(self, at: int, end: int) -> bool:
        """Keep the path of external weights, if the entry holds it.

        It counts though data_location may say otherwise: that could stand in another piece of the
        same tensor, which a runtime would put together.
        """
        name, location = _entry(self._wire, at, end, LONGEST_NAME)
        if name != "location":
            return False
        self.external[location] = None
        _limit("files of weights", len(self.external), MOST_LOCATIONS)
        return True


class _ModelScan:
    """Collects what the messages of one model say."""

    def __init__(self, wire: _Wire) -> None:
        self._wire: Final = wire
        self._values, self._weights = _ValueScan(wire), _WeightScan(wire)
        self._inputs: list[Value] = []
        self._outputs: list[Value] = []
        self._metadata: dict[str, str] = {}
        self._metadata_bytes = self._opset = self._nodes = 0
        self._domains: set[str] = set()
        self._foreign: set[tuple[str, str, str]] = set()
        """Ops called of other domains; functions may come later in the file."""

        self._functions: set[tuple[str, str, str]] = set()
        self._last: deque[tuple[int, int]] = deque(maxlen=LAST_NODES)
        """Where the last nodes of the main graph begin and end."""

        self._subgraphs: list[tuple[int, int, int]] = []
        """Where they begin and end, and how deep: a list, since recursion could run too deep."""

    def model(self, end: int) -> Signature:
        ir_version = 0
        producer = dict.fromkeys(_MODEL_PRODUCER, "")
        graphs: list[tuple[int, int]] = []
        for key, at, stop in self._wire.fields(0, end):
            if key == _MODEL_IR_VERSION:
                ir_version = _signed(at)
            elif key in producer:
                producer[key] = self._wire.text(at, stop)
            elif key == _MODEL_OPSET:
                self._read_opset(at, stop)
            elif key == _MODEL_METADATA:
                self._read_metadata(at, stop)
            elif key == _MODEL_FUNCTION:
                self._read_function(at, stop)
            elif key == _MODEL_GRAPH:
                graphs.append((at, stop))
        if not graphs:
            raise OnnxInvalid("the file is no ONNX model, or cut off: there is no graph in it")
        if ir_version < 1:
            raise OnnxInvalid("the file is no ONNX model: its IR version is missing")
        weights = self._read_graphs(graphs)
        return Signature(
            inputs=tuple(value for value in self._inputs if value.name not in weights),
            outputs=tuple(self._outputs),
            metadata=self._metadata,
            opset=self._opset,
            ir_version=ir_version,
            producer=" ".join(filter(None, producer.values())),
            nodes=self._nodes,
            domains=frozenset(
                self._domains | {domain for domain, *_ in self._foreign - self._functions}
            ),
            weights_bytes=self._weights.bytes,
            external=tuple(self._weights.external),
            makers=self._makers(),
        )

    def _read_graphs(self, graphs: list[tuple[int, int]]) -> set[str]:
        """Read the main graph and all below it; gives those inputs that have an initializer.

        A message that comes twice is one in pieces, so there may be several (protobuf's encoding,
        "last one wins"). Inputs are read first, lest the names of all initializers be kept.
        """
        for at, end in graphs:
            self._read_ends(at, end)
        names = {value.name for value in self._inputs}
        weights: set[str] = set()
        for at, end in graphs:
            weights.update(name for name in self._read_graph(at, end, 1) if name in names)
        while self._subgraphs:
            for _ in self._read_graph(*self._subgraphs.pop()):
                pass
        return weights

    def _read_ends(self, at: int, end: int) -> None:
        for key, start, stop in self._wire.fields(at, end):
            if key == _GRAPH_INPUT:
                self._inputs.append(self._values.value(start, stop))
            elif key == _GRAPH_OUTPUT:
                self._outputs.append(self._values.value(start, stop))
            if max(len(self._inputs), len(self._outputs)) > MOST_VALUES:
                raise OnnxInvalid(f"the model has more than {MOST_VALUES} inputs or outputs")

    def _read_graph(self, at: int, end: int, depth: int) -> Iterator[str]:
        """Yield the names of its initializers."""
        for key, start, stop in self._wire.fields(at, end):
            if key == _GRAPH_NODE:
                self._read_node(start, stop, depth + 1)
                if depth == 1:
                    self._last.append((start, stop))
            elif key == _GRAPH_INITIALIZER:
                yield self._weights.add(start, stop).name
            elif key == _GRAPH_SPARSE:
                yield self._weights.add_sparse(start, stop).name

    def _makers(self) -> dict[str, str]:
        """Output -> op, looked for from the last node on: nodes come after what they take."""
        wanted = {each.name: [(each.name, False)] for each in self._outputs}
        makers: dict[str, str] = {}
        for at, end in reversed(self._last):
            op, inputs, made = self._node_ends(at, end)
            for output, added in [each for name in made for each in wanted.pop(name, [])]:
                if op == "Add" or (op in _MOVING and inputs):
                    for name in inputs if op == "Add" else inputs[:1]:
                        wanted.setdefault(name, []).append((output, added or op == "Add"))
                elif op in PRODUCTS or not added:
                    makers.setdefault(output, op)
        return {output: op for output, op in makers.items() if op}

    def _node_ends(self, at: int, end: int) -> tuple[str, list[str], list[str]]:
        """(op, inputs, outputs) of a node; no op for one of another domain."""
        names: dict[int, list[str]] = {_NODE_INPUT: [], _NODE_OUTPUT: [], _NODE_OP: []}
        foreign = False
        for key, start, stop in self._wire.fields(at, end):
            if key in names:
                names[key].append(self._wire.text(start, stop))
            elif key == _NODE_DOMAIN:
                foreign = bool(_domain(self._wire.text(start, stop)))
        inputs, outputs, ops = names.values()
        return "" if foreign else "".join(ops[-1:]), inputs, outputs

    def _read_function(self, at: int, end: int) -> None:
        name = dict.fromkeys((_FUNCTION_DOMAIN, _FUNCTION_NAME, _FUNCTION_OVERLOAD), "")
        for key, start, stop in self._wire.fields(at, end):
            if key in name:
                name[key] = self._wire.text(start, stop)
            elif key == _FUNCTION_NODE:
                self._read_node(start, stop, 2)
        domain, function, overload = name.values()
        self._functions.add((domain, function, overload))
        _limit("functions", len(self._functions), MOST_FOREIGN_OPS)

    def _read_node(self, at: int, end: int, depth: int) -> None:
        self._nodes += 1
        op = overload = domain = (0, 0)
        for key, start, stop in self._wire.fields(at, end):
            if key == _NODE_ATTRIBUTE:
                self._read_attribute(start, stop, depth + 1)
            elif key == _NODE_OP:
                op = start, stop
            elif key == _NODE_DOMAIN:
                domain = start, stop
            elif key == _NODE_OVERLOAD:
                overload = start, stop
        name = _domain(self._wire.text(*domain))
        if not name:
            self._domains.add("")
            return
        self._foreign.add((name, self._wire.text(*op), self._wire.text(*overload)))
        _limit("kinds of ops of other domains", len(self._foreign), MOST_FOREIGN_OPS)

    def _read_attribute(self, at: int, end: int, depth: int) -> None:
        if not self._wire.has(_ATTRIBUTE_BYTES, at, end):
            return  # numbers and text, as most are: this halves the time of a model
        for key, start, stop in self._wire.fields(at, end):
            if key in _ATTRIBUTE_TENSORS:
                self._weights.add(start, stop)
            elif key in _ATTRIBUTE_SPARSE:
                self._weights.add_sparse(start, stop)
            elif key in _ATTRIBUTE_GRAPHS:
                if depth >= DEEPEST:
                    raise OnnxInvalid(f"its graphs are more than {DEEPEST} messages deep")
                self._subgraphs.append((start, stop, depth + 1))

    def _read_opset(self, at: int, end: int) -> None:
        domain, version = "", 0
        for key, start, stop in self._wire.fields(at, end):
            if key == _OPSET_DOMAIN:
                domain = self._wire.text(start, stop)
            elif key == _OPSET_VERSION:
                version = _signed(start)
        if not _domain(domain):
            self._opset = version

    def _read_metadata(self, at: int, end: int) -> None:
        self._metadata_bytes += end - at
        if max(end - at - LONGEST_METADATA, self._metadata_bytes - METADATA_BYTES) > 0:
            raise OnnxInvalid(f"an entry of its metadata has {end - at} bytes, which is too much")
        name, value = _entry(self._wire, at, end, LONGEST_METADATA)
        self._metadata[name] = value
        _limit("entries of metadata", len(self._metadata), MOST_METADATA)


def _domain(name: str) -> str:
    """The default domain has two names (onnx/docs/IR.md, "Operator Sets")."""
    return "" if name == "ai.onnx" else name


def _limit(what: str, count: int, most: int) -> None:
    if count > most:
        raise OnnxInvalid(f"the model has more than {most} {what}")


# sentences

_HEAD: Final = 512
"""Bytes that tell what a file is."""

_TEXTS: Final = (
    ((b"<!doctype html", b"<html", b"<head", b"<!--"), "a web page"),
    ((b"<",), "XML"),
    ((b"{",), "JSON"),
)
"""Which characters, in lower case, and what they are the beginning of."""

_BEGINNINGS: Final = (
    (0, b"PK\x03\x04", "a zip file, as PyTorch's checkpoints are"),
    *(
        (0, bytes([0x80, number]), "a pickle, as PyTorch's old checkpoints are")
        for number in range(2, 6)
    ),
    (0, b"\x1f\x8b", "a gzip file"),
    (0, b"GGUF", "a GGUF file"),
    (0, b"\x89HDF", "an HDF5 file, as Keras' models are"),
    (0, b"ftrt", "an engine of TensorRT"),
    (4, b"TFL3", "a model of TensorFlow Lite"),
    (4, b"ORTM", "a model in onnxruntime's own format"),
    (8, b'{"', "a safetensors file"),
)
"""Where, which bytes, and what they are the beginning of."""


def _seems(head: bytes) -> str:
    """What a file that is no ONNX model is instead, judged by its beginning; "" if unknown."""
    if head.startswith(b"version https://git-lfs"):
        return "the file is a pointer of git-lfs, not the model; `git lfs pull` fetches it"
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for beginnings, what in _TEXTS:
        if text.startswith(beginnings):
            return f"the file seems to be {what}, not an ONNX model"
    for at, beginning, what in _BEGINNINGS:
        if head.startswith(beginning, at):
            return f"the file seems to be {what}, not an ONNX model"
    if head.isascii() and "".join(head.decode().split()).isprintable():
        return "the file seems to be text, not an ONNX model"
    return ""


def _dimension(size: int | str) -> str:
    """A number, or a name that is one: exporters put whole formulas there."""
    named = str(size)
    return named if re.fullmatch(r"\d+|[A-Za-z]\w{0,15}", named, re.ASCII) else "?"


def _shown(text: str) -> str:
    return f"'{_plain(text)}'"


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(map(_shown, names[:5])) + more


def _plain(text: str, longest: int = 80) -> str:
    """A foreign name for a line of text: cut, and without characters that move the cursor."""
    cut = text if len(text) <= longest else f"{text[: longest - 3]}..."
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in cut
    )
