from typing import Any

import pytest
from pydantic import ValidationError

from composer import Mask, Picture
from composer.models.answer import FORMATS, Answer
from composer.models.bind import (
    ArrayIn,
    Binding,
    InputFeed,
    PictureIn,
    StateIn,
    ValueIn,
    Wanted,
    bind,
)
from composer.models.feed import Feed
from composer.models.onnxfile import Signature, Value
from composer.node.formats import Array, Kind, formats_of
from composer.node.node import BadSetting


def values(text: str) -> tuple[Value, ...]:
    """Ends of a model: "image: float32 1x3x64x64, size: int64 2"."""
    return tuple(_value(*each.split(": ")) for each in text.split(", ") if each)


def _value(name: str, written: str) -> Value:
    dtype, *shape = written.split(" ")
    if not shape:
        return Value(name, dtype, None)
    if shape == ["scalar"]:
        return Value(name, dtype, ())
    return Value(name, dtype, tuple(int(s) if s.isdigit() else s for s in shape[0].split("x")))


def model(inputs: str, outputs: str = "y: float32 1x3x64x64", **metadata: str) -> Signature:
    return Signature(
        inputs=values(inputs),
        outputs=values(outputs),
        metadata=metadata,
        opset=17,
        ir_version=8,
        producer="",
        nodes=1,
        domains=frozenset({""}),
        weights_bytes=0,
        external=(),
    )


PICTURE = "x: float32 1x3x64x64"


def bound(signature: Signature | None, **fields: Any) -> Binding:
    """The binding of what a file says: fields of a Feed, takes, gives and the rest."""
    feed = {name: fields.pop(name) for name in list(fields) if name in Feed.model_fields}
    takes = {name: InputFeed.model_validate(each) for name, each in fields.pop("takes", {}).items()}
    gives = {name: Answer.model_validate(each) for name, each in fields.pop("gives", {}).items()}
    wanted = Wanted(Feed.model_validate(feed), takes, gives, said=frozenset(feed), **fields)
    return bind(wanted, signature)


def refused(signature: Signature | None, **fields: Any) -> tuple[str, str, str]:
    """Where, what and the hint, of what does not fit together."""
    with pytest.raises(BadSetting) as caught:
        bound(signature, **fields)
    return ".".join(map(str, caught.value.at)), str(caught.value), caught.value.hint


def ports(binding: Binding) -> tuple[dict[str, str], dict[str, str]]:
    """Name -> kind, of the inputs and of the outputs."""
    return (
        {port.name: port.kind for port in binding.inputs},
        {port.name: port.kind for port in binding.outputs},
    )


# ports


def test_one_picture_in_and_one_array_out_is_what_nobody_has_to_say() -> None:
    assert ports(bound(model(PICTURE))) == ({"image": "picture"}, {"array": "array"})


def test_a_model_that_is_not_at_hand_takes_one_picture() -> None:
    binding = bound(None, post="image")
    assert ports(binding) == ({"image": "picture"}, {"image": "picture"})
    assert [each.name for each in (*binding.ins, *binding.outs)] == ["", ""]


@pytest.mark.parametrize(
    ("post", "name", "kind"),
    [
        ("image", "image", "picture"),
        ("mask", "mask", "mask"),
        ("classes", "record", "record"),
        ("embedding", "record", "record"),
        ("text", "record", "record"),
        ("raw", "array", "array"),
    ],
)
def test_an_only_output_is_called_after_what_it_means(post: Any, name: str, kind: str) -> None:
    binding = bound(model(PICTURE), post=post)
    assert ports(binding)[1] == {name: kind}
    assert binding.outputs[0].formats[0] == FORMATS[post]


def test_the_ports_of_inputs_are_called_after_their_kind_and_then_by_name() -> None:
    signature = model(f"{PICTURE}, style: float32 1x3x8x8, m: float32 1x1x64x64, in.1: float32 N")
    takes = {"x": {}, "style": {}, "m": {"kind": "mask"}, "in.1": {"kind": "array"}}
    binding = bound(signature, takes=takes)
    assert ports(binding)[0] == {
        "image": "picture",
        "style": "picture",
        "mask": "mask",
        "in_1": "array",
    }
    assert [type(each) for each in binding.ins] == [PictureIn, PictureIn, PictureIn, ArrayIn]


