"""What our reader says of ONNX files beside what onnx and onnxruntime say, on good and bad ones."""

import ast
import importlib
import mmap
import os
import re
import resource
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import (
    AttributeProto,
    FunctionProto,
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    ValueInfoProto,
    helper,
    numpy_helper,
)

from composer.models import onnxfile
from composer.models.onnxfile import OnnxInvalid, Signature, Value, check, read, read_file

# Neither has types.
onnxruntime: Final[Any] = importlib.import_module("onnxruntime")
DecodeError: Final[Any] = importlib.import_module("google.protobuf.message").DecodeError

FLOAT: Final = TensorProto.FLOAT
LIGHT: Final = sorted((Path(onnx.__file__).parent / "backend/test/data/light").glob("*.onnx"))

Shape = list[int | str | None] | None


def tensor(name: str, shape: Shape = (), kind: int = FLOAT) -> ValueInfoProto:  # type: ignore[assignment]
    return helper.make_tensor_value_info(name, kind, shape)


def weights(name: str, *shape: int) -> TensorProto:
    return numpy_helper.from_array(np.ones(shape, np.float32), name)


def external(name: str, location: str) -> TensorProto:
    """Weights of 4 floats in another file."""
    made = TensorProto(name=name, data_type=FLOAT, dims=[4])
    made.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", "16")):
        made.external_data.add(key=key, value=value)
    return made


def graph(
    nodes: Iterable[NodeProto] = (),
    initializers: Iterable[TensorProto] = (),
    inputs: Iterable[ValueInfoProto] = (),
    outputs: Iterable[ValueInfoProto] = (),
) -> GraphProto:
    return helper.make_graph(list(nodes), "g", list(inputs), list(outputs), list(initializers))


def model(
    nodes: Iterable[NodeProto] = (),
    initializers: Iterable[TensorProto] = (),
    inputs: Iterable[ValueInfoProto] = (),
    outputs: Iterable[ValueInfoProto] = (),
    functions: Iterable[FunctionProto] = (),
    opsets: Iterable[tuple[str, int]] = (("", 17),),
    ir_version: int = 8,
) -> ModelProto:
    return helper.make_model(
        graph(nodes, initializers, inputs, outputs),
        functions=list(functions),
        opset_imports=[helper.make_opsetid(*opset) for opset in opsets],
        ir_version=ir_version,
        producer_name="pytorch",
        producer_version="2.9.1",
    )


def signature(made: ModelProto) -> Signature:
    return read(made.SerializeToString())


def echo(shape: Shape, kind: int = FLOAT) -> ModelProto:
    """Gives what it takes."""
    node = helper.make_node("Identity", ["x"], ["y"])
    return model([node], [], [tensor("x", shape, kind)], [tensor("y", shape, kind)])


def rich() -> ModelProto:
    """Something of everything that is read."""
    branch = graph(
        [helper.make_node("Constant", [], ["k"], value=external("e", "w.bin"))],
        outputs=[tensor("k", [4])],
    )
    half = helper.make_function(
        "own", "Half", ["a"], ["b"], [helper.make_node("Relu", ["a"], ["b"])], [opset("", 17)]
    )
    made = model(
        [
            helper.make_node("If", ["c"], ["z"], then_branch=branch, else_branch=branch),
            helper.make_node("Half", ["x"], ["h"], domain="own"),
            helper.make_node("Sort", ["h"], ["y"], domain="com.example", axes=[1, 2], mode="up"),
        ],
        [weights("w", 2, 3)],
        [tensor("x", [1, "N", None]), tensor("c", [], TensorProto.BOOL), tensor("w", [2, 3])],
        [tensor("y", [1, "N", None])],
        [half],
        [("com.example", 1), ("", 17), ("own", 1)],
    )
    helper.set_model_props(made, {"names": "{0: 'cat'}", "stride": "32"})
    return made


def opset(domain: str, version: int) -> onnx.OperatorSetIdProto:
    return helper.make_opsetid(domain, version)


RICH = rich().SerializeToString()


# Bytes of the wire, for what onnx does not write.


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = b""
    while value > 0x7F:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def file(main: bytes = b"", *more: bytes) -> bytes:
    """A model with this in its graph and that behind it."""
    return field(1, 8) + field(7, main) + b"".join(more)


# what a model takes and gives


@pytest.mark.parametrize(
    ("shape", "text"),
    [
        pytest.param([1, 3, 640, 640], "float32 1x3x640x640", id="fixed"),
        pytest.param(["N", 3, None, None], "float32 Nx3x?x?", id="named and open"),
        pytest.param([-1, 3], "float32 ?x3", id="open, written as -1"),
        pytest.param([0, 3], "float32 0x3", id="no element"),
        pytest.param([], "float32 scalar", id="no dimension"),
    ],
)
def test_shapes_are_those_of_onnxruntime(shape: Shape, text: str) -> None:
    made = echo(shape)
    session = onnxruntime.InferenceSession(made.SerializeToString())
    found = signature(made)
    for values, theirs in (
        (found.inputs, session.get_inputs()),
        (found.outputs, session.get_outputs()),
    ):
        assert [value.name for value in values] == [value.name for value in theirs]
        assert [list(value.shape or ()) for value in values] == [
            ["" if size is None else size for size in value.shape] for value in theirs
        ]
        assert [str(value) for value in values] == [text]


