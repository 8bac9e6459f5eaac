"""The parts of multipart/form-data, in whatever pieces they come."""

import pytest

from composer.server.form import MOST_HEAD, MOST_PARTS, FormRefused, MultipartForm

TYPE = "multipart/form-data; boundary=edge"

FORM = (
    b"a preamble\r\n"
    b'--edge\r\nContent-Disposition: form-data; name="params"\r\n\r\n{"a": 1}'
    b"\r\n--edge  \r\ncontent-type: image/png\r\n"
    b'content-disposition: form-data; filename="a; name=evil\\".png"; name=file\r\n\r\n'
    b"\x00\r\n--edg\r\n--e\r\n"
    b'\r\n--edge\r\nContent-Disposition: form-data; name="empty"\r\n\r\n'
    b"\r\n--edge--\r\nan epilogue --edge"
)


def parts(form: bytes, piece: int, kind: str = TYPE) -> dict[str, bytes]:
    taken = MultipartForm(kind)
    for place in range(0, len(form), piece):
        taken.feed(form[place : place + piece])
    taken.end()
    parts = {name: part.bytes() for name, part in taken.parts.items()}
    taken.close()
    return parts


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 64, len(FORM)])
def test_every_part_comes_out_whole(piece: int) -> None:
    assert parts(FORM, piece) == {
        "params": b'{"a": 1}',
        "file": b"\x00\r\n--edg\r\n--e\r\n",
        "empty": b"",
    }


def test_a_form_without_parts_has_none() -> None:
    assert parts(b"--edge--\r\n", 3) == {}


def part(name: str, value: bytes = b"") -> bytes:
    head = f'--edge\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'
    return head.encode() + value + b"\r\n"


@pytest.mark.parametrize(
    ("form", "why"),
    [
        (b"", "the form has no end"),
        (b"\r\n" * 9999, "the form has no end"),
        (part("a"), "the form has no end"),
        (part("a", b"\r\n--edge"), "the form has no end"),
        (part("a") + part("a") + b"--edge--", "the form has the part 'a' twice"),
        (
            b"".join(part(f"p{number}") for number in range(MOST_PARTS + 1)),
            "the form has more than 16 parts",
        ),
        (b"--edge\r\n\r\nvalue\r\n--edge--", "every part of the form needs a name"),
        (
            b'--edge\r\nContent-Disposition: form-data; x="name=a"\r\n\r\n\r\n--edge--',
            "every part of the form needs a name",
        ),
        (b"--edge\r\n" + b"a" * (MOST_HEAD + 1), "the head of a part has more than 2 KiB"),
        (part("n" * MOST_HEAD), "the head of a part has more than 2 KiB"),
    ],
)
@pytest.mark.parametrize("piece", [5, 100_000])
def test_what_is_wrong_with_a_form_is_said(form: bytes, why: str, piece: int) -> None:
    with pytest.raises(FormRefused) as refused:
        parts(form, piece)
    assert str(refused.value) == why


@pytest.mark.parametrize(
    "kind",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        f"multipart/form-data; boundary={'x' * 71}",
        'multipart/form-data; boundary="é"',
    ],
)
def test_a_form_without_a_boundary_cannot_be_taken_apart(kind: str) -> None:
    with pytest.raises(FormRefused, match="the form says no boundary that can be used"):
        MultipartForm(kind)