def test_a_state_is_no_port_and_begins_with_zeros_of_the_least_size() -> None:
    signature = model(
        f"{PICTURE}, r: float16 1x16xhxw", "y: float32 1x3x64x64, r1: float16 1x16xhxw"
    )
    binding = bound(
        signature, takes={"x": {}, "r": {"state": "r1"}}, gives={"y": {"post": "image"}}
    )
    assert ports(binding) == ({"image": "picture"}, {"image": "picture"})
    assert binding.states == (StateIn("r", "r1", (1, 16, 1, 1), "float16"),)


@pytest.mark.parametrize(
    ("take", "more", "at", "said", "hint"),
    [
        (
            {"state": "z"},
            {},
            "takes.r.state",
            "the model has no output 'z'",
            "it gives 'y' (float32 1x3x64x64)",
        ),
        (
            {"state": "y", "value": 1},
            {},
            "takes.r.value",
            "a state comes back as it was given",
            "",
        ),
        (
            {"state": "y"},
            {"regions": True, "post": "classes"},
            "takes.r.state",
            "regions are not the same ones in the next picture",
            "",
        ),
    ],
)
def test_a_state_that_cannot_be(
    take: dict[str, Any], more: dict[str, Any], at: str, said: str, hint: str
) -> None:
    signature = model(f"{PICTURE}, r: float32 N")
    assert refused(signature, takes={"x": {}, "r": take}, **more) == (at, said, hint)


def test_what_each_port_takes() -> None:
    signature = model(f"{PICTURE}, m: float32 1x1x64x64, n: float32 N")
    binding = bound(signature, takes={"x": {}, "m": {"kind": "mask"}, "n": {"kind": "array"}})
    for port, kind in zip(binding.inputs, (Picture, Mask, Array), strict=True):
        preferred = formats_of(kind)
        assert port.formats[: len(preferred)] == preferred


def test_a_port_is_called_what_the_file_calls_it() -> None:
    binding = bound(
        model(PICTURE),
        takes={"x": {"port": "face"}},
        gives={"y": {"post": "image", "port": "older"}},
    )
    assert ports(binding) == ({"face": "picture"}, {"older": "picture"})


@pytest.mark.parametrize(
    ("name", "port"),
    [("a.b/c:0", "a_b_c_0"), ("1", "n1"), ("//", "array"), ("Ähre", "hre"), ("_x_", "x")],
)
def test_a_name_of_the_model_that_no_port_may_have(name: str, port: str) -> None:
    takes = {"x": {}, name: {"kind": "array"}}
    binding = bound(model(f"{PICTURE}, {name}: float32 N"), takes=takes)
    assert [each.name for each in binding.inputs] == ["image", port]


def test_several_outputs_are_called_as_the_model_calls_them() -> None:
    signature = model(PICTURE, "fgr: float32 1x3x64x64, pha.1: float32 1x1x64x64")
    assert ports(bound(signature))[1] == {"fgr": "array", "pha_1": "array"}
    gives = {"pha.1": {"post": "mask"}, "fgr": {"post": "image", "port": "front"}}
    assert ports(bound(signature, gives=gives))[1] == {"pha_1": "mask", "front": "picture"}
    # What nobody asks for has no port.
    assert ports(bound(signature, gives={"pha.1": {"post": "mask"}}))[1] == {"mask": "mask"}


def test_one_meaning_is_that_of_the_first_output() -> None:
    signature = model(PICTURE, "a: float32 1x10, b: float32 1x10")
    binding = bound(signature, post="classes")
    assert [(each.name, each.port) for each in binding.outs] == [("a", "record")]