def test_a_shape_that_is_not_said_is_not_a_scalar() -> None:
    found = signature(echo(None))
    assert found.inputs == (Value("x", "float32", None),)
    assert signature(echo([])).inputs == (Value("x", "float32", ()),)
    assert str(found.inputs[0]) == "float32 of any shape"


@pytest.mark.parametrize(("kind", "name"), [(n, k) for k, n in TensorProto.DataType.items() if n])
def test_types_have_the_names_and_sizes_of_numpy(kind: int, name: str) -> None:
    found = signature(echo([3, 5], kind))
    if name == "STRING":
        assert found.inputs == (Value("x", "string", (3, 5)),)
        return
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    assert found.inputs == (Value("x", str(dtype), (3, 5)),)
    held = numpy_helper.from_array(np.zeros((3, 5), dtype), "w")
    assert held.data_type == kind
    assert signature(model(initializers=[held])).weights_bytes == len(held.raw_data)


@pytest.mark.parametrize("kind", [0, 99, -1])
def test_a_type_that_nobody_knows_has_no_name(kind: int) -> None:
    shape = field(2, field(1, field(1, 4)))
    value = field(1, b"x") + field(2, field(1, field(1, kind) + shape))
    assert read(file(field(11, value))).inputs == (Value("x", "", (4,)),)


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(
            helper.make_sequence_type_proto(helper.make_tensor_type_proto(1, [2])), id="sequence"
        ),
        pytest.param(
            helper.make_optional_type_proto(helper.make_tensor_type_proto(1, [2])), id="optional"
        ),
        pytest.param(
            helper.make_map_type_proto(7, helper.make_tensor_type_proto(1, [2])), id="map"
        ),
        pytest.param(helper.make_sparse_tensor_type_proto(1, [2]), id="sparse"),
        pytest.param(onnx.TypeProto(), id="not said"),
    ],
)
def test_what_is_no_tensor_has_a_name_only(kind: onnx.TypeProto) -> None:
    found = signature(model(inputs=[helper.make_value_info("many", kind), tensor("x", [2])]))
    assert found.inputs == (Value("many", "", None), Value("x", "float32", (2,)))
    assert str(found.inputs[0]) == "no tensor"


def test_the_last_of_several_types_counts() -> None:
    tensor_type = field(1, field(1, FLOAT) + field(2, b""))
    sequence_type = field(4, b"")
    for kinds, dtype in (
        (tensor_type + sequence_type, ""),
        (sequence_type + tensor_type, "float32"),
    ):
        data = file(field(11, field(2, kinds)))
        theirs = ModelProto.FromString(data).graph.input[0].type
        assert theirs.HasField("tensor_type") == bool(dtype)
        assert read(data).inputs[0].dtype == dtype


@pytest.mark.parametrize("name", ["floor(height/2) + 1", "\x1b[2J", "höhe", "1e", "n" * 17])
def test_a_dimension_whose_name_is_a_formula_or_worse_is_shown_as_open(name: str) -> None:
    """A line of text has no room for it, and must not move the cursor."""
    assert str(Value("x", "int64", ("batch_size", name, "n" * 16, 2))) == (
        f"int64 batch_sizex?x{'n' * 16}x2"
    )


@pytest.mark.parametrize("ir_version", [3, 8])
def test_inputs_with_an_initializer_are_weights(ir_version: int) -> None:
    made = model(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        [weights("w", 4)],
        [tensor("w", [4]), tensor("x", [4])],
        [tensor("y", [4])],
        ir_version=ir_version,
    )
    session = onnxruntime.InferenceSession(made.SerializeToString())
    assert [value.name for value in session.get_inputs()] == ["x"]
    assert [value.name for value in signature(made).inputs] == ["x"]


def test_inputs_with_a_sparse_initializer_are_weights() -> None:
    made = model(inputs=[tensor("w", [100]), tensor("x", [4])])
    made.graph.sparse_initializer.append(sparse("w", 100))
    assert [value.name for value in signature(made).inputs] == ["x"]


def test_an_initializer_of_a_subgraph_hides_no_input() -> None:
    made = model(
        [helper.make_node("If", ["c"], ["y"], then_branch=graph(initializers=[weights("x", 4)]))],
        inputs=[tensor("x", [4])],
    )
    assert [value.name for value in signature(made).inputs] == ["x"]


# what a model is made of


def test_everything_is_what_onnx_says() -> None:
    found = signature(rich())
    assert found == Signature(
        inputs=(Value("x", "float32", (1, "N", "")), Value("c", "bool", ())),
        outputs=(Value("y", "float32", (1, "N", "")),),
        metadata={"names": "{0: 'cat'}", "stride": "32"},
        opset=17,
        ir_version=8,
        producer="pytorch 2.9.1",
        nodes=6,
        domains=frozenset({"", "com.example"}),
        weights_bytes=2 * 3 * 4 + 2 * 4 * 4,
        external=("w.bin",),
    )
    assert seen(rich()) == (found.nodes, set(found.external))


