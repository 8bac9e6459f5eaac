import json
from pathlib import Path

import pytest

from composer.models.labels import LARGEST, LabelsInvalid, labels_in, labels_of, read_file


def test_the_characters_of_pp_ocr_are_one_a_line() -> None:
    assert labels_in({"character": "a\n\u3000\n'\nz"}) == ("a", "\u3000", "'", "z")


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        ("{0: 'cat', 1: 'dog'}", ("cat", "dog")),
        ("{1: 'dog', 0: 'cat'}", ("cat", "dog")),
        ("{1: 7}", ("0", "7")),
        ("['cat', 'dog']", ("cat", "dog")),
        ("('cat',)", ("cat",)),
        ("{}", ()),
        ("{-1: 'cat'}", ()),
        ("{'cat': 0, 'dog': 1}", ("cat", "dog")),
        ('{"0": "cat", "1": "dog"}', ("cat", "dog")),
        ('["cat", null]', ("cat", "None")),
        ("  {0: 'cat'}\n", ("cat",)),
        ("{'cat': 'dog'}", ()),
        ("", ()),
        ("{0: open('x')}", ()),
        ("(" * 5000, ()),
        ("7", ()),
    ],
)
def test_names_that_ultralytics_writes_and_others_that_are_none(
    names: str, labels: tuple[str, ...]
) -> None:
    assert labels_in({"names": names[:5000]}) == labels


def test_a_number_of_a_class_beyond_all_bounds_takes_no_memory() -> None:
    assert len(labels_in({"names": "{999999999999: 'x'}"})) == 100_000


def test_labels_by_their_numbers() -> None:
    assert labels_of({2: "eel", 0: "cat"}) == ("cat", "1", "eel")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("names.txt", "cat\ndog\n"),
        ("windows.txt", "\ufeffcat\r\ndog\r\n"),
        ("coco.names", "cat\ndog"),
        ("list.json", '["cat", "dog"]'),
        ("map.json", '{"1": "dog", "0": "cat"}'),
        ("config.json", json.dumps({"id2label": {"0": "cat", "1": "dog"}, "label2id": {}})),
        ("index.json", '{"0": ["n0", "cat"], "1": ["n1", "dog"]}'),
        ("turned.json", '{"cat": 0, "dog": 1}'),
        ("data.yaml", "path: ../coco\nnames:\n  0: cat\n  1: dog\n"),
        ("data.yml", "nc: 2\nnames: [cat, dog]\n"),
    ],
)
def test_a_file_of_labels(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_bytes(text.encode())
    assert read_file(path) == ("cat", "dog")


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.txt", b"\xff", "it is no text: "),
        ("a.json", b"{", "no names of classes are in it, as a list or by their numbers"),
        (
            "a.json",
            b'{"nc": "two"}',
            "no names of classes are in it, as a list or by their numbers",
        ),
        ("a.yaml", b"a: [", "'[' is never closed"),
        ("a.txt", b" " * (LARGEST + 1), "it is larger than 16 MB"),
    ],
)
def test_a_file_that_holds_no_labels(tmp_path: Path, name: str, data: bytes, said: str) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(LabelsInvalid) as caught:
        read_file(path)
    assert str(caught.value).startswith(said)
