"""The log of a worker, as people and as machines read it."""

import json
import logging
from collections.abc import Iterator

import pytest

from composer import logs


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    yield
    root.handlers, level = before[0], before[1]
    root.setLevel(level)
    logging.getLogger("aiohttp.server").setLevel(logging.NOTSET)


def test_text_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("text")
    logging.getLogger("composer.session").info("session %s ends", "a")
    logging.getLogger("composer.session").debug("not this")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("INFO composer.session: session a ends")


def test_json_is_an_object_per_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("json")
    try:
        raise ValueError("two\nlines")
    except ValueError:
        logging.getLogger("x").exception("broke")
    logging.getLogger("aiohttp.server").error("nonsense came in")
    (line,) = capsys.readouterr().err.splitlines()
    said = json.loads(line)
    assert (said["level"], said["logger"], said["message"]) == ("error", "x", "broke")
    assert said["error"].endswith("ValueError: two\nlines")