def test_detections_are_read_off_all_outputs_together() -> None:
    signature = model(PICTURE, "scores: float32 1x4420x2, boxes: float32 1x4420x4")
    binding = bound(signature, post="detections")
    assert (binding.head, binding.outs) == ("ultraface", ())
    assert ports(binding)[1] == {"detections": "detections"}
    assert bound(signature, post="detections", head="ssd").head == "ssd"
    assert bound(None, post="detections").head == ""


def test_pictures_that_a_model_gives_are_its_own() -> None:
    assert all(port.own for port in bound(model(PICTURE), post="image").outputs)


# inputs


def test_what_the_node_says_holds_for_all_pictures_and_an_input_says_more() -> None:
    signature = model("a: float32 1x3xHxW, b: float32 1x3xHxW")
    takes = {"a": {}, "b": {"mean": 0.5, "size": 32}}
    binding = bound(signature, takes=takes, size=64, fit="pad", channels="bgr")
    one, other = (each.feeding for each in binding.pictures)
    assert (one.width, one.fit, one.channels, one.offset) == (64, "pad", "bgr", (0.0,) * 3)
    assert (other.width, other.fit, other.channels, other.offset) == (32, "pad", "bgr", (-0.5,) * 3)


def test_a_mask_lies_on_the_picture_and_has_none_of_its_colours() -> None:
    signature = model("x: float32 1x3xHxW, m: float32 1x1xHxW")
    said = {"size": "64x48", "fit": "pad", "fill": 114, "channels": "bgr", "mean": (1, 2, 3)}
    binding = bound(signature, takes={"x": {}, "m": {"kind": "mask"}}, **said)
    mask = binding.pictures[1].feeding
    assert (mask.width, mask.height, mask.fit, mask.fill) == (64, 48, "pad", 0)
    assert (mask.channels, mask.scale, mask.offset) == ("gray", (1 / 255,), (0.0,))
    takes = {"x": {}, "m": {"kind": "mask", "fill": 9, "range": [0, 255]}}
    own = bound(signature, takes=takes, **said).pictures[1].feeding
    assert (own.fill, own.scale) == (9, (1.0,))


def test_a_picture_that_nobody_names_is_found_beside_a_value() -> None:
    signature = model(f"strength: float32 1, {PICTURE}")
    binding = bound(signature, takes={"strength": {"value": 0.5}})
    assert ports(binding)[0] == {"image": "picture"}
    assert [each.name for each in binding.ins] == ["strength", "x"]


@pytest.mark.parametrize(
    ("declared", "written", "fields", "numbers", "shape"),
    [
        ("float32 scalar", 0.5, ("v",), (0.5,), ()),
        ("float32 1", 0.5, ("v",), (0.5,), (1,)),
        ("float32 1x1x1x1", 2, ("v",), (2.0,), (1, 1, 1, 1)),
        ("float32", 2, ("v",), (2.0,), ()),
        ("float32", [1, 2], ("v",), (1.0, 2.0), (2,)),
        ("float32 N", 2, ("v",), (2.0,), (1,)),
        ("float32 3", [1, 2, 3], ("v",), (1.0, 2.0, 3.0), (3,)),
        ("float32 1x3", [1, 2, 3], ("v",), (1.0, 2.0, 3.0), (1, 3)),
        ("float32 NxM", [1, 2, 3], ("v",), (1.0, 2.0, 3.0), (1, 3)),
        ("float32 Nx2", [1, 2, 3, 4], ("v",), (1.0, 2.0, 3.0, 4.0), (2, 2)),
        ("float32 2", {"low": 1, "high": 2}, ("low", "high"), (1.0, 2.0), (2,)),
        ("int64 2", {"a": 1, "b": 2}, ("a", "b"), (1.0, 2.0), (2,)),
    ],
)
def test_a_value_has_the_shape_that_the_model_takes(
    declared: str,
    written: Any,
    fields: tuple[str, ...],
    numbers: tuple[float, ...],
    shape: tuple[int, ...],
) -> None:
    binding = bound(model(f"{PICTURE}, v: {declared}"), takes={"x": {}, "v": {"value": written}})
    dtype = declared.split(" ")[0]
    assert binding.values == (ValueIn("v", fields, numbers, shape, dtype, None, None),)