@pytest.mark.parametrize(
    ("nodes", "maker"),
    [
        pytest.param("Sigmoid x y", "Sigmoid", id="an activation"),
        pytest.param("Softmax x a, Reshape a s b, Cast b y", "Softmax", id="moved afterwards"),
        pytest.param("Softmax x a, QuantizeLinear a s z b, DequantizeLinear b s z y", "Softmax",
                     id="quantised"),
        pytest.param("MatMul x w a, Add a bias y", "MatMul", id="a layer and its bias"),
        pytest.param("Constant c, MatMul x w a, Add c a b, Flatten b y", "MatMul", id="bias first"),
        pytest.param("Conv x w a, GlobalAveragePool a b, Flatten b y", "Conv", id="mean of a map"),
        pytest.param("Sigmoid x a, Sigmoid x b, Add a b y", "", id="a sum of chances"),
        pytest.param("Sigmoid x a, Mul a s y", "Mul", id="a part of a chance"),
        pytest.param("Concat x x y", "Concat", id="several"),
        pytest.param("ReduceMean x y", "", id="the input"),
        pytest.param("com.example:Sigmoid x y", "", id="an op of others"),
        pytest.param("Sigmoid x y, " + ", ".join(["Relu x a"] * 256), "", id="too far away"),
    ],
)  # fmt: skip
def test_what_makes_an_output(nodes: str, maker: str) -> None:
    made = []
    for each in nodes.split(", "):
        op, *inputs, output = each.split(" ")
        domain, _, op = op.rpartition(":")
        made.append(helper.make_node(op, inputs, [output], domain=domain))
    assert signature(model(made, outputs=[tensor("y")])).makers.get("y", "") == maker


@pytest.mark.parametrize("path", LIGHT, ids=lambda path: path.stem)
def test_models_of_others_are_read_as_onnx_reads_them(path: Path) -> None:
    theirs, found = onnx.load(path), read_file(path)
    held = {each.name for each in theirs.graph.initializer}
    inputs = [value for value in theirs.graph.input if value.name not in held]
    for values, protos in ((found.inputs, inputs), (found.outputs, theirs.graph.output)):
        assert values == tuple(
            Value(
                each.name,
                str(helper.tensor_dtype_to_np_dtype(each.type.tensor_type.elem_type)),
                tuple(dim.dim_value for dim in each.type.tensor_type.shape.dim),
            )
            for each in protos
        )
    assert seen(theirs) == (found.nodes, set())
    assert found.opset == theirs.opset_import[0].version
    assert found.ir_version == theirs.ir_version
    assert found.producer == theirs.producer_name
    assert found.weights_bytes == sum(
        numpy_helper.to_array(each).nbytes for each in tensors(theirs)
    )


@pytest.mark.parametrize(
    ("opsets", "version"),
    [
        ([("", 13)], 13),
        ([("ai.onnx.ml", 3), ("", 15), ("com.microsoft", 1)], 15),
        ([("com.microsoft", 1), ("ai.onnx", 12)], 12),
        ([("ai.onnx.ml", 3)], 0),
    ],
)
def test_the_opset_is_that_of_the_default_domain(
    opsets: list[tuple[str, int]], version: int
) -> None:
    assert signature(model(opsets=opsets)).opset == version


def test_nodes_of_all_subgraphs_count() -> None:
    relu = helper.make_node("Relu", ["x"], ["y"])
    inner = helper.make_node("Loop", ["n"], ["y"], body=graph([relu, relu], [weights("w", 8)]))
    made = model(
        [
            helper.make_node("If", ["c"], ["y"], then_branch=graph([inner]), else_branch=graph()),
            helper.make_node("Case", ["c"], ["y"], domain="com.microsoft", bodies=[graph([relu])]),
        ]
    )
    found = signature(made)
    assert (found.nodes, found.weights_bytes) == (6, 32)
    assert found.domains == {"", "com.microsoft"}


def test_domains_are_those_in_use() -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["y"], domain="ai.onnx"),
        helper.make_node("Scaler", ["x"], ["y"], domain="ai.onnx.ml"),
    ]
    made = model(nodes, opsets=[("", 17), ("ai.onnx.ml", 3), ("com.unused", 1)])
    assert signature(made).domains == {"", "ai.onnx.ml"}
    assert signature(model()).domains == set()


def test_a_function_of_the_model_is_no_op_but_its_neighbour_is() -> None:
    double = helper.make_function("own", "Double", ["a"], ["b"], [], [opset("", 17)])
    calls = [helper.make_node("Double", ["x"], ["y"], domain="own")]
    assert signature(model(calls, functions=[double])).domains == set()
    calls.append(helper.make_node("Triple", ["x"], ["y"], domain="own"))
    assert signature(model(calls, functions=[double])).domains == {"own"}


def test_another_overload_of_a_function_is_an_op() -> None:
    call = helper.make_node("Double", ["x"], ["y"], domain="own", overload="float")
    double = helper.make_function("own", "Double", ["a"], ["b"], [], [opset("", 17)])
    assert signature(model([call], functions=[double])).domains == {"own"}
    double.overload = "float"
    assert signature(model([call], functions=[double])).domains == set()


def sparse(name: str, size: int) -> onnx.SparseTensorProto:
    values = weights(name, 2)
    indices = numpy_helper.from_array(np.array([0, 1]), "i")
    return helper.make_sparse_tensor(values, indices, [size])


