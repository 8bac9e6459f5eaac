from collections.abc import Iterator
from typing import Annotated, Any, NamedTuple

import pytest
from pydantic import ValidationError

from composer import (
    RGB,
    YUV,
    Audio,
    Detections,
    Fixed,
    Frame,
    Layouts,
    Live,
    Mask,
    Moment,
    Node,
    OwnYUV,
    Picture,
    ReadFile,
)
from composer.node.node import Declared, Port, change_of, reads_file, type_name


class Parts(NamedTuple):
    image: YUV
    found: Detections | None = None


class Full(Node):
    """Everything that a signature can say."""

    plain: int = 1
    live: float = Live(0.5, ge=0, le=1)
    fixed: str = Fixed("")
    file: str = ReadFile("")

    def process(
        self, base: OwnYUV, mask: Mask | None = None, *, at: Moment, pair: Frame[RGB] | None = None
    ) -> Parts:
        raise NotImplementedError


def shown(ports: tuple[Port, ...]) -> list[tuple[str, str, bool]]:
    return [(port.name, port.kind, port.optional) for port in ports]


def test_ports_come_from_the_signature() -> None:
    assert shown(Full.inputs) == [
        ("base", "picture", False),
        ("mask", "mask", True),
        ("pair", "picture", True),
    ]
    assert shown(Full.outputs) == [("image", "picture", False), ("found", "detections", True)]
    assert Full.timed == "at"
    assert not Full.many


def test_who_writes_is_the_owner() -> None:
    assert [port.own for port in Full.inputs] == [True, False, False]


def test_an_output_of_the_same_formats_is_tied_to_the_input() -> None:
    assert [port.tied for port in Full.outputs] == ["base", ""]


def test_other_formats_are_not_tied() -> None:
    class Other(Node):
        def process(self, image: YUV) -> Annotated[Picture, Layouts("yuv420p")]:
            return image

    assert Other.outputs[0].tied == ""


@pytest.mark.parametrize(
    ("returned", "name"),
    [(RGB, "image"), (Mask, "mask"), (Audio, "audio"), (Detections, "detections")],
)
def test_an_output_without_a_name_is_called_after_its_kind(returned: Any, name: str) -> None:
    class One(Node):
        def process(self, image: RGB) -> Any:
            raise NotImplementedError

        process.__annotations__["return"] = returned

    assert [port.name for port in One.outputs] == [name]


def test_a_sink_gives_nothing_and_a_source_takes_nothing() -> None:
    class Sink(Node):
        def process(self, image: RGB) -> None: ...

    class Source(Node):
        def process(self) -> Iterator[RGB]:
            raise NotImplementedError

    assert (Sink.outputs, Source.inputs) == ((), ())
    assert (Sink.many, Source.many) == (False, True)


def test_a_subclass_without_a_process_of_its_own_keeps_the_ports() -> None:
    class More(Full):
        more: int = 2

    assert More.inputs == Full.inputs


# what cannot work


def no_annotation(self: Any, image) -> RGB:  # type: ignore[no-untyped-def]
    raise NotImplementedError


def no_return(self: Any, image: RGB):  # type: ignore[no-untyped-def]
    raise NotImplementedError


def any_number(self: Any, *images: RGB) -> RGB:
    raise NotImplementedError


def no_format(self: Any, image: int) -> RGB:
    raise NotImplementedError


def gives_no_format(self: Any, image: RGB) -> str:
    raise NotImplementedError


def bad_layout(self: Any, image: Annotated[Picture, Layouts("rgb32")]) -> RGB:
    raise NotImplementedError


def source_of_one(self: Any) -> RGB:
    raise NotImplementedError


def not_imported(self: Any, image: "Tensor") -> RGB:  # type: ignore[name-defined]  # noqa: F821
    raise NotImplementedError


@pytest.mark.parametrize(
    ("process", "said"),
    [
        pytest.param(
            no_annotation, "process() does not say what 'image' is; write `image: RGB`", id="input"
        ),
        pytest.param(
            no_return,
            "process() does not say what it returns; write `-> RGB`, or `-> None`",
            id="output",
        ),
        pytest.param(
            any_number,
            "process() may not take *images: each port needs a name and a Format",
            id="any number",
        ),
        pytest.param(
            no_format,
            "process() has 'image' as int, which is not a Format; there are Picture, RGB,"
            " Tensor, Mask, Audio, Array, Detections and Record",
            id="input of no Format",
        ),
        pytest.param(
            gives_no_format,
            "process() gives str, which is not a Format; there are Picture, RGB, Tensor,"
            " Mask, Audio, Array, Detections and Record",
            id="output of no Format",
        ),
        pytest.param(
            bad_layout,
            "process(): 'rgb32' is not a pixel layout; there are yuv420p, yuv422p, yuv444p, rgb24,"
            " rgba, gray, yuva444p",
            id="layout",
        ),
        pytest.param(
            source_of_one,
            "a node without inputs is a source: annotate process() `-> Iterator[...]`",
            id="source",
        ),
        pytest.param(
            not_imported,
            "process() is annotated with 'Tensor', which is not imported",
            id="not imported",
        ),
    ],
)
def test_a_class_that_cannot_work_is_refused(process: Any, said: str) -> None:
    with pytest.raises(Declared) as caught:
        type("Broken", (Node,), {"process": process, "__module__": __name__})
    assert str(caught.value) == said


# fields


def test_how_a_field_may_change() -> None:
    found = {name: change_of(Full, name) for name in Full.model_fields}
    assert found == {"plain": "rebuild", "live": "live", "fixed": "fixed", "file": "fixed"}
    assert [name for name in Full.model_fields if reads_file(Full, name)] == ["file"]


def test_a_field_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValidationError):
        Full.model_validate({"strngth": 1})


@pytest.mark.parametrize(
    ("name", "expected"),
    [("Blur", "blur"), ("OverlayText", "overlay_text"), ("Lut3d", "lut3d"), ("X", "x")],
)
def test_the_type_is_the_name_of_the_class(name: str, expected: str) -> None:
    assert type_name(type(name, (Node,), {})) == expected
