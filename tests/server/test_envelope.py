"""A JSON object around one picture in base64, read in pieces."""

import asyncio
import base64
import binascii
import json
import os
import threading
from collections.abc import Callable
from typing import Any

import pytest

from composer import strictjson
from composer.server import envelope
from composer.server.envelope import LONG, MOST_REST, PIECE, opened

DATA = os.urandom(300_001)
TEXT = base64.b64encode(DATA).decode()


def body(**said: Any) -> bytes:
    return json.dumps(said).encode()


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(TEXT, id="base64"),
        pytest.param(f"data:image/png;base64,{TEXT}", id="a data address"),
    ],
)
@pytest.mark.parametrize("length", [0, 1, 2, 3, LONG, PIECE, PIECE + 1, 300_001])
def test_the_picture_and_the_rest_come_out(text: str, length: int) -> None:
    start = text.removesuffix(TEXT)
    image = start + base64.b64encode(DATA[:length]).decode()
    said = {"params": {"by": 3, "text": 'a "quoted" \\ word'}, "stream": True}
    assert opened(body(image=image, **said), "image") == (said, DATA[:length])
    assert opened(body(**said, image=image), "image") == (said, DATA[:length])


@pytest.mark.parametrize("length", [3, 300_001])
def test_other_long_texts_stay_with_the_rest(length: int) -> None:
    image = base64.b64encode(DATA[:length]).decode()
    said = {"params": {"note": "a word " * LONG}}
    assert opened(body(**said, image=image), "image") == (said, DATA[:length])


def test_no_picture_is_no_bytes() -> None:
    assert opened(b'{"params": {}}', "image") == ({"params": {}}, b"")
    assert opened(b'{"image": null}', "image") == ({}, b"")


@pytest.mark.parametrize("shift", range(7))
@pytest.mark.parametrize(("sign", "escape"), [("/", r"\/"), ("/", r"\u002f"), ("+", r"\u002B")])
def test_writers_may_escape(sign: str, escape: str, shift: int) -> None:
    """Wherever a piece ends, no escape is cut in two."""
    text = "A" * (PIECE - shift) + sign * 8 + "A" * (PIECE + shift)
    whole = base64.b64decode(text, validate=True)
    assert opened(body(image=text).replace(sign.encode(), escape.encode()), "image") == ({}, whole)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "not JSON"),
        (b"[]", "a JSON object"),
        (b'{"image": "' + b"A" * 2 * LONG, "not JSON"),
        (b'{"image": "' + b"A" * 2 * LONG + b'"', "not JSON"),
        (body(image=7), "text in base64"),
        (body(image="AAA"), "not base64"),
        (body(image="A" * 2 * LONG + "?AAA"), "not base64"),
        (body(image=TEXT[:-1]), "not base64"),
        (body(image="A" * (PIECE - 4) + "AAA=" + "A" * PIECE), "not base64"),
        (body(image="A" * 2 * LONG + '"' * 9), "not base64"),
        (body(image="Ł" * 2 * LONG), "not base64"),
        (body(other=TEXT), "more than 256 KiB"),
        (body(image="AAAA", other=TEXT), "more than 256 KiB"),
        (body(params={"image": TEXT}), "in another member"),
        (body(image=TEXT, other=[0] * MOST_REST), "more than 256 KiB"),
        (body(other=[""] * MOST_REST, image=TEXT), "more than 256 KiB"),
        (b"[" * MOST_REST, "not JSON"),
    ],
)
def test_what_is_wrong_is_said(data: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        opened(data, "image")


def test_nothing_is_read_at_once_that_a_caller_can_make_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes: list[int] = []

    def seen(call: Callable[..., Any]) -> Callable[..., Any]:
        def measured(text: Any, **more: Any) -> Any:
            sizes.append(len(text))
            return call(text, **more)

        return measured

    class Base64:
        a2b_base64 = staticmethod(seen(binascii.a2b_base64))
        Error = binascii.Error

    monkeypatch.setattr(envelope, "binascii", Base64)
    monkeypatch.setattr(strictjson, "read", seen(strictjson.read))
    data = body(image=base64.b64encode(bytes(9 << 20)).decode(), params={"by": 1})
    assert len(data) > 12_000_000
    assert opened(data, "image")[1] == bytes(9 << 20)
    assert max(sizes) <= PIECE
    assert sum(sizes) > 12_000_000


def test_the_loop_has_its_turn_meanwhile() -> None:
    """Beside json and base64 in one go, in the same minute on the same machine."""
    data = body(image=base64.b64encode(os.urandom(9 << 20)).decode())

    def at_once() -> None:
        base64.b64decode(json.loads(data)["image"], validate=True)

    pieces = min(_longest_gap(lambda: opened(data, "image")) for _ in range(5))
    whole = min(_longest_gap(at_once) for _ in range(5))
    assert pieces < whole / 2, (pieces, whole)


def _longest_gap(work: Callable[[], object]) -> float:
    """Seconds that a loop did not come to its turn while a thread did some work."""

    async def ticking() -> float:
        loop = asyncio.get_running_loop()
        thread = threading.Thread(target=work)
        longest, last = 0.0, loop.time()
        thread.start()
        while thread.is_alive():
            await asyncio.sleep(0.001)
            longest, last = max(longest, loop.time() - last), loop.time()
        return longest

    return asyncio.run(ticking())