def test_weights_have_the_size_that_they_have_in_memory() -> None:
    """Wherever they are kept: in bytes, in numbers, in another file, thinned out or in a node."""
    made = model(
        [
            helper.make_node("Constant", [], ["a"], value=weights("a", 10)),
            helper.make_node("Constant", [], ["b"], sparse_value=sparse("b", 50)),
        ],
        [
            weights("c", 3, 4),
            helper.make_tensor("d", TensorProto.INT64, [5], [300, -1, 2, 3, 4]),
            helper.make_tensor("e", TensorProto.FLOAT16, [3], [1, 2, 3]),
            TensorProto(
                name="f", data_type=TensorProto.STRING, dims=[2], string_data=[b"ab", b"cde"]
            ),
            external("g", "g.bin"),
            weights("h"),
        ],
    )
    made.graph.sparse_initializer.append(sparse("i", 1000))
    expected = 40 + 200 + 48 + 40 + 6 + 5 + 16 + 4 + 4000
    assert signature(made).weights_bytes == expected


@pytest.mark.parametrize(
    "dims",
    [
        pytest.param(field(1, 300) + field(1, 2), id="one by one"),
        pytest.param(field(1, varint(300) + varint(2)), id="packed"),
        pytest.param(field(1, varint(300)) + field(1, 2), id="in two pieces"),
    ],
)
def test_dimensions_may_be_packed(dims: bytes) -> None:
    assert read(file(field(5, field(2, FLOAT) + dims))).weights_bytes == 2400


def test_locations_of_external_weights_come_once_in_their_order() -> None:
    made = model(
        [helper.make_node("Constant", [], ["k"], value=external("k", "c/2"))],
        [external("a", "b"), external("b", "b"), external("c", "a")],
    )
    made.graph.sparse_initializer.append(sparse("d", 4))
    made.graph.sparse_initializer[0].indices.CopyFrom(external("i", "indices"))
    assert sorted(signature(made).external) == ["a", "b", "c/2", "indices"]
    made.graph.node[0].attribute[0].t.Clear()
    assert signature(made).external == ("b", "a", "indices")


@pytest.mark.parametrize("number", [5, 10])
def test_external_weights_in_pieces_are_found(number: int) -> None:
    """protobuf puts a message together that comes twice, so the second location would be read."""
    entry = field(13, field(1, b"location") + field(2, b"../../secret"))
    first = field(13, field(1, b"location") + field(2, b"a.bin")) + field(14, 1)
    node = field(1, field(5, field(number, first) + field(number, entry)))
    assert read(file(node)).external == ("a.bin", "../../secret")
    assert seen(ModelProto.FromString(file(node)))[1] >= (
        {"../../secret"} if number == 5 else set()
    )


@pytest.mark.parametrize("number", [5, 10, 22, 23])
def test_external_weights_of_any_attribute_are_found(number: int) -> None:
    entry = field(13, field(1, b"location") + field(2, b"secret"))
    held = entry + field(14, 1)
    for inner in (held,) if number < 20 else (field(1, held), field(2, held)):
        data = file(field(1, field(5, field(number, inner))))
        assert read(data).external == ("secret",)
        assert seen(ModelProto.FromString(data)) == (1, {"secret"})


def test_a_location_that_only_32_bits_of_a_number_call_external_counts() -> None:
    made = file(field(5, field(8, b"w") + field(14, (1 << 32) + 1)))
    assert ModelProto.FromString(made).graph.initializer[0].data_location == TensorProto.EXTERNAL
    with pytest.raises(OnnxInvalid, match="in another file that is not named"):
        read(made)


def test_a_graph_in_pieces_is_one() -> None:
    made = rich()
    first, second = ModelProto(), ModelProto()
    first.CopyFrom(made)
    second.graph.CopyFrom(made.graph)
    for name in ("initializer", "output"):
        first.graph.ClearField(name)
    for name in ("node", "input"):
        second.graph.ClearField(name)
    pieces = first.SerializeToString() + second.SerializeToString()
    assert ModelProto.FromString(pieces) == made
    assert read(pieces) == signature(made)


def test_a_key_that_is_longer_than_need_be_is_the_same_key() -> None:
    inner = field(1, field(4, b"op"))
    node = field(1, field(5, b"\xda\x80\x00" + varint(len(inner)) + inner))
    assert seen(ModelProto.FromString(file(node))) == (2, set())
    assert read(file(node)).nodes == 2


def test_unknown_fields_are_stepped_over() -> None:
    unknown = field(99, 1 << 63) + field(98, b"?") + varint(97 << 3 | 1) + bytes(8)
    unknown += varint(96 << 3 | 5) + bytes(4) + field(7, 5)
    assert read(unknown + RICH + unknown) == read(RICH)


def test_text_that_is_no_utf8_is_replaced() -> None:
    assert read(file(b"", field(2, b"caf\xe9"))).producer == "caf\ufffd"


def test_the_last_entry_of_metadata_wins() -> None:
    entries = (field(14, field(1, b"a") + field(2, each)) for each in (b"1", b"2"))
    assert read(file(b"", *entries)).metadata == {"a": "2"}


# how much is looked at