def test_a_value_keeps_its_limits_and_its_field_is_a_plain_name() -> None:
    takes = {"x": {}, "a.b": {"value": 0.5, "min": 0, "max": 1}}
    (value,) = bound(model(f"{PICTURE}, a.b: float32 1"), takes=takes).values
    assert (value.fields, value.least, value.most) == (("a_b",), 0.0, 1.0)


def test_a_value_of_a_model_that_is_not_at_hand() -> None:
    takes = {"x": {}, "one": {"value": 1}, "row": {"value": [1, 2]}}
    assert [(each.shape, each.dtype) for each in bound(None, takes=takes).values] == [
        ((), "float32"),
        ((2,), "float32"),
    ]


TWO = f"{PICTURE}, v: float32 2"


@pytest.mark.parametrize(
    ("inputs", "fields", "at", "said", "hint"),
    [
        pytest.param(
            *(PICTURE, {"takes": {"y": {}}}, "takes.y"),
            "the model has no input 'y'",
            "it takes 'x' (float32 1x3x64x64)",
            id="unknown input",
        ),
        pytest.param(
            *("pixels: float32 1x3x8x8", {"takes": {"pixel": {}}}, "takes.pixel"),
            "the model has no input 'pixel'",
            "did you mean 'pixels'?",
            id="input misspelt",
        ),
        pytest.param(
            *(TWO, {}, "takes"),
            "the model takes 'x' (float32 1x3x64x64), 'v' (float32 2); nothing says what 'v' is",
            "write `takes: {v: ...}`",
            id="nothing for a second input",
        ),
        pytest.param(
            *("a: float32 1x3x8x8, b: float32 1x3x8x8", {}, "takes"),
            "the model takes 'a' (float32 1x3x8x8), 'b' (float32 1x3x8x8);"
            " nothing says what 'b' is",
            "write `takes: {b: ...}`",
            id="two pictures",
        ),
        pytest.param(
            *("v: float32 1x10", {}, "takes"),
            "the model takes 'v' (float32 1x10); nothing says what 'v' is",
            "write `takes: {v: ...}`",
            id="no picture",
        ),
        pytest.param(
            *("v: float32 2", {"takes": {"v": {"value": [1, 2]}}}, "takes"),
            "nothing goes in but values",
            "one input should be a port",
            id="only values",
        ),
        pytest.param(
            *(TWO, {"takes": {"v": {"value": [1, 2, 3]}}}, "takes.v.value"),
            "the model takes 'v' (float32 2), got 3",
            "",
            id="too many numbers",
        ),
        pytest.param(
            *(TWO, {"takes": {"v": {"value": 1}}}, "takes.v.value"),
            "the model takes 'v' (float32 2), got 1",
            "",
            id="too few numbers",
        ),
        pytest.param(
            *(f"{PICTURE}, v: float32 Nx2", {"takes": {"v": {"value": [1, 2, 3]}}}),
            "takes.v.value",
            "the model takes 'v' (float32 Nx2), got 3",
            "",
            id="numbers that do not divide",
        ),
        pytest.param(
            *(f"{PICTURE}, v: string N", {"takes": {"v": {"value": 1}}}, "takes.v.value"),
            "the model takes 'v' (string N): no number fits",
            "",
            id="a number where it takes text",
        ),
        pytest.param(
            *(TWO, {"takes": {"v": {"value": [0, 9], "max": 1}}}, "takes.v.value"),
            "should be less than or equal to 1, got 9",
            "",
            id="more than its own most",
        ),
        pytest.param(
            *(TWO, {"takes": {"v": {"value": [0, -0.5], "min": 0}}}, "takes.v.value"),
            "should be greater than or equal to 0, got -0.5",
            "",
            id="less than its own least",
        ),
        pytest.param(
            *(TWO, {"takes": {"v": {"kind": "array", "fit": "pad"}}}, "takes.v.fit"),
            "an array goes in as it comes",
            "",
            id="an array that should fit",
        ),
        pytest.param(
            *(TWO, {"takes": {"x": {"port": "a"}, "v": {"kind": "array", "port": "a"}}}, "takes"),
            "two ports are called 'a'",
            "give one a `port:`",
            id="two ports of one name",
        ),
        pytest.param(
            *("a: float32 1x3x8x8, image: float32 2", {"takes": {"image": {"kind": "array"}}}),
            "takes",
            "two ports are called 'image'",
            "give one a `port:`",
            id="an array that is called image",
        ),
        pytest.param(
            *(PICTURE, {"takes": {"x": {"size": 32}}}, "takes.x.size"),
            "the model takes 'x' (float32 1x3x64x64), got 32",
            "leave it out: it follows from the model",
            id="a size of an input",
        ),
        pytest.param(
            *(PICTURE, {"size": 32}, "size"),
            "the model takes 'x' (float32 1x3x64x64), got 32",
            "leave it out: it follows from the model",
            id="a size of the node",
        ),
    ],
)
def test_inputs_that_do_not_fit(
    inputs: str, fields: dict[str, Any], at: str, said: str, hint: str
) -> None:
    assert refused(model(inputs), **fields) == (at, said, hint)