def test_bytes_views_and_maps_are_read_alike(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(RICH)
    with path.open("rb") as opened, mmap.mmap(opened.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        assert read(RICH) == read(memoryview(RICH)) == read(mapped) == read_file(path)


def test_weights_are_not_touched(tmp_path: Path) -> None:
    """1 GiB of them is 16 384 faults, as Linux maps 16 pages at each."""
    path = tmp_path / "model.onnx"
    size = 1 << 30
    tail = field(12, field(1, b"y"))
    raw = varint(9 << 3 | 2) + varint(size)
    start = field(1, 1 << 28) + field(2, FLOAT) + raw
    start = varint(5 << 3 | 2) + varint(len(start) + size) + start
    start = field(1, 8) + varint(7 << 3 | 2) + varint(len(start) + size + len(tail)) + start
    with path.open("wb") as out:
        out.write(start)
        out.seek(size, os.SEEK_CUR)
        out.write(tail)
    before = faults()
    found = read_file(path)
    assert faults() - before < 1000
    assert found.weights_bytes == size
    assert [value.name for value in found.outputs] == ["y"]


def faults() -> int:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_minflt + usage.ru_majflt


def test_a_node_costs_few_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    """A field takes about a microsecond: 500 nodes, their weights and shapes are 15 ms."""
    nodes = [
        helper.make_node(
            "Conv",
            [f"x{each}", f"w{each}", f"b{each}"],
            [f"x{each + 1}"],
            name=f"/model.{each}/conv/Conv",
            kernel_shape=[3, 3],
            pads=[1, 1, 1, 1],
            strides=[1, 1],
            group=1,
        )
        for each in range(500)
    ]
    held = [weights(f"{kind}{each}", 16) for each in range(500) for kind in "wb"]
    monkeypatch.setattr(onnxfile, "MOST_FIELDS", 500 * 30)
    assert signature(model(nodes, held)).nodes == 500


def test_only_the_standard_library_is_needed() -> None:
    tree = ast.parse(Path(onnxfile.__file__).read_text(encoding="utf-8"))
    found = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert "mmap" in found
    assert found <= sys.stdlib_module_names


# what is no model


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(b"", "the file is empty", id="empty"),
        pytest.param(
            b"\xef\xbb\xbf \n<!DOCTYPE html><html><body>Sign in",
            "the file seems to be a web page, not an ONNX model",
            id="web page",
        ),
        pytest.param(
            b'<?xml version="1.0"?><net/>', "the file seems to be XML, not an ONNX model", id="xml"
        ),
        pytest.param(
            b'{"error": "no"}', "the file seems to be JSON, not an ONNX model", id="json"
        ),
        pytest.param(
            b"Entry not found\n", "the file seems to be text, not an ONNX model", id="text"
        ),
        pytest.param(
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0000\nsize 12\n",
            "the file is a pointer of git-lfs, not the model; `git lfs pull` fetches it",
            id="git-lfs",
        ),
        pytest.param(
            b"PK\x03\x04\x00\x00\x08\x08archive/data.pkl",
            "the file seems to be a zip file, as PyTorch's checkpoints are, not an ONNX model",
            id="zip",
        ),
        pytest.param(
            b"\x80\x02}q\x00X\x05\x00\x00\x00state",
            "the file seems to be a pickle, as PyTorch's old checkpoints are, not an ONNX model",
            id="pickle",
        ),
        pytest.param(
            b'\x10\x00\x00\x00\x00\x00\x00\x00{"w":{"dtype"}}',
            "the file seems to be a safetensors file, not an ONNX model",
            id="safetensors",
        ),
        pytest.param(
            b"\x1c\x00\x00\x00TFL3\x14\x00 \x00",
            "the file seems to be a model of TensorFlow Lite, not an ONNX model",
            id="tflite",
        ),
        pytest.param(
            b"\x08\x08",
            "the file is no ONNX model, or cut off: there is no graph in it",
            id="no graph",
        ),
        pytest.param(
            field(7, b""), "the file is no ONNX model: its IR version is missing", id="no version"
        ),
        pytest.param(
            bytes(100), "no field can begin at byte 0; the file is damaged", id="zeros"
        ),
        pytest.param(
            b"\x08\x08\x0b\x0c", "no field can begin at byte 2; the file is damaged", id="group"
        ),
        pytest.param(
            b"\x08\x08" + varint(1 << 35), "no field can begin at byte 7; the file is damaged",
            id="key",
        ),
        pytest.param(
            b"\x08\x08\x3a\x05\x0a", "a field at byte 4 is cut off; the file is damaged", id="cut"
        ),
        pytest.param(
            b"\x08" + b"\xff" * 10 + b"\x01",
            "a number at byte 1 does not end; the file is damaged",
            id="number",
        ),
        pytest.param(
            b"\x08\x08\x3a" + varint(1 << 63), "a field at byte 13 is cut off; the file is damaged",
            id="length",
        ),
    ],
)  # fmt: skip
def test_what_is_no_model_is_called_what_it_is(data: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(data)
    for given_ in (data, memoryview(data), path):
        with pytest.raises(OnnxInvalid) as caught:
            read_file(given_) if isinstance(given_, Path) else read(given_)
        assert str(caught.value) == message


def test_what_a_checkpoint_of_torch_begins_with_is_no_damage_to_a_model() -> None:
    """Only a file that cannot be read is judged by its beginning."""
    made = field(1, 8) + field(2, b'..JSON{"') + field(7, b"")
    assert read(b"\x08\x08" + field(2, b"TFL3") + field(7, b"")).producer == "TFL3"
    assert read(made).producer == '..JSON{"'


def test_files_that_cannot_be_read_are_errors_of_the_disk(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_file(tmp_path / "missing.onnx")
    with pytest.raises(IsADirectoryError):
        read_file(tmp_path)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.onnx")
    with pytest.raises(OnnxInvalid) as caught:
        read_file(tmp_path / "model.onnx")
    assert str(caught.value) == "this is a device or a pipe, not a file"


def test_a_file_that_no_protobuf_can_be_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    with path.open("wb") as out:
        out.truncate(1 << 31)
    with pytest.raises(OnnxInvalid) as caught:
        read_file(path)
    assert str(caught.value) == "the file is larger than 2 GiB, which no ONNX model can be"


def test_every_beginning_of_a_model_is_refused_or_read() -> None:
    kept = [each for each in range(len(RICH)) if allowed(RICH[:each])]
    # The graph is whole from somewhere on; before that nothing can be a model.
    graph_ends = RICH.index(rich().graph.SerializeToString()) + rich().graph.ByteSize()
    assert kept
    assert min(kept) == graph_ends


def allowed(data: bytes) -> Signature | None:
    """What is read of it, None when it is refused; anything else fails the test."""
    try:
        return read(data)
    except OnnxInvalid:
        return None


EDITS = st.lists(
    st.tuples(
        st.sampled_from(["set", "insert", "delete"]),
        st.integers(0, len(RICH) - 1),
        st.one_of(st.integers(0, 255), st.sampled_from([0x0A, 0x2A, 0x32, 0x3A, 0x6A, 0x70])),
    ),
    min_size=1,
    max_size=5,
)


def edited(edits: list[tuple[str, int, int]]) -> bytes:
    data = bytearray(RICH)
    for how, at, byte in edits:
        at = min(at, len(data) - 1)
        if how == "insert":
            data.insert(at, byte)
        elif how == "delete":
            del data[at]
        else:
            data[at] = byte
    return bytes(data)


@settings(max_examples=500, deadline=None)
@given(EDITS)
def test_a_mutated_model_is_refused_or_read_as_onnx_reads_it(
    edits: list[tuple[str, int, int]],
) -> None:
    """No location of weights that a runtime would open may stay hidden."""
    data = edited(edits)
    found = allowed(data)
    try:
        theirs = ModelProto.FromString(data)
    except DecodeError:
        return
    if found is None:
        return
    nodes, locations = seen(theirs)
    assert found.nodes == nodes
    assert set(found.external) >= locations
    assert found.ir_version == theirs.ir_version


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.integers(0, len(RICH)))
def test_random_bytes_anywhere_are_refused_or_read(noise: bytes, at: int) -> None:
    for data in (noise, RICH[:at] + noise + RICH[at:], RICH[:at] + noise):
        allowed(data)


def seen(made: ModelProto) -> tuple[int, set[str]]:
    """How many nodes onnx finds, and which locations of external weights."""
    locations = {
        text(entry.value)
        for each in tensors(made)
        if each.data_location == TensorProto.EXTERNAL
        for entry in each.external_data
        if entry.key == "location"
    }
    return sum(1 for _ in nodes_of(made)), locations


def text(value: str | bytes) -> str:
    """protobuf gives bytes where a string is no UTF-8."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def graphs(made: GraphProto) -> Iterator[GraphProto]:
    yield made
    for attribute in (each for node in made.node for each in node.attribute):
        yield from below(attribute)


def below(attribute: AttributeProto) -> Iterator[GraphProto]:
    for each in (attribute.g, *attribute.graphs):
        yield from graphs(each)


def nodes_of(made: ModelProto) -> Iterator[NodeProto]:
    for each in graphs(made.graph):
        yield from each.node
    for node in (node for function in made.functions for node in function.node):
        yield node
        for attribute in node.attribute:
            for each in below(attribute):
                yield from each.node


def tensors(made: ModelProto) -> Iterator[TensorProto]:
    for each in graphs(made.graph):
        yield from each.initializer
        for thin in each.sparse_initializer:
            yield from (thin.values, thin.indices)
    for attribute in (each for node in nodes_of(made) for each in node.attribute):
        if attribute.HasField("t"):
            yield attribute.t
        yield from attribute.tensors
        thins = [attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else []
        for thin in (*thins, *attribute.sparse_tensors):
            yield from (thin.values, thin.indices)


# limits


def nested(levels: int) -> bytes:
    """Graphs inside each other, three messages each: graph, node, attribute."""
    made = b""
    for _ in range(levels):
        made = field(1, field(5, field(6, made)))
    return file(made)


def test_graphs_may_lie_64_messages_deep() -> None:
    assert read(nested(21)).nodes == 21
    for levels in (22, 5000):
        with pytest.raises(OnnxInvalid) as caught:
            read(nested(levels))
        assert str(caught.value) == "its graphs are more than 64 messages deep"


@pytest.mark.parametrize("inside", [field(1, b""), field(99, 1), field(13, b"")])
def test_a_bomb_of_fields_is_refused(inside: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxfile, "MOST_FIELDS", 10_000)
    assert read(file(inside * 3000))
    for bomb in (file(inside * 11_000), file() + field(99, 1) * 11_000):
        with pytest.raises(OnnxInvalid) as caught:
            read(bomb)
        assert str(caught.value) == "the model has more than 10000 fields"


def op(number: int) -> bytes:
    return field(1, field(4, b"Op%d" % number) + field(7, b"own"))


def place(number: int) -> bytes:
    entry = field(1, b"location") + field(2, b"%d.bin" % number)
    return field(5, field(13, entry) + field(14, 1))


@pytest.mark.parametrize(
    ("main", "more", "message"),
    [
        pytest.param(
            field(11, b"") * 1001,
            b"",
            "the model has more than 1000 inputs or outputs",
            id="inputs",
        ),
        pytest.param(
            field(12, b"") * 1001,
            b"",
            "the model has more than 1000 inputs or outputs",
            id="outputs",
        ),
        pytest.param(
            field(11, field(2, field(1, field(2, field(1, b"") * 17)))),
            b"",
            "the model has more than 16 dimensions",
            id="rank of an input",
        ),
        pytest.param(
            field(5, field(1, b"\x01" * 100_000)),
            b"",
            "the model has more than 16 dimensions",
            id="rank of weights",
        ),
        pytest.param(
            field(5, field(1, -2)), b"", "some weights have a dimension of -2", id="negative size"
        ),
        pytest.param(
            field(5, field(8, b"we\nights") + field(14, 1)),
            b"",
            "the weights 'we\\nights' are in another file that is not named",
            id="no location",
        ),
        pytest.param(
            field(11, field(1, b"n" * 4097)),
            b"",
            "a name of 4097 bytes is too long; at most 4096 may be",
            id="name",
        ),
        pytest.param(
            b"".join(map(op, range(10_001))),
            b"",
            "the model has more than 10000 kinds of ops of other domains",
            id="ops",
        ),
        pytest.param(
            b"".join(map(place, range(10_001))),
            b"",
            "the model has more than 10000 files of weights",
            id="locations",
        ),
        pytest.param(
            b"",
            b"".join(field(25, field(1, b"%d" % each)) for each in range(10_001)),
            "the model has more than 10000 functions",
            id="functions",
        ),
        pytest.param(
            b"",
            field(14, field(1, b"names") + field(2, bytes(1 << 20))),
            "an entry of its metadata has 1048587 bytes, which is too much",
            id="entry",
        ),
        pytest.param(
            b"",
            b"".join(field(14, field(1, b"%d" % each)) for each in range(1001)),
            "the model has more than 1000 entries of metadata",
            id="entries",
        ),
        pytest.param(
            b"",
            field(14, field(2, bytes(1_000_000))) * 17,
            "an entry of its metadata has 1000004 bytes, which is too much",
            id="metadata",
        ),
    ],
)
def test_what_is_too_much_is_refused(main: bytes, more: bytes, message: str) -> None:
    with pytest.raises(OnnxInvalid) as caught:
        read(file(main, more))
    assert str(caught.value) == message


def test_what_is_just_enough_is_read() -> None:
    shape = field(2, field(1, field(1, 1) + field(2, field(1, field(1, 2)) * 16)))
    found = read(
        file(
            field(11, field(1, b"n" * 4096) + shape) * 1000 + b"".join(map(op, range(10_000))),
            field(14, field(1, b"k") + field(2, b"v" * 1_000_000)),
        )
    )
    assert found.inputs[0].shape == (2,) * 16
    assert (len(found.inputs), found.nodes, len(found.metadata["k"])) == (1000, 10_000, 1_000_000)


def test_weights_of_an_absurd_size_are_only_counted() -> None:
    found = read(file(field(5, field(1, 1 << 62) * 16 + field(2, FLOAT))))
    assert found.weights_bytes == 4 * (1 << 62) ** 16


# what may be loaded


def simple(**changed: object) -> Signature:
    fields: dict[str, object] = {
        "inputs": (),
        "outputs": (Value("y", "float32", (1,)),),
        "metadata": {},
        "opset": 17,
        "ir_version": 8,
        "producer": "",
        "nodes": 1,
        "domains": frozenset({""}),
        "weights_bytes": 0,
        "external": (),
    }
    return Signature(**fields | changed)  # type: ignore[arg-type]


def refusal(judged: Signature, folder: Path) -> str:
    with pytest.raises(OnnxInvalid) as caught:
        check(judged, folder)
    return str(caught.value)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"outputs": ()}, "the model has no outputs"),
        ({"opset": 0}, "the model does not say which opset it uses"),
        ({"opset": -1}, "opset -1 is not known; 1 to 30 are"),
        ({"opset": 31}, "opset 31 is not known; 1 to 30 are"),
        ({"nodes": 200_001}, "the model has 200001 nodes; at most 200000 may be"),
        (
            {"domains": frozenset({"", "com.b", "com.a\n"})},
            "the model uses ops that need a library of their own: 'com.a\\n', 'com.b'",
        ),
        (
            {"domains": frozenset(f"d{each}" for each in range(7))},
            "the model uses ops that need a library of their own: "
            "'d0', 'd1', 'd2', 'd3', 'd4' and 2 more",
        ),
    ],
)
def test_a_model_that_may_not_be_loaded_is_refused(
    changed: dict[str, object], message: str, tmp_path: Path
) -> None:
    assert refusal(simple(**changed), tmp_path) == message


@pytest.mark.parametrize(
    "changed",
    [
        {"opset": 1},
        {"opset": 30},
        {"nodes": 200_000},
        {"domains": frozenset()},
        {"domains": frozenset({"", "ai.onnx", "ai.onnx.ml", "ai.onnx.training"})},
        {"domains": frozenset({"com.microsoft", "com.microsoft.nchwc"})},
        {"domains": frozenset({"ai.onnx.preview.training", "com.microsoft.experimental"})},
    ],
)
def test_a_model_that_may_be_loaded_is_not(changed: dict[str, object], tmp_path: Path) -> None:
    check(simple(**changed), tmp_path)


def test_foreign_ops_may_be_allowed(tmp_path: Path) -> None:
    judged = signature(rich())
    (tmp_path / "w.bin").write_bytes(bytes(16))
    check(judged, tmp_path, custom_ops=True)
    assert refusal(judged, tmp_path) == (
        "the model uses ops that need a library of their own: 'com.example'"
    )


def test_the_runtime_knows_no_op_of_a_domain_that_we_refuse() -> None:
    node = helper.make_node("Sort", ["x"], ["y"], domain="com.example")
    made = model(
        [node], inputs=[tensor("x", [1])], outputs=[tensor("y", [1])],
        opsets=[("", 17), ("com.example", 1)],
    )  # fmt: skip
    with pytest.raises(Exception, match=re.escape("com.example:Sort(-1) is not a registered")):
        onnxruntime.InferenceSession(made.SerializeToString())
    assert signature(made).domains == {"com.example"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of a model: good weights, and each way out of it."""
    (tmp_path / "secret").write_bytes(b"secret")
    found = tmp_path / "model"
    (found / "deep").mkdir(parents=True)
    for name in ("w.bin", "deep/w.bin", "with space.bin", "once"):
        (found / name).write_bytes(bytes(16))
    (found / "link").symlink_to(tmp_path / "secret")
    (found / "inner").symlink_to(found / "w.bin")
    (found / "up").symlink_to(tmp_path)
    (found / "twice").hardlink_to(found / "once")
    os.mkfifo(found / "pipe")
    return found


@pytest.mark.parametrize("location", ["w.bin", "deep/w.bin", "./w.bin", "with space.bin"])
def test_weights_next_to_the_model_may_be_read(location: str, folder: Path) -> None:
    check(simple(external=(location,)), folder)


@pytest.mark.parametrize(
    ("location", "why"),
    [
        ("/etc/passwd", "have an absolute path; it should be relative to the model"),
        ("\\secret", "have an absolute path; it should be relative to the model"),
        ("C:secret", "have an absolute path; it should be relative to the model"),
        ("//host/share/w", "have an absolute path; it should be relative to the model"),
        ("../secret", "lie outside the model's folder"),
        ("deep/../w.bin", "lie outside the model's folder"),
        ("deep\\..\\..\\secret", "lie outside the model's folder"),
        ("link", "are a link, or behind one; they should be a file"),
        ("inner", "are a link, or behind one; they should be a file"),
        ("up/secret", "are a link, or behind one; they should be a file"),
        ("up/model/w.bin", "are a link, or behind one; they should be a file"),
        ("twice", "have several hard links; they should be a copy"),
        ("once", "have several hard links; they should be a copy"),
        ("deep", "are no regular file"),
        ("pipe", "are no regular file"),
        ("", "are no regular file"),
        (".", "are no regular file"),
        ("missing", "are missing"),
        ("w.bin/x", "cannot be read: Not a directory"),
        ("n" * 300, "cannot be read: File name too long"),
        ("w.bin\0", "have a path that is not readable"),
        ("w\ufffd.bin", "have a path that is not readable"),
        ("*/_ORT_MEM_ADDR_/*", "have a path that onnxruntime keeps for itself"),
    ],
)
@pytest.mark.fault("F-51")
def test_weights_elsewhere_may_not_be_read(location: str, why: str, folder: Path) -> None:
    message = refusal(simple(external=("w.bin", location)), folder)
    shown = "n" * 77 + "..." if len(location) == 300 else location.replace("\0", "\\x00")
    assert message == f"its weights in '{shown}' {why}"


def test_the_folder_itself_may_be_a_link(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "current").symlink_to(folder)
    check(simple(external=("w.bin",)), tmp_path / "current")


def test_a_model_with_weights_outside_runs_as_checked(folder: Path) -> None:
    made = model(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        [external("w", "w.bin")],
        [tensor("x", [4])],
        [tensor("y", [4])],
    )
    path = folder / "model.onnx"
    path.write_bytes(made.SerializeToString())
    found = read_file(path)
    check(found, folder)
    assert found.external == ("w.bin",)
    assert found.weights_bytes == 16
    session = onnxruntime.InferenceSession(path)
    x = np.arange(4, dtype=np.float32)
    assert (session.run(None, {"x": x})[0] == x).all()