# outputs

_TOGETHER = "detections are read off all outputs together"


@pytest.mark.parametrize(
    ("outputs", "fields", "at", "said", "hint"),
    [
        pytest.param(
            *("y: float32 1x10", {"gives": {"z": {}}}, "gives.z"),
            "the model has no output 'z'",
            "it gives 'y' (float32 1x10)",
            id="unknown output",
        ),
        pytest.param(
            *("logits: float32 1x10", {"gives": {"logit": {}}}, "gives.logit"),
            "the model has no output 'logit'",
            "did you mean 'logits'?",
            id="output misspelt",
        ),
        pytest.param(
            *("y: float32 1x10", {"gives": {"y": {}}, "post": "classes"}, "post"),
            "`gives` says what each output means",
            "leave one out",
            id="post and gives",
        ),
        pytest.param(
            *("y: float32 1x10", {"gives": {"y": {}}, "post": "detections"}, "gives"),
            _TOGETHER,
            "",
            id="detections and gives",
        ),
        pytest.param(
            *("y: float32 1x10", {"gives": {"y": {"post": "detections"}}}, "gives.y.post"),
            _TOGETHER,
            "write `post: detections` without `gives`",
            id="detections in gives",
        ),
        pytest.param(
            *("y: float32 1x10", {"post": "detections"}, "post"),
            "it cannot be told how to read detections off 'y' (float32 1x10)",
            "write `head:` (yolo5, yolo8, yolo10, yolox, ssd, ultraface, detr, rtdetr, yunet,"
            " centerface, db)",
            id="detections that nobody can read",
        ),
        pytest.param(
            *("y: float32 1x10", {"head": "ssd"}, "head"),
            "only `post: detections` has a head",
            "",
            id="a head for nothing",
        ),
        pytest.param(
            *("a.b: float32 1, a_b: float32 1", {}, "gives"),
            "two ports are called 'a_b'",
            "give one a `port:`",
            id="two outputs with one plain name",
        ),
    ],
)
def test_outputs_that_do_not_fit(
    outputs: str, fields: dict[str, Any], at: str, said: str, hint: str
) -> None:
    assert refused(model(PICTURE, outputs), **fields) == (at, said, hint)


# regions


def test_a_model_of_each_region_takes_regions_and_gives_detections() -> None:
    for post in ("classes", "text"):
        binding = bound(model(PICTURE, "y: float32 1x10"), post=post, regions=True)
        assert ports(binding) == (
            {"image": "picture", "regions": "detections"},
            {"detections": "detections"},
        )
        assert [each.answer.post for each in binding.outs] == [post]
    signature = model(PICTURE, "scores: float32 1x4420x2, boxes: float32 1x4420x4")
    assert bound(signature, post="detections", regions=True).outs == ()


@pytest.mark.parametrize(
    ("inputs", "fields", "at", "said", "hint"),
    [
        pytest.param(
            *(PICTURE, {"post": "mask"}, "regions"),
            "on each region a model gives classes, text or detections, not mask",
            "write `post: classes`",
            id="a mask of each region",
        ),
        pytest.param(
            *(TWO, {"post": "classes", "takes": {"x": {}, "v": {"kind": "array"}}}, "regions"),
            "only a model of one picture runs on each region",
            "",
            id="an array beside",
        ),
        pytest.param(
            *(PICTURE, {"post": "classes", "takes": {"x": {"port": "regions"}}}, "takes"),
            "two ports are called 'regions'",
            "give one a `port:`",
            id="a picture that is called regions",
        ),
        pytest.param(
            *("x: float32 4x3x64x64", {"post": "classes", "window": 4}, "window"),
            "regions come and go, so there is no row of pictures of one",
            "",
            id="a window of regions",
        ),
    ],
)
def test_regions_that_cannot_be(
    inputs: str, fields: dict[str, Any], at: str, said: str, hint: str
) -> None:
    assert refused(model(inputs, "y: float32 1x10"), regions=True, **fields) == (at, said, hint)


def test_values_may_go_beside_a_region() -> None:
    binding = bound(model(TWO), post="classes", regions=True, takes={"v": {"value": [1, 2]}})
    assert ports(binding)[0] == {"image": "picture", "regions": "detections"}


# what the model says of itself


def test_the_metadata_of_ultralytics() -> None:
    names = "{0: 'person', 2: 'car'}"
    signature = model(PICTURE, "output0: float32 1x84x8400", task="detect", names=names)
    binding = bound(signature)
    assert (binding.head, binding.labels) == ("yolo8", ("person", "1", "car"))
    assert ports(binding)[1] == {"detections": "detections"}
    classify = model(PICTURE, "output0: float32 1x1000", task="classify", names="['a', 'b']")
    assert [each.answer.post for each in bound(classify).outs] == ["classes"]
    assert bound(classify).labels == ("a", "b")


@pytest.mark.parametrize(
    ("task", "outputs"),
    [
        ("segment", "output0: float32 1x39x8400, output1: float32 1x32x160x160"),
        ("segment", "output0: float32 1x300x38, output1: float32 1x32x160x160"),
        ("pose", "output0: float32 1x58x8400"),
        ("obb", "output0: float32 bx8xa"),
        ("detect", "output0: float16 bx300x6"),
        ("", "output0: float32 1x25200x40, output1: float32 1x32x160x160"),
    ],
)
def test_every_task_that_finds_boxes_gives_detections(task: str, outputs: str) -> None:
    said = {"stride": "32", "names": "['dog', 'cat', 'cow']"} | ({"task": task} if task else {})
    fields = {} if task else {"post": "detections"}
    binding = bound(model("images: float32 1x3x640x640", outputs, **said), **fields)
    assert ports(binding)[1] == {"detections": "detections"}
    assert (binding.head, binding.labels[1]) == ("yolo8" if task else "yolo5", "cat")
    assert binding.export is not None
    assert binding.export.classes == 3


def test_an_export_that_finds_boxes_gives_no_mask_by_itself() -> None:
    outputs = "output0: float32 1x39x84, output1: float32 1x32x16x16"
    signature = model(PICTURE, outputs, task="segment", names="['dog', 'cat', 'cow']")
    said = "the file says task: segment, whose outputs are boxes and no mask"
    hint = "leave it out, or name one output in `gives`"
    assert refused(signature, post="mask") == ("post", said, hint)
    named = bound(signature, gives={"output1": {"post": "mask", "channel": 3}})
    assert ports(named)[1] == {"mask": "mask"}


def test_an_export_whose_outputs_hold_no_boxes() -> None:
    signature = model(PICTURE, "output0: float32 1x4x4", task="obb", stride="32")
    said = "the file says task: obb, and gives 'output0' (float32 1x4x4): no boxes are in that"
    hint = "export it again, or say what it gives in `post:`"
    assert refused(signature, head="yolo8") == ("model", said, hint)


@pytest.mark.parametrize(
    ("outputs", "fields"),
    [
        ("y: uint8 1x3", {"post": "classes"}),
        ("y: int8 1x3", {"gives": {"y": {"post": "embedding"}}}),
        ("y: uint8 1x84x8400, n: int8 1", {"post": "detections", "head": "yolo8"}),
    ],
)
def test_quantised_numbers_without_their_scale(outputs: str, fields: dict[str, Any]) -> None:
    first = outputs.partition(",")[0].replace("y: ", "")
    said = f"the model gives 'y' ({first}), quantised numbers without their scale"
    hint = "export it with a DequantizeLinear at its end"
    assert refused(model(PICTURE, outputs), **fields) == ("model", said, hint)
    assert bound(model(PICTURE, "y: uint8 1x1x64x64"), post="mask").outs[0].port == "mask"


def test_an_export_says_how_its_pictures_go_in() -> None:
    fixed, free = "x: float32 1x3x64x64", "x: float32 bx3xhxw"
    said = {"task": "detect", "stride": "32", "names": "['dog']"}

    def placing(shape: str, more: dict[str, str] | None = None, **fields: Any) -> tuple[Any, ...]:
        signature = model(shape, "output0: float32 bx5xa", **said | (more or {}))
        feeding = bound(signature, **fields).pictures[0].feeding
        return feeding.fit, feeding.fill, feeding.target(160, 100)

    assert placing(fixed) == ("pad", 114, (64, 64))
    assert placing(free) == ("pad", 114, (160, 128))
    assert placing(free, {"stride": "[8, 16, 64]"}) == ("pad", 114, (192, 128))
    assert placing(free, {"task": "classify", "stride": "1"}) == ("crop", 114, (160, 100))
    assert placing(free, fit="stretch", fill=0) == ("stretch", 0, (160, 96))
    assert placing(free, multiple=64) == ("pad", 114, (192, 128))
    assert placing(free, size="320x") == ("pad", 114, (320, 224))
    assert placing(free, {"stride": "many"}) == ("pad", 114, (160, 100))
    assert placing(fixed, multiple=7) == ("pad", 114, (64, 64))


def test_a_size_that_is_no_multiple_of_the_stride() -> None:
    said = {"task": "detect", "stride": "32", "names": "['dog']"}
    signature = model("x: float32 bx3xhxw", "output0: float32 bx5xa", **said)
    got = "the file says stride: 32, got "
    assert refused(signature, size="100x64") == ("size", f"{got}100x64", "write `size: 128x64`")
    assert refused(signature, size="x40") == ("size", f"{got}x40", "write `size: x64`")
    assert refused(signature, size="330") == ("size", f"{got}330", "write `size: 352`")
    assert refused(signature, multiple=16) == ("multiple", f"{got}16", "")
    at, *_ = refused(signature, takes={"x": {"size": "50"}})
    assert at == "takes.x.size"


def test_what_the_file_says_goes_before_the_metadata() -> None:
    signature = model(PICTURE, "output0: float32 1x84x8400", task="detect", names="{0: 'a'}")
    assert bound(signature, post="raw").outs[0].answer.post == "raw"
    assert bound(signature, labels=("b",)).labels == ("b",)
    assert bound(signature, head="yolo5").head == "yolo5"
    gives = {"output0": {"post": "embedding"}}
    assert bound(signature, gives=gives).outs[0].answer.post == "embedding"


def test_a_task_that_is_not_known_says_nothing() -> None:
    assert bound(model(PICTURE, task="depth")).outs[0].answer.post == "raw"


# settings


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "audio"},
        {"port": "two words"},
        {"value": "much"},
        {"min": "low"},
        {"vaule": 1},
        {"size": "big"},
    ],
    ids=str,
)
def test_a_take_that_cannot_be(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        InputFeed.model_validate(fields)
    assert {error["loc"][0] for error in caught.value.errors()} == set(fields)


def test_arrays_travel_as_a_kind_of_their_own() -> None:
    assert FORMATS["raw"].kind is Kind.ARRAY
